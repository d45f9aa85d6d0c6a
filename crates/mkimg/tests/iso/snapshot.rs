//! What images say, and what they are, to the byte.

use mkimg::HashSink;
use mkimg::disk::Guid;
use mkimg::iso::{BootEntry, HybridTable, MbrPatch, Options, Platform, ROOT, Timestamp, Uuid};

use crate::support::{EPOCH, Sealed, Tree, everything, hybrid, mode, noise, options, read};

fn digest(sealed: &Sealed) -> String {
    let mut sink = HashSink::default();
    sealed.write(&mut sink);
    sink.finish().0
}

#[test]
fn one_of_everything_has_this_description() {
    let text = read(everything(options()).bytes()).dump().unwrap();
    // What has a number in its name differs in nothing else.
    let shown = text.lines().filter(|line| !line.contains("/many/")).map(|line| format!("{line}\n"));
    let (found, expected) = (shown.collect::<String>(), include_str!("everything.txt"));
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(found == expected, "first difference: {differs:#?}\nthe whole is\n{found}");
}

const TABLES: [HybridTable; 3] = [
    HybridTable::None,
    HybridTable::Mbr { signature: 0x1234_abcd },
    HybridTable::Gpt { guid: Guid(*b"guid-of-the-disk") },
];

/// A change here is a new version of the format: every image and everything made from one gets another digest.
#[test]
fn one_of_everything_has_this_digest() {
    let digests = TABLES.map(|table| {
        let with = Options { hybrid: Some(hybrid(table)), ..options() };
        digest(&everything(with).seal().unwrap())[..16].to_owned()
    });
    assert_eq!(digests, ["96063bb7df277a07", "169ab295f3ec8fb4", "e0d0c78bed7ed17b"]);
}

#[test]
fn the_order_of_declarations_does_not_matter() {
    let image = |names: &[&str]| {
        let mut tree = Tree::new(options());
        for name in names {
            let directory = tree.directory(ROOT, name);
            let file = tree.file(directory, "file", name.as_bytes().repeat(3000));
            tree.builder.link(directory, b"again", file).unwrap();
        }
        tree.bytes()
    };
    assert_eq!(image(&["a?", "a*", "c"]), image(&["c", "a*", "a?"]));
}

/// A change of one declaration or option.
type Change = fn(&mut Options, &mut BootEntry, &mut u16, &mut Vec<u8>, &mut String);

#[test]
fn every_change_shows() {
    let image = |change: Change| {
        let mut with = Options { hybrid: Some(hybrid(TABLES[2])), ..options() };
        let (mut bits, mut content, mut name) = (0o644, b"content".to_vec(), "name".to_owned());
        let mut tree = Tree::new(options());
        let image = tree.file(ROOT, "boot", noise(9000, 1));
        let mut entry = BootEntry::new(Platform::Bios, image);
        change(&mut with, &mut entry, &mut bits, &mut content, &mut name);
        let mut tree = Tree::new(with);
        let boot = tree.file(ROOT, "boot", noise(9000, 1));
        assert_eq!(boot, image);
        tree.boot(entry);
        tree.file_with(ROOT, name.as_bytes(), mode(bits), content);
        digest(&tree.seal().unwrap())
    };
    let changes: [Change; 21] = [
        |_, _, _, _, _| {},
        |options, _, _, _, _| options.volume_id.push('x'),
        |options, _, _, _, _| options.labels.system.push('x'),
        |options, _, _, _, _| options.labels.volume_set.push('x'),
        |options, _, _, _, _| options.labels.publisher.push('x'),
        |options, _, _, _, _| options.labels.preparer.push('x'),
        |options, _, _, _, _| options.labels.application.push('x'),
        |options, _, _, _, _| options.epoch = Timestamp::saturating(EPOCH + 1),
        |options, _, _, _, _| options.uuid = Uuid::parse("2024-01-01-00-00-00-00"),
        |options, _, _, _, _| options.joliet = false,
        |options, _, _, _, _| options.hybrid = None,
        |options, _, _, _, _| options.hybrid.as_mut().unwrap().table = TABLES[1],
        |options, _, _, _, _| options.hybrid.as_mut().unwrap().patch = MbrPatch::Isolinux,
        |options, _, _, _, _| options.hybrid.as_mut().unwrap().code[1] ^= 1,
        |_, entry, _, _, _| entry.load_units = Some(5),
        |_, entry, _, _, _| entry.info_table = true,
        |_, entry, _, _, _| entry.grub2 = true,
        |_, _, bits, _, _| *bits = 0o645,
        |_, _, _, content, _| content[0] = b'C',
        |_, _, _, content, _| content.push(0),
        |_, _, _, _, name| name.push('s'),
    ];
    let mut digests = changes.map(image);
    digests.sort_unstable();
    assert!(digests.windows(2).all(|pair| pair[0] != pair[1]), "two changes have the same digest");
}
