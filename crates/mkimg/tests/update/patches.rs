//! What an update comes to.

use mkimg::update::{Error, Patched};
use serde_json::json;

use super::support::{MIB, STATE_AT, Update, World, noise, roots};
use super::tool::tool;

#[test]
fn a_raw_disk_becomes_the_new_one() {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |_| {});
    world.copy("old", "image");
    let patched = world.update("image", "new", &["old"]).unwrap();
    assert!(world.read("image") == world.read("new"));
    assert!(world.is_tidy());
    // No more than what differs, in whole blocks.
    assert!((1_000_000..1_500_000).contains(&patched.bytes), "{patched:?}");
    assert_eq!(world.update("image", "new", &[]).unwrap(), Patched::default());
}

#[test]
fn of_a_qcow2_the_guest_sees_the_new_one() {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |_| {});
    for compression in ["none", "zlib", "zstd"] {
        world.qcow2("old", "old.qcow2", compression);
        world.qcow2("new", "new.qcow2", compression);
        // What it becomes and what it was can be in either format.
        for (new, base) in [("new", "old"), ("new.qcow2", "old.qcow2")] {
            world.copy("old.qcow2", "image.qcow2");
            world.update("image.qcow2", new, &[base]).unwrap();
            assert!(world.seen("image.qcow2") == world.read("new"), "{compression}");
            // And back.
            world.update("image.qcow2", "old", &[new]).unwrap();
            assert!(world.seen("image.qcow2") == world.read("old"), "{compression}");
            let path = world.path("image.qcow2");
            if let Some((code, said)) = tool("qemu-img", &["check", path.to_str().unwrap()]) {
                assert_eq!(code, 0, "{compression}: {said}");
            }
        }
    }
}

#[test]
fn qcow2_of_any_cluster_size() {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |_| {});
    for cluster in [4096, 16 << 10, 2 << 20] {
        let format = json!({ "kind": "qcow2", "compression": "zlib", "cluster_size": cluster });
        world.make(&json!({
            "kind": "convert", "input": "old", "from": "raw", "output": "image.qcow2", "format": format,
        }));
        world.update("image.qcow2", "new", &["old"]).unwrap();
        assert!(world.seen("image.qcow2") == world.read("new"), "{cluster}");
        let path = world.path("image.qcow2");
        if let Some((code, said)) = tool("qemu-img", &["check", path.to_str().unwrap()]) {
            assert_eq!(code, 0, "{cluster}: {said}");
        }
    }
}

#[test]
fn a_file_system_becomes_the_new_one_also_of_another_size() {
    let world = World::new();
    let [old, new] = roots();
    world.write("old", &old);
    world.write("longer", &[&new[..], &noise(3, 70_001)].concat());
    world.write("shorter", &new[..1_234_567]);
    world.copy("old", "image");
    for (from, to) in [("old", "longer"), ("longer", "shorter"), ("shorter", "old")] {
        world.update("image", to, &["old", from]).unwrap();
        assert!(world.read("image") == world.read(to), "{from} to {to}");
    }
}

#[test]
fn what_the_machine_wrote_is_left_alone() {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |_| {});
    world.copy("old", "image");
    let own = noise(9, 2 * MIB as usize);
    world.poke("image", STATE_AT, &own);
    let mut expected = world.read("new");
    expected[STATE_AT as usize..][..own.len()].copy_from_slice(&own);
    world.update("image", "new", &["old"]).unwrap();
    assert!(world.read("image") == expected);

    // A partition of the build's that was written to is only left alone if that is said.
    world.copy("old", "image");
    world.poke("image", MIB + 5000, b"grubenv");
    let update = Update { name: "image", new: "new", bases: &["old"], ..Update::default() };
    update.run(&world, &mut || Ok(())).unwrap_err();
    let kept = Update { keep: &["root"], ..update };
    let before = world.read("image");
    let cancelled = Update { is_cancelled: true, force: true, ..update }.run(&world, &mut || Ok(()));
    assert!(matches!(cancelled, Err(Error::Cancelled)) && world.read("image") == before && world.is_tidy());
    kept.run(&world, &mut || Ok(())).unwrap();
    assert!(world.read("image") == before);
    Update { force: true, ..update }.run(&world, &mut || Ok(())).unwrap();
    assert!(world.read("image") == world.read("new"));
}

#[test]
fn partitions_that_were_added_or_grown_stay() {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |_| {});
    // As the machine sees it: its partition was grown over a larger disk, and there is one more.
    world.disk("image", &old, |spec| {
        spec["size"] = json!(30 * MIB);
        spec["partitions"][1]["size"] = json!({ "bytes": 10 * MIB });
        let added = json!({
            "name": "added", "type": "0fc63daf-8483-4772-8e79-3d69d8477de4", "size": { "bytes": MIB },
            "guid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b06", "at": 20 * MIB,
        });
        spec["partitions"].as_array_mut().unwrap().push(added);
    });
    for offset in [STATE_AT, 9 * MIB, 20 * MIB] {
        world.poke("image", offset, &noise(offset, 4000));
    }
    let mut expected = world.read("image");
    expected[MIB as usize..][..4 * MIB as usize]
        .copy_from_slice(&world.read("new")[MIB as usize..][..4 * MIB as usize]);
    world.update("image", "new", &["old"]).unwrap();
    assert!(world.read("image") == expected);
}

#[test]
fn attributes_of_partitions_come_from_the_build() {
    let world = World::new();
    let [old, new] = roots();
    world.disk("old", &old, |_| {});
    world.disk("new", &new, |spec| spec["partitions"][0]["attributes"] = json!([48, 56]));
    // The machine tried it.
    world.disk("image", &old, |spec| spec["partitions"][0]["attributes"] = json!([52]));
    world.update("image", "new", &["old"]).unwrap();
    assert!(world.read("image") == world.read("new"));
}

#[test]
fn a_hash_tree_comes_along() {
    let world = World::new();
    let verity = |name: &str, root: &[u8]| {
        world.write("plain", root);
        world.make(&json!({
            "kind": "verity", "input": "plain", "output": "tree", "appended": true, "root_hash_output": "hash",
            "salt": "00ff", "uuid": "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b07",
        }));
        let tree = world.read("tree");
        world.disk(name, &tree, |_| {});
        world.read("hash")
    };
    let [old, mut new] = roots();
    new.truncate(old.len() / 4096 * 4096);
    let hashes = [verity("old", &old[..old.len() / 4096 * 4096]), verity("new", &new)];
    assert!(hashes[0] != hashes[1]);
    world.qcow2("old", "image.qcow2", "zlib");
    world.update("image.qcow2", "new", &["old"]).unwrap();
    assert!(world.seen("image.qcow2") == world.read("new"));
}
