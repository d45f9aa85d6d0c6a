//! What images say, and what they are, to the byte.

use mkimg::HashSink;
use mkimg::ext4::{BlockSize, Options, ROOT, Size, Timestamp};

use crate::support::{Sealed, Tree, everything, mode, options, read};

/// Compares with a file in `tests/ext4`; the message has what it should be.
#[track_caller]
fn check_text(found: &str, expected: &str) {
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(found == expected, "first difference: {differs:#?}\nthe whole is\n{found}");
}

fn digest(sealed: &Sealed) -> String {
    let mut sink = HashSink::default();
    sealed.write(&mut sink);
    sink.finish().0
}

#[test]
fn one_of_everything_has_this_description() {
    let text = read(everything(BlockSize::B4096).bytes()).dump().unwrap();
    // What has a number in its name differs in nothing else.
    let shown = text.lines().filter(|line| !line.starts_with("/many/file")).map(|line| format!("{line}\n"));
    check_text(&shown.collect::<String>(), include_str!("everything.txt"));
}

/// A change here is a new version of the format: every image and everything made from one gets another digest.
#[test]
fn one_of_everything_has_this_digest() {
    let digests = [BlockSize::B1024, BlockSize::B2048, BlockSize::B4096]
        .map(|size| digest(&everything(size).seal().unwrap()));
    let expected = [
        "d60ae60e802e3668e2e6c010dcca5424650e67bba8c5772b31bb6715105cf450",
        "23ce23b43aa053df262c7947816551e3fdc2fd6333fad49b72961a7e336c3b8b",
        "0be0dc561832a8ec32f44d963eda60e47f8bfbe9be1578339f3944e7fe333a09",
    ];
    assert_eq!(digests, expected);
}

#[test]
fn the_order_of_declarations_does_not_matter() {
    let image = |names: &[&str]| {
        let mut tree = Tree::new(options(BlockSize::B1024, Size::Fit { slack: 5000 }));
        for name in names {
            let directory = tree.directory(ROOT, name);
            let file = tree.file(directory, "file", name.as_bytes().to_vec());
            tree.xattrs(file, &[("user.name", name.as_bytes())]);
        }
        tree.bytes()
    };
    assert_eq!(image(&["a", "b", "c"]), image(&["c", "a", "b"]));
}

/// A change of one declaration or option.
type Change = fn(&mut Options, &mut u16, &mut Vec<u8>, &mut String);

#[test]
fn every_change_shows() {
    let image = |change: Change| {
        let mut with = options(BlockSize::B1024, Size::Fixed(2 << 20));
        let (mut bits, mut content, mut name) = (0o644, b"content".to_vec(), "name".to_owned());
        change(&mut with, &mut bits, &mut content, &mut name);
        let mut tree = Tree::new(with);
        let file = tree.file(ROOT, &name, content);
        tree.builder.set_metadata(file, mode(bits)).unwrap();
        digest(&tree.seal().unwrap())
    };
    let changes: [Change; 12] = [
        |_, _, _, _| {},
        |options, _, _, _| options.uuid[15] ^= 1,
        |options, _, _, _| options.hash_seed[0] ^= 1,
        |options, _, _, _| options.label.push(b'!'),
        |options, _, _, _| options.epoch = Timestamp::new(options.epoch.seconds(), 1).unwrap(),
        |options, _, _, _| options.epoch = Timestamp::new(options.epoch.seconds() + 1, 0).unwrap(),
        |options, _, _, _| options.reserved_percent = 1,
        |options, _, _, _| options.size = Size::Fixed((2 << 20) + 1),
        |_, bits, _, _| *bits = 0o645,
        |_, _, content, _| content[0] = b'C',
        |_, _, content, _| content.push(0),
        |_, _, _, name| name.push('s'),
    ];
    let mut digests = changes.map(image);
    digests.sort_unstable();
    assert!(digests.windows(2).all(|pair| pair[0] != pair[1]), "two changes have the same digest");
}
