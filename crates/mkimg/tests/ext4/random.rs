//! Random trees, which have to come back as they were declared.

use mkimg::ext4::{BlockSize, Ext4, Journal, Metadata, Reader, Size, Timestamp};
use proptest::prelude::*;

use crate::support::random::{Expected, Paths, Rules, check, declarations, declare};
use crate::support::{Tree, fsck, options, scratch};

fn rules() -> Rules<Ext4> {
    Rules {
        target: 1023,
        name: 255,
        seconds: Timestamp::MIN_SECONDS..Timestamp::MAX_SECONDS + 1,
        has_nanoseconds: true,
        reserved: b"/lost+found",
        sparse: |builder, parent, name, metadata, size, data| {
            builder.sparse_file(parent, name, metadata, size, data).unwrap()
        },
        set_xattrs: |builder, node, xattrs| builder.set_xattrs(node, xattrs).unwrap(),
    }
}

/// Reads what is there in the same form; identities are inode numbers.
fn collect(reader: &Reader<Vec<u8>>) -> Paths {
    let mut found = Paths::new();
    reader
        .walk(&mut |visit| {
            let inode = visit.inode;
            let mut content = vec![];
            if inode.is_file() {
                content.resize(usize::try_from(inode.size).unwrap(), 0);
                reader.data(inode)?.read_exact_at(0, &mut content)?;
            } else if inode.is_symlink() {
                content = reader.symlink_target(inode)?;
            }
            let metadata =
                Metadata { mode: inode.mode & 0o7777, uid: inode.uid, gid: inode.gid, mtime: inode.mtime };
            let xattrs = reader.xattrs(inode)?;
            let kind = match inode.mode >> 12 {
                1 => "fifo",
                2 => "char",
                4 => "directory",
                6 => "block",
                8 => "file",
                10 => "symlink",
                12 => "socket",
                other => panic!("no type {other}"),
            };
            let identity = inode.number as usize;
            let entry = Expected { identity, metadata, kind, content, device: inode.device(), xattrs };
            found.insert(visit.path.to_vec(), entry);
            Ok(())
        })
        .unwrap();
    found.remove(b"/".as_slice());
    found.remove(b"/lost+found".as_slice());
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_back(
        declarations in declarations(&rules()),
        block_size in prop_oneof![Just(BlockSize::B1024), Just(BlockSize::B2048), Just(BlockSize::B4096)],
        slack in prop_oneof![Just(0), 0..20_000_000u64],
        has_journal in any::<bool>(),
    ) {
        let mut with = options(block_size, Size::Fit { slack });
        with.journal = if has_journal { Journal::Auto } else { Journal::None };
        let mut tree = Tree::new(with);
        let expected = declare(&mut tree, &rules(), &declarations);
        let bytes = tree.bytes();
        let directory = scratch();
        let path = directory.path().join("image");
        std::fs::write(&path, &bytes).unwrap();
        fsck(&path);

        let reader = Reader::open(bytes).unwrap();
        reader.check().unwrap();
        check(&collect(&reader), expected)?;
    }
}
