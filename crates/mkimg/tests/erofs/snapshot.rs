//! What images say, and what they are, to the byte.

use mkimg::erofs::{ClusterSize, Compression, Options, ROOT, Timestamp};
use sha2::{Digest, Sha256};

use crate::support::{Tree, compressions, dump, everything, mode, noise, options, read, text, words};

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn one_of_everything_has_this_description() {
    let text = dump(&read(everything(options(Compression::Lz4)).bytes()));
    // What has a number in its name differs in nothing else.
    let shown = text.lines().filter(|line| !line.starts_with("/many/file")).map(|line| format!("{line}\n"));
    let (found, expected) = (shown.collect::<String>(), include_str!("everything.txt"));
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(found == expected, "first difference: {differs:#?}\nthe whole is\n{found}");
}

/// A change here is a new version of the format: every image and everything made from one gets another digest.
#[test]
fn one_of_everything_has_these_digests() {
    let digests = compressions().map(|compression| digest(&everything(options(compression)).bytes()));
    assert_eq!(digests, ["af2703cf9c0b081b", "5212e25ebcaa5789", "4276ebb31920974c", "a496531ed540f723"]);
}

#[test]
fn threads_change_nothing() {
    for compression in compressions() {
        let image = |n_threads| {
            let mut tree = everything(options(compression));
            // More than a thread takes at once.
            tree.file(ROOT, "large", [words(3_000_000, 1), noise(100_000, 2), text(2_000_000, 3)].concat());
            tree.bytes_on(n_threads)
        };
        let one = image(1);
        assert!(one == image(4), "{compression:?}");
        assert!(one == image(4), "{compression:?}, the second time");
    }
}

#[test]
fn the_order_of_declarations_does_not_matter() {
    let image = |names: &[&str]| {
        let mut tree = Tree::new(options(Compression::Lz4));
        for name in names {
            let directory = tree.directory(ROOT, name);
            let file = tree.file(directory, "file", name.as_bytes().repeat(3000));
            tree.xattrs(file, &[("user.name", name.as_bytes()), ("user.same", b"the same for all of them")]);
            tree.file(directory, "same", b"in all of them".repeat(1000));
            tree.builder.symlink(directory, b"long", mode(0o777), &name.as_bytes().repeat(4090)).unwrap();
        }
        tree.bytes()
    };
    assert_eq!(image(&["a", "b", "c"]), image(&["c", "a", "b"]));
}

/// A change of one declaration or option.
type Change = fn(&mut Options, &mut mkimg::erofs::Metadata, &mut Vec<u8>, &mut String);

#[test]
fn every_change_shows() {
    let image = |change: Change| {
        let mut with = options(Compression::lz4hc(None).unwrap());
        let (mut metadata, mut content, mut name) = (mode(0o644), words(50_000, 1), "name".to_owned());
        change(&mut with, &mut metadata, &mut content, &mut name);
        let mut tree = Tree::new(with);
        tree.file_with(ROOT, name.as_bytes(), metadata, content);
        digest(&tree.bytes())
    };
    let changes: [Change; 15] = [
        |_, _, _, _| {},
        |options, _, _, _| options.epoch = Timestamp::saturating(options.epoch.seconds() + 1),
        |options, _, _, _| options.uuid[3] ^= 1,
        |options, _, _, _| options.label.push(b'x'),
        |options, _, _, _| options.cluster_size = ClusterSize::from_bytes(8192).unwrap(),
        |options, _, _, _| options.compression = Compression::zstd(Some(1)).unwrap(),
        |options, _, _, _| options.compression = Compression::None,
        |_, metadata, _, _| metadata.mode = 0o645,
        |_, metadata, _, _| metadata.mtime = Timestamp::saturating(metadata.mtime.seconds() + 1),
        |_, metadata, _, _| metadata.mtime = Timestamp::saturating(metadata.mtime.seconds()),
        |_, metadata, _, _| metadata.uid = 1,
        |_, metadata, _, _| metadata.gid = 2,
        |_, _, content, _| content[0] = b'C',
        |_, _, content, _| content.push(0),
        |_, _, _, name| name.push('s'),
    ];
    let mut digests = changes.map(image);
    digests.sort_unstable();
    assert!(digests.windows(2).all(|pair| pair[0] != pair[1]), "two changes have the same digest");
}
