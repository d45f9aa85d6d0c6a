//! What is stored once, or not at all.

use mkimg::squashfs::{Compression, Content, Fragments, Options, ROOT};

use crate::support::{Tree, compressions, content, everything, noise, options, read, text};

fn gzip() -> Options {
    options(Compression::gzip(None).unwrap())
}

#[test]
fn files_of_the_same_contents_share_their_blocks() {
    let size = |second: Vec<u8>| {
        let mut tree = Tree::new(gzip());
        tree.file(ROOT, "a", noise(50_000, 1));
        tree.file(ROOT, "b", second);
        let reader = read(tree.bytes());
        let place = |path: &[u8]| reader.resolve(path).unwrap().content;
        (reader.superblock().bytes_used, place(b"a") == place(b"b"))
    };
    let (shared, same) = size(noise(50_000, 1));
    // The lists of sizes are elsewhere, all else of the places is the same.
    assert!(!same && shared < 51_000, "{shared}");
    let mut other = noise(50_000, 1);
    other[49_999] ^= 1;
    assert!(size(other).0 > 100_000);
}

#[test]
fn blocks_of_zeros_are_not_stored() {
    let mut tree = Tree::new(gzip());
    let mut holes = vec![0; 1 << 20];
    holes[500_000] = 1;
    tree.file(ROOT, "holes", holes.clone());
    let reader = read(tree.bytes());
    let Content::File { sparse, .. } = reader.resolve(b"holes").unwrap().content else { panic!("a file") };
    assert_eq!(sparse, (1 << 20) - 4096);
    let (n_blocks, stored, zeros) =
        reader.file(&reader.resolve(b"holes").unwrap()).unwrap().blocks().unwrap();
    assert_eq!((n_blocks, zeros), (256, 255));
    assert!(stored < 100, "{stored}");
    assert_eq!(content(&reader, "holes"), holes);
}

#[test]
fn ends_share_blocks_as_far_as_asked_for() {
    let blocks = |fragments| {
        let mut tree = Tree::new(Options { fragments, ..gzip() });
        for index in 0..10 {
            tree.file(ROOT, &format!("small{index}"), text(400, index));
            tree.file(ROOT, &format!("large{index}"), text(4096 + 400, 100 + index));
        }
        let reader = read(tree.bytes());
        for index in 0..10 {
            assert_eq!(content(&reader, &format!("small{index}")), text(400, index));
            assert_eq!(content(&reader, &format!("large{index}")), text(4096 + 400, 100 + index));
        }
        reader.superblock().fragments
    };
    // Ten ends of 400 bytes fill a block of 4096.
    assert_eq!([Fragments::None, Fragments::Small, Fragments::All].map(blocks), [0, 1, 2]);
}

#[test]
fn what_does_not_become_smaller_is_stored_as_it_is() {
    for compression in compressions() {
        let mut tree = Tree::new(options(compression.clone()));
        tree.file(ROOT, "noise", noise(40_960, 1));
        let reader = read(tree.bytes());
        let stored = reader.file(&reader.resolve(b"noise").unwrap()).unwrap().blocks().unwrap().1;
        assert_eq!(stored, 40_960, "{compression:?}");
        assert_eq!(content(&reader, "noise"), noise(40_960, 1));
    }
}

#[test]
fn the_best_filter_is_chosen_for_each_block() {
    let stored = |compression: Compression| {
        let reader = read(everything(options(compression)).bytes());
        assert_eq!(content(&reader, "bin/code").len(), 54_000);
        let size = |path: &[u8]| reader.file(&reader.resolve(path).unwrap()).unwrap().blocks().unwrap().1;
        (size(b"bin/code"), size(b"etc/text"))
    };
    let (plain, text) = stored(Compression::xz([]));
    let (filtered, filtered_text) =
        stored(Compression::xz([mkimg::squashfs::Bcj::X86, mkimg::squashfs::Bcj::Arm]));
    assert!(filtered * 10 < plain * 9, "{filtered} of {plain}");
    assert_eq!(filtered_text, text);
}

#[test]
fn every_size_around_blocks_comes_back() {
    for compression in compressions() {
        for fragments in [Fragments::None, Fragments::Small, Fragments::All] {
            let mut tree = Tree::new(Options { fragments, ..options(compression.clone()) });
            let sizes = [0, 1, 2, 4095, 4096, 4097, 8191, 8192, 8193, 12_288];
            for size in sizes {
                tree.file(ROOT, &size.to_string(), text(size, size as u32));
            }
            let reader = read(tree.bytes());
            for size in sizes {
                assert_eq!(content(&reader, &size.to_string()), text(size, size as u32));
            }
        }
    }
}
