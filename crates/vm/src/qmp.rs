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
    #[serde(default, rename = "return")]
    answer: Answer,
}

#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    status: String,
}

/// What a line of the protocol tells.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    /// Why the machine stopped.
    Stopped(Stop),
    /// That it was paused, by whatever: `query-status` tells.
    Paused,
    Nothing,
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
    let Ok(lines) = stream.try_clone() else { return };
    for line in BufReader::new(lines).lines() {
        let Ok(line) = line else { return };
        match told(&line) {
            Told::Stopped(reason) => {
                stop.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
            }
            Told::Paused => {
                if stream.write_all(b"{\"execute\":\"query-status\"}\n").is_err() {
                    return;
                }
            }
            Told::Nothing => {}
        }
    }
}

fn told(line: &str) -> Told {
    let Ok(message) = serde_json::from_str::<Message>(line) else { return Told::Nothing };
    match (message.event.as_deref(), message.data.reason.as_str(), message.answer.status.as_str()) {
        (Some("SHUTDOWN"), "guest-shutdown", _) => Told::Stopped(Stop::PoweredOff),
        (Some("SHUTDOWN" | "RESET"), "guest-reset", _) => Told::Stopped(Stop::Reset),
        (Some("SHUTDOWN"), "guest-panic", _) | (Some("GUEST_PANICKED"), ..) => Told::Stopped(Stop::Panicked),
        (Some("SHUTDOWN"), other, _) => Told::Stopped(Stop::Other(other.to_owned())),
        (Some("STOP"), ..) => Told::Paused,
        (None, _, "internal-error") => Told::Stopped(Stop::InternalError),
        _ => Told::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_tell_reasons() {
        let shutdown = |reason: &str| {
            told(&format!(r#"{{"event":"SHUTDOWN","data":{{"guest":true,"reason":"{reason}"}}}}"#))
        };
        assert_eq!(shutdown("guest-shutdown"), Told::Stopped(Stop::PoweredOff));
        assert_eq!(shutdown("guest-reset"), Told::Stopped(Stop::Reset));
        assert_eq!(shutdown("host-signal"), Told::Stopped(Stop::Other("host-signal".into())));
        assert_eq!(told(r#"{"event":"STOP"}"#), Told::Paused);
        let status = |status: &str| told(&format!(r#"{{"return":{{"running":false,"status":"{status}"}}}}"#));
        assert_eq!(status("internal-error"), Told::Stopped(Stop::InternalError));
        // By somebody at the monitor, who will go on.
        assert_eq!(status("paused"), Told::Nothing);
        for other in ["", "[]", "{\"return\":{}}", "{\"event\":7}", "\u{0}"] {
            assert_eq!(told(other), Told::Nothing, "{other}");
        }
    }
}
