//! What the store does to files: fixed times, copies that share extents where they can, removal.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{
    AtFlags, CWD, IFlags, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, ioctl_getflags,
    ioctl_setflags,
};
use rustix::io::Errno;

use crate::store::Doing as _;
use crate::{Digest, Hasher, StoreError};

/// The modification time, in seconds since 1970, of every file, directory and link that comes out of a
/// store for a step to read: 2000-01-01. Later than 1980, before which a ZIP archive cannot go.
pub const FIXED_MTIME: i64 = 946_684_800;

/// A point in time as the file system tells it: seconds and nanoseconds since 1970.
pub(crate) type Stamp = (i64, i64);

pub(crate) fn accessed(stat: &Stat) -> Stamp {
    (stat.st_atime, stat.st_atime_nsec as i64)
}

pub(crate) fn modified(stat: &Stat) -> Stamp {
    (stat.st_mtime, stat.st_mtime_nsec as i64)
}

pub(crate) fn changed(stat: &Stat) -> Stamp {
    (stat.st_ctime, stat.st_ctime_nsec as i64)
}

/// Asks for the directories that are made in `directory` to lie in different parts of the disk.
///
/// ext4 puts what is made into the part of the disk where its directory is, and for some minutes does not use the
/// inodes again that were freed there, but looks at each of them anew for every file. Where thousands of files are made
/// and removed in one part, that is most of what making a file takes.
pub(crate) fn spread(directory: &Path) {
    let spread = || {
        let directory = File::open(directory)?;
        ioctl_setflags(&directory, ioctl_getflags(&directory)? | IFlags::TOPDIR)?;
        io::Result::Ok(())
    };
    // Other file systems do not know this, and need not.
    let _as_it_was = spread();
}

/// The modification time fixed, the access time now: how a blob says that it was just used.
pub(crate) const USED_NOW: Timestamps = Timestamps { last_access: NOW, last_modification: FIXED };
/// Only the access time now.
pub(crate) const TOUCHED: Timestamps =
    Timestamps { last_access: NOW, last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT } };
/// Access and modification time fixed.
pub(crate) const FIXED_TIMES: Timestamps = Timestamps { last_access: FIXED, last_modification: FIXED };

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
const FIXED: Timespec = Timespec { tv_sec: FIXED_MTIME, tv_nsec: 0 };

/// Makes a directory with mode 0755, whatever the umask is.
pub(crate) fn make_directory(path: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().mode(0o755).create(path);
    // A umask can only take bits away, and those of a directory in a tree are the same on every machine.
    made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .doing(|| format!("make directory `{}`", path.display()))
}

/// Gives the directory or link at `path` the fixed times.
pub(crate) fn fix_times(path: &Path) -> Result<(), StoreError> {
    rustix::fs::utimensat(CWD, path, &FIXED_TIMES, AtFlags::SYMLINK_NOFOLLOW)
        .doing(|| format!("set the time of `{}`", path.display()))
}

/// Makes the empty file `to` hold what is left of `from`, sharing its extents if the file system can.
///
/// Where `from` has holes so has `to`: an image of 32 GB takes what is in it. Ends with an error soon after `cancel` is set.
pub(crate) fn copy_content(from: &mut File, to: &mut File, cancel: &AtomicBool) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(&*to, &*from).is_ok() {
        return Ok(());
    }
    let start = from.stream_position()?;
    let mut size = copy_in_kernel(from, to, start, cancel);
    from.seek(SeekFrom::Start(start + size))?;
    to.seek(SeekFrom::Start(size))?;
    for_runs(from, |run| {
        go_on_unless(cancel)?;
        copy_run(&run, to, &mut size)
    })?;
    to.set_len(size)
}

/// Has the kernel copy what is in `from` behind `start`, but for holes, as far as it does that and until `cancel` is set, and
/// returns how far it came.
fn copy_in_kernel(from: &File, to: &File, start: u64, cancel: &AtomicBool) -> u64 {
    /// The kernel does not end before all of this is copied.
    const AT_ONCE: u64 = 64 << 20;

    use rustix::fs::{SeekFrom::Data, SeekFrom::Hole, seek};
    let mut done = start;
    loop {
        // Whatever cannot be told or done here is left to the caller, who meets the error if there is one.
        let Ok(mut at) = seek(from, Data(done)) else { return done - start };
        let Ok(end) = seek(from, Hole(at)) else { return done - start };
        let mut place = at - start;
        while at < end {
            if cancel.load(Ordering::Relaxed) {
                return done - start;
            }
            let length = (end - at).min(AT_ONCE) as usize;
            match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut place), length) {
                Ok(0) => return done - start,
                Ok(_) => done = at,
                Err(Errno::INTR) => {}
                Err(_) => return done - start,
            }
        }
    }
}

/// As [`copy_content`], and returns the digest of what `to` then holds. Ends with an error soon after `cancel` is set.
pub(crate) fn copy_hashing(from: &mut File, to: &mut File, cancel: &AtomicBool) -> io::Result<Digest> {
    if rustix::fs::ioctl_ficlone(&*to, &*from).is_ok() {
        let mut copy = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(to)))?;
        return hash(&mut copy, cancel);
    }
    let mut hasher = Hasher::new();
    let mut size = 0;
    for_runs(from, |run| {
        hash_run(&run, &mut hasher, cancel)?;
        copy_run(&run, to, &mut size)
    })?;
    to.set_len(size)?;
    Ok(hasher.finish())
}

/// Makes `to` hold what is left of `from` by writing only where it holds something else; holes become holes.
///
/// Where most is the same that is faster than a copy, and the disk has little to write. That is on the disk before this
/// returns: after the machine died, a file that looks as it was left must not hold what was there before. When it fails,
/// `to` holds some of both.
pub(crate) fn rewrite(from: &mut File, to: &File) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    if rustix::fs::ioctl_ficlone(to, &*from).is_ok() {
        return to.set_len(from.metadata()?.len());
    }
    let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let mut there = vec![0; BUFFER];
    let mut size = 0;
    let mut is_changed = false;
    for_runs(from, |run| {
        match run {
            Run::Bytes(bytes) => {
                let there = &mut there[..bytes.len()];
                match to.read_exact_at(there, size) {
                    Ok(()) if there == bytes => {}
                    Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
                    _ => {
                        to.write_all_at(bytes, size)?;
                        is_changed = true;
                    }
                }
                size += bytes.len() as u64;
            }
            Run::Hole(n_bytes) => {
                fallocate(to, holes, size, n_bytes)?;
                size += n_bytes;
            }
        }
        Ok(())
    })?;
    to.set_len(size)?;
    if is_changed { to.sync_data() } else { Ok(()) }
}

/// A piece of a file.
enum Run<'a> {
    Bytes(&'a [u8]),
    /// So many zeros that the file system keeps no bytes for.
    Hole(u64),
}

fn copy_run(run: &Run<'_>, to: &mut File, size: &mut u64) -> io::Result<()> {
    match run {
        Run::Bytes(bytes) => {
            to.write_all(bytes)?;
            *size += bytes.len() as u64;
        }
        Run::Hole(n_bytes) => {
            *size += n_bytes;
            to.seek(SeekFrom::Start(*size))?;
        }
    }
    Ok(())
}

/// Fails once `cancel` is set: a hole may be so large that hashing it takes hours.
fn hash_run(run: &Run<'_>, hasher: &mut Hasher, cancel: &AtomicBool) -> io::Result<()> {
    static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];
    go_on_unless(cancel)?;
    match run {
        Run::Bytes(bytes) => hasher.update(bytes),
        Run::Hole(n_bytes) => {
            let mut n_left = *n_bytes;
            while n_left > 0 {
                go_on_unless(cancel)?;
                let n_bytes = n_left.min(ZEROS.len() as u64);
                hasher.update(&ZEROS[..n_bytes as usize]);
                n_left -= n_bytes;
            }
        }
    }
    Ok(())
}

/// Why something was not done that nobody wants any more; see [`crate::LocalStore::open_until`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was cancelled")]
pub struct Cancelled;

/// Fails with [`Cancelled`] once `cancel` is set.
pub(crate) fn go_on_unless(cancel: &AtomicBool) -> io::Result<()> {
    if cancel.load(Ordering::Relaxed) { Err(io::Error::other(Cancelled)) } else { Ok(()) }
}

/// Calls `each` for what is left of `file`, in order. Where the file system does not tell of holes there are none.
fn for_runs(file: &mut File, mut each: impl FnMut(Run<'_>) -> io::Result<()>) -> io::Result<()> {
    use rustix::fs::{SeekFrom::Data, SeekFrom::Hole, seek};
    let mut buffer = vec![0; BUFFER];
    let mut at = file.stream_position()?;
    loop {
        let data = match seek(&*file, Data(at)) {
            Ok(data) => data,
            // Nothing but a hole is left, or nothing.
            Err(Errno::NXIO) => at.max(file.metadata()?.len()),
            Err(_) => at,
        };
        if data > at {
            each(Run::Hole(data - at))?;
            at = data;
        }
        // At the end there is no next hole, and reading says that it is the end.
        let mut n_left = seek(&*file, Hole(at)).map_or(u64::MAX, |hole| hole.saturating_sub(at).max(1));
        file.seek(SeekFrom::Start(at))?;
        while n_left > 0 {
            let n_wanted = usize::try_from(n_left).unwrap_or(BUFFER).min(BUFFER);
            let n_bytes = read_some(file, &mut buffer[..n_wanted])?;
            if n_bytes == 0 {
                return Ok(());
            }
            each(Run::Bytes(&buffer[..n_bytes]))?;
            at += n_bytes as u64;
            n_left = n_left.saturating_sub(n_bytes as u64);
        }
    }
}

/// Opens a file for reading that does not count as used by that: the access time stays.
pub(crate) fn open_unused(path: &Path) -> io::Result<File> {
    let open = |flags| rustix::fs::open(path, flags | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    // Only the owner may ask for it.
    let file = open(OFlags::NOATIME).or_else(|_| open(OFlags::empty()))?;
    Ok(File::from(file))
}

/// Returns the digest of the rest of `file`. Ends with an error soon after `cancel` is set.
pub(crate) fn hash(file: &mut File, cancel: &AtomicBool) -> io::Result<Digest> {
    // Most files are small, and a large buffer costs more than to read them.
    let mut small = [0; 8 * 1024];
    let mut hasher = Hasher::new();
    let n_bytes = read_some(file, &mut small)?;
    hasher.update(&small[..n_bytes]);
    if n_bytes == 0 {
        return Ok(hasher.finish());
    }
    if n_bytes == small.len() {
        for_runs(file, |run| hash_run(&run, &mut hasher, cancel))?;
        return Ok(hasher.finish());
    }
    loop {
        let n_bytes = read_some(file, &mut small)?;
        if n_bytes == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&small[..n_bytes]);
    }
}

fn read_some(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Fits a second-level cache together with what is hashed.
const BUFFER: usize = 128 * 1024;

/// Calls `work` for every index below `n_items`, on as many threads as there are processors, and returns
/// the results in order or the first error. After an error no further item is begun.
pub(crate) fn in_parallel<T: Send>(
    n_items: usize,
    work: impl Fn(usize) -> Result<T, StoreError> + Sync,
) -> Result<Vec<T>, StoreError> {
    // Below this, starting threads costs more than they bring.
    const WORTH_A_THREAD: usize = 16;
    // Asking how many processors there are reads files of the control groups.
    if n_items < 2 * WORTH_A_THREAD {
        return (0..n_items).map(work).collect();
    }
    let n_threads = thread::available_parallelism().map_or(2, usize::from).min(n_items / WORTH_A_THREAD);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let worker = || {
        let mut results = Vec::new();
        loop {
            let idx = next.fetch_add(1, Ordering::Relaxed);
            if idx >= n_items {
                return Ok(results);
            }
            match work(idx) {
                Ok(result) => results.push((idx, result)),
                Err(error) => {
                    next.store(n_items, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let mut results = Vec::with_capacity(n_items);
    thread::scope(|scope| {
        let others: Vec<_> = (1..n_threads).map(|_| scope.spawn(worker)).collect();
        results.extend(worker()?);
        for other in others {
            // A panic in a worker is our bug, and goes on as one.
            results.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(())
    })?;
    results.sort_unstable_by_key(|(idx, _)| *idx);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Returns what names this run of the machine.
pub(crate) fn boot_id() -> Result<String, StoreError> {
    let path = "/proc/sys/kernel/random/boot_id";
    let id = fs::read_to_string(path).doing(|| format!("read `{path}`"))?;
    Ok(id.trim().to_owned())
}
