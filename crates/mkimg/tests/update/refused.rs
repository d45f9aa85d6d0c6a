//! What is not updated, why, and that it stays as it is.

use std::fs;

use serde_json::{Value, json};

use super::support::{MIB, Update, World, roots};

/// Updates what `change` made of the old disk, which must be refused.
#[track_caller]
fn check(change: impl FnOnce(&World), bases: &[&str], expected: &str) {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |_| {});
    world.copy("old", "image");
    change(&world);
    let before = world.read("image");
    let update = Update { name: "image", new: "new", bases, ..Update::default() };
    let error = update.run(&world, &mut || Ok(())).unwrap_err();
    let text = error.to_string().replace(&world.path("image").display().to_string(), "image");
    assert_eq!(text, expected);
    assert!(error.help().is_some());
    assert!(world.read("image") == before);
    assert!(world.is_tidy());
}

fn other_disk(change: impl FnOnce(&mut Value)) -> impl FnOnce(&World) {
    move |world| world.disk("image", &roots()[0], change)
}

#[test]
fn what_nobody_knows() {
    check(|_| {}, &[], "nothing is known of what `image` was built as");
    let changed = |world: &World| world.poke("image", MIB + 2_000_100, b"mine");
    let (at, text) = (MIB + 2_000_100, "`image` is no image that was built here, or was changed since: at");
    check(changed, &["old"], &format!("{text} {at}, in `root`, it has what no build put there"));
    let changed = |world: &World| world.poke("image", 600 * 1024, b"mine");
    check(
        changed,
        &["old"],
        &format!("{text} {}, outside of the partitions, it has what no build put there", 600 * 1024),
    );
}

#[test]
fn what_was_changed_where_nothing_differs_does_not_matter() {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |_| {});
    world.disk("other", &new[..1_000_000], |_| {});
    world.copy("old", "image");
    // Any of several will do.
    world.update("image", "new", &["other", "new", "old"]).unwrap();
    assert!(world.read("image") == world.read("new"));
}

#[test]
fn what_is_laid_out_in_another_way() {
    let layout = |text: &str| format!("`image` is laid out in another way: {text}");
    let bytes = |idx: usize, mib: u64| {
        move |spec: &mut Value| spec["partitions"][idx]["size"] = json!({ "bytes": mib * MIB })
    };
    let set = |key: &'static str, value: Value| move |spec: &mut Value| spec["partitions"][0][key] = value;
    check(other_disk(bytes(0, 3)), &["old"], &layout("`root` has 3145728 bytes, and is to have 4194304"));
    check(other_disk(bytes(1, 1)), &["old"], &layout("`state` has 1048576 bytes, and is to have 2097152"));
    check(other_disk(set("name", json!("boot"))), &["old"], &layout("partition 1 is another one, `boot`"));
    let moved = |spec: &mut Value| spec["partitions"][1]["at"] = json!(7 * MIB);
    check(other_disk(moved), &["old"], &layout("`state` begins at 7340032, and is to begin at 6291456"));
    let gone = |spec: &mut Value| _ = spec["partitions"].as_array_mut().unwrap().pop();
    check(other_disk(gone), &["old"], &layout("`state` is not on it"));
    let small = |spec: &mut Value| spec["size"] = json!(9 * MIB);
    check(other_disk(small), &["old"], &layout("it has 9437184 bytes, and is to have 10485760"));
    let guid = |spec: &mut Value| spec["table"]["guid"] = json!("6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1bff");
    let (one, other) = ("6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1bff", "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b03");
    check(other_disk(guid), &["old"], &layout(&format!("its GUID is {one}, and is to be {other}")));
}

#[test]
fn what_is_no_such_disk() {
    let text =
        "`image` is laid out in another way: it is to have partitions, and cannot be read as such a disk: ";
    let plain = |world: &World| world.write("image", &roots()[0]);
    let no_table = "this is not a disk with partitions: its first sector is none of a table";
    check(plain, &["old"], &format!("{text}{no_table}"));
    let cut = |world: &World| {
        fs::File::options().write(true).open(world.path("image")).unwrap().set_len(3 * MIB).unwrap()
    };
    check(cut, &["old"], &format!("{text}the GPT: its copy is not on the disk"));
    check(|world| world.poke("image", 520, b"x"), &["old"], &format!("{text}the GPT: its checksum is wrong"));
}

#[test]
fn formats_that_cannot_be_changed() {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |_| {});
    world.make(&json!({
        "kind": "convert", "input": "old", "from": "raw", "output": "image",
        "format": { "kind": "vdi", "uuid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b07" },
    }));
    let error = world.update("image", "new", &["old"]).unwrap_err().to_string();
    assert!(error.ends_with("is VDI, and only raw images and qcow2 are updated in place"), "{error}");

    world.qcow2("old", "plain.qcow2", "none");
    // Of the header: the number of snapshots, and features.
    for (offset, bytes, expected) in [
        (60, [0, 0, 0, 1], "with snapshots"),
        (76, [0, 0, 0, 1], "that was not closed: let QEMU repair it first, with `qemu-img check -r all`"),
    ] {
        world.copy("plain.qcow2", "image.qcow2");
        world.poke("image.qcow2", offset, &bytes);
        let before = world.read("image.qcow2");
        let error = world.update("image.qcow2", "new", &["old"]).unwrap_err().to_string();
        assert!(error.ends_with(&format!("is a qcow2 {expected}")), "{error}");
        assert!(world.read("image.qcow2") == before && world.is_tidy());
    }
}

#[test]
fn damaged_qcow2_never_does_more_than_fail() {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |_| {});
    world.qcow2("old", "plain.qcow2", "zlib");
    let size = world.read("plain.qcow2").len() as u64;
    let mut state = 99_u64;
    for _ in 0..300 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        world.copy("plain.qcow2", "image.qcow2");
        // Mostly in the tables, which are at both ends.
        let at = [state >> 33 & 0x7f, 65_536 + (state >> 33 & 0xff), size - 1 - (state >> 33) % 200_000]
            [(state >> 20) as usize % 3];
        world.poke("image.qcow2", at, &[(state >> 50) as u8]);
        let path = world.path("image.qcow2");
        let Ok(image) = mkimg::update::Image::open(&path, fs::File::open(&path).unwrap()) else { continue };
        drop(image);
        let update =
            Update { name: "image.qcow2", new: "new", bases: &["old"], force: true, ..Update::default() };
        let _ = update.run(&world, &mut || Ok(()));
    }
}
