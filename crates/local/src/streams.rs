//! Standard streams for a command that is entered without a terminal.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::{self, JoinHandle};

use rustix::fs::{FileType, fstat};

/// Streams that lead to those that were given, where they are not the same.
///
/// Who has a file or a terminal open can open it once more, also for what it was not opened for, and change its mode; so the
/// command gets pipes in their place.
pub(crate) struct Streams {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    /// None also where what is for `output` is for it, too.
    error: Option<OwnedFd>,
    is_shared: bool,
    copiers: Vec<JoinHandle<()>>,
}

impl Streams {
    /// Begins to copy to and from the streams that were given: standard input, output and error.
    pub(crate) fn new([input, output, error]: [BorrowedFd<'_>; 3]) -> io::Result<Streams> {
        let mut streams =
            Streams { input: None, output: None, error: None, is_shared: false, copiers: Vec::new() };
        if !is_only_a_stream(input)? {
            let (reader, mut writer) = io::pipe()?;
            let mut given = File::from(input.try_clone_to_owned()?);
            // Nobody waits for this one: it may wait for somebody who types.
            thread::spawn(move || io::copy(&mut given, &mut writer));
            streams.input = Some(reader.into());
        }
        // In one pipe what is printed stays in its order.
        streams.is_shared = identity(output)? == identity(error)?;
        streams.output = streams.leading_to(output)?;
        if !streams.is_shared {
            streams.error = streams.leading_to(error)?;
        }
        Ok(streams)
    }

    fn leading_to(&mut self, given: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
        if is_only_a_stream(given)? {
            return Ok(None);
        }
        let (mut reader, writer) = io::pipe()?;
        let mut given = File::from(given.try_clone_to_owned()?);
        self.copiers.push(thread::spawn(move || {
            // When it cannot be written any more, the command learns that from the pipe.
            let _ended = io::copy(&mut reader, &mut given);
        }));
        Ok(Some(writer.into()))
    }

    /// Returns what the command gets in place of the three that were given.
    pub(crate) fn of<'a>(&'a self, given: [BorrowedFd<'a>; 3]) -> [BorrowedFd<'a>; 3] {
        let [input, output, error] = given;
        let of = |own: &'a Option<OwnedFd>, given| own.as_ref().map_or(given, AsFd::as_fd);
        let error = if self.is_shared { of(&self.output, error) } else { of(&self.error, error) };
        [of(&self.input, input), of(&self.output, output), error]
    }

    /// Waits until all that was printed has been passed on. Nobody but us may have the other ends any more.
    pub(crate) fn finish(self) {
        drop((self.input, self.output, self.error));
        for copier in self.copiers {
            copier.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    }
}

/// Says whether nobody can do more with it than read what comes, or write what goes.
fn is_only_a_stream(file: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(matches!(FileType::from_raw_mode(fstat(file)?.st_mode), FileType::Fifo | FileType::Socket))
}

fn identity(file: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let about = fstat(file)?;
    Ok((about.st_dev, about.st_ino))
}
