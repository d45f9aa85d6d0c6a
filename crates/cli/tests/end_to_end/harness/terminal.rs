//! `bootwright` at a terminal: keys are pressed, and what is shown is waited for.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Nothing takes that long, on any machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// A terminal with a program at it.
pub(crate) struct Terminal {
    keyboard: File,
    shown: Receiver<Vec<u8>>,
    /// What was shown since the last key.
    text: String,
    child: Child,
}

impl Terminal {
    /// Starts the command at a terminal of its own.
    pub(crate) fn start(command: &mut Command) -> Terminal {
        let controlling = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controlling).unwrap();
        unlockpt(&controlling).unwrap();
        let name = ptsname(&controlling, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let own = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        let size = Winsize { ws_row: 25, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&own, size).unwrap();
        let stdio = || Stdio::from(own.try_clone().unwrap());
        command.stdin(stdio()).stdout(stdio()).stderr(stdio()).env("TERM", "vt100");
        let child = command.spawn().unwrap();
        // Else the end would never be seen.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(own);
        let keyboard = File::from(controlling);
        let mut screen = keyboard.try_clone().unwrap();
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // When nobody is left at the other end, the kernel says that there was an error.
            while let Ok(n @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal { keyboard, shown, text: String::new(), child }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.text.clear();
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the text is shown.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        assert!(self.is_shown_within(text, PATIENCE), "`{text}` is not shown:\n{:?}", self.text);
    }

    /// Says whether the text is shown within that time.
    pub(crate) fn is_shown_within(&mut self, text: &str, time: Duration) -> bool {
        let end = Instant::now() + time;
        while !self.text.contains(text) {
            match self.shown.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    /// Waits for the end of the program, and returns its exit code and what it showed since the last key.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        while let Ok(bytes) = self.shown.recv_timeout(PATIENCE) {
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
        (self.child.wait().unwrap().code(), self.text)
    }
}
