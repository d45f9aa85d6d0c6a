//! What differs, whether it may be replaced, and the journal of that.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::journal::{Journal, Writer};
use super::layout::Layout;
use super::{Ask, Error, Image};
use crate::bytes::is_zero;
use crate::contents::default_threads;
use crate::pipeline::in_order;
use crate::vdisk::{Kind, Qcow2Patch};

/// How much is compared at once.
const CHUNK: u64 = 1 << 20;
/// What of a raw image is written at least: the block of the usual file systems.
const GRAIN: u64 = 4096;
/// Earlier builds are told apart by the bits of a number.
const MOST_BASES: usize = 64;

/// An update of one image.
pub struct Patch<'a> {
    /// The image as it is.
    pub image: &'a Image,
    /// Its file, which nobody else has open and which can be written.
    pub file: &'a File,
    /// What it is to become.
    pub new: &'a Image,
    /// What it may have been built as, the likeliest first. Where it differs from `new` it has to be the same as one of
    /// these.
    pub bases: &'a [Image],
    /// What is written of it.
    pub layout: &'a Layout,
    /// Whether it may be whatever it is.
    pub force: bool,
    /// Becomes true when nobody wants the update any more, which ends it with [`Error::Cancelled`] unless the image is being
    /// written already.
    pub cancel: &'a AtomicBool,
}

/// What an update wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Patched {
    /// How many bytes of the disk or file system are others now.
    pub bytes: u64,
    /// In how many pieces.
    pub n_pieces: u64,
}

/// A part of an image that differs.
struct Difference {
    /// What the part of the image is to be.
    wanted: Vec<u8>,
    start: u64,
    /// Where it differs, in whole grains.
    ranges: Vec<Range<usize>>,
    /// For each earlier build that was looked at, where the image is not as that, if anywhere.
    foreign: Vec<(usize, u64)>,
}

/// Where the changes of an image go.
enum Target<'a> {
    Raw,
    Qcow2(Box<Qcow2Patch<'a>>),
}

impl Patch<'_> {
    /// Makes the image what it is to become. `journal` is that of its file, with nothing in it.
    ///
    /// After an error other than [`Error::Unfinished`] the image is as it was.
    pub fn run(&self, journal: &Journal, ask: Ask<'_>) -> Result<Patched, Error> {
        let mut target = match self.image.kind() {
            None => Target::Raw,
            Some(Kind::Qcow2) => Target::Qcow2(Box::new(self.open_qcow2()?)),
            Some(kind) => {
                return Err(Error::Format { path: self.image.path().to_owned(), format: kind.name() });
            }
        };
        let mut writer = journal.begin(self.file)?;
        match self.compare(&mut target, &mut writer, ask) {
            Ok(patched) => {
                writer.finish(self.file, ask)?;
                Ok(patched)
            }
            Err(error) => {
                writer.discard();
                Err(error)
            }
        }
    }

    /// Returns what would be written, and writes nothing of it.
    pub fn dry_run(&self) -> Result<Patched, Error> {
        let mut patched = Patched::default();
        self.differences(&mut |difference| {
            patched.count(&difference);
            Ok(())
        })?;
        Ok(patched)
    }

    fn open_qcow2(&self) -> Result<Qcow2Patch<'_>, Error> {
        let path = || self.image.path().to_owned();
        Qcow2Patch::open(self.file).map_err(|what| Error::Qcow2 { path: path(), what })
    }

    fn compare(
        &self,
        target: &mut Target<'_>,
        writer: &mut Writer<'_>,
        ask: Ask<'_>,
    ) -> Result<Patched, Error> {
        let mut patched = Patched::default();
        let asked = |ask: &mut dyn FnMut() -> std::io::Result<()>| {
            ask().map_err(|source| Error::Write { path: self.image.path().to_owned(), source })
        };
        let broken = |what| Error::Qcow2 { path: self.image.path().to_owned(), what };
        self.differences(&mut |difference| {
            asked(ask)?;
            patched.count(&difference);
            for range in &difference.ranges {
                let bytes = &difference.wanted[range.clone()];
                let offset = difference.start + range.start as u64;
                match target {
                    Target::Raw if is_zero(bytes) => writer.zeros(offset, bytes.len() as u64)?,
                    Target::Raw => writer.bytes(offset, bytes)?,
                    Target::Qcow2(patch) => {
                        let cluster = patch.cluster_size() as usize;
                        for (number, bytes) in (offset / cluster as u64..).zip(bytes.chunks(cluster)) {
                            if is_zero(bytes) {
                                patch.zero(number).map_err(broken)?;
                            } else {
                                let at = patch.place(number).map_err(broken)?;
                                writer.bytes(at, bytes)?;
                            }
                        }
                    }
                }
            }
            Ok(())
        })?;
        match target {
            Target::Raw => writer.set_size(self.layout.size),
            Target::Qcow2(patch) if patched.n_pieces > 0 => {
                for (offset, bytes) in patch.tables() {
                    writer.bytes(offset, &bytes)?;
                }
                writer.set_size(patch.end());
            }
            Target::Qcow2(_) => {}
        }
        Ok(patched)
    }

    /// Calls `each` with all that differs, in order.
    ///
    /// Fails if the image is there not as any earlier build.
    fn differences(&self, each: &mut dyn FnMut(Difference) -> Result<(), Error>) -> Result<(), Error> {
        let bases = &self.bases[..self.bases.len().min(MOST_BASES)];
        let grain = match self.image.kind() {
            Some(_) => self.open_qcow2()?.cluster_size(),
            None => GRAIN,
        };
        let chunk = CHUNK.max(grain);
        // Bits of those that the image was not built as.
        let excluded = AtomicU64::new(0);
        let start = || {
            let mut buffers = [vec![0; chunk as usize], vec![0; chunk as usize], vec![0; chunk as usize]];
            let excluded = &excluded;
            Ok(move |number: u64| {
                let possible = |idx: usize| excluded.load(Ordering::Relaxed) >> idx & 1 == 0;
                self.difference(number * chunk, grain, &mut buffers, bases, &possible)
            })
        };
        let mut n_left = bases.len();
        let done = |difference: Option<Difference>| {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let Some(difference) = difference else { return Ok(()) };
            if !self.force {
                if bases.is_empty() {
                    return Err(Error::NoBase { path: self.image.path().to_owned() });
                }
                for (idx, offset) in &difference.foreign {
                    if excluded.fetch_or(1 << idx, Ordering::Relaxed) >> idx & 1 == 0 {
                        n_left -= 1;
                    }
                    if n_left == 0 {
                        let place = self.layout.place(*offset);
                        return Err(Error::Base {
                            path: self.image.path().to_owned(),
                            offset: *offset,
                            place,
                        });
                    }
                }
            }
            each(difference)
        };
        let n_threads = default_threads().min(8);
        in_order(self.chunks(chunk).into_iter(), n_threads, n_threads * 4, start, done)
    }

    /// Returns the numbers of the chunks that may differ.
    fn chunks(&self, chunk: u64) -> Vec<u64> {
        let ranges = self.image.data().iter().chain(self.new.data());
        let chunks = ranges.flat_map(|range| range.start / chunk..range.end.div_ceil(chunk));
        let mut chunks: Vec<u64> = chunks.collect();
        chunks.sort_unstable();
        chunks.dedup();
        chunks.retain(|number| {
            let (start, end) = (number * chunk, (number + 1) * chunk);
            self.layout.owned.iter().any(|range| range.start < end && range.end > start)
        });
        chunks
    }

    fn difference(
        &self,
        start: u64,
        grain: u64,
        [old, new, base]: &mut [Vec<u8>; 3],
        bases: &[Image],
        possible: &dyn Fn(usize) -> bool,
    ) -> Result<Option<Difference>, Error> {
        self.image.read(start, old)?;
        self.new.read(start, new)?;
        let end = start + old.len() as u64;
        let owned = within(&self.layout.owned, start, end);
        let mut wanted =
            if owned.first() == Some(&(0..old.len())) { std::mem::take(new) } else { old.clone() };
        if !new.is_empty() {
            owned.iter().for_each(|range| wanted[range.clone()].copy_from_slice(&new[range.clone()]));
        }
        let grain = grain as usize;
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for at in (0..old.len()).step_by(grain) {
            let range = at..old.len().min(at + grain);
            if old[range.clone()] != wanted[range.clone()] {
                match ranges.last_mut().filter(|last| last.end == at) {
                    Some(last) => last.end = range.end,
                    None => ranges.push(range),
                }
            }
        }
        if ranges.is_empty() {
            *new = wanted;
            return Ok(None);
        }
        let mut foreign = Vec::new();
        if !self.force {
            let tables = within(&self.layout.tables, start, end);
            for (idx, image) in bases.iter().enumerate().filter(|(idx, _)| possible(*idx)) {
                image.read(start, base)?;
                // Tables whose partitions are the same may have other attributes.
                tables.iter().for_each(|range| base[range.clone()].copy_from_slice(&old[range.clone()]));
                let is_foreign =
                    |at: &usize| old[*at] != base[*at] && owned.iter().any(|range| range.contains(at));
                let changed = ranges.iter().filter(|range| old[(*range).clone()] != base[(*range).clone()]);
                let found = changed.flat_map(|range| range.clone()).find(is_foreign);
                foreign.extend(found.map(|at| (idx, start + at as u64)));
            }
        }
        new.resize(old.len(), 0);
        Ok(Some(Difference { wanted, start, ranges, foreign }))
    }
}

impl Patched {
    fn count(&mut self, difference: &Difference) {
        self.n_pieces += difference.ranges.len() as u64;
        self.bytes += difference.ranges.iter().map(|range| range.len() as u64).sum::<u64>();
    }
}

/// Returns what of ascending ranges lies between `start` and `end`, counted from `start`.
fn within(ranges: &[Range<u64>], start: u64, end: u64) -> Vec<Range<usize>> {
    let cut = ranges.iter().filter_map(|range| {
        let (from, to) = (range.start.max(start), range.end.min(end));
        (from < to).then(|| (from - start) as usize..(to - start) as usize)
    });
    cut.collect()
}
