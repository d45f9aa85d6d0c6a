//! What is stored once, or not at all, and what every layout gives back.

use mkimg::erofs::{Compression, ROOT};

use crate::support::{Tree, clusters, compressions, content, dump, noise, options, read, text, words};

#[test]
fn files_of_the_same_contents_share_their_blocks() {
    let size = |second: Vec<u8>| {
        let mut tree = Tree::new(options(Compression::None));
        tree.file(ROOT, "a", noise(50_000, 1));
        tree.file(ROOT, "b", second.clone());
        let reader = read(tree.bytes());
        assert_eq!(content(&reader, "b"), second);
        u64::from(reader.superblock().blocks) * 4096
    };
    let shared = size(noise(50_000, 1));
    assert!(shared < 60_000, "{shared}");
    let mut other = noise(50_000, 1);
    other[49_999] ^= 1;
    assert!(size(other) > 100_000);
}

#[test]
fn blocks_of_zeros_are_not_stored() {
    for compression in compressions() {
        let mut tree = Tree::new(options(compression));
        let mut holes = vec![0; 1 << 20];
        holes[500_000] = 1;
        // The end of this one is no block, and belongs to a chunk.
        holes.extend(b"end");
        tree.file(ROOT, "holes", holes.clone());
        tree.file(ROOT, "zeros", vec![0; 100_000]);
        let reader = read(tree.bytes());
        assert!(reader.superblock().blocks < 9, "{compression:?}: {}", reader.superblock().blocks);
        assert!(content(&reader, "holes") == holes);
        assert!(content(&reader, "zeros") == vec![0; 100_000]);
    }
    let text = {
        let mut tree = Tree::new(options(Compression::None));
        tree.file(ROOT, "zeros", vec![0; 100_000]);
        dump(&read(tree.bytes()))
    };
    assert!(text.contains("/zeros file ") && text.contains(" size 100000 chunks of 2^0 blocks "), "{text}");
}

#[test]
fn chunks_grow_with_the_file() {
    // Two chunks of 8 KiB are said with 8 bytes; the first ends in the middle of the data.
    const SIZE: usize = (256 << 20) + 4096 * 3 + 5;
    let mut tree = Tree::new(options(Compression::None));
    let node = tree.builder.file(ROOT, b"f", crate::support::mode(0o644), SIZE as u64).unwrap();
    let image = tree.builder.seal().unwrap();
    let read = |found, offset: u64, buffer: &mut [u8]| {
        assert_eq!(found, node);
        buffer.fill(0);
        // The block before the last one, and the very end.
        let at = (SIZE - 5 - 4096) as u64;
        for marked in [at, SIZE as u64 - 1] {
            if (offset..offset + buffer.len() as u64).contains(&marked) {
                buffer[usize::try_from(marked - offset).unwrap()] = 7;
            }
        }
        Ok(())
    };
    let mut sink = mkimg::MemorySink::default();
    image.write(&read, 2, &mut sink).unwrap();
    let reader = mkimg::erofs::Reader::open(sink.into_bytes()).unwrap();
    let (mut length, mut marked) = (0, Vec::new());
    let inode = reader.resolve(b"f").unwrap();
    reader
        .contents(&inode, &mut |part| {
            if part.iter().any(|byte| *byte != 0) {
                marked.extend(part.iter().zip(length..).filter(|(byte, _)| **byte == 7).map(|(_, at)| at));
            }
            length += part.len();
            Ok(())
        })
        .unwrap();
    assert_eq!((length, marked), (SIZE, vec![SIZE - 5 - 4096, SIZE - 1]));
    let mut text = Vec::new();
    reader.dump(mkimg::erofs::Digests::LeftOut, &mut text).unwrap();
    assert!(String::from_utf8(text).unwrap().contains(" chunks of 2^1 blocks"));
}

#[test]
fn what_does_not_become_smaller_is_stored_as_it_is() {
    for compression in compressions() {
        let mut tree = Tree::new(options(compression));
        tree.file(ROOT, "noise", noise(40_960, 1));
        let reader = read(tree.bytes());
        assert!(dump(&reader).contains(" size 40960 plain at block 1 "), "{compression:?}");
        assert_eq!(content(&reader, "noise"), noise(40_960, 1));
    }
}

#[test]
fn clusters_are_filled() {
    for compression in compressions().into_iter().filter(|compression| *compression != Compression::None) {
        for size in [4096, 16384, 65536, 1 << 20] {
            let mut tree = Tree::new(clusters(compression, size));
            let whole = words(2_000_000, 1);
            tree.file(ROOT, "text", whole.clone());
            let reader = read(tree.bytes());
            let n_blocks = usize::try_from(reader.superblock().blocks).unwrap();
            let most = if compression.name() == "zstd" { 500_000 } else { 1_000_000 };
            assert!(n_blocks * 4096 < most, "{compression:?} {size}: {n_blocks} blocks");
            assert!(content(&reader, "text") == whole, "{compression:?} {size}");
        }
    }
}

#[test]
fn every_size_around_blocks_comes_back() {
    for compression in compressions() {
        for cluster in [4096, 8192, 65536] {
            let mut tree = Tree::new(clusters(compression, cluster));
            let around = |size: usize| [size - 1, size, size + 1];
            let mut sizes = vec![0, 1, 2, 100];
            for blocks in [1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 64, 100, 511, 512, 513] {
                sizes.extend(around(blocks * 4096));
            }
            let half = |size: usize| [words(size / 2, size as u32), noise(size - size / 2, 1)].concat();
            for size in &sizes {
                tree.file(ROOT, &format!("text{size}"), text(*size, *size as u32));
                tree.file(ROOT, &format!("half{size}"), half(*size));
            }
            let reader = read(tree.bytes());
            for size in &sizes {
                assert!(content(&reader, &format!("text{size}")) == text(*size, *size as u32), "{size}");
                assert!(content(&reader, &format!("half{size}")) == half(*size), "{size}");
            }
        }
    }
}
