//! Git repositories: what servers say in whichever protocol, packs with their checksum made right, and repositories as
//! they lie on a disk. The files of a commit are what its name says, or it is refused.
//!
//! The first byte says which of these.
#![no_main]

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use cas::{Digest, LocalStore};
use fuzz::git;
use fuzz::server::{Server, parted};
use libfuzzer_sys::fuzz_target;
use local::fetch::Fetcher;
use local::fetch::git::{Address, Checkout};

/// After so many inputs all that was written is removed.
const MOST: usize = 2000;

struct World {
    directory: PathBuf,
    store: LocalStore,
    server: Server,
    /// Each with another address of the server.
    fetchers: Vec<Fetcher>,
    n_inputs: usize,
    commit: String,
    /// The tree of the sample.
    tree: Option<Digest>,
}

impl World {
    fn new() -> World {
        let directory = std::env::temp_dir().join(format!("bootwright-fuzz-{}.git", std::process::id()));
        let server = Server::start();
        let fetchers = server.fetchers(&directory.join("parts"));
        let commit = git::sample_commit();
        let store = fuzz::new_store(&directory);
        let mut world = World { directory, store, server, fetchers, n_inputs: 0, commit, tree: None };
        world.tree = world.of_daemon(git::with_pack(&git::sample_pack()));
        assert_eq!(world.of_http(git::with_pack_over_http(&git::sample_pack())), world.tree);
        assert!(world.tree.is_some(), "the sample can be had");
        world
    }

    /// Returns the files of the sample's commit, from a server that says `said`.
    fn of_daemon(&mut self, said: Vec<u8>) -> Option<Digest> {
        self.server.say(vec![said]);
        let addresses = self.server.addresses();
        let address = addresses[self.n_inputs % addresses.len()];
        self.checkout(&format!("git://{address}/x.git"), &self.commit.clone(), false)
    }

    /// Returns them from a server that gives these answers.
    fn of_http(&mut self, answers: Vec<Vec<u8>>) -> Option<Digest> {
        self.server.say(answers);
        self.checkout("http://example.org/x.git", &self.commit.clone(), false)
    }

    fn of_directory(&mut self, bytes: &[u8]) {
        let place = self.directory.join("repository");
        let _none_before = fs::remove_dir_all(&place);
        let commit = git::write_directory(bytes, &place);
        let text = place.display().to_string();
        let address = Address::parse(&text, &self.directory).expect("it is one");
        let _ = self.fetchers[0].resolve_rev(&address, "main");
        self.checkout(&text, &commit, true);
    }

    fn checkout(&mut self, address: &str, commit: &str, is_local: bool) -> Option<Digest> {
        self.n_inputs += 1;
        if self.n_inputs.is_multiple_of(MOST) {
            self.store = fuzz::new_store(&self.directory);
        }
        let address = Address::parse(address, &self.directory).ok()?;
        let commit = commit.parse().expect("it is one");
        let wanted =
            Checkout { address: &address, commit, rev: "main", submodules: is_local, offline: is_local };
        let fetcher = &self.fetchers[self.n_inputs % self.fetchers.len()];
        fetcher.checkout(&wanted, &self.store, &|_| ()).ok().map(|found| found.tree)
    }
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    WORLD.with_borrow_mut(|world| {
        let found = match kind % 8 {
            0 => world.of_daemon(bytes.to_vec()),
            1 => world.of_daemon(git::with_pack(bytes)),
            2 => world.of_daemon(git::with_references(bytes)),
            3 => return world.of_directory(bytes),
            4 => world.of_http(parted(bytes)),
            _ => world.of_http(git::with_pack_over_http(bytes)),
        };
        assert!(found.is_none() || found == world.tree, "a commit is what its name says");
    });
});
