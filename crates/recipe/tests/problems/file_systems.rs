//! File-system images that cannot be.

use crate::check;

#[test]
fn ext4_words() {
    check(
        r#"[stack]
name = "demo"

[target.root]
kind = "filesystem"
size = "1G"
ext4 = { errors = "ro", grow-to = "all" }
"#,
        r#"
error: unknown reaction `ro`
 --> bootwright.toml:7:19
  |
7 | ext4 = { errors = "ro", grow-to = "all" }
  |                   ^^^^
  |
  = help: it is called `remount-ro` here

error: `all` is not a size
 --> bootwright.toml:7:35
  |
7 | ext4 = { errors = "ro", grow-to = "all" }
  |                                   ^^^^^
  |
  = help: write `none`, or a whole number and a unit, as in `64K`, `512M` or `2G`
"#,
    );
}

#[test]
fn file_systems() {
    check(
        r#"[stack]
name = "demo"

[target.empty]
kind = "filesystem"

[target.efi]
kind  = "filesystem"
type  = "fat"
uuid  = "ad6871ee-31f9-4cf3-9e09-6f7a25c30050"
label = "efi"
files = { "/a" = "" }
fat   = { bits = 24, cluster = "1000", sector-size = "500", geometry = { heads = 0, sectors = 63 } }

[target.root]
kind  = "filesystem"
files = { "/a" = { target = "efi/efi.ext4" } }
fat   = {}
size  = "1G"
ext4  = { block-size = "8K", free = "1M", inodes = 4, journal = "1M", reserved = 51, errors = "panic", grow-to = "none" }
"#,
        r#"
error: there is nothing in this file system
 --> bootwright.toml:4:9
  |
4 | [target.empty]
  |         ^^^^^
  |
  = help: name a root file system as `rootfs`, list `files`, or give an empty one its `size`

error: FAT has no UUID
  --> bootwright.toml:10:9
   |
10 | uuid  = "ad6871ee-31f9-4cf3-9e09-6f7a25c30050"
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: it has a `fat.volume-id`

error: `efi` cannot be a label
  --> bootwright.toml:11:9
   |
11 | label = "efi"
   |         ^^^^^
   |
   = help: a FAT label has up to 11 characters, all of them capitals, digits or signs

error: there is no FAT of 24 bits
  --> bootwright.toml:13:18
   |
13 | fat   = { bits = 24, cluster = "1000", sector-size = "500", geometry = { heads = 0, sectors = 63 } }
   |                  ^^
   |
   = help: there are 12, 16 and 32

error: no size of a cluster
  --> bootwright.toml:13:32
   |
13 | fat   = { bits = 24, cluster = "1000", sector-size = "500", geometry = { heads = 0, sectors = 63 } }
   |                                ^^^^^^
   |
   = help: clusters have a power of two of bytes, up to `64K`

error: no size of a sector
  --> bootwright.toml:13:54
   |
13 | fat   = { bits = 24, cluster = "1000", sector-size = "500", geometry = { heads = 0, sectors = 63 } }
   |                                                      ^^^^^
   |
   = help: sectors have 512, 1024, 2048 or 4096 bytes

error: 0 is out of range
  --> bootwright.toml:13:82
   |
13 | fat   = { bits = 24, cluster = "1000", sector-size = "500", geometry = { heads = 0, sectors = 63 } }
   |                                                                                  ^
   |
   = help: the range is 1 to 65535

error: target `efi` leaves no `efi.ext4`
  --> bootwright.toml:17:29
   |
17 | files = { "/a" = { target = "efi/efi.ext4" } }
   |                             ^^^^^^^^^^^^^^
   |
   = help: did you mean `efi.fat`?

error: `fat` is for file systems of that type
  --> bootwright.toml:18:9
   |
18 | fat   = {}
   |         ^^

error: no size of a block
  --> bootwright.toml:20:24
   |
20 | ext4  = { block-size = "8K", free = "1M", inodes = 4, journal = "1M", reserved = 51, errors = "panic", grow-to = "none" }
   |                        ^^^^
   |
   = help: blocks have `1K`, `2K` or `4K` bytes

error: `free` and `size` exclude each other
  --> bootwright.toml:20:37
   |
19 | size  = "1G"
   |         ---- given here
20 | ext4  = { block-size = "8K", free = "1M", inodes = 4, journal = "1M", reserved = 51, errors = "panic", grow-to = "none" }
   |                                     ^^^^
   |
   = help: keep one of them

error: 4 is out of range
  --> bootwright.toml:20:52
   |
20 | ext4  = { block-size = "8K", free = "1M", inodes = 4, journal = "1M", reserved = 51, errors = "panic", grow-to = "none" }
   |                                                    ^
   |
   = help: the range is 11 to 4294967295

error: no size of a journal
  --> bootwright.toml:20:65
   |
20 | ext4  = { block-size = "8K", free = "1M", inodes = 4, journal = "1M", reserved = 51, errors = "panic", grow-to = "none" }
   |                                                                 ^^^^
   |
   = help: a journal has 1024 to 10240000 blocks; `none` leaves it out

error: 51 is out of range
  --> bootwright.toml:20:82
   |
20 | ext4  = { block-size = "8K", free = "1M", inodes = 4, journal = "1M", reserved = 51, errors = "panic", grow-to = "none" }
   |                                                                                  ^^
   |
   = help: the range is 0 to 50
"#,
    );
}

#[test]
fn paths_that_something_else_makes_too() {
    check(
        r#"[stack]
name = "demo"

[target.root]
kind     = "rootfs"
distro   = "debian:bookworm"
hostname = "demo"
files       = { "/etc/a" = "x", "/etc//a" = "y", "/home/c" = "" }
symlinks    = { "/etc/hostname" = "name", "/home/b" = "/data/b" }
directories = { "/home/a" = { mode = "0700" } }

[target.root.users]
a = { uid = 1000, home = "/home/a" }
b = { uid = 1001, home = "/home/b" }
c = { uid = 1002, home = "/home/c" }

[target.initrd]
kind  = "initramfs"
init  = "hello"
files = { "/init" = "" }
"#,
        r#"
error: `hostname` and a file `/etc/hostname` exclude each other
 --> bootwright.toml:7:12
  |
7 | hostname = "demo"
  |            ^^^^^^
8 | files       = { "/etc/a" = "x", "/etc//a" = "y", "/home/c" = "" }
9 | symlinks    = { "/etc/hostname" = "name", "/home/b" = "/data/b" }
  |                                   ------ given here

error: `/etc//a` is another way to write what is there already
 --> bootwright.toml:8:33
  |
8 | files       = { "/etc/a" = "x", "/etc//a" = "y", "/home/c" = "" }
  |                                 ^^^^^^^^^
  |
  = help: keep one of them

error: `/home/b` is a home, and no directory
  --> bootwright.toml:14:26
   |
 9 | symlinks    = { "/etc/hostname" = "name", "/home/b" = "/data/b" }
   |                                                       --------- what it is
...
14 | b = { uid = 1001, home = "/home/b" }
   |                          ^^^^^^^^^

error: `/home/c` is a home, and no directory
  --> bootwright.toml:15:26
   |
 8 | files       = { "/etc/a" = "x", "/etc//a" = "y", "/home/c" = "" }
   |                                                              -- what it is
...
15 | c = { uid = 1002, home = "/home/c" }
   |                          ^^^^^^^^^

error: `/init` is a file and a program that is started first
  --> bootwright.toml:19:9
   |
19 | init  = "hello"
   |         ^^^^^^^
20 | files = { "/init" = "" }
   |                     -- first written here
"#,
    );
}
