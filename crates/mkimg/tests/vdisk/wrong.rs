//! What formats cannot have, and what is said of it.

use mkimg::MemorySink;
use mkimg::vdisk::{Contents, qcow2, vdi, vhd, vhdx, vmdk};

use crate::support::{Disk, UUID, Way};

/// Checks what is said of a disk of this size, and the help.
#[track_caller]
fn check(way: &Way, size: u64, expected: &str) {
    let nothing = Disk::empty(512);
    let contents = Contents::new(&nothing.bytes, size, Vec::new());
    let refused = way.write(&contents, 1, &mut MemorySink::default()).unwrap_err();
    let help = refused.help().map_or(String::new(), |help| format!("; {help}"));
    assert_eq!(format!("{refused}{help}"), expected);
}

#[test]
fn options() {
    let qcow2 = qcow2::Options::default;
    for cluster_size in [0, 256, 65535, 4 << 20] {
        check(
            &Way::Qcow2(qcow2::Options { cluster_size, ..qcow2() }),
            1 << 20,
            &format!(
                "qcow2 cannot have clusters of {cluster_size} bytes; they have a power of two from 512 to 2 MiB"
            ),
        );
    }
    check(
        &Way::Qcow2(qcow2::Options { compression: qcow2::Compression::Zlib(10), ..qcow2() }),
        1 << 20,
        "qcow2 cannot have zlib at level 10; levels are 1 to 9",
    );
    check(
        &Way::Qcow2(qcow2::Options {
            compression: qcow2::Compression::Zstd(3),
            preallocated: true,
            ..qcow2()
        }),
        1 << 20,
        "qcow2 cannot have places for all clusters, and compression or a disk below; leave out one of them",
    );
    let backing = |name: String| Some(qcow2::Backing { name, format: "raw".to_owned() });
    check(
        &Way::Qcow2(qcow2::Options { backing: backing("a".to_owned()), ..qcow2() }),
        1 << 20,
        "qcow2 cannot have a disk below without its name, or a name without the disk; give both",
    );
    check(
        &Way::Vhdx(vhdx::Options { block_size: Some(3 << 20), ..vhdx::Options::default() }),
        1 << 20,
        "VHDX cannot have blocks of 3145728 bytes; they have a power of two from 1 to 256 MiB",
    );
    let name = "n".repeat(20_000);
    let (variant, adapter) = (vmdk::Variant::default(), vmdk::Adapter::default());
    check(
        &Way::Vmdk(vmdk::Options { variant, adapter, name, uuid: UUID }),
        1 << 20,
        "VMDK cannot have a file name of 20000 bytes; take a shorter one",
    );
}

#[test]
fn sizes() {
    let tebibyte = 1 << 40;
    check(
        &Way::Qcow2(qcow2::Options { cluster_size: 512, ..qcow2::Options::default() }),
        tebibyte,
        "qcow2 holds up to 137438953472 bytes, and the disk has 1099511627776; take larger clusters",
    );
    check(
        &Way::Vhd(vhd::Options::default()),
        2 * tebibyte,
        "VHD holds up to 2190433320960 bytes, and the disk has 2199023255552; `qcow2` holds more",
    );
    check(
        &Way::Vhdx(vhdx::Options::default()),
        65 * tebibyte,
        "VHDX holds up to 70368744177664 bytes, and the disk has 71468255805440; `qcow2` holds more",
    );
    check(
        &Way::Vdi(vdi::Options::default()),
        1025 * tebibyte,
        "VDI holds up to 1125899905794048 bytes, and the disk has 1126999418470400; `qcow2` holds more",
    );
}
