//! The events of inotify, as the kernel writes them (inotify(7), "Reading events from an inotify file descriptor").

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::inotify::ReadFlags;
use rustix::io::{Errno, ioctl_fionread, read};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The watch that saw it.
    pub(super) watch: i32,
    pub(super) flags: ReadFlags,
    /// To what in the directory that is watched; `None` when it happened to that itself.
    pub(super) name: Option<OsString>,
}

/// The watch, the mask, a cookie and the length of the name.
const HEADER: usize = 16;

/// Calls `each` for all events that are there now, in their order, and for some that came since.
///
/// It ends also while somebody goes on changing things. Fails as `each` does (`Ok`), or when there is no reading (`Err`).
pub(super) fn read_events<E>(
    inotify: impl AsFd,
    each: &mut dyn FnMut(Event) -> Result<(), E>,
) -> Result<(), Result<E, Errno>> {
    let mut n_left = ioctl_fionread(&inotify).map_err(Err)?;
    let mut buffer = vec![0; 64 * 1024];
    while n_left > 0 {
        let n_bytes = match read(&inotify, &mut buffer) {
            Ok(n_bytes) => n_bytes,
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(Err(errno)),
        };
        n_left = n_left.saturating_sub(n_bytes as u64);
        let mut bytes = &buffer[..n_bytes];
        while let Some((event, rest)) = parse(bytes) {
            each(event).map_err(Ok)?;
            bytes = rest;
        }
        if n_bytes == 0 || !bytes.is_empty() {
            // The kernel writes whole events only.
            return Err(Err(Errno::IO));
        }
    }
    Ok(())
}

fn parse(bytes: &[u8]) -> Option<(Event, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let number = |at: usize| header[at..at + 4].try_into().map(u32::from_ne_bytes).unwrap_or_default();
    let (name, rest) = rest.split_at_checked(usize::try_from(number(12)).ok()?)?;
    // Zeros fill it up to where the next event may begin.
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let event = Event {
        watch: number(0).cast_signed(),
        flags: ReadFlags::from_bits_retain(number(4)),
        name: (!name.is_empty()).then(|| OsStr::from_bytes(name).to_owned()),
    };
    Some((event, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_and_half_ones_are_not() {
        let mut bytes = Vec::new();
        for number in [7_u32, 0x100, 0, 16] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(b"main.c\0\0\0\0\0\0\0\0\0\0");
        for number in [u32::MAX, 0x4000, 0, 0] {
            bytes.extend(number.to_ne_bytes());
        }
        let (event, rest) = parse(&bytes).unwrap();
        assert_eq!(event, Event { watch: 7, flags: ReadFlags::CREATE, name: Some("main.c".into()) });
        let (event, rest) = parse(rest).unwrap();
        assert_eq!(event, Event { watch: -1, flags: ReadFlags::QUEUE_OVERFLOW, name: None });
        assert_eq!(parse(rest), None);
        for end in 1..32 {
            assert_eq!(parse(&bytes[..end]), None);
        }
    }
}
