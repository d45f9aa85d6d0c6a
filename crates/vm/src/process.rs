//! A running QEMU: its console as messages, its end, its own complaints.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// QEMU could not be started.
#[derive(Debug, thiserror::Error)]
#[error("could not start `{}`", .program.display())]
pub struct StartError {
    program: PathBuf,
    source: io::Error,
}

impl StartError {
    pub(crate) fn new(program: &Path, source: io::Error) -> StartError {
        StartError { program: program.to_owned(), source }
    }
}

/// What a running QEMU tells.
#[derive(Debug)]
pub enum Event {
    /// The guest wrote this on its console.
    Console(Vec<u8>),
    /// The console is closed: QEMU has ended or is about to.
    Closed,
}

/// A running QEMU whose console is read and written by us. It is killed when this is dropped.
pub struct Qemu {
    child: Child,
    stdin: ChildStdin,
}

impl Qemu {
    /// Starts `program`; its complaints go to the file `stderr`, its console comes out of the receiver.
    pub fn start(
        program: &Path,
        arguments: &[String],
        stderr: &Path,
    ) -> Result<(Qemu, Receiver<Event>), StartError> {
        let failed = |source| StartError::new(program, source);
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(stderr).map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::Error::other("its console is not connected")));
        };
        // Bounded, so that a guest that floods its console waits for us instead of filling our memory.
        let (sender, receiver) = sync_channel(64);
        thread::spawn(move || forward(stdout, &sender));
        Ok((Qemu { child, stdin }, receiver))
    }

    /// Types `text` on the console. An error means that QEMU has gone, which its end tells better.
    pub fn type_text(&mut self, text: &str) {
        let _ = self.stdin.write_all(text.as_bytes()).and_then(|()| self.stdin.flush());
    }

    /// Returns the exit status if QEMU has ended.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends QEMU at once and returns its exit status.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        // It may have ended by itself in between, which is as good.
        let _ = self.child.kill();
        self.child.wait()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn forward(mut from: impl Read, to: &SyncSender<Event>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let event = match from.read(&mut buffer) {
            Ok(0) => Event::Closed,
            Ok(n_bytes) => Event::Console(buffer[..n_bytes].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => Event::Closed,
        };
        let closed = matches!(event, Event::Closed);
        if to.send(event).is_err() || closed {
            return;
        }
    }
}
