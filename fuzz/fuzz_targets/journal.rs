//! What an interrupted update left beside an image: finished, or refused before anything of the image changes.
#![no_main]

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;

use libfuzzer_sys::fuzz_target;
use mkimg::update::Journal;

const IMAGE: [u8; 40_000] = [0x55; 40_000];

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("bootwright-fuzz-{}.image", std::process::id()));
    fs::write(&path, IMAGE).expect("there is room");
    let file = File::options().read(true).write(true).open(&path).expect("it was written");
    let metadata = file.metadata().expect("it is there");
    let journal = Journal::of(&path);
    fs::write(journal.path(), fuzz::with_journal_sums(bytes, metadata.ino())).expect("there is room");
    let mut is_begun = false;
    let recovered = journal.recover(&file, &mut || {
        is_begun = true;
        Ok(())
    });
    assert!(is_begun || recovered.is_err());
    assert!(is_begun || fs::read(&path).expect("it is there") == IMAGE, "nothing was to be written");
    assert!(recovered.is_err() || !journal.is_pending());
});
