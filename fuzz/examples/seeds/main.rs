//! Writes what the fuzz targets start from: small valid inputs, made by our own writers.
//!
//! `cargo xtask fuzz` runs it in the project's directory. Adds to `fuzz/corpus`, which git ignores; what is there
//! already stays.

mod archives;
mod disks;
mod file_systems;
#[path = "../../../crates/mkimg/tests/boot/firmware.rs"]
mod firmware;
mod guests;
mod igvm;
#[path = "../../../crates/mkimg/tests/squashfs/plain.rs"]
mod plain;
#[path = "../../../crates/mkimg/src/modules/sample.rs"]
mod sample;
mod stored;
mod text;

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use fdt::machine::{cpus, memory, root};
use layer::{Layer, Tree};
// The libraries are compiled as the targets need them, and tell this which of their code is run.
use libfuzzer_sys as _;
use mkimg::ext4::{Journal, Timestamp};
use mkimg::sign::{Signer, sign};
use mkimg::spec::Compression;
use mkimg::{MemorySink, cpio, erofs, fat, squashfs, vdisk};
use recipe::Lock;

use archives::{ar, builder, control_archive, modules, overlay};
use disks::{disk, virtual_disks};
use file_systems::{ext4, fat, hash_tree, iso, without_checksums};
use igvm::igvm;
use stored::{directory, earlier, journal, lock, measurements, messages, repositories};
use text::{ANSWERS, DSC, HTTP, KCONFIG, PACKAGES, PATCHES, RELEASE, SOURCES, SPECS};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The targets that read images.
const IMAGES: [&str; 12] = [
    "cpio",
    "device_tree",
    "disk",
    "erofs",
    "ext4",
    "foreign_tar",
    "gcp",
    "igvm",
    "iso",
    "pe",
    "squashfs",
    "vdisk",
];

/// Returns an image and one that has another byte behind its middle, as the target `diff` reads them.
fn pair(image: &[u8]) -> Result<Vec<u8>> {
    let mut other = image.to_vec();
    other[image.len() / 3 * 2] ^= 1;
    Ok([&u32::try_from(image.len())?.to_le_bytes(), image, &other].concat())
}

fn main() -> Result<()> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let corpus = project.join("fuzz/corpus");
    let put = |target: &str, name: &str, bytes: &[u8]| -> Result<()> {
        let directory = corpus.join(target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(name), bytes)?;
        // What is one image is any image.
        if IMAGES.contains(&target) {
            let images = corpus.join("image");
            fs::create_dir_all(&images)?;
            fs::write(images.join(format!("{target}-{name}")), bytes)?;
            let pairs = corpus.join("diff");
            fs::create_dir_all(&pairs)?;
            fs::write(pairs.join(format!("{target}-{name}")), pair(bytes)?)?;
        }
        Ok(())
    };

    let quickstart = fs::read(project.join("examples/quickstart/bootwright.toml"))?;
    put("recipe", "quickstart", &quickstart)?;
    put("lock", "empty", Lock::default().to_text().as_bytes())?;
    put("lock", "everything", lock().to_text().as_bytes())?;
    put("lock", "measurements", measurements()?.to_text().as_bytes())?;
    put("packages", "one", PACKAGES.as_bytes())?;
    put("packages", "two", [PACKAGES, &PACKAGES.replace("demo", "more")].concat().as_bytes())?;
    put("sources", "one", SOURCES.as_bytes())?;
    put("dsc", "one", DSC.as_bytes())?;
    for (name, patch) in PATCHES {
        put("patch", name, patch.as_bytes())?;
    }
    put("release", "release", RELEASE.as_bytes())?;
    let signed = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n";
    let signature = "-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n";
    put("in_release", "framing", [signed, RELEASE, signature].concat().as_bytes())?;
    let keys = project.join("crates/distro/keys");
    for entry in fs::read_dir(keys)? {
        let entry = entry?;
        put("in_release", &entry.file_name().to_string_lossy(), &fs::read(entry.path())?)?;
    }

    for entry in fs::read_dir(project.join("examples/coconut/configs"))? {
        let entry = entry?;
        put("xbuild", &entry.file_name().to_string_lossy(), &fs::read(entry.path())?)?;
    }
    put("pe", "small", &firmware::small())?;
    let (filler, magic) = ([7; firmware::HEADERS - firmware::HEADERS_AT], firmware::magic("252"));
    let sections: [(&str, &[u8]); 4] =
        [(".text", &[0xc3]), (".sbat", b"sbat,1"), (".data", &filler), (".sdmagic", &magic)];
    put("pe", "sections", &firmware::program(&sections))?;
    let keys = project.join("crates/mkimg/tests/boot");
    let signer = Signer::new(&fs::read(keys.join("db.key"))?, &fs::read(keys.join("db.crt"))?)?;
    put("pe", "signed", &sign(&firmware::program(&sections), &signer)?)?;
    for (name, files) in KCONFIG {
        put("kconfig", name, files.as_bytes())?;
    }
    for (name, answers) in ANSWERS {
        put("agent", name, answers)?;
    }
    for (name, bytes) in guests::all() {
        put("guest", name, &bytes)?;
    }
    for (name, bytes) in messages() {
        put("messages", name, &bytes)?;
    }
    for entry in fs::read_dir(&keys)?.chain(fs::read_dir(project.join("crates/launch/tests/launch"))?) {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| ["key", "crt", "pem"].iter().any(|known| kind == *known)) {
            put("keys", &path.file_name().unwrap_or_default().to_string_lossy(), &fs::read(&path)?)?;
        }
    }
    for (name, bytes) in earlier()? {
        put("earlier", &name, &bytes)?;
    }
    put("journal", "three", &journal())?;
    for (name, bytes) in repositories() {
        put("git", name, &bytes)?;
    }
    for (name, bytes) in HTTP {
        put("http", name, bytes)?;
    }
    put("console", "login", b"\x60\x20login:\x1b[2J\x1b]0;x\x07[ 0.0] a\r\n\xc3\xa4 login: ")?;
    put("efi_variables", "empty", &firmware::template())?;
    put("verity", "superblock", &hash_tree())?;

    let full = builder(true)?.write(Vec::new())?;
    put("layer", "full", &full)?;
    put("layer", "overlay", &overlay()?)?;
    put("foreign_tar", "full", &full)?;

    let control = control_archive()?;
    let data = builder(false)?.write(Vec::new())?;
    let package = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &data)])?;
    put("deb", "plain", &package)?;
    put("ar", "package", &package)?;
    put("ar", "odd", &ar(&[("a", b"abc"), ("b", b""), ("c/", b"de")])?)?;
    let compressed = |compression, suffix: &str| -> Result<Vec<u8>> {
        let pack = |plain: &[u8]| -> Result<Vec<u8>> {
            let mut compressor = mkimg::Compressor::with_threads(compression, Vec::new(), 1)?;
            compressor.write_all(plain)?;
            Ok(compressor.finish()?)
        };
        let (control_name, data_name) = (format!("control.tar{suffix}"), format!("data.tar{suffix}"));
        let (control, data) = (pack(&control)?, pack(&data)?);
        ar(&[("debian-binary", b"2.0\n"), (&control_name, &control), (&data_name, &data)])
    };
    put("deb", "gzip", &compressed(Compression::Gzip, ".gz")?)?;
    put("deb", "xz", &compressed(Compression::Xz, ".xz")?)?;
    put("deb", "zstd", &compressed(Compression::Zstd, ".zst")?)?;

    let tree = Tree::merge(vec![Layer::new("full", Arc::new(full))])?;
    let mut bytes = Vec::new();
    cpio::Archive::plan(&tree, &cpio::Selection::new(&[], &[]), 1_700_000_000)?.write(&mut bytes)?;
    put("cpio", "full", &bytes)?;
    put("modules", "kernel", &modules()?)?;
    for (name, journal) in [("plain", Journal::None), ("journal", Journal::Auto)] {
        let image = ext4(&tree, journal)?;
        put("ext4", name, &image)?;
        put("ext4", &format!("{name}-unsealed"), &without_checksums(image))?;
    }
    let compressions = [
        squashfs::Compression::gzip(None)?,
        squashfs::Compression::Lz4 { high: false },
        squashfs::Compression::xz([squashfs::Bcj::X86]),
        squashfs::Compression::zstd(None)?,
    ];
    for compression in compressions {
        let name = compression.name();
        let mut sink = MemorySink::default();
        squashfs::write_squashfs(&tree, squashfs::Options::new(compression, 1), 1, &mut sink)?;
        let image = sink.into_bytes();
        put("squashfs", name, &image)?;
        if name == "zstd" {
            let unpack = |stored: &[u8]| zstd::decode_all(stored).expect("it was compressed");
            let plain = plain::with_plain_metadata(&image, &unpack);
            squashfs::Reader::open(plain.clone())?.dump(squashfs::Digests::Shown, &mut std::io::sink())?;
            put("squashfs", "plain", &plain)?;
        }
    }
    let compressions = [
        erofs::Compression::None,
        erofs::Compression::Lz4,
        erofs::Compression::lz4hc(None)?,
        erofs::Compression::zstd(None)?,
    ];
    for compression in compressions {
        let mut sink = MemorySink::default();
        let options = erofs::Options::new(compression, [7; 16], Timestamp::saturating(1));
        erofs::write_erofs(&tree, options, 1, &mut sink)?;
        let mut image = sink.into_bytes();
        put("erofs", compression.name(), &image)?;
        // Without the feature that there is a checksum.
        image[1024 + 8] &= !1;
        put("erofs", &format!("{}-unsealed", compression.name()), &image)?;
    }

    for (name, kind) in
        [("fat12", fat::Kind::Fat12), ("fat16", fat::Kind::Fat16), ("fat32", fat::Kind::Fat32)]
    {
        let image = fat(kind)?;
        // The target puts the zeros back.
        let end = image.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        put("fat", name, &image[..end])?;
        if kind != fat::Kind::Fat32 {
            put("image", &format!("fat-{name}"), &image)?;
            put("diff", &format!("fat-{name}"), &pair(&image)?)?;
        }
    }
    for (name, joliet) in [("joliet", true), ("rock-ridge", false)] {
        put("iso", name, &iso(&tree, joliet)?)?;
    }
    put("disk", "gpt", &disk()?)?;
    for (name, bytes) in virtual_disks()? {
        put("vdisk", name, &bytes)?;
    }
    let archive = vdisk::gcp::Options { epoch: 1 };
    let gpt = disk()?;
    put("gcp", "gpt", &vdisk::gcp::write(&vdisk::Contents::whole(&gpt)?, &archive, 1, Vec::new())?)?;

    let region = fdt::Region { address: 0x4000_0000, size: 1 << 20 };
    let edits = [root("demo", &["demo,demo"]), memory(region), cpus(2, &["arm,cortex-a57"])].concat();
    let blob = fdt::Tree::default().edited(&edits, &fdt::Labels::new())?;
    put("device_tree", "small", &blob.write()?)?;

    for (name, file) in igvm() {
        put("igvm", name, &launch::write(&file)?)?;
    }

    put("directory", "nodes", &directory().encode())?;

    for (name, text) in SPECS {
        put("spec", name, text.as_bytes())?;
    }
    Ok(())
}
