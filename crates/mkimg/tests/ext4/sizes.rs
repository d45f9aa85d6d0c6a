//! Images of a fixed size, and images that are as small as they can be.

use mkimg::ext4::{BlockSize, Error, Growth, Inodes, Journal, Options, ROOT, Size};

use crate::support::{MIB, Tree, judge, noise, options};

fn filled(options: Options, n_bytes: usize) -> Tree {
    let mut tree = Tree::new(options);
    let directory = tree.directory(ROOT, "directory");
    for (index, chunk) in noise(n_bytes, 4).chunks(40_000).enumerate() {
        tree.file(directory, &format!("{index}"), chunk.to_vec());
    }
    tree
}

#[test]
fn every_fixed_size_works() {
    for block_size in [BlockSize::B1024, BlockSize::B2048, BlockSize::B4096] {
        // Around the borders of groups, where a last group can be too small to be worth having.
        let group = u64::from(block_size.bytes()) * u64::from(block_size.bytes()) * 8;
        for size in
            [MIB, 3 * MIB + 777, group - 1, group + 1, group + 70_000, 2 * group + 3000, 3 * group + MIB]
        {
            let tree = filled(options(block_size, Size::Fixed(size)), 200_000);
            // What is behind the last block or behind a last group that is not worth having is part of the image.
            let blocks = judge(tree).superblock().blocks_count * u64::from(block_size.bytes());
            assert!(blocks <= size && size - blocks < 3 * MIB, "{blocks} of {size}");
        }
    }
}

#[test]
fn options_show_in_the_image() {
    let base = options(BlockSize::B1024, Size::Fixed(40 * MIB));
    let check = |change: &dyn Fn(&mut Options)| {
        let mut options = base.clone();
        change(&mut options);
        judge(filled(options, 100_000)).superblock().clone()
    };
    assert_eq!(check(&|options| options.inodes = Inodes::Count(5000)).inodes_count, 5000);
    assert_eq!(check(&|options| options.reserved_percent = 5).reserved_blocks, 40_960 * 5 / 100);
    assert_eq!(check(&|options| options.journal = Journal::None).journal_inode, 0);
    assert_eq!(check(&|options| options.journal = Journal::Blocks(3000)).journal_inode, 8);
    assert_eq!(check(&|options| options.growth = Growth::Unplanned).reserved_gdt_blocks, 0);
    assert_eq!(check(&|options| options.growth = Growth::UpTo(1 << 36)).reserved_gdt_blocks, 256);
    assert_eq!(check(&|options| options.label = b"sixteen bytes..!".to_vec()).label, *b"sixteen bytes..!");
}

#[test]
fn an_image_that_fits_has_the_slack_and_no_more() {
    for block_size in [BlockSize::B1024, BlockSize::B2048, BlockSize::B4096] {
        for n_bytes in [0, 5_000, 900_000, 9_000_000] {
            for slack in [0, 1, 10 * MIB] {
                let mut with = options(block_size, Size::Fit { slack });
                with.journal = if n_bytes == 900_000 { Journal::Auto } else { Journal::None };
                let reader = judge(filled(with.clone(), n_bytes));
                let size = reader.superblock().blocks_count * u64::from(block_size.bytes());
                let free = reader.superblock().free_blocks * u64::from(block_size.bytes());
                assert!(free >= slack, "{free} bytes are free and {slack} were asked for");
                // A last group that would be too small has some blocks more.
                // A kernel keeps 2 % back.
                let least = 50 * u64::from(block_size.bytes()) + 3 * MIB / 2 + size / 50;
                assert!(free < slack + least, "{free} bytes are free and {slack} were asked for");
                let inodes = Inodes::Count(reader.superblock().inodes_count);
                let fixed = Options { size: Size::Fixed(size), inodes, ..with };
                assert_eq!(filled(fixed, n_bytes).seal().unwrap().image.size(), size);
            }
        }
    }
}

#[test]
fn an_image_that_does_not_fit_says_by_how_much() {
    for (block_size, journal) in [(BlockSize::B1024, Journal::None), (BlockSize::B4096, Journal::Auto)] {
        let with = |size| Options { journal, ..options(block_size, Size::Fixed(size)) };
        let mut size = 5 * MIB;
        let Err(error) = filled(with(size), 8_000_000).seal() else {
            panic!("eight megabytes fit into five")
        };
        let Error::DoesNotFit { short_by, .. } = &error else { panic!("{error}") };
        assert!((3 * MIB..8 * MIB).contains(short_by), "{error}");
        size += short_by;
        judge(filled(with(size), 8_000_000));
        let less = size - u64::from(block_size.bytes());
        let Err(Error::DoesNotFit { short_by, .. }) = filled(with(less), 8_000_000).seal() else {
            panic!("it fits")
        };
        assert_eq!(short_by, u64::from(block_size.bytes()));
    }
}

#[test]
fn the_largest_files_are_named() {
    let mut tree = Tree::new(options(BlockSize::B4096, Size::Fixed(MIB)));
    let directory = tree.directory(ROOT, "usr");
    tree.file(ROOT, "small", vec![0; 10]);
    tree.file(ROOT, "large", vec![0; 1_500_000]);
    tree.file(directory, "largest", vec![0; 2_000_000]);
    let Err(error) = tree.seal() else { panic!("it fits") };
    let text = error.to_string();
    assert!(text.starts_with("the contents do not fit into 1048576 bytes: "), "{text}");
    assert!(
        text.ends_with(
            "the largest files: `/usr/largest` with 2000000, `/large` with 1500000, `/small` with 10"
        ),
        "{text}"
    );
}
