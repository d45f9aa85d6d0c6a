//! Writes what the fuzz targets start from: small valid inputs, made by our own writers.
//!
//! `cargo xtask fuzz` runs it in the project's directory. Adds to `fuzz/corpus`, which git ignores; what is there
//! already stays.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use cas::{Digest, Directory, Node};
use fdt::machine::{cpus, memory, root};
use layer::{Builder, Content, Declaration, EntryPath, Layer, Metadata, Tree};
use mkimg::ext4::{Journal, Options, Size, Timestamp};
use mkimg::sign::{Signer, sign};
use mkimg::spec::Compression;
use mkimg::{MemorySink, cpio, disk, erofs, fat, iso, squashfs, vdisk, write_ext4};
use recipe::{Lock, LockedFile, LockedRelease, LockedSet, LockedSource, Pin};

// The libraries are compiled as the targets need them, and tell this which of their code is run.
use libfuzzer_sys as _;

#[path = "../../crates/mkimg/tests/boot/firmware.rs"]
mod firmware;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const CONTROL: &str = "Package: demo\nVersion: 1.0\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n\
                       Multi-Arch: same\nDescription: test\n";

const PACKAGES: &str = "Package: demo\nVersion: 1:1.0-1\nArchitecture: amd64\nEssential: yes\nPriority: required\n\
    Pre-Depends: base (>= 2.0~rc1) | other\nDepends: a:any (<< 3) [amd64 !i386], b <!nocheck>, c\nProvides: d (= 1)\n\
    Conflicts: e\nMulti-Arch: same\nInstalled-Size: 12\nSize: 345\nFilename: pool/main/d/demo/demo_1.0-1_amd64.deb\n\
    SHA256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
    Description: one\n two\n .\n three\n\n";

const SOURCES: &str = "Package: demo\nBinary: demo, demo-dev,\n demo-doc\nVersion: 1:1.0-1\nFormat: 3.0 (quilt)\n\
    Directory: pool/main/d/demo\nChecksums-Sha256:\n \
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 12 demo_1.0-1.dsc\n\n";

const DSC: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nFormat: 3.0 (quilt)\nSource: demo\n\
    Version: 1:1.0-1\nChecksums-Sha256:\n \
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 12 demo_1.0.orig.tar.xz\nFiles:\n \
    0123456789abcdef0123456789abcdef 12 demo_1.0.orig.tar.xz\n\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n";

/// For the files that the target `patch` makes.
const PATCHES: [(&str, &str); 4] = [
    ("change", "--- a/f\n+++ b/f\n@@ -1,5 +1,5 @@\n 1\n 2\n-3\n+x\n 4\n 5\n"),
    (
        "new",
        "--- /dev/null\n+++ b/d/new\t1970-01-01 00:00:00\n@@ -0,0 +1 @@\n+1\n\\ No newline at end of file\n",
    ),
    (
        "git",
        "diff --git a/f b/g\nsimilarity index 90%\nrename from f\nrename to g\nindex 0123..4567 100644\n--- a/f\n+++ \
         b/g\n@@ -5 +5,2 @@\n 5\n+6\n",
    ),
    (
        "link",
        "diff --git a/m b/m\nnew file mode 120000\nindex 0000000..1234567\n--- /dev/null\n+++ b/m\n@@ -0,0 +1 @@\n+d\n",
    ),
];

/// A `.config` and the files that the target `kconfig` makes.
const KCONFIG: [(&str, &str); 2] = [
    (
        "menu",
        "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"x\"\nCONFIG_N=0x10\n\0mainmenu \"M\"\nconfig A\n\tbool \"a\" if B\n\t\
         default y if N > 3 && !B || S = \"x\"\n\tselect B if S != \"\"\n\thelp\n\t  text\n\nsource \"sub\"\nchoice\n\tprompt \
         \"c\"\n\tdefault D\nconfig D\n\tbool \"d\"\nconfig E\n\tbool \"e\"\nendchoice\n\0if A\nmenuconfig B\n\ttristate \
         \"b\"\n\tdepends on (A || D) && m\n\timply E\nendif\nmenu \"m\"\n\tvisible if B\nconfig N\n\thex \"n\"\n\trange 0 \
         0xff if A\nconfig S\n\tstring \"s\"\n\tdef_string \"$(ARCH)\"\nendmenu\n",
    ),
    (
        "macros",
        "\0a := $(ARCH)64\nf = $(a)-$(1)$(2)\n$(f,x,$(a)):=y\nb += $(if-success,true,y,n)\n$(warning-if,y,x)\nconfig \
         $(a)\n\tdef_bool $(success,test -f x)\n\tdefault $(shell,echo y)\n\tdepends on $(cc-option,-x)\nosource \
         \"$(a)/*\"\nrsource \"sub\"\ncomment \"c\"\n\tdepends on y\n",
    ),
];

const RELEASE: &str = "Origin: Demo\nLabel: Demo\nSuite: stable\nCodename: demo\nVersion: 1.0\n\
    Date: Sat, 11 Jul 2026 10:16:37 UTC\nValid-Until: Sat, 18 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: yes\n\
    Architectures: all amd64 arm64\nComponents: main contrib\nSHA256:\n \
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef     1234 main/binary-amd64/Packages.xz\n";

const SHA256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The targets that read images.
const IMAGES: [&str; 13] = [
    "cpio",
    "device_tree",
    "disk",
    "erofs",
    "ext4",
    "fat",
    "foreign_tar",
    "gcp",
    "igvm",
    "iso",
    "pe",
    "squashfs",
    "vdisk",
];

/// The superblock of a hash tree of three blocks of 4 KiB (cryptsetup, "dm-verity on-disk format").
fn hash_tree() -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"verity\0\0\x01\0\0\0\x01\0\0\0");
    put(32, b"sha256");
    put(64, &[4096_u32, 4096].map(u32::to_le_bytes).concat());
    put(72, &3_u64.to_le_bytes());
    put(80, &[2, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    bytes
}

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
    put("console", "login", b"\x60login:\x1b[2J\x1b]0;x\x07[ 0.0] a\r\n\xc3\xa4 login: ")?;
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
        put("squashfs", name, &sink.into_bytes())?;
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

    for (name, kind) in [("fat12", fat::Kind::Fat12), ("fat16", fat::Kind::Fat16)] {
        put("fat", name, &fat(kind)?)?;
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

    for (name, text) in [
        (
            "layer",
            r#"{"kind":"layer","output":"out/l.tar","epoch":1,"layers":["in/a"],"entries":[{"path":"etc/x","type":"file","text":"y"},{"path":"dev/null","type":"char-device","major":1,"minor":3,"mode":438},{"path":"l","type":"symlink","target":"x"}]}"#,
        ),
        ("tree", r#"{"kind":"tree","layer":"in/layer.tar","output":"out"}"#),
        (
            "initramfs",
            r#"{"kind":"initramfs","output":"out/i","epoch":1,"layers":["in/a"],"compression":"zstd"}"#,
        ),
        (
            "ext4",
            r#"{"kind":"ext4","output":"out/e","epoch":1,"layers":["in/a"],"uuid":"00112233-4455-6677-8899-aabbccddeeff","hash_seed":"00112233-4455-6677-8899-aabbccddeeff","size":1048576}"#,
        ),
        (
            "squashfs",
            r#"{"kind":"squashfs","output":"out/s","epoch":1,"layers":["in/a"],"compression":"xz","bcj":["x86"],"block_size":65536}"#,
        ),
        (
            "erofs",
            r#"{"kind":"erofs","output":"out/e","epoch":1,"layers":["in/a"],"uuid":"00112233-4455-6677-8899-aabbccddeeff","compression":"lz4hc","level":9,"cluster_size":65536}"#,
        ),
        (
            "iso",
            r#"{"kind":"iso","output":"out/i","epoch":1,"layers":["in/a"],"volume_id":"A","boot":[{"platform":"bios","image":{"path":"/a"},"grub2":true}],"hybrid":{"code":"in/c","patch":"grub2","table":{"gpt":{"guid":"00112233-4455-6677-8899-aabbccddeeff"}}}}"#,
        ),
        (
            "fat",
            r#"{"kind":"fat","output":"out/f","epoch":1,"layers":["in/a"],"volume_id":1,"size":1048576,"bits":12}"#,
        ),
        (
            "disk",
            r#"{"kind":"disk","output":"out/d","table":{"kind":"gpt","guid":"00112233-4455-6677-8899-aabbccddeeff","hybrid":[{"partition":1,"type":12}],"protective":"last"},"partitions":[{"name":"a","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","guid":"00112233-4455-6677-8899-aabbccddee00","attributes":[2],"size":{"bytes":1048576},"file":"in/f"},{"name":"b","type":"0fc63daf-8483-4772-8e79-3d69d8477de4","size":"grow"}]}"#,
        ),
        (
            "modules",
            r#"{"kind":"modules","output":"out/m","epoch":1,"layers":["in/a"],"names":["virtio_blk"]}"#,
        ),
    ] {
        put("spec", name, text.as_bytes())?;
    }
    Ok(())
}

/// A file for every platform of x86-64 with a directive of each kind, and one for those of arm64.
fn igvm() -> [(&'static str, launch::File<'static>); 2] {
    use launch::{
        Architecture, ContextFormat, Data, Directive, File, Import, Initialization, Page, PageKind,
        ParameterArea, ParameterKind, Platform, PlatformKind, Revision, VpContext,
    };
    let platforms = |kinds: &[PlatformKind]| {
        let bits = (0..).map(|bit| 1 << bit);
        let all = kinds.iter().zip(bits);
        all.map(|(kind, mask)| Platform { kind: *kind, mask, highest_vtl: 0, shared_gpa_boundary: 0 })
            .collect()
    };
    const ZEROS: &[u8] = &[0; 4096];
    // A list of one register: RIP on x86-64.
    const REGISTERS: &[u8] = &[
        1, 0, 0, 0, 0, 0x10, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0,
    ];
    let page = |gpa, mask, kind, import, data: Option<&'static [u8]>| {
        Directive::Page(Page { gpa, mask, kind, import, size: 4096, data: data.map(Data::new) })
    };
    let state = |mask, format, data| {
        let gpa = if format == ContextFormat::Vmsa { 0xffff_ffff_f000 } else { 0 };
        Directive::VpContext(VpContext { gpa, mask, vp_index: 0, format, data: Data::new(data) })
    };
    let x64 = File {
        revision: Revision::V1,
        platforms: platforms(&PlatformKind::ALL[..6]),
        initializations: vec![
            Initialization::GuestPolicy { policy: 0x30000, mask: 4 },
            Initialization::VersionString("1"),
            Initialization::Corim { mask: 4, data: Some(Data::new(b"corim")) },
        ],
        directives: vec![
            Directive::RequiredMemory { gpa: 0, mask: 63, size: 1 << 20, vtl2_protectable: true },
            page(0x1000, 63, PageKind::Normal, Import::Measured, Some(ZEROS)),
            page(0x2000, 63, PageKind::Normal, Import::Unmeasured, None),
            page(0x3000, 4, PageKind::CpuidData, Import::Measured, Some(ZEROS)),
            page(0x4000, 4, PageKind::Secrets, Import::Measured, None),
            Directive::ParameterArea(ParameterArea { index: 1, size: 4096, data: None }),
            Directive::Parameter { kind: ParameterKind::MemoryMap, area: 1, offset: 0 },
            Directive::ParameterInsert { gpa: 0x5000, mask: 63, area: 1, size: 4096 },
            Directive::ErrorRange { gpa: 0x6000, mask: 2, size: 4096 },
            state(1, ContextFormat::Native, ZEROS),
            state(2, ContextFormat::Vbs, REGISTERS),
            state(4 | 32, ContextFormat::Vmsa, ZEROS),
        ],
    };
    let arm64 = File {
        revision: Revision::V2(Architecture::Aarch64),
        platforms: platforms(&[PlatformKind::Vsm, PlatformKind::Cca]),
        initializations: Vec::new(),
        directives: vec![
            page(0x1000, 3, PageKind::Normal, Import::Shared, Some(ZEROS)),
            state(1, ContextFormat::Vbs, REGISTERS),
            state(2, ContextFormat::Cca, ZEROS),
        ],
    };
    [("x64", x64), ("arm64", arm64)]
}

fn file(text: &str) -> Declaration {
    Declaration::File(Content::Bytes(text.into()))
}

/// One entry of each kind. Packages have neither attributes nor names of more than one byte per letter.
fn builder(is_full: bool) -> Result<Builder> {
    let mut builder = Builder::default();
    let mut declare = |name: &str, metadata: Metadata, what| -> Result<()> {
        Ok(builder.declare(EntryPath::new(name)?, metadata, what)?)
    };
    let owned = |mode, uid| Metadata { uid, gid: 5, mtime: 99, ..Metadata::with_mode(mode) };
    declare("etc", owned(0o755, 0), Declaration::Directory)?;
    declare("etc/conf", owned(0o644, 0), file("text\n"))?;
    declare("usr", owned(0o755, 0), Declaration::Directory)?;
    declare("usr/bin", owned(0o755, 0), Declaration::Directory)?;
    declare("usr/bin/busybox", owned(0o4755, 0), file("busy"))?;
    declare("usr/bin/ls", owned(0, 0), Declaration::HardLink(EntryPath::new("usr/bin/busybox")?))?;
    declare("usr/lib", owned(0o777, 0), Declaration::Symlink(b"../lib".to_vec()))?;
    if is_full {
        let target = "t".repeat(150);
        declare("dev", owned(0o755, 0), Declaration::Directory)?;
        declare("dev/console", owned(0o600, 0), Declaration::CharDevice(5, 1))?;
        declare("dev/vda", owned(0o660, 0), Declaration::BlockDevice(254, 0))?;
        declare("run", owned(0o755, 0), Declaration::Directory)?;
        declare("run/pipe", owned(0o600, 4_000_000), Declaration::Fifo)?;
        declare("long", owned(0o777, 0), Declaration::Symlink(target.into_bytes()))?;
        declare(&"n".repeat(120), owned(0o644, 0), file("long name"))?;
        let mut attributes = owned(0o644, 0);
        attributes
            .xattrs
            .insert(b"security.capability".to_vec(), b"\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec());
        attributes.xattrs.insert(b"user.long".to_vec(), vec![b'v'; 300]);
        declare("ping", attributes, file("with attributes"))?;
    }
    Ok(builder)
}

fn overlay() -> Result<Vec<u8>> {
    let mut builder = Builder::default();
    builder.declare(EntryPath::new("etc/gone")?, Metadata::default(), Declaration::Whiteout)?;
    builder.declare(EntryPath::new("etc/new")?, Metadata::with_mode(0o600), file("new"))?;
    builder.declare_opaque(EntryPath::new("var")?);
    Ok(builder.write(Vec::new())?)
}

fn control_archive() -> Result<Vec<u8>> {
    let mut builder = Builder::default();
    let mut declare = |name: &str, mode, text: &str| -> Result<()> {
        Ok(builder.declare(EntryPath::new(name)?, Metadata::with_mode(mode), file(text))?)
    };
    declare("control", 0o644, CONTROL)?;
    declare("conffiles", 0o644, "/etc/conf\n")?;
    declare("postinst", 0o755, "#!/bin/sh\n")?;
    declare("md5sums", 0o644, "d41d8cd98f00b204e9800998ecf8427e  usr/bin/busybox\n")?;
    Ok(builder.write(Vec::new())?)
}

fn ar(members: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", content.len())?;
        bytes.extend(*content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    Ok(bytes)
}

fn ext4(tree: &Tree, journal: Journal) -> Result<Vec<u8>> {
    let mut options = Options::new(Size::Fit { slack: 0 }, [0x42; 16], [0x24; 16], Timestamp::default());
    options.journal = journal;
    let mut sink = MemorySink::default();
    write_ext4(tree, options, &mut sink)?;
    Ok(sink.into_bytes())
}

/// Takes `metadata_csum` off the features, so that changed bytes are not refused for their checksum.
fn without_checksums(mut image: Vec<u8>) -> Vec<u8> {
    const RO_COMPAT: usize = 1024 + 0x64;
    const METADATA_CSUM: u8 = 0x04;
    image[RO_COMPAT + 1] &= !METADATA_CSUM;
    image
}

fn directory() -> Directory {
    let digest = Digest::of(b"content");
    let file = |executable| Node::File { digest, executable };
    let nodes = [
        ("a", file(false)),
        ("b", file(true)),
        ("c", Node::Directory { digest }),
        ("d", Node::Symlink { target: "../a".to_owned() }),
    ];
    Directory { entries: nodes.into_iter().map(|(name, node)| (name.to_owned(), node)).collect() }
}

fn lock() -> Lock {
    let text = str::to_owned;
    let release =
        || LockedRelease { suite: text("bookworm"), archive: text("debian"), date: text("20250111T101500Z") };
    let pin = Pin {
        name: text("demo"),
        version: text("1:1.0-1"),
        arch: text("amd64"),
        suite: text("bookworm"),
        filename: text("pool/main/d/demo/demo_1.0-1_amd64.deb"),
        size: 345,
        sha256: text(SHA256),
        with: Some(text("minbase")),
    };
    let set = LockedSet { request: text(SHA256), releases: vec![release()], pins: vec![pin] };
    let file =
        LockedFile { filename: text("pool/main/d/demo/demo_1.0-1.dsc"), size: 12, sha256: text(SHA256) };
    let sources = [
        ("url", LockedSource::Url { url: text("https://example.org/a"), sha256: text(SHA256), size: 1 }),
        (
            "git",
            LockedSource::Git {
                git: text("https://example.org/a.git"),
                rev: text("v1"),
                commit: text(&SHA256[..40]),
                submodules: true,
                tree: Digest::of(b"tree"),
            },
        ),
        (
            "debian",
            LockedSource::Debian {
                debian_source: text("demo"),
                distro: text("debian:bookworm"),
                version: text("1.0-1"),
                release: release(),
                files: vec![file],
            },
        ),
    ];
    Lock {
        packages: [(text("env e"), set)].into(),
        sources: sources.into_iter().map(|(name, source)| (name.to_owned(), source)).collect(),
    }
}

/// Returns a small ISO that starts by BIOS and UEFI.
fn iso(tree: &Tree, joliet: bool) -> Result<Vec<u8>> {
    let mut options = iso::Options::new("SEED", iso::Timestamp::saturating(1_700_000_000));
    options.joliet = joliet;
    let loader = vec![b'x'; 3000];
    let image = |platform| iso::BootImage {
        platform,
        source: iso::BootSource::Hidden(&loader),
        load_units: None,
        info_table: true,
        grub2: false,
    };
    let mut sink = MemorySink::default();
    iso::write_iso(tree, options, &[image(iso::Platform::Bios), image(iso::Platform::Efi)], &mut sink)?;
    Ok(sink.into_bytes())
}

/// Returns a small FAT image with directories, long names and files.
fn fat(kind: fat::Kind) -> Result<Vec<u8>> {
    let mut options = fat::Options::new(fat::Size::Fit { slack: 0 }, 1, 1_700_000_000);
    // With the smallest clusters, the kinds with more bits have small images, too.
    (options.kind, options.cluster_size, options.label) = (Some(kind), Some(512), Some("SEED".to_owned()));
    let mut builder = fat::Builder::new(options)?;
    let aged =
        |seconds| fat::Metadata { mtime: fat::Timestamp::saturating(seconds), ..fat::Metadata::default() };
    let directory = builder.directory(fat::ROOT, b"directory", aged(1_700_000_000))?;
    builder.file(directory, b"a file with a long name", aged(0), 3000)?;
    builder.file(fat::ROOT, b"SHORT.TXT", aged(0), 10)?;
    let mut sink = MemorySink::default();
    builder.seal()?.write(
        &mut |_, _, buffer| {
            buffer.fill(b'x');
            Ok(())
        },
        &mut sink,
    )?;
    Ok(sink.into_bytes())
}

/// Returns the smallest disk with a GUID partition table and two partitions.
fn disk() -> Result<Vec<u8>> {
    let guid = |number: u8| {
        disk::Guid::parse(&format!("00112233-4455-6677-8899-aabbccddee{number:02x}")).ok_or("no GUID")
    };
    let kind = disk::gpt_type("linux").ok_or("no type")?;
    let partition = |number: u8| -> Result<disk::Partition> {
        Ok(disk::Partition {
            number: None,
            name: format!("partition {number}"),
            identity: disk::Identity::Gpt { kind, guid: guid(number)?, attributes: 4 },
            size: disk::PartitionSize::Fixed(1024),
            at: None,
            align: None,
            content: None,
        })
    };
    let declared = disk::Disk {
        sector_size: 512,
        size: disk::Size::Fit { slack: 0, round: 512 },
        align: 512,
        first_lba: 0,
        table: disk::Table::Gpt { guid: guid(0)?, hybrid: Vec::new(), protective: disk::Protective::First },
        boot_code: 0,
        blobs: Vec::new(),
        partitions: vec![partition(1)?, partition(2)?],
    };
    let mut sink = MemorySink::default();
    disk::resolve(declared)?.write(&[], &[], &[], &mut sink)?;
    Ok(sink.into_bytes())
}

/// Returns that disk in every format.
fn virtual_disks() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let bytes = disk()?;
    let contents = vdisk::Contents::whole(&bytes)?;
    let uuid = [7; 16];
    let mut disks = Vec::new();
    for (name, compression) in [
        ("qcow2", vdisk::qcow2::Compression::None),
        ("qcow2-zlib", vdisk::qcow2::Compression::Zlib(6)),
        ("qcow2-zstd", vdisk::qcow2::Compression::Zstd(3)),
    ] {
        let options = vdisk::qcow2::Options { cluster_size: 512, compression, ..Default::default() };
        let mut sink = MemorySink::default();
        vdisk::qcow2::write(&contents, None, &options, 1, &mut sink)?;
        disks.push((name, sink.into_bytes()));
    }
    for (name, variant) in [
        ("vmdk", vdisk::vmdk::Variant::MonolithicSparse),
        ("vmdk-stream", vdisk::vmdk::Variant::StreamOptimized),
    ] {
        let adapter = vdisk::vmdk::Adapter::Ide;
        let options = vdisk::vmdk::Options { variant, adapter, name: "a.vmdk".to_owned(), uuid };
        let mut sink = MemorySink::default();
        vdisk::vmdk::write(&contents, &options, 1, &mut sink)?;
        disks.push((name, sink.into_bytes()));
    }
    let mut add = |name, write: &dyn Fn(&mut MemorySink) -> std::result::Result<(), vdisk::WriteError>| {
        let mut sink = MemorySink::default();
        write(&mut sink)?;
        disks.push((name, sink.into_bytes()));
        Ok::<(), vdisk::WriteError>(())
    };
    add("vdi", &|sink| vdisk::vdi::write(&contents, &vdisk::vdi::Options { fixed: false, uuid }, 1, sink))?;
    for (name, fixed) in [("vhd", false), ("vhd-fixed", true)] {
        let options = vdisk::vhd::Options { fixed, uuid, epoch: 1 };
        add(name, &|sink| vdisk::vhd::write(&contents, &options, 1, sink))?;
    }
    add("vhdx", &|sink| vdisk::vhdx::write(&contents, &vdisk::vhdx::Options::default(), 1, sink))?;
    add("parallels", &|sink| vdisk::parallels::write(&contents, 1, sink))?;
    Ok(disks)
}
