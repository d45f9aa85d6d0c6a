//! What e2fsprogs thinks of the images.

use mkimg::ext4::{BlockSize, Growth, Inodes, Journal, ROOT, Size};

use crate::support::{MIB, Tree, everything, fsck, judge, mode, noise, options, read, scratch, tool};

#[test]
fn e2fsck_accepts_one_of_everything() {
    for block_size in [BlockSize::B1024, BlockSize::B2048, BlockSize::B4096] {
        judge(everything(block_size));
    }
}
