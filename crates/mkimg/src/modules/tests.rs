//! Modules packed into layers.

use std::io::Write;
use std::sync::Arc;

use layer::{Content, Declaration, EntryPath, Layer, Metadata, NodeKind, Tree};

use super::sample::module;
use super::{collect, collect_within};
use crate::spec::ModulesSpec;

fn tree(files: &[(&str, Vec<u8>)]) -> Tree {
    let mut builder = layer::Builder::default();
    for (path, bytes) in files {
        let content = Declaration::File(Content::Bytes(bytes.clone()));
        builder.declare(EntryPath::new(*path).unwrap(), Metadata::with_mode(0o644), content).unwrap();
    }
    merged(&builder)
}

fn merged(builder: &layer::Builder) -> Tree {
    Tree::merge(vec![Layer::new("layer", Arc::new(builder.write(Vec::new()).unwrap()))]).unwrap()
}

fn kernel() -> Tree {
    let place = |name: &str| format!("usr/lib/modules/6.1.0/{name}");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    xz.write_all(&module(&["name=virtio", "depends="])).unwrap();
    let zst = zstd::encode_all(&module(&["depends=mbcache,jbd2", "softdep=pre: crc32c post: late"])[..], 1);
    let files = [
        ("kernel/drivers/virtio/virtio.ko.xz", xz.finish().unwrap()),
        ("kernel/drivers/block/virtio-blk.ko", module(&["depends=virtio,virtio_ring"])),
        ("kernel/fs/ext4/ext4.ko.zst", zst.unwrap()),
        ("kernel/fs/mbcache.ko", module(&["depends="])),
        ("kernel/fs/jbd2/jbd2.ko", module(&["depends=", "softdep=pre: crc32c"])),
        ("kernel/crypto/crc32c_generic.ko", module(&["alias=crypto-crc32c", "alias=crc32c", "depends="])),
        ("kernel/arch/x86/crypto/crc32c-intel.ko", module(&["alias=crypto-crc32c", "alias=crc32c"])),
        ("kernel/lib/circle_a.ko", module(&["softdep=pre: circle_b"])),
        ("kernel/lib/circle_b.ko", module(&["softdep=pre: circle_a"])),
        ("kernel/lib/broken.ko", module(&["depends=nowhere"])),
        ("modules.builtin", b"kernel/drivers/virtio/virtio_ring.ko\nkernel/fs/fuse/fuse.ko\n".to_vec()),
        ("modules.builtin.modinfo", b"sha256.alias=crypto-sha256\0fuse.license=GPL\0".to_vec()),
    ];
    let files: Vec<(String, Vec<u8>)> = files.into_iter().map(|(name, bytes)| (place(name), bytes)).collect();
    tree(&files.iter().map(|(name, bytes)| (&name[..], bytes.clone())).collect::<Vec<_>>())
}

fn spec(names: &[&str]) -> ModulesSpec {
    ModulesSpec { names: names.iter().map(|name| (*name).to_owned()).collect(), ..ModulesSpec::default() }
}

fn text(tree: &Tree, path: &str) -> String {
    let NodeKind::File(extent) = tree.get(path.as_bytes()).unwrap().node.kind else { panic!("{path}") };
    String::from_utf8(tree.read_content(extent).unwrap()).unwrap()
}

/// Checks the load order, without the modules' directory.
#[track_caller]
fn check(names: &[&str], expected: &[&str]) {
    let collected = merged(&collect(&kernel(), &spec(names), 0).unwrap());
    let order = text(&collected, "etc/modules-load.order");
    let order: Vec<&str> =
        order.lines().map(|line| line.strip_prefix("/usr/lib/modules/6.1.0/kernel/").unwrap()).collect();
    assert_eq!(order, expected);
    for path in order {
        assert!(collected.get(format!("usr/lib/modules/6.1.0/kernel/{path}").as_bytes()).is_some());
    }
}

#[track_caller]
fn refused(tree: &Tree, spec: &ModulesSpec, expected: &str, help: Option<&str>) {
    let error = collect(tree, spec, 0).unwrap_err();
    assert_eq!((error.to_string(), error.help()), (expected.to_owned(), help.map(str::to_owned)));
}

#[test]
fn what_is_needed_comes_first_and_built_in_is_satisfied() {
    check(&["virtio_blk"], &["drivers/virtio/virtio.ko", "drivers/block/virtio-blk.ko"]);
    check(&["virtio-blk", "fuse", "virtio"], &["drivers/virtio/virtio.ko", "drivers/block/virtio-blk.ko"]);
    check(&["fuse"], &[]);
}

#[test]
fn recommended_algorithms_are_found_by_their_aliases() {
    let crc = ["crypto/crc32c_generic.ko", "arch/x86/crypto/crc32c-intel.ko"];
    check(&["ext4"], &[&crc[..], &["fs/mbcache.ko", "fs/jbd2/jbd2.ko", "fs/ext4/ext4.ko"]].concat());
    check(&["crypto-crc32c"], &crc);
    check(&["crypto-sha256"], &[]);
}

#[test]
fn recommendations_in_a_circle_end() {
    check(&["circle_a"], &["lib/circle_b.ko", "lib/circle_a.ko"]);
}

#[test]
fn modprobe_finds_what_is_needed() {
    let collected = merged(&collect(&kernel(), &spec(&["ext4"]), 7).unwrap());
    assert_eq!(
        text(&collected, "usr/lib/modules/6.1.0/modules.dep"),
        "kernel/crypto/crc32c_generic.ko:\nkernel/arch/x86/crypto/crc32c-intel.ko:\nkernel/fs/mbcache.ko:\n\
         kernel/fs/jbd2/jbd2.ko:\nkernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/fs/mbcache.ko\n"
    );
    let item = collected.get(b"usr/lib/modules/6.1.0/kernel/fs/ext4/ext4.ko").unwrap();
    assert_eq!(item.node.metadata, Metadata { mtime: 7, ..Metadata::with_mode(0o644) });
}

#[test]
fn what_is_not_there_is_named() {
    let kernel = kernel();
    refused(
        &kernel,
        &spec(&["virtio_blck"]),
        "the kernel `6.1.0` has no module `virtio_blck`",
        Some("did you mean `virtio_blk`?"),
    );
    refused(
        &kernel,
        &spec(&["broken"]),
        "module `broken` needs `nowhere`, which the kernel `6.1.0` does not have",
        None,
    );
    let other = ModulesSpec { release: Some("5.10".to_owned()), ..spec(&[]) };
    refused(&kernel, &other, "the layers have no modules of the kernel `5.10`", Some("there is `6.1.0`"));
    refused(&tree(&[]), &spec(&[]), "the layers have no kernel modules below `usr/lib/modules`", None);
    let two = tree(&[("usr/lib/modules/1/a.ko", vec![]), ("lib/modules/2/a.ko", vec![])]);
    refused(
        &two,
        &spec(&["a"]),
        "the layers have modules of several kernels: `2`, `1`",
        Some("choose one with `release`"),
    );
}

#[test]
fn modules_that_need_each_other_without_an_end_are_refused() {
    let one = |number: usize| {
        let needs = format!("depends=m{}", number + 1);
        (format!("usr/lib/modules/1/m{number}.ko"), module(&[&needs]))
    };
    let modules: Vec<(String, Vec<u8>)> = (0..20_000).map(one).collect();
    let files: Vec<(&str, Vec<u8>)> =
        modules.iter().map(|(name, bytes)| (&name[..], bytes.clone())).collect();
    refused(
        &tree(&files),
        &spec(&["m0"]),
        "module `m200` is needed by one that is needed by another, 200 times over",
        None,
    );
}

#[test]
fn modules_are_only_so_large_together() {
    let packed =
        |names: &str| zstd::encode_all(&module(&[&format!("depends={names}"), &"x".repeat(10_000)])[..], 1);
    let place = |name: &str| format!("usr/lib/modules/1/{name}.ko.zst");
    let names = ["a", "b", "c"].map(place);
    let tree = tree(&[
        (&names[0], packed("b").unwrap()),
        (&names[1], packed("c").unwrap()),
        (&names[2], packed("").unwrap()),
    ]);
    let of = |most: u64| collect_within(&tree, &spec(&["a"]), 0, most).map_err(|error| error.to_string());
    assert!(of(40_000).is_ok());
    assert_eq!(of(25_000).unwrap_err(), "the modules up to `c` come to more than 25000 bytes");
}

#[test]
fn what_modules_need_is_listed_up_to_a_bound() {
    // In layers of 8, each of which needs all of the one below it.
    let of = |n_layers: usize| {
        let directory = format!("usr/lib/modules/1/{}", format!("{}/", "d".repeat(250)).repeat(4));
        let one = |number: usize| {
            let (layer, name) = (number / 8, format!("{directory}m{number:04}.ko"));
            let below = (layer.saturating_sub(1) * 8..layer * 8).map(|needed| format!("m{needed:04}"));
            (name, module(&[&format!("depends={}", below.collect::<Vec<_>>().join(","))]))
        };
        let modules: Vec<(String, Vec<u8>)> = (0..8 * n_layers).map(one).collect();
        let files: Vec<(&str, Vec<u8>)> =
            modules.iter().map(|(name, bytes)| (&name[..], bytes.clone())).collect();
        let last = format!("m{:04}", 8 * n_layers - 1);
        let result = collect(&tree(&files), &spec(&[&last]), 0);
        result.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(of(30), Ok(()));
    let error = of(80).unwrap_err();
    assert!(error.ends_with("need too many others to list them all"), "{error}");
}

#[test]
fn files_in_the_place_of_others_are_refused() {
    let expected = |path: &str| format!("two files of the layer would be at `{path}`, or below it");
    let directory = "usr/lib/modules/6.1.0";
    for (order, path) in [
        ("modules.dep", "modules.dep"),
        ("modules.dep/order", "modules.dep"),
        ("kernel/fs/mbcache.ko", "kernel/fs/mbcache.ko"),
        ("kernel/fs/mbcache.ko/order", "kernel/fs/mbcache.ko"),
        ("kernel/fs", "kernel/fs"),
    ] {
        let order = Some(EntryPath::new(format!("{directory}/{order}")).unwrap());
        let spec = ModulesSpec { order, ..spec(&["mbcache"]) };
        refused(&kernel(), &spec, &expected(&format!("{directory}/{path}")), None);
    }
    let files = |first: &str, second: &str| {
        let path = |name: &str| format!("usr/lib/modules/1/{name}");
        let (first, second) = (path(first), path(second));
        tree(&[(&first, module(&["depends="])), (&second, module(&["depends="]))])
    };
    let in_list = files("a.ko", "modules.dep/b.ko");
    refused(&in_list, &spec(&["b"]), &expected("usr/lib/modules/1/modules.dep"), None);
}

#[test]
fn damaged_modules_are_refused() {
    let good = module(&["depends="]);
    for length in 0..good.len() {
        let tree = tree(&[("usr/lib/modules/1/a.ko", good[..length].to_vec())]);
        assert!(collect(&tree, &spec(&["a"]), 0).is_err(), "{length}");
    }
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] = 0xff;
        let _ = collect(&tree(&[("usr/lib/modules/1/a.ko", damaged)]), &spec(&["a"]), 0);
    }
    let bad_xz = tree(&[("usr/lib/modules/1/a.ko.xz", b"not xz".to_vec())]);
    refused(&bad_xz, &spec(&["a"]), "could not read module `usr/lib/modules/1/a.ko.xz`", None);
}
