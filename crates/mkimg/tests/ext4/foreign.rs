//! What e2fsprogs thinks of the images, and what the reader thinks of those of `mke2fs`.

use mkimg::ext4::{BlockSize, Reader};

use crate::support::{everything, judge, noise, scratch, tool};

const BLOCK_SIZES: [BlockSize; 3] = [BlockSize::B1024, BlockSize::B2048, BlockSize::B4096];

#[test]
fn e2fsck_accepts_one_of_everything() {
    for block_size in BLOCK_SIZES {
        judge(everything(block_size));
    }
}

/// Runs a command of `debugfs` on the image of one of everything.
fn debugfs(block_size: BlockSize, command: &str) -> Option<String> {
    let directory = scratch();
    let path = directory.path().join("image");
    std::fs::write(&path, everything(block_size).bytes()).unwrap();
    let (code, text) = tool("debugfs", &["-R", command, path.to_str().unwrap()])?;
    assert_eq!(code, 0, "{text}");
    Some(text)
}

#[track_caller]
fn check_debugfs(command: &str, expected: &[&str]) {
    let Some(text) = debugfs(BlockSize::B4096, command) else { return };
    for expected in expected {
        assert!(text.contains(expected), "no `{expected}` in {text}");
    }
}

#[test]
fn debugfs_sees_what_was_declared() {
    check_debugfs("cat /etc/passwd", &["root:x:0:0::/root:/bin/sh\n"]);
    check_debugfs("stat /hard", &["Links: 2", "Size: 26", "Mode:  0644", "mtime: 0x6553f105:1d6f3454"]);
    check_debugfs(
        "stat /dev/console",
        &["character special", "Mode:  0620", "User: 70000   Group: 80000", "major/minor number: 05:01"],
    );
    check_debugfs("stat /dev/nvme", &["block special", "259:300"]);
    check_debugfs("stat /short", &["Fast link dest: \"etc/passwd\""]);
    check_debugfs("stat /hole", &["Size: 100000", "Blockcount: 0"]);
    check_debugfs("ea_list /bin/ping", &["security.capability (20)"]);
    check_debugfs("ea_get /bin/second user.small", &["user.small (1) = \"s\""]);
    check_debugfs("htree_dump /many", &["Root node dump:", "Hash Version: 1", "Indirect levels: 0"]);
}

#[test]
fn dumpe2fs_agrees_about_the_superblock() {
    let directory = scratch();
    let path = directory.path().join("image");
    std::fs::write(&path, everything(BlockSize::B4096).bytes()).unwrap();
    let Some((code, text)) = tool("dumpe2fs", &["-h", path.to_str().unwrap()]) else { return };
    assert_eq!(code, 0, "{text}");
    let expected = [
        "Filesystem volume name:   test\n",
        "Filesystem UUID:          75756964-2d6f-662d-616e-2d696d616765\n",
        "Filesystem features:      has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg \
         sparse_super large_file huge_file dir_nlink extra_isize metadata_csum\n",
        "Filesystem flags:         signed_directory_hash \n",
        "Default mount options:    user_xattr acl\n",
        "Filesystem state:         clean\n",
        "Directory Hash Seed:      73656564-2d6f-662d-7468-652d68617368\n",
        "Checksum type:            crc32c\n",
        "Total journal blocks:     1024\n",
        "Journal start:            0\n",
    ];
    for expected in expected {
        assert!(text.contains(expected), "no `{expected}` in {text}");
    }
}

#[test]
fn the_reader_reads_what_mke2fs_writes() {
    let directory = scratch();
    let root = directory.path().join("root");
    std::fs::create_dir_all(root.join("some/directory")).unwrap();
    let content = noise(300_000, 9);
    std::fs::write(root.join("some/file"), &content).unwrap();
    std::fs::hard_link(root.join("some/file"), root.join("link")).unwrap();
    std::os::unix::fs::symlink("some/file", root.join("symlink")).unwrap();
    std::os::unix::fs::symlink("x".repeat(100), root.join("long")).unwrap();
    for index in 0..500 {
        std::fs::write(root.join(format!("some/directory/a file with the number {index}")), b"").unwrap();
    }
    for block_size in BLOCK_SIZES {
        for features in
            ["", "metadata_csum_seed,^resize_inode", "^64bit,^has_journal", "^metadata_csum,^uninit_bg"]
        {
            let path = directory.path().join(format!("{}{features}", block_size.bytes()));
            let block_size = block_size.bytes().to_string();
            let [root, image] = [&root, &path].map(|path| path.to_str().unwrap());
            let arguments =
                ["-q", "-F", "-t", "ext4", "-b", &block_size, "-O", features, "-d", root, image, "20M"];
            let Some((code, text)) = tool("mke2fs", &arguments) else { return };
            assert_eq!(code, 0, "{text}");
            let reader = Reader::open(std::fs::File::open(&path).unwrap()).unwrap();
            reader.check().unwrap_or_else(|error| panic!("{block_size} `{features}`: {error}"));
            let file = reader.resolve(b"/some/file").unwrap();
            assert_eq!(file.links, 2);
            let mut read = vec![0; content.len()];
            reader.data(&file).unwrap().read_exact_at(0, &mut read).unwrap();
            assert_eq!(read, content);
            let target = reader.symlink_target(&reader.resolve(b"/long").unwrap()).unwrap();
            assert_eq!(target, [b'x'; 100]);
            let names = reader.entries(&reader.resolve(b"/some/directory").unwrap()).unwrap();
            assert_eq!(names.len(), 500);
            assert!(reader.dump().unwrap().contains("/symlink symlink 0777"));
        }
    }
}
