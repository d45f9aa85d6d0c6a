//! The hostile tars, by what they try.

use std::io::{self, Read};

use super::tar::{
    GNU, Header, archive, directory, entry, file, global, gnu_long, hard_link, patched, pax, seal, symlink,
};
use super::{HostileTar, Verdict};

/// Absolute paths in the archives lie below this, which no reader may ever make.
const ELSEWHERE: &str = "/tmp/bootwright-must-not-write-here";

const LEAVES: &str = "the archive has a path that leaves the tree";
const TWICE: &str = "is in the archive twice";
const BELOW: &str = "which is not a directory";
const NO_FILE_BEFORE: &str = "which is no file that comes before it in the archive";
const NO_ENTRY: &str = "the archive has no valid entry at byte";
const CUT: &str = "the archive is cut off";
const SPARSE: &str = "is a sparse file, which is not supported";
const NO_TARGET: &str =
    "the target of the symbolic link `l` is empty, longer than 4095 bytes or has a NUL byte";
const NO_TREE: &str = "is neither a file, a directory nor a link";

/// Returns all of them.
pub fn hostile_tars() -> Vec<HostileTar> {
    let all = [paths(), links(), doubles(), kinds(), sizes(), extensions(), sparse_files(), damage()];
    all.into_iter().flatten().collect()
}

fn refused(name: &'static str, entries: &[Vec<u8>], why: &'static str) -> HostileTar {
    HostileTar { name, bytes: archive(entries), verdict: Verdict::Refused(why) }
}

fn harmless(name: &'static str, entries: &[Vec<u8>], why: &'static str) -> HostileTar {
    HostileTar { name, bytes: archive(entries), verdict: Verdict::Harmless(why) }
}

fn only_layers(
    name: &'static str,
    entries: &[Vec<u8>],
    why: &'static str,
    refusal: &'static str,
) -> HostileTar {
    HostileTar { name, bytes: archive(entries), verdict: Verdict::OnlyLayers(why, refusal) }
}

fn paths() -> Vec<HostileTar> {
    let absolute = |rest: &str| format!("{ELSEWHERE}{rest}");
    let prefixed = |prefix: &[u8]| patched(file("x", ""), 345, prefix);
    let deep = "d/".repeat(2047) + "f";
    vec![
        refused("`..` is the path", &[file("..", "")], LEAVES),
        refused("`..` begins the path", &[file("../x", "x")], LEAVES),
        refused("`..` in the middle", &[file("a/../../x", "x")], LEAVES),
        refused("`..` after `./`", &[file("./../x", "x")], LEAVES),
        refused("`..` ends a directory's path", &[directory("a/../")], LEAVES),
        refused("`..` in ustar's prefix", &[prefixed(b"../..")], LEAVES),
        refused("`..` in GNU's long name", &[gnu_long(b'L', b"a/../../x"), file("x", "")], LEAVES),
        refused("`..` in a pax path", &[pax(&[("path", "../x")]), file("innocent", "")], LEAVES),
        refused("`..` in a global pax path", &[global(&[("path", "../x")]), file("innocent", "")], LEAVES),
        refused("an absolute path", &[file(&absolute(""), "x")], LEAVES),
        refused(
            "an absolute path with two slashes",
            &[file(&absolute("").replacen('/', "//", 1), "")],
            LEAVES,
        ),
        refused("an absolute path in ustar's prefix", &[prefixed(ELSEWHERE.as_bytes())], LEAVES),
        refused(
            "an absolute path in GNU's long name",
            &[gnu_long(b'L', absolute(&"/y".repeat(60)).as_bytes()), file("x", "")],
            LEAVES,
        ),
        refused("an absolute pax path", &[pax(&[("path", &absolute(""))]), file("innocent", "")], LEAVES),
        refused("an empty path", &[file("", "")], LEAVES),
        refused("an empty pax path", &[pax(&[("path", "")]), file("innocent", "")], LEAVES),
        refused("a NUL in a pax path", &[pax(&[("path", "a\0/../b")]), file("innocent", "")], LEAVES),
        refused("a name of 256 bytes", &[gnu_long(b'L', &[b'n'; 256]), file("x", "")], LEAVES),
        refused(
            "a path of 4097 bytes",
            &[pax(&[("path", &("d/".repeat(2048) + "f"))]), file("x", "")],
            LEAVES,
        ),
        refused("a file at the root", &[file("./", "").to_vec(), entry(b".", b'0', b"", b"x")], "root"),
        refused("a link at the root", &[symlink(".", "/etc")], "root"),
        only_layers(
            "a path of 4095 bytes",
            &[pax(&[("path", &deep)]), file("x", "")],
            "Linux can open it, if only just",
            "is too long to lie below another directory",
        ),
        harmless(
            "backslashes and a drive",
            &[file("..\\..\\x", ""), file("C:\\x", "")],
            "mere names on Linux",
        ),
        harmless(
            "escape sequences in a name",
            &[file("\u{1b}]0;owned\u{7}\u{1b}[2J", "")],
            "a name; whoever prints it escapes it",
        ),
        harmless("a line break in a name", &[file("a\nb", "")], "a name"),
        harmless("names like options", &[file("-rf", ""), file("--", "")], "nobody passes them to a shell"),
        only_layers(
            "a name that is not UTF-8",
            &[entry(b"\xff\xfe", b'0', b"", b"")],
            "bytes, as on Linux",
            "is not UTF-8",
        ),
    ]
}

fn links() -> Vec<HostileTar> {
    let long_target = "t".repeat(4096);
    vec![
        refused("a file through a link", &[symlink("d", ELSEWHERE), file("d/x", "x")], BELOW),
        refused("a file through a relative link", &[symlink("d", "../.."), file("d/x", "x")], BELOW),
        refused(
            "a file through a link to a link",
            &[symlink("a", ".."), symlink("b", "a"), file("b/x", "x")],
            BELOW,
        ),
        refused(
            "a directory through a link",
            &[symlink("d", ELSEWHERE), directory("d/made"), file("d/made/x", "")],
            BELOW,
        ),
        refused("a link through a link", &[symlink("d", ELSEWHERE), symlink("d/x", "y")], BELOW),
        refused("a file over a link", &[symlink("x", ELSEWHERE), file("x", "x")], TWICE),
        refused(
            "a directory that becomes a link",
            &[directory("d/"), symlink("d", ELSEWHERE), file("d/x", "x")],
            TWICE,
        ),
        refused(
            "an implied directory that becomes a link",
            &[file("d/x", ""), symlink("d", ELSEWHERE), file("d/y", "y")],
            TWICE,
        ),
        refused("a link that becomes a directory", &[symlink("d", ELSEWHERE), directory("d/")], TWICE),
        refused(
            "a directory that a pax path makes a link",
            &[file("d/x", ""), pax(&[("path", "d")]), symlink("innocent", ELSEWHERE), file("d/y", "")],
            TWICE,
        ),
        refused("a file below a file", &[file("f", ""), file("f/x", "")], BELOW),
        refused("a hard link with `..`", &[hard_link("l", "../../etc/shadow")], LEAVES),
        refused("a hard link to an absolute path", &[hard_link("l", "/etc/shadow")], LEAVES),
        refused(
            "a hard link with `..` in a pax path",
            &[pax(&[("linkpath", "../../etc/shadow")]), hard_link("l", "f")],
            LEAVES,
        ),
        refused(
            "a hard link with `..` in GNU's long target",
            &[gnu_long(b'K', b"../../etc/shadow"), hard_link("l", "f")],
            LEAVES,
        ),
        refused(
            "a hard link to a link, then a write to it",
            &[symlink("s", "/etc/passwd"), hard_link("l", "s"), file("l", "root::0:0::/:")],
            TWICE,
        ),
        refused(
            "a hard link through a link",
            &[symlink("d", "/etc"), hard_link("l", "d/shadow")],
            NO_FILE_BEFORE,
        ),
        refused("a hard link to what comes later", &[hard_link("l", "f"), file("f", "")], NO_FILE_BEFORE),
        refused("a hard link to nothing", &[hard_link("l", "etc/shadow")], NO_FILE_BEFORE),
        refused("a hard link to itself", &[hard_link("l", "l")], NO_FILE_BEFORE),
        refused("a hard link to a directory", &[directory("d"), hard_link("l", "d")], NO_FILE_BEFORE),
        refused("a hard link to the root", &[hard_link("l", ".")], "root"),
        refused("a link to nothing at all", &[symlink("l", "")], NO_TARGET),
        refused("a link with a NUL", &[pax(&[("linkpath", "a\0b")]), symlink("l", "x")], NO_TARGET),
        refused("a link of 4096 bytes", &[pax(&[("linkpath", &long_target)]), symlink("l", "x")], NO_TARGET),
        harmless(
            "links to everywhere",
            &[
                symlink("a", "/etc/passwd"),
                symlink("b", "../../../.."),
                symlink("c", "/proc/self/root"),
                symlink("loop", "loop"),
            ],
            "nobody follows them outside of a sandbox",
        ),
        harmless(
            "a hard link whose header has the size of its target",
            &[file("f", "abc"), Header { size: 3, link: b"f".to_vec(), ..Header::new(b"l", b'1') }.block()],
            "as old archivers wrote them: no contents follow",
        ),
    ]
}

fn doubles() -> Vec<HostileTar> {
    vec![
        refused("the same path twice", &[file("f", "1"), file("f", "2")], TWICE),
        refused("the same path in two spellings", &[file("d/f", "1"), file("./d//f", "2")], TWICE),
        refused("a file and a directory of one name", &[file("f", ""), directory("f/")], TWICE),
        refused("the same link twice", &[symlink("l", "a"), symlink("l", "b")], TWICE),
        refused("the same device twice", &[entry(b"d", b'6', b"", b""), entry(b"d", b'6', b"", b"")], TWICE),
        refused(
            "all files at one global pax path",
            &[global(&[("path", "f")]), file("a", ""), file("b", "")],
            TWICE,
        ),
        harmless(
            "names that differ in case",
            &[file("Makefile", "1"), file("makefile", "2"), file("MAKEFILE", "3")],
            "two files on every file system that Linux builds on",
        ),
        harmless(
            "names that look alike",
            &[file("caf\u{e9}", "1"), file("cafe\u{301}", "2")],
            "other bytes, so other files",
        ),
    ]
}

fn kinds() -> Vec<HostileTar> {
    let device =
        |typeflag, major, minor| Header { device: (major, minor), ..Header::new(b"d", typeflag) }.block();
    let overlay =
        pax(&[("SCHILY.xattr.user.overlay.redirect", "/etc"), ("SCHILY.xattr.user.overlay.opaque", "y")]);
    vec![
        only_layers("memory as a device", &[device(b'3', 1, 1)], "no reader makes nodes", NO_TREE),
        only_layers("a disk as a device", &[device(b'4', 8, 0)], "no reader makes nodes", NO_TREE),
        only_layers("an overlay's whiteout", &[device(b'3', 0, 0)], "no reader makes nodes", NO_TREE),
        only_layers("a pipe", &[entry(b"p", b'6', b"", b"")], "nobody opens it", NO_TREE),
        refused("a device that Linux does not have", &[device(b'3', 4096, 0)], "cannot be device"),
        refused(
            "a device number beyond 32 bits",
            &[patched(device(b'3', 0, 0), 329, &[0x80, 0, 0, 1, 0, 0, 0, 0])],
            "does not fit",
        ),
        refused("a whiteout", &[file(".wh.passwd", "")], "mean removed files"),
        refused("an opaque directory", &[file("etc/.wh..wh..opq", "")], "mean removed files"),
        refused("a directory below a whiteout's name", &[file(".wh.d/x", "")], "mean removed files"),
        harmless(
            "set-id bits",
            &[Header { mode: 0o6755, ..Header::new(b"su", b'0') }.block()],
            "data in a layer, gone in a tree",
        ),
        harmless(
            "capabilities",
            &[pax(&[("SCHILY.xattr.security.capability", "\u{1}")]), file("f", "")],
            "data in a layer, gone in a tree",
        ),
        harmless("attributes of overlays", &[overlay, file("d/x", "")], "data in a layer, gone in a tree"),
        refused("a volume of a set", &[entry(b"v", b'M', b"", b"")], "is a part of a multi-volume archive"),
        refused("a volume's label", &[entry(b"v", b'V', b"", b"")], "is a part of a multi-volume archive"),
        refused("GNU's list of a directory", &[entry(b"d", b'D', b"", b"Yx\0\0")], "is an entry of type"),
        refused("a kind that nobody knows", &[entry(b"q", b'?', b"", b"")], "is an entry of type"),
        refused("contents of a directory", &[entry(b"d/", b'5', b"", b"abc")], "and yet has 3 bytes"),
        refused("contents of a link", &[entry(b"l", b'2', b"t", b"abc")], "and yet has 3 bytes"),
        refused("contents of a device", &[entry(b"d", b'3', b"", b"abc")], "and yet has 3 bytes"),
    ]
}

fn sizes() -> Vec<HostileTar> {
    let sized = |size| Header { size, ..Header::new(b"f", b'0') };
    let field = |at, bytes: &[u8]| patched(file("f", ""), at, bytes);
    let negative = [0xff; 12];
    vec![
        refused("a terabyte that is not there", &[sized(1 << 40).block()], ""),
        refused("a size beyond all files", &[sized(u64::MAX).block()], "does not fit"),
        refused("a negative size", &[field(124, &negative)], NO_ENTRY),
        refused("a size that is no number", &[field(124, b"0000000000x\0")], NO_ENTRY),
        refused("a size in two words", &[field(124, b"00000 000001")], NO_ENTRY),
        refused(
            "a size in base 256 beyond 64 bits",
            &[field(124, &[0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
            NO_ENTRY,
        ),
        refused("a user beyond 32 bits", &[field(108, &[0x80, 0, 0, 1, 0, 0, 0, 0])], "does not fit"),
        refused("a negative group", &[field(116, &negative[..8])], NO_ENTRY),
        refused("a time beyond 64 bits", &[field(136, &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])], NO_ENTRY),
        harmless(
            "a time before the Big Bang",
            &[patched(file("f", ""), 136, &[0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0])],
            "a number like any other",
        ),
        harmless(
            "a mode with more bits than there are",
            &[patched(file("f", ""), 100, b"7777777\0")],
            "the others are dropped",
        ),
        refused("a file that is cut off", &[], "").cut(&[sized(3).block(), b"a".to_vec()], CUT),
        refused("a header that is cut off", &[], "").cut(&[file("f", "")[..100].to_vec()], CUT),
    ]
}

fn extensions() -> Vec<HostileTar> {
    let raw = |data: &str| entry(b"x", b'x', b"", data.as_bytes());
    let sized = |typeflag, size| Header { size, magic: GNU, ..Header::new(b"x", typeflag) }.block();
    let value = |keyword: &str, value: &str| vec![pax(&[(keyword, value)]), file("f", "")];
    vec![
        refused("a pax record longer than its header", &[raw("99 path=a\n"), file("f", "")], NO_ENTRY),
        refused("a pax record of no length", &[raw("0 path=a\n"), file("f", "")], NO_ENTRY),
        refused("a pax record shorter than itself", &[raw("3 path=a\n"), file("f", "")], NO_ENTRY),
        refused("a pax record with a length beyond 64 bits", &[raw("99999999999999999999 a=b\n")], NO_ENTRY),
        refused("a pax record of a negative length", &[raw("-9 path=a\n"), file("f", "")], NO_ENTRY),
        refused("a pax record without its line break", &[raw("9 path=ab"), file("f", "")], NO_ENTRY),
        refused("a pax record without a keyword", &[raw("5 =ab\n"), file("f", "")], NO_ENTRY),
        refused("a pax record without a value", &[raw("8 path\nx\n"), file("f", "")], NO_ENTRY),
        refused("a pax size that is no number", &value("size", "0x10"), "has no usable value"),
        refused("a negative pax size", &value("size", "-1"), "has no usable value"),
        refused("a pax size beyond 64 bits", &value("size", "18446744073709551616"), "has no usable value"),
        refused("a pax size beyond all files", &value("size", "18446744073709551615"), "does not fit"),
        refused("a pax time that is no number", &value("mtime", "1e99"), "has no usable value"),
        refused("a pax time beyond 64 bits", &value("mtime", "9223372036854775808"), "has no usable value"),
        refused("a pax user beyond 32 bits", &value("uid", "4294967296"), "does not fit"),
        refused(
            "a pax size that hides the contents",
            &[pax(&[("size", "0")]), Header { size: 512, ..Header::new(b"f", b'0') }.with(&[b'!'; 512])],
            NO_ENTRY,
        ),
        harmless(
            "a pax size that hides the next entry",
            &[pax(&[("size", "1024")]), file("f", "x"), file("hidden", "")],
            "the extended header counts, as POSIX has it",
        ),
        refused("an extended header of a terabyte", &[sized(b'x', 1 << 40)], "is too large"),
        refused("a long name of all bytes", &[sized(b'L', u64::MAX)], "is too large"),
        refused("an extended header of nothing", &[pax(&[("path", "x")])], CUT),
        refused("a long name of nothing", &[gnu_long(b'L', b"x")], CUT),
        refused("an empty long name", &[gnu_long(b'L', b""), file("f", "")], LEAVES),
    ]
}

fn sparse_files() -> Vec<HostileTar> {
    let version = |version: &str| {
        let mut parts = version.split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        pax(&[
            ("GNU.sparse.major", major),
            ("GNU.sparse.minor", minor),
            ("GNU.sparse.name", "../../x"),
            ("GNU.sparse.realsize", "9223372036854775807"),
        ])
    };
    // The old format: offset and size of the first piece overflow their sum, the real size is huge.
    let mut old = Header { magic: GNU, ..Header::new(b"f", b'S') }.block();
    old[386..398].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    old[398..410].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    old[483..495].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    seal(&mut old);
    let map = "1\n9223372036854775807\n9223372036854775807\n";
    vec![
        refused("an old sparse file that overflows", &[old], SPARSE),
        refused(
            "a sparse file of version 0.0",
            &[pax(&[("GNU.sparse.size", "1"), ("GNU.sparse.offset", "9223372036854775807")]), file("f", "")],
            SPARSE,
        ),
        refused(
            "a sparse file of version 0.1",
            &[pax(&[("GNU.sparse.map", "9223372036854775807,9223372036854775807")]), file("f", "")],
            SPARSE,
        ),
        refused("a sparse file of version 1.0", &[version("1.0"), file("GNUSparseFile.0/x", map)], SPARSE),
        refused("a sparse file of no version", &[version("9.9"), file("f", map)], SPARSE),
        refused("a sparse file for all", &[global(&[("GNU.sparse.major", "1")]), file("f", "")], SPARSE),
    ]
}

fn damage() -> Vec<HostileTar> {
    let mut wrong_sum = file("f", "");
    wrong_sum[0] = b'g';
    let mut no_sum = file("f", "");
    no_sum[148..156].fill(b' ');
    vec![
        refused("a wrong checksum", &[wrong_sum], NO_ENTRY),
        refused("no checksum", &[no_sum], NO_ENTRY),
        refused("all ones", &[vec![0xff; 512]], NO_ENTRY),
        harmless("nothing but zeros", &[], "an empty archive"),
        harmless(
            "entries behind the end",
            &[file("f", ""), vec![0; 1024], file("../x", "")],
            "nobody reads them",
        ),
    ]
}

impl HostileTar {
    /// Ends where the entries end, without zeros.
    fn cut(self, entries: &[Vec<u8>], why: &'static str) -> HostileTar {
        HostileTar { bytes: entries.concat(), verdict: Verdict::Refused(why), ..self }
    }
}

/// A tar of as many entries as wanted that is never in memory.
#[derive(Clone, Debug)]
pub struct Flood {
    block: Vec<u8>,
    /// How many bytes of the block are still to come.
    left: usize,
    n_entries: u64,
    last: u64,
    is_named: bool,
}

impl Flood {
    /// Returns `n_entries` empty files, each with a name of its own.
    pub fn of_files(n_entries: u64) -> Flood {
        Flood { block: file("", ""), left: 0, n_entries, last: 0, is_named: true }
    }

    /// Returns `n_entries` headers that are all `block`.
    pub fn of(block: Vec<u8>, n_entries: u64) -> Flood {
        Flood { block, left: 0, n_entries, last: 0, is_named: false }
    }
}

impl Read for Flood {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            if self.last == self.n_entries {
                return Ok(0);
            }
            self.last += 1;
            if self.is_named {
                self.block[..10].copy_from_slice(format!("f{:09}", self.last).as_bytes());
                seal(&mut self.block);
            }
            self.left = self.block.len();
        }
        let n = buffer.len().min(self.left);
        let start = self.block.len() - self.left;
        buffer[..n].copy_from_slice(&self.block[start..start + n]);
        self.left -= n;
        Ok(n)
    }
}
