//! Random trees, which have to come back as they were declared.

use mkimg::erofs::{Content, Erofs, Metadata, Reader, Timestamp};
use proptest::prelude::*;

use crate::support::random::{Expected, Paths, Rules, check, declarations, declare};
use crate::support::{Tree, clusters, compressions, scratch, tool};

fn rules() -> Rules<Erofs> {
    Rules {
        target: 4095,
        name: 255,
        seconds: Timestamp::MIN_SECONDS..Timestamp::MAX_SECONDS + 1,
        has_nanoseconds: true,
        reserved: b"",
        // Where zeros are, it finds itself.
        sparse: |builder, parent, name, metadata, size, _| {
            builder.file(parent, name, metadata, size).unwrap()
        },
        set_xattrs: |builder, node, xattrs| builder.set_xattrs(node, xattrs).unwrap(),
    }
}

/// Reads what is there in the same form; identities are numbers of inodes.
fn collect(reader: &Reader<Vec<u8>>) -> Paths {
    let mut found = Paths::new();
    reader
        .walk(&mut |visit| {
            let inode = visit.inode;
            let mut device = None;
            let content = || reader.bytes(inode, 1 << 20);
            let (kind, content) = match inode.content {
                Content::Directory => ("directory", vec![]),
                Content::File => ("file", content()?),
                Content::Symlink => ("symlink", content()?),
                Content::BlockDevice(major, minor) => {
                    device = Some((major, minor));
                    ("block", vec![])
                }
                Content::CharDevice(major, minor) => {
                    device = Some((major, minor));
                    ("char", vec![])
                }
                Content::Fifo => ("fifo", vec![]),
                Content::Socket => ("socket", vec![]),
            };
            let mtime = Timestamp::new(inode.mtime.0, inode.mtime.1).unwrap();
            let metadata = Metadata { mode: inode.mode, uid: inode.uid, gid: inode.gid, mtime };
            let xattrs = reader.xattrs(inode)?;
            let identity = inode.number as usize;
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
    fn trees_come_back(
        declarations in declarations(&rules()),
        compression in proptest::sample::select(compressions().to_vec()),
        cluster in proptest::sample::select(vec![4096_u32, 16384, 131_072]),
        n_threads in 1..4usize,
    ) {
        let mut tree = Tree::new(clusters(compression, cluster));
        let expected = declare(&mut tree, &rules(), &declarations);
        let bytes = tree.bytes_on(n_threads);
        let directory = scratch();
        let path = directory.path().join("image");
        std::fs::write(&path, &bytes).unwrap();
        // What packages have knows no Zstandard.
        let is_known = compression.name() != "zstd";
        let judged = is_known.then(|| tool("fsck.erofs", &["--extract", path.to_str().unwrap()])).flatten();
        if let Some((code, said)) = judged {
            prop_assert!(code == 0, "{}", said);
        }
        check(&collect(&Reader::open(bytes).unwrap()), expected)?;
    }
}
