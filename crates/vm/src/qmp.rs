//! The QEMU Machine Protocol, as far as a boot needs it: why the machine stopped.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

/// Why a machine stopped, from the events `SHUTDOWN`, `RESET`, `GUEST_PANICKED` and `STOP`
/// (QEMU QMP reference, "Run state").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The guest powered itself off.
    PoweredOff,
    /// The guest reset itself.
    Reset,
    /// The guest told its panic device that it panicked.
    Panicked,
    /// The accelerator met something that it cannot do.
    InternalError,
    /// Something else, by QEMU's own name for it.
    Other(String),
}

/// Listens to a machine's events on a thread of its own.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    stop: Arc<Mutex<Option<Stop>>>,
}

#[derive(Deserialize)]
struct Message {
    event: Option<String>,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default)]
    reason: String,
}

impl Monitor {
    /// Connects to the socket once QEMU has made it. Without a connection there is simply no reason to tell.
    pub fn connect(socket: &Path) -> Monitor {
        let monitor = Monitor::default();
        let (socket, stop) = (socket.to_owned(), Arc::clone(&monitor.stop));
        thread::spawn(move || listen(socket, &stop));
        monitor
    }

    /// Returns why the machine stopped, if it said so. The first reason is the cause of all others.
    pub fn stop(&self) -> Option<Stop> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn listen(socket: PathBuf, stop: &Mutex<Option<Stop>>) {
    let connected = (0..500).find_map(|_| {
        let stream = UnixStream::connect(&socket).ok();
        if stream.is_none() {
            thread::sleep(Duration::from_millis(10));
        }
        stream
    });
    let Some(mut stream) = connected else { return };
    if stream.write_all(b"{\"execute\":\"qmp_capabilities\"}\n").is_err() {
        return;
    }
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        if let Some(reason) = reason(&line) {
            stop.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        }
    }
}

/// Returns the reason that a line of the protocol tells, if it tells one.
fn reason(line: &str) -> Option<Stop> {
    let message: Message = serde_json::from_str(line).ok()?;
    match (message.event?.as_str(), message.data.reason.as_str()) {
        ("SHUTDOWN", "guest-shutdown") => Some(Stop::PoweredOff),
        ("SHUTDOWN" | "RESET", "guest-reset") => Some(Stop::Reset),
        ("SHUTDOWN", "guest-panic") | ("GUEST_PANICKED", _) => Some(Stop::Panicked),
        ("SHUTDOWN", other) => Some(Stop::Other(other.to_owned())),
        // Without a shutdown before it, a stop is QEMU pausing a guest that KVM gave up on.
        ("STOP", _) => Some(Stop::InternalError),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_tell_reasons() {
        let shutdown = |reason: &str| {
            super::reason(&format!(r#"{{"event":"SHUTDOWN","data":{{"guest":true,"reason":"{reason}"}}}}"#))
        };
        assert_eq!(shutdown("guest-shutdown"), Some(Stop::PoweredOff));
        assert_eq!(shutdown("guest-reset"), Some(Stop::Reset));
        assert_eq!(shutdown("host-signal"), Some(Stop::Other("host-signal".into())));
        assert_eq!(reason(r#"{"event":"STOP"}"#), Some(Stop::InternalError));
        for other in ["", "[]", "{\"return\":{}}", "{\"event\":7}", "\u{0}"] {
            assert_eq!(reason(other), None, "{other}");
        }
    }
}
