//! Packs that arrive: written, and indexed by what is in them.
//!
//! A few bytes of a pack can say that an object is another one of a gigabyte with one byte changed, as often as they like. What
//! the objects come to is counted while they are unpacked, which is what the library tells of its progress.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use gix_pack::bundle::write::{Options, ProgressId};
use gix_pack::index;
use gix_utils::progress::{
    Count, Id, MessageLevel, NestedProgress, Progress, Step, StepShared, UNKNOWN, Unit,
};

use super::objects::MAX_OBJECT;

/// What the objects of every pack may come to, in bytes, however small it is.
pub(super) const ALWAYS_ALLOWED: usize = 4 << 30;
/// How many times its own size a pack may be unpacked. Histories of large files come to some hundred times.
const MAX_RATIO: usize = 1000;
/// How often it is looked at that.
const TICK: Duration = Duration::from_millis(20);

/// Why a pack was not received.
pub(super) enum PackError {
    /// Its objects come to far more than what was sent.
    TooLarge,
    /// The library says why.
    Other(gix_error::Error),
}

/// Reads a pack to its end, and writes it and its index into the directory `packs`. Stops soon after `cancel` is true, and soon
/// after its objects come to more than a thousand times what was read, and to more than `always_allowed` bytes.
pub(super) fn receive(
    reader: &mut dyn BufRead,
    packs: &Path,
    always_allowed: usize,
    cancel: &AtomicBool,
) -> Result<(), PackError> {
    let mut meter = Meter::default();
    let (is_done, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let written = thread::scope(|scope| {
        let watched = meter.clone();
        let (is_done, stop) = (&is_done, &stop);
        let watcher = scope.spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                if cancel.load(Ordering::Relaxed) || watched.is_more_than(always_allowed) {
                    stop.store(true, Ordering::Relaxed);
                }
                thread::park_timeout(TICK);
            }
        });
        let _until_then = Done(is_done, watcher.thread().clone());
        gix_pack::Bundle::write_to_directory(
            reader,
            Some(packs),
            &mut meter,
            stop,
            None::<gix_object::find::Never>,
            gix_hash::Kind::Sha1,
            Options { alloc_limit_bytes: Some(MAX_OBJECT), ..Options::default() },
        )
    });
    match written {
        Ok(_) => Ok(()),
        Err(_) if meter.is_more_than(always_allowed) => Err(PackError::TooLarge),
        Err(error) => Err(PackError::Other(error)),
    }
}

/// Lets the watcher end, whatever happens.
struct Done<'a>(&'a AtomicBool, Thread);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.unpark();
    }
}

/// How far the library is with a pack.
#[derive(Clone, Default)]
struct Meter {
    /// How many bytes of the pack were read.
    n_read: StepShared,
    /// How many bytes came out of them, and of what objects say that they have in common with others.
    n_unpacked: StepShared,
    /// What is counted by this part of it.
    own: StepShared,
}

impl Meter {
    fn is_more_than(&self, always_allowed: usize) -> bool {
        let most = self.n_read.load(Ordering::Relaxed).saturating_mul(MAX_RATIO).max(always_allowed);
        self.n_unpacked.load(Ordering::Relaxed) > most
    }
}

impl Count for Meter {
    // What is counted is never less than before: two parts count the same.
    fn set(&self, _step: Step) {}

    fn step(&self) -> Step {
        self.own.load(Ordering::Relaxed)
    }

    fn inc_by(&self, step: Step) {
        self.own.fetch_add(step, Ordering::Relaxed);
    }

    fn counter(&self) -> StepShared {
        Arc::clone(&self.own)
    }
}

impl Progress for Meter {
    fn init(&mut self, _max: Option<Step>, _unit: Option<Unit>) {}

    fn set_name(&mut self, _name: String) {}

    fn name(&self) -> Option<String> {
        None
    }

    fn id(&self) -> Id {
        UNKNOWN
    }

    fn message(&self, _level: MessageLevel, _message: String) {}
}

impl NestedProgress for Meter {
    type SubProgress = Meter;

    fn add_child(&mut self, name: impl Into<String>) -> Meter {
        self.add_child_with_id(name, UNKNOWN)
    }

    fn add_child_with_id(&mut self, _name: impl Into<String>, id: Id) -> Meter {
        let unpacked = [index::write::ProgressId::DecompressedBytes, index::write::ProgressId::DecodedBytes];
        let own = if id == Id::from(ProgressId::ReadPackBytes) {
            Arc::clone(&self.n_read)
        } else if unpacked.map(Id::from).contains(&id) {
            Arc::clone(&self.n_unpacked)
        } else {
            StepShared::default()
        };
        Meter { own, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::repository::{entry, pack};
    use super::*;

    #[test]
    fn objects_that_come_to_far_more_than_was_sent() {
        const MIB: usize = 1 << 20;
        const BLOB: u8 = 3;
        const OFFSET: u8 = 6;
        // Zeros, and differences from it: all of it, and one byte more.
        let base = entry(BLOB, MIB as u64, &[], &vec![0; MIB]);
        let mut entries = vec![base.clone()];
        let mut distance = base.len();
        for byte in 0..200_u8 {
            // Sizes of what there is and what comes of it; a copy from 0 of 2^20 bytes; a byte.
            let delta = [0x80, 0x80, 0x40, 0x81, 0x80, 0x40, 0xc0, 0x10, 1, byte];
            // The distance, with 7 bits a byte, of which all but the last are one less (gitformat-pack(5)).
            let offset = [0x80 | ((distance >> 7) - 1) as u8, (distance & 0x7f) as u8];
            let entry = entry(OFFSET, delta.len() as u64, &offset, &delta);
            distance += entry.len();
            entries.push(entry);
        }
        let pack = pack(&entries);
        let receive = |always_allowed| {
            let directory = tempfile::tempdir().unwrap();
            receive(&mut pack.as_slice(), directory.path(), always_allowed, &AtomicBool::new(false))
        };
        assert!(receive(400 * MIB).is_ok());
        assert!(matches!(receive(MIB), Err(PackError::TooLarge)));
    }
}
