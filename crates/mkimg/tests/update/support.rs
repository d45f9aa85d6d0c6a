//! Disks with a file system of the build's and a partition of the machine's own.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use layer::ReadAt as _;
use mkimg::run;
use mkimg::update::{Error, Image, Journal, Layout, Patch, Patched, State};
use serde_json::{Value, json};

pub(crate) const MIB: u64 = 1 << 20;
/// Where the partition begins that is the machine's.
pub(crate) const STATE_AT: u64 = 6 * MIB;

pub(crate) struct World {
    directory: tempfile::TempDir,
}

/// Bytes that are like no others.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

impl World {
    pub(crate) fn new() -> World {
        World { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn make(&self, spec: &Value) {
        run(&serde_json::from_value(spec.clone()).unwrap(), self.directory.path()).unwrap();
    }

    /// Makes a disk: a partition with `root`, and one that is the machine's. `change` may say otherwise.
    pub(crate) fn disk(&self, name: &str, root: &[u8], change: impl FnOnce(&mut Value)) {
        self.write("root", root);
        let mut spec = json!({
            "kind": "disk", "output": name, "size": 10 * MIB,
            "table": { "kind": "gpt", "guid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b03" },
            "partitions": [
                { "name": "root", "type": "0fc63daf-8483-4772-8e79-3d69d8477de4", "size": { "bytes": 4 * MIB },
                  "guid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b04", "file": "root" },
                { "name": "state", "type": "0fc63daf-8483-4772-8e79-3d69d8477de4", "size": { "bytes": 2 * MIB },
                  "guid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b05", "at": STATE_AT },
            ],
        });
        change(&mut spec);
        self.make(&spec);
    }

    /// Makes a qcow2 of a raw disk.
    pub(crate) fn qcow2(&self, raw: &str, name: &str, compression: &str) {
        self.make(&json!({
            "kind": "convert", "input": raw, "from": "raw", "output": name,
            "format": { "kind": "qcow2", "compression": compression },
        }));
    }

    pub(crate) fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    /// Changes bytes of a raw image, as a machine does that runs from it.
    pub(crate) fn poke(&self, name: &str, offset: u64, bytes: &[u8]) {
        File::options().write(true).open(self.path(name)).unwrap().write_all_at(bytes, offset).unwrap();
    }

    pub(crate) fn open(&self, name: &str) -> Image {
        open(&self.path(name))
    }

    /// Returns what a guest sees of an image.
    pub(crate) fn seen(&self, name: &str) -> Vec<u8> {
        let image = &self.open(name);
        let mut bytes = vec![0; image.size().unwrap() as usize];
        image.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    pub(crate) fn update(&self, name: &str, new: &str, bases: &[&str]) -> Result<Patched, Error> {
        Update { name, new, bases, ..Update::default() }.run(self, &mut || Ok(()))
    }

    /// Finishes an update that was interrupted.
    pub(crate) fn recover(&self, name: &str, ask: &mut dyn FnMut() -> io::Result<()>) -> Result<bool, Error> {
        let path = self.path(name);
        let file = File::options().read(true).write(true).open(&path).unwrap();
        Journal::of(&path).recover(&file, ask)
    }

    /// Says whether nothing of an update lies beside an image.
    pub(crate) fn is_tidy(&self) -> bool {
        let names = fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.into_iter().all(|name| !name.to_string_lossy().starts_with('.'))
    }
}

/// What is updated.
#[derive(Clone, Copy)]
pub(crate) struct Update<'a> {
    pub(crate) name: &'a str,
    pub(crate) new: &'a str,
    pub(crate) bases: &'a [&'a str],
    pub(crate) keep: &'a [&'a str],
    pub(crate) state: &'a [u32],
    pub(crate) force: bool,
    pub(crate) is_cancelled: bool,
}

impl Default for Update<'_> {
    fn default() -> Self {
        Update { name: "", new: "", bases: &[], keep: &[], state: &[2], force: false, is_cancelled: false }
    }
}

impl Update<'_> {
    pub(crate) fn run(
        &self,
        world: &World,
        ask: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<Patched, Error> {
        let path = world.path(self.name);
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let (image, new) = (world.open(self.name), world.open(self.new));
        let bases: Vec<Image> = self.bases.iter().map(|base| world.open(base)).collect();
        let state = State {
            numbers: self.state.iter().copied().collect(),
            names: self.keep.iter().map(|name| (*name).to_owned()).collect(),
        };
        let layout = Layout::compare(&image, &new, &state)?;
        let patch = Patch {
            image: &image,
            file: &file,
            new: &new,
            bases: &bases,
            layout: &layout,
            force: self.force,
            cancel: &AtomicBool::new(self.is_cancelled),
        };
        patch.run(&Journal::of(&path), ask)
    }
}

pub(crate) fn open(path: &Path) -> Image {
    Image::open(path, File::open(path).unwrap()).unwrap()
}

/// A file system of 3 MiB as far as these tests care, and the same after an edit: a bit here, a lot there, zeros where
/// there was something, and something where there were zeros.
pub(crate) fn roots() -> [Vec<u8>; 2] {
    let mut old = noise(1, 3 * MIB as usize);
    old[200_000..600_000].fill(0);
    let mut new = old.clone();
    new[5000] ^= 1;
    new[250_000..251_000].fill(7);
    new[1_000_000..1_400_000].fill(0);
    let tail = noise(2, 1_000_000);
    new[2_000_000..3_000_000].copy_from_slice(&tail);
    [old, new]
}
