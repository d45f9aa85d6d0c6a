//! What needs the parts of the format that small trees never see.

use mkimg::ext4::{BlockSize, Journal, ROOT, Size};
use mkimg::{CountingSink, SparseFile};

use crate::support::{MIB, Tree, fsck, judge, mode, options, scratch};

fn small_blocks() -> Tree {
    let mut options = options(BlockSize::B1024, Size::Fit { slack: 0 });
    options.journal = Journal::None;
    Tree::new(options)
}

#[test]
fn a_directory_can_have_more_than_65000_subdirectories() {
    for n_directories in [64_998, 64_999] {
        let mut tree = small_blocks();
        let many = tree.directory(ROOT, "many");
        for index in 0..n_directories {
            tree.directory(many, &index.to_string());
        }
        let reader = judge(tree);
        let links = reader.resolve(b"/many").unwrap().links;
        assert_eq!(links, if n_directories == 64_998 { 65_000 } else { 1 });
        assert!(reader.dump().unwrap().contains("/many/64997 directory 0755"));
    }
}

#[test]
fn a_file_can_have_65000_names() {
    let mut tree = small_blocks();
    let file = tree.file(ROOT, "file", b"content".to_vec());
    for index in 1..65_000 {
        tree.builder.link(ROOT, format!("link {index}").as_bytes(), file).unwrap();
    }
    let error = tree.builder.link(ROOT, b"one too many", file).unwrap_err();
    assert_eq!(error.to_string(), "`/file` has more than 65000 hard links");
    let reader = judge(tree);
    assert_eq!(reader.resolve(b"/link 64999").unwrap().links, 65_000);
    // 65000 names of 1024-byte blocks need an index with a level below the root.
    assert!(!reader.superblock().feature_names().contains(&"large_dir"));
}

#[test]
fn an_index_can_have_three_levels() {
    let mut tree = small_blocks();
    let many = tree.directory(ROOT, "many");
    let file = tree.file(many, "first", vec![1]);
    // Three names of this length fill a leaf, and 123 × 126 leaves are too many for two levels.
    for index in 1..50_000 {
        tree.builder.link(many, format!("{index:0>253}").as_bytes(), file).unwrap();
    }
    let reader = judge(tree);
    assert!(reader.superblock().feature_names().contains(&"large_dir"));
    assert_eq!(reader.resolve(format!("/many/{:0>253}", 49_999).as_bytes()).unwrap().links, 50_000);
}

#[test]
fn attributes_are_shared_by_1024_inodes_at_most() {
    let mut tree = small_blocks();
    for index in 0..2500 {
        let node = tree.file(ROOT, &format!("{index}"), vec![]);
        tree.xattrs(node, &[("user.large", &[7; 500])]);
    }
    let reader = judge(tree);
    let inodes = (0..2500).map(|index| reader.resolve(format!("/{index}").as_bytes()).unwrap());
    let mut blocks: Vec<u64> = inodes.map(|inode| inode.xattr_block).collect();
    blocks.sort_unstable();
    blocks.dedup();
    assert_eq!(blocks.len(), 3);
}

#[test]
fn a_sparse_file_can_have_16_tib() {
    let size = u64::from(u32::MAX) * 4096;
    let mut tree = Tree::new(options(BlockSize::B4096, Size::Fit { slack: 0 }));
    let ends = [0..1, size / 2..size / 2 + 1, size - 1..size];
    tree.builder.sparse_file(ROOT, b"huge", mode(0o644), size, &ends).unwrap();
    // More holes than a block of the extent tree has entries, twice over: three levels.
    let holes: Vec<_> = (0..120_000u64).map(|index| index * 8192..index * 8192 + 1).collect();
    tree.builder.sparse_file(ROOT, b"holes", mode(0o644), 1 << 40, &holes).unwrap();

    let sealed = tree.seal().unwrap();
    let mut offsets = Vec::new();
    let directory = scratch();
    let path = directory.path().join("image");
    let file = std::fs::File::create_new(&path).unwrap();
    let mut sink = SparseFile::new(&file);
    let mut contents = |_, offset: u64, buffer: &mut [u8]| {
        offsets.push((offset, buffer.len() as u64));
        buffer.fill(b'x');
        Ok(())
    };
    sealed.image.write(&mut contents, &mut sink).unwrap();
    sink.finish().unwrap();
    // The last block of the file ends with the file.
    assert!(offsets.contains(&(size - 4096, 4096)));
    fsck(&path);
    let reader = mkimg::ext4::Reader::open(std::fs::File::open(&path).unwrap()).unwrap();
    reader.check().unwrap();
    let huge = reader.resolve(b"/huge").unwrap();
    assert_eq!((huge.size, huge.sectors), (size, 3 * 8));
    let mut end = [0; 5000];
    reader.data(&huge).unwrap().read_exact_at(size - 5000, &mut end).unwrap();
    assert_eq!((end[903], end[904], end[4999]), (0, b'x', b'x'));
    let data = reader.data(&huge).unwrap();
    let middle = size / 2 / 4096 * 4096;
    let found =
        [0, 4095, 4096, middle, middle + 1, middle + 4096, size - 1, size].map(|at| data.next_data(at));
    let last = size - 4096;
    assert_eq!(found, [0, 4095, middle, middle, middle + 1, last, size - 1, size]);
    let holes = reader.resolve(b"/holes").unwrap();
    assert_eq!(reader.data(&holes).unwrap().extents().len(), 120_000);
}

#[test]
fn a_file_of_many_groups_is_written_in_order() {
    let mut tree = Tree::new(options(BlockSize::B4096, Size::Fit { slack: 0 }));
    let size = 3000 * MIB + 5;
    tree.builder.file(ROOT, b"large", mode(0o644), size).unwrap();
    let sealed = tree.seal().unwrap();
    let mut next = 0;
    let mut contents = |_, offset: u64, buffer: &mut [u8]| {
        assert_eq!(offset, next);
        next += buffer.len() as u64;
        Ok(())
    };
    let mut sink = CountingSink::default();
    sealed.image.write(&mut contents, &mut sink).unwrap();
    assert_eq!(next, size);
    assert_eq!(sink.data + sink.zeros, sealed.image.size());
}

#[test]
fn a_file_system_of_terabytes_needs_little_memory_and_few_bytes() {
    for (size, block_size) in [(30 << 40, BlockSize::B4096), (700 << 30, BlockSize::B1024)] {
        let mut tree = Tree::new(options(block_size, Size::Fixed(size)));
        tree.file(ROOT, "file", vec![1]);
        let sealed = tree.seal().unwrap();
        let mut sink = CountingSink::default();
        sealed.write(&mut sink);
        assert_eq!(sink.data + sink.zeros, size);
        assert!(sink.data < size / 1000, "{} bytes of data", sink.data);
    }
}
