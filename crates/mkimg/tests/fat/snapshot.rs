//! What images say, and what they are, to the byte.

use mkimg::HashSink;
use mkimg::fat::{Chs, Kind, Options, ROOT, Size};

use crate::support::{EPOCH, Sealed, Tree, everything, options, read};

fn digest(sealed: &Sealed) -> String {
    let mut sink = HashSink::default();
    sealed.write(&mut sink);
    sink.finish().0
}

#[test]
fn one_of_everything_has_this_description() {
    let text = read(everything(Kind::Fat12).bytes()).dump().unwrap();
    // What has a number in its name differs in nothing else.
    let shown =
        text.lines().filter(|line| !line.starts_with("/many/") || line.starts_with("/many/file number 99 "));
    let found: String = shown.map(|line| format!("{line}\n")).collect();
    let expected = include_str!("everything.txt");
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(found == expected, "first difference: {differs:#?}\nthe whole is\n{found}");
}

/// A change here is a new version of the format: every image and everything made from one gets another digest.
#[test]
fn one_of_everything_has_this_digest() {
    let digests =
        [Kind::Fat12, Kind::Fat16, Kind::Fat32].map(|kind| digest(&everything(kind).seal().unwrap()));
    let expected = [
        "face125fccc91896704de41ee832bdf8498ae0c628bd8d01a10480aeff74f0bd",
        "de2a24c06b1c8a0d76e9b8d3f9ce83df92ab362947d6b8bb9acb3ef22eeece10",
        "0dc3326a0569c5b8cf7ea3514b9b5e003fe1fac2bb10291c2833b2e4da3951ab",
    ];
    assert_eq!(digests, expected);
}

#[test]
fn the_order_of_declarations_does_not_matter() {
    let image = |names: &[&str]| {
        let mut tree = Tree::new(options(Size::Fit { slack: 5000 }));
        for name in names {
            let directory = tree.directory(ROOT, name);
            tree.file(directory, "some long name", name.as_bytes().to_vec());
        }
        tree.bytes()
    };
    assert_eq!(image(&["a long name", "A LONGER NAME", "c"]), image(&["c", "A LONGER NAME", "a long name"]));
}

/// A change of one declaration or option.
type Change = fn(&mut Options, &mut i64, &mut Vec<u8>, &mut String);

#[test]
fn every_change_shows() {
    let image = |change: Change| {
        let mut with = options(Size::Fixed(2 << 20));
        let (mut mtime, mut content, mut name) = (EPOCH, b"content".to_vec(), "name".to_owned());
        change(&mut with, &mut mtime, &mut content, &mut name);
        let mut tree = Tree::new(with);
        tree.file_of(ROOT, &name, mtime, content);
        digest(&tree.seal().unwrap())
    };
    let changes: [Change; 16] = [
        |_, _, _, _| {},
        |options, _, _, _| options.volume_id ^= 1,
        |options, _, _, _| options.label = Some("TEST!".to_owned()),
        |options, _, _, _| options.label = None,
        |options, _, _, _| options.epoch += 1,
        |options, _, _, _| options.hidden_sectors = 2048,
        |options, _, _, _| options.chs = Some(Chs { heads: 255, sectors: 63 }),
        |options, _, _, _| options.cluster_size = Some(1024),
        |options, _, _, _| options.sector_size = 1024,
        |options, _, _, _| options.size = Size::Fixed((2 << 20) + 1),
        |options, _, _, _| options.size = Size::Fixed((2 << 20) + 512),
        |_, mtime, _, _| *mtime += 1,
        |_, mtime, _, _| *mtime += 2,
        |_, _, content, _| content[0] = b'C',
        |_, _, content, _| content.push(0),
        |_, _, _, name| name.push('s'),
    ];
    let mut digests = changes.map(image);
    digests.sort_unstable();
    assert!(digests.windows(2).all(|pair| pair[0] != pair[1]), "two changes have the same digest");
}
