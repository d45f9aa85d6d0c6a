//! What steps leave of their images for their next runs, as [`engine::Requirements::earlier`] asks for it.
//!
//! A name has a directory with a file for each of its last runs: what the step left, called by the digest of the output
//! that it is about. The output itself is in the store, and shown to the step beside the file as long as it is there.
//! All of it only saves time, so whatever goes wrong with it is as if there were nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cas::{Digest, LocalStore, Node};
use engine::Request;
use sandbox::Mount;

use crate::executor::make_directory;

/// Where a step finds it.
const PLACE: &str = "/build/earlier";
/// How many runs are remembered.
const N_RUNS: usize = 3;
/// The most bytes that a step may leave.
const MOST: u64 = 1 << 30;

/// A place for what a step leaves.
pub(crate) struct Earlier {
    /// The directory of the name.
    place: PathBuf,
    /// What the step can write to.
    new: PathBuf,
}

/// Returns the mounts that show a step what is known of its earlier runs, if it asks for that.
pub(crate) fn lend(
    store: &LocalStore,
    directory: &Path,
    request: &Request<'_>,
    run: &Path,
) -> Option<(Earlier, Vec<Mount>)> {
    let name = request.requirements.earlier.as_ref()?;
    let place = directory.join(&Digest::of(name.as_bytes()).hex()[..32]);
    let new = run.join("earlier");
    let inputs = run.join("inputs");
    fs::create_dir_all(&place).ok()?;
    touch(&place).ok()?;
    // The step's own user is another one to the directory that it did not make.
    make_directory(&new, 0o1777).ok()?;
    fs::write(&inputs, list_inputs(request)).ok()?;
    let mut mounts = vec![
        Mount::read_only(inputs, format!("{PLACE}/inputs")),
        Mount::read_write(&new, format!("{PLACE}/new")),
    ];
    let mut n_shown = 0;
    for (table, digest) in tables(&place) {
        let Ok(image) = store.blob_file(&digest, false) else {
            let _stays = fs::remove_file(table);
            continue;
        };
        // Another run may remove the file before it is mounted. Under a name of our own it stays.
        let own = run.join(format!("table-{n_shown}"));
        if fs::hard_link(&table, &own).is_err() && fs::copy(&table, &own).is_err() {
            continue;
        }
        mounts.push(Mount::read_only(own, format!("{PLACE}/{n_shown}/table")));
        mounts.push(Mount::read_only(image, format!("{PLACE}/{n_shown}/image")));
        n_shown += 1;
    }
    Some((Earlier { place, new }, mounts))
}

impl Earlier {
    /// Keeps what the step left, which succeeded and whose output is the tree `output`.
    pub(crate) fn keep(&self, store: &LocalStore, output: &Digest) {
        let _slower_next_time = self.try_keep(store, output);
    }

    fn try_keep(&self, store: &LocalStore, output: &Digest) -> Option<()> {
        let table = self.new.join("table");
        let of = self.new.join("of");
        let is_file = |path: &Path| {
            fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() <= MOST)
        };
        if !is_file(&table) || !is_file(&of) {
            return None;
        }
        let digest = find(store, output, &fs::read_to_string(of).ok()?)?;
        fs::rename(&table, self.place.join(format!("{}-{}", digest.hex(), digest.size()))).ok()?;
        for (old, _) in tables(&self.place).into_iter().skip(N_RUNS) {
            let _stays = fs::remove_file(old);
        }
        Some(())
    }
}

/// Returns the digest of the file at `path` in a tree.
fn find(store: &LocalStore, tree: &Digest, path: &str) -> Option<Digest> {
    let start = Node::Directory { digest: *tree };
    let node = path.split('/').try_fold(start, |node, name| match node {
        Node::Directory { digest } => store.read_directory(&digest).ok()?.entries.get(name).cloned(),
        _ => None,
    })?;
    match node {
        Node::File { digest, .. } => Some(digest),
        _ => None,
    }
}

/// Returns a line for each file that is placed: its SHA-256, its size, its path.
fn list_inputs(request: &Request<'_>) -> String {
    let line = |(path, node): (&str, &Node)| match node {
        // A list of lines can have no other names.
        Node::File { digest, .. } if !path.contains('\n') => {
            Some(format!("{} {} {path}\n", digest.hex(), digest.size()))
        }
        _ => None,
    };
    request.placed.iter().filter_map(|placed| line((&placed.path, &placed.node))).collect()
}

/// Returns the files of a name, each with the digest of the output that it is about, the last one first.
fn tables(place: &Path) -> Vec<(PathBuf, Digest)> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let table = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let (hex, size) = name.split_once('-')?;
        let digest = Digest::from_hex(hex, size.parse().ok()?)?;
        Some((entry.metadata().ok()?.modified().ok()?, entry.path(), digest))
    };
    let mut found: Vec<(SystemTime, PathBuf, Digest)> = entries.filter_map(table).collect();
    found.sort_unstable_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, path, digest)| (path, digest)).collect()
}

fn touch(path: &Path) -> io::Result<()> {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty())?)
}

/// What [`sweep_earlier`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweptEarlier {
    /// How many files.
    pub n_tables: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes what is in `directory` of steps that have not run since `since`, and what is about images that are in
/// `store` no more. A step that runs meanwhile only takes longer.
pub fn sweep_earlier(directory: &Path, store: &LocalStore, since: SystemTime) -> io::Result<SweptEarlier> {
    let mut swept = SweptEarlier::default();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(swept),
        entries => entries?,
    };
    for entry in entries {
        let place = entry?.path();
        // Whoever is not there any more was swept by somebody else.
        let Ok(used) = fs::metadata(&place).and_then(|metadata| metadata.modified()) else { continue };
        for (table, digest) in tables(&place) {
            if used >= since && store.has_file(&digest) {
                continue;
            }
            let size = fs::metadata(&table).map_or(0, |metadata| metadata.len());
            if fs::remove_file(&table).is_ok() {
                swept.n_tables += 1;
                swept.bytes += size;
            }
        }
        // Unless there still is something in it.
        let _stays = fs::remove_dir(&place);
    }
    Ok(swept)
}
