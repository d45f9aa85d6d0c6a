//! ext4 images: described, pinned, judged by e2fsprogs, damaged, random, and sensitive to what they are made of.

#[path = "ext4/foreign.rs"]
mod foreign;
#[path = "ext4/support.rs"]
mod support;
