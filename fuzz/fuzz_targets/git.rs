//! Git repositories: what servers say in whichever protocol, packs with their checksum made right, and repositories as
//! they lie on a disk. The files of a commit are what its name says, or it is refused.
//!
//! The first byte says which of these.
#![no_main]

use std::cell::RefCell;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cas::{Digest, LocalStore};
use fuzz::git;
use fuzz::server::Server;
use libfuzzer_sys::fuzz_target;
use local::fetch::git::{Address, Checkout};
use local::fetch::{Fetcher, Options};

/// After so many inputs all that was written is removed.
const MOST: u32 = 2000;

struct World {
    directory: PathBuf,
    store: LocalStore,
    server: Server,
    fetcher: Fetcher,
    n_inputs: u32,
    commit: String,
    /// The tree of the sample.
    tree: Option<Digest>,
}

impl World {
    fn new() -> World {
        let directory = std::env::temp_dir().join(format!("bootwright-fuzz-{}.git", std::process::id()));
        let options = Options {
            n_attempts: NonZeroUsize::MIN,
            backoff: Duration::ZERO,
            patience: Duration::from_secs(5),
            ..Options::new(directory.join("parts"))
        };
        let fetcher = Fetcher::new(options, Arc::default()).expect("there is room");
        let commit = git::sample_commit();
        let store = new_store(&directory);
        let mut world =
            World { directory, store, server: Server::start(), fetcher, n_inputs: 0, commit, tree: None };
        world.tree = world.of_server(&git::with_pack(&git::sample_pack()));
        assert!(world.tree.is_some(), "the sample can be had");
        world
    }

    /// Returns the files of the sample's commit, from a server that says `said`.
    fn of_server(&mut self, said: &[u8]) -> Option<Digest> {
        self.server.say(vec![said.to_vec()]);
        let addresses = self.server.addresses();
        let address = addresses[self.n_inputs as usize % addresses.len()];
        self.checkout(&format!("git://{address}/x.git"), &self.commit.clone(), false)
    }

    fn of_directory(&mut self, bytes: &[u8]) {
        let place = self.directory.join("repository");
        let _none_before = fs::remove_dir_all(&place);
        let commit = git::write_directory(bytes, &place);
        let text = place.display().to_string();
        let address = Address::parse(&text, &self.directory).expect("it is one");
        let _ = self.fetcher.resolve_rev(&address, "main");
        self.checkout(&text, &commit, true);
    }

    fn checkout(&mut self, address: &str, commit: &str, is_local: bool) -> Option<Digest> {
        self.n_inputs += 1;
        if self.n_inputs.is_multiple_of(MOST) {
            self.store = new_store(&self.directory);
        }
        let address = Address::parse(address, &self.directory).ok()?;
        let commit = commit.parse().expect("it is one");
        let wanted =
            Checkout { address: &address, commit, rev: "main", submodules: is_local, offline: is_local };
        self.fetcher.checkout(&wanted, &self.store, &|_| ()).ok().map(|found| found.tree)
    }
}

fn new_store(directory: &Path) -> LocalStore {
    let path = directory.join("store");
    let _none_there = fs::remove_dir_all(&path);
    LocalStore::open(&path).expect("there is room")
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    WORLD.with_borrow_mut(|world| {
        let found = match kind % 4 {
            0 => world.of_server(bytes),
            1 => world.of_server(&git::with_pack(bytes)),
            2 => world.of_server(&git::with_references(bytes)),
            _ => return world.of_directory(bytes),
        };
        assert!(found.is_none() || found == world.tree, "a commit is what its name says");
    });
});
