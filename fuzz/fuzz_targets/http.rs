//! What servers and proxies answer, one connection after the other: a download is what it should be, or it failed.
//!
//! Answers are parted by two bytes of 255.
#![no_main]

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use cas::{Digest, LocalStore, Store as _};
use fuzz::server::{Server, parted};
use libfuzzer_sys::fuzz_target;
use local::fetch::{Download, Fetcher};

const URL: &str = "http://example.org/file";
/// What is known of a file.
const CONTENT: &[u8] = b"content";
/// How much of what is not known is taken.
const LIMIT: u64 = 1 << 16;
/// After so many inputs all that was written is removed.
const MOST: usize = 2000;

struct World {
    directory: PathBuf,
    store: LocalStore,
    server: Server,
    /// All of them ask the server, for whatever place.
    fetchers: Vec<Fetcher>,
    n_inputs: usize,
}

impl World {
    fn new() -> World {
        let directory = std::env::temp_dir().join(format!("bootwright-fuzz-{}.http", std::process::id()));
        let server = Server::start();
        let fetchers = server.fetchers(&directory.join("parts"));
        World { store: fuzz::new_store(&directory), directory, server, fetchers, n_inputs: 0 }
    }

    fn ask(&mut self, answers: &[Vec<u8>]) {
        self.n_inputs += 1;
        if self.n_inputs.is_multiple_of(MOST) {
            self.store = fuzz::new_store(&self.directory);
        }
        let store = &self.store;
        let fetcher = &self.fetchers[self.n_inputs % self.fetchers.len()];
        self.server.say(answers.to_vec());
        let got = fetcher.get(URL, LIMIT);
        assert!(got.is_err() || got.is_ok_and(|bytes| bytes.len() as u64 <= LIMIT));
        let wanted = Digest::of(CONTENT);
        for size in [None, Some(wanted.size())] {
            let download = Download { urls: vec![URL.to_owned()], sha256: *wanted.hash(), size };
            self.server.say(answers.to_vec());
            // The second time goes on with what has come of it.
            for _ in 0..2 {
                if let Ok(digest) = fetcher.fetch(&download, store, &|_| ()) {
                    assert_eq!(store.read(&digest).expect("it was kept"), CONTENT);
                    // To make another store takes much longer.
                    let file = store.blob_file(&digest, false).expect("it is there");
                    fs::remove_file(file).expect("it is ours");
                }
            }
        }
        self.server.say(answers.to_vec());
        if let Ok(digest) = fetcher.pin(URL, store, &|_| ()) {
            assert!(store.contains(&digest).expect("it can be looked at"));
        }
    }
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fuzz_target!(|bytes: &[u8]| {
    WORLD.with_borrow_mut(|world| world.ask(&parted(bytes)));
});
