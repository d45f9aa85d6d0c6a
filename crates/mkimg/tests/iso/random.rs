//! Random trees, which have to come back as they were declared.

use mkimg::iso::{Builder, Content, Iso, Metadata, Options, Reader, Timestamp, View};
use proptest::prelude::*;

use crate::support::random::{Expected, Paths, Rules, Xattrs, check, declarations, declare};
use crate::support::{Tree, options};

fn rules() -> Rules<Iso> {
    Rules {
        target: 4095,
        name: 253,
        seconds: Timestamp::MIN_SECONDS..5_869_584_000,
        has_nanoseconds: false,
        reserved: b"",
        sparse: |builder: &mut Builder, parent, name, metadata, size, _| {
            builder.file(parent, name, metadata, size).unwrap()
        },
        set_xattrs: |_, _, _| {},
    }
}

/// Reads what is there in the same form; identities are serial numbers.
fn collect(reader: &Reader<Vec<u8>>) -> Paths {
    let mut found = Paths::new();
    reader
        .walk(View::RockRidge, &mut |visit| {
            let entry = visit.entry;
            let (mut content, mut device) = (vec![], None);
            let kind = match &entry.content {
                Content::Directory(_) => "directory",
                Content::File(extents) => {
                    let size: u32 = extents.iter().map(|extent| extent.size).sum();
                    content.resize(size as usize, 0);
                    reader.read_data(extents, 0, &mut content)?;
                    "file"
                }
                Content::Symlink(target) => {
                    content.clone_from(target);
                    "symlink"
                }
                Content::BlockDevice(major, minor) => {
                    device = Some((*major, *minor));
                    "block"
                }
                Content::CharDevice(major, minor) => {
                    device = Some((*major, *minor));
                    "char"
                }
                Content::Fifo => "fifo",
                Content::Socket => "socket",
            };
            let mtime = Timestamp::saturating(entry.mtime);
            let metadata = Metadata { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime };
            let identity = entry.serial.unwrap() as usize;
            let xattrs = Xattrs::new();
            found.insert(visit.path.to_vec(), Expected { identity, metadata, kind, content, device, xattrs });
            Ok(())
        })
        .unwrap();
    found.remove(b"/".as_slice());
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_back(declarations in declarations(&rules()), joliet in any::<bool>()) {
        let mut tree = Tree::new(Options { joliet, ..options() });
        let mut expected = declare(&mut tree, &rules(), &declarations);
        // What it does not keep.
        expected.values_mut().for_each(|expected| expected.xattrs.clear());
        let reader = Reader::open(tree.bytes()).unwrap();
        reader.check().unwrap();
        check(&collect(&reader), expected.clone())?;
        // All names are there in every view, whatever they are called.
        let count = |view| {
            let mut count = 0;
            reader.walk(view, &mut |_| { count += 1; Ok(()) }).unwrap();
            count
        };
        prop_assert_eq!(count(View::Plain), expected.len() + 1);
        let seen = expected.values().filter(|expected| matches!(expected.kind, "file" | "directory")).count();
        prop_assert_eq!(count(View::Joliet), if joliet { seen + 1 } else { 0 });
    }
}
