//! Updates that end early: the image is the old or the new one.

use std::fs;
use std::io;

use mkimg::update::{Error, Journal};

use super::support::{MIB, Update, World, roots};

/// Ends with an error at the step of this number.
fn stop_at(number: usize) -> impl FnMut() -> io::Result<()> {
    let mut n_left = number;
    move || {
        if n_left == 0 {
            return Err(io::Error::other("killed"));
        }
        n_left -= 1;
        Ok(())
    }
}

/// Stops an update at every step, and what finishes it at every step, too.
fn check(name: &str, new: &str, base: &str) {
    let world = World::new();
    let [old_root, new_root] = roots();
    world.disk("old", &old_root, |_| {});
    world.disk("new", &new_root, |_| {});
    world.write("old.root", &old_root);
    world.write("new.root", &new_root[..2_900_000]);
    world.qcow2("old", "old.qcow2", "zlib");
    let (old_seen, new_seen) = (world.seen(base), world.seen(new));
    let update = Update { name: "image", new, bases: &[base], ..Update::default() };
    let (mut n_old, mut n_new) = (0, 0);
    for number in 0.. {
        world.copy(name, "image");
        let is_done = match update.run(&world, &mut stop_at(number)) {
            Ok(_) => true,
            Err(error) => {
                let is_pending = Journal::of(&world.path("image")).is_pending();
                // Without a journal it was not touched; with one, that is said where somebody may have to know.
                assert!(is_pending || world.seen("image") == old_seen, "{name}, step {number}");
                assert_eq!(
                    matches!(error, Error::Unfinished { .. }),
                    is_pending,
                    "{name}, step {number}: {error}"
                );
                false
            }
        };
        if number % 3 == 0 {
            // Killed again while it recovers, a little later each time.
            for again in 0..5 {
                let _ = world.recover("image", &mut stop_at(again * 7));
            }
        }
        world.recover("image", &mut || Ok(())).unwrap();
        assert!(world.is_tidy());
        let seen = world.seen("image");
        if seen == old_seen {
            n_old += 1;
        } else {
            assert!(seen == new_seen, "{name}, step {number}");
            n_new += 1;
        }
        if is_done {
            break;
        }
    }
    assert!(n_old > 2 && n_new > 5, "{name}: {n_old} old, {n_new} new");
}

#[test]
fn raw_disks() {
    check("old", "new", "old");
}

#[test]
fn file_systems() {
    check("old.root", "new.root", "old.root");
}

#[test]
fn qcow2() {
    check("old.qcow2", "new", "old");
}

#[test]
fn a_journal_is_whole_or_none() {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |_| {});
    world.copy("old", "image");
    let update = Update { name: "image", new: "new", bases: &["old"], ..Update::default() };
    let journal = Journal::of(&world.path("image"));
    // Stop when the journal has its name and the first bytes are there.
    let mut number = 0;
    while !journal.is_pending() {
        number += 1;
        let _ = update.run(&world, &mut stop_at(number));
    }
    let bytes = fs::read(journal.path()).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(journal.path(), bytes).unwrap();
        let before = world.read("image");
        let error = world.recover("image", &mut || panic!("nothing is written")).unwrap_err();
        assert!(world.read("image") == before && journal.is_pending(), "{error}");
    };
    for length in [0, 7, 24, 100, bytes.len() / 2, bytes.len() - 9, bytes.len() - 1] {
        refused(&bytes[..length]);
    }
    for at in [0, 17, 24, 33, 60, bytes.len() / 2, bytes.len() - 3] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        refused(&damaged);
    }
    fs::write(journal.path(), &bytes).unwrap();
    // Somebody has put another image into the file.
    let image = fs::File::options().write(true).open(world.path("image")).unwrap();
    let size = image.metadata().unwrap().len();
    image.set_len(size + 4096).unwrap();
    refused(&bytes);
    image.set_len(size).unwrap();
    assert!(world.recover("image", &mut || Ok(())).unwrap());
    assert!(world.read("image") == world.read("new"));
}

#[test]
fn a_journal_is_of_one_file() {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |_| {});
    world.copy("old", "image");
    let update = Update { name: "image", new: "new", bases: &["old"], ..Update::default() };
    let journal = Journal::of(&world.path("image"));
    let mut number = 0;
    while !journal.is_pending() {
        number += 1;
        let _ = update.run(&world, &mut stop_at(number));
    }
    // Somebody put another file in its place.
    fs::rename(world.path("image"), world.path("aside")).unwrap();
    world.copy("old", "image");
    let error = world.recover("image", &mut || panic!("nothing is written")).unwrap_err();
    assert!(matches!(error, Error::Journal { .. }), "{error}");
    fs::remove_file(world.path("image")).unwrap();
    fs::rename(world.path("aside"), world.path("image")).unwrap();
    assert!(world.recover("image", &mut || Ok(())).unwrap());
    assert!(world.read("image")[..4 * MIB as usize] == world.read("new")[..4 * MIB as usize]);
}
