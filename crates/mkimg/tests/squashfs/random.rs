//! Random trees, which have to come back as they were declared.

use mkimg::squashfs::{BlockSize, Content, Fragments, Metadata, Options, Reader, Squashfs, Timestamp};
use proptest::prelude::*;

use crate::support::random::{Expected, Paths, Rules, check, declarations, declare};
use crate::support::{EPOCH, Tree, compressions, scratch, tool};

fn rules() -> Rules<Squashfs> {
    Rules {
        target: 4095,
        name: 255,
        seconds: 0..1 << 32,
        has_nanoseconds: false,
        reserved: b"",
        // Where zeros are, it finds itself.
        sparse: |builder, parent, name, metadata, size, _| {
            builder.file(parent, name, metadata, size).unwrap()
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
            let (mut content, mut device) = (vec![], None);
            let kind = match &inode.content {
                Content::Directory { .. } => "directory",
                Content::File { size, .. } => {
                    content.resize(usize::try_from(*size).unwrap(), 0);
                    reader.file(inode)?.read_exact_at(0, &mut content)?;
                    "file"
                }
                Content::Symlink { target } => {
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
            let metadata = Metadata {
                mode: inode.mode,
                uid: inode.uid,
                gid: inode.gid,
                mtime: Timestamp::saturating(inode.mtime.into()),
            };
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
        block_size in proptest::sample::select(vec![4096_u32, 16384, 131_072]),
        fragments in proptest::sample::select(vec![Fragments::None, Fragments::Small, Fragments::All]),
        exportable in any::<bool>(),
        n_threads in 1..4usize,
    ) {
        let block_size = BlockSize::from_bytes(block_size).unwrap();
        let with = Options { block_size, fragments, exportable, ..Options::new(compression, EPOCH) };
        let mut tree = Tree::new(with);
        let expected = declare(&mut tree, &rules(), &declarations);
        let bytes = tree.bytes_on(n_threads);
        let directory = scratch();
        std::fs::write(directory.path().join("image"), &bytes).unwrap();
        // Names have every byte, lines included, so what it lists is only counted.
        let listed = tool("unsquashfs", directory.path(), &["-lln", "image"]);

        if let Some(listed) = listed {
            let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
            let in_names: usize = expected.iter().map(|(path, expected)| {
                1 + lines(path) + if expected.kind == "symlink" { lines(&expected.content) } else { 0 }
            }).sum();
            prop_assert_eq!(lines(&listed), in_names + 1);
        }
        check(&collect(&Reader::open(bytes).unwrap()), expected)?;
    }
}
