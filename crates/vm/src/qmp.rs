//! The QEMU Machine Protocol, as far as a boot needs it: why the machine stopped.

use std::io::{BufRead, BufReader, Read as _, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

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
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    stop: Option<Stop>,
    /// Nothing more will be heard.
    is_over: bool,
}

/// Longer than this no message is that we listen for.
const LONGEST: u64 = 1 << 20;
/// How long the last event may be on its way after QEMU has ended.
const LAST_EVENT: Duration = Duration::from_secs(1);

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
        Monitor::start(socket, &[r#"{"execute":"qmp_capabilities"}"#])
    }

    /// Does the same, and then lets the guest of a QEMU start that was started with `-S`: so nothing that it
    /// does is missed, however soon it is done.
    pub fn connect_and_continue(socket: &Path) -> Monitor {
        Monitor::start(socket, &[r#"{"execute":"qmp_capabilities"}"#, r#"{"execute":"cont"}"#])
    }

    fn start(socket: &Path, commands: &[&str]) -> Monitor {
        let monitor = Monitor::default();
        let (socket, heard) = (socket.to_owned(), Arc::clone(&monitor.heard));
        let commands = commands.iter().map(|command| format!("{command}\n")).collect();
        thread::spawn(move || {
            listen(socket, commands, &heard);
            lock(&heard).is_over = true;
        });
        monitor
    }

    /// Returns why the machine stopped, if it said so. The first reason is the cause of all others.
    pub fn stop(&self) -> Option<Stop> {
        lock(&self.heard).stop.clone()
    }

    /// Returns the same once QEMU has ended: waits a moment for what it said last.
    #[allow(clippy::disallowed_methods, reason = "it waits")]
    pub fn last_stop(&self) -> Option<Stop> {
        let start = Instant::now();
        while !lock(&self.heard).is_over && start.elapsed() < LAST_EVENT {
            thread::sleep(Duration::from_millis(5));
        }
        self.stop()
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(socket: PathBuf, commands: String, heard: &Mutex<Heard>) {
    let connected = (0..500).find_map(|_| {
        let stream = UnixStream::connect(&socket).ok();
        if stream.is_none() {
            thread::sleep(Duration::from_millis(10));
        }
        stream
    });
    let Some(mut stream) = connected else { return };
    if stream.write_all(commands.as_bytes()).is_err() {
        return;
    }
    let Ok(lines) = stream.try_clone() else { return };
    let mut lines = BufReader::new(lines);
    while let Some(line) = next_line(&mut lines) {
        match told(&line) {
            Told::Stopped(reason) => {
                lock(heard).stop.get_or_insert(reason);
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

/// Returns the next line; `None` when there is no more. One that is too long comes in pieces, which are no messages.
fn next_line(lines: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    match lines.take(LONGEST).read_until(b'\n', &mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(String::from_utf8_lossy(&line).into_owned()),
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
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_guest_is_let_start_and_its_last_word_is_heard() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("qmp");
        let listener = UnixListener::bind(&socket).unwrap();
        let monitor = Monitor::connect_and_continue(&socket);
        let (mut qemu, _) = listener.accept().unwrap();
        let mut commands = BufReader::new(qemu.try_clone().unwrap()).lines().map(Result::unwrap);
        assert_eq!(commands.next().unwrap(), r#"{"execute":"qmp_capabilities"}"#);
        assert_eq!(commands.next().unwrap(), r#"{"execute":"cont"}"#);
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            qemu.write_all(b"{\"event\":\"SHUTDOWN\",\"data\":{\"reason\":\"guest-shutdown\"}}\n").unwrap();
        });
        drop(commands);
        assert_eq!(monitor.last_stop(), Some(Stop::PoweredOff));
    }

    #[test]
    fn a_line_without_end_is_heard_in_pieces() {
        let mut lines = b"{}\nlast".chain(BufReader::new(std::io::repeat(b'x')));
        assert_eq!(next_line(&mut lines).as_deref(), Some("{}\n"));
        assert_eq!(next_line(&mut lines).map(|line| line.len() as u64), Some(LONGEST));
        assert_eq!(next_line(&mut &b"last"[..]).as_deref(), Some("last"));
        assert_eq!(next_line(&mut &b""[..]), None);
    }

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
