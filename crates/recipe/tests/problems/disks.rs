//! Disks that cannot be.

use crate::check;

#[test]
fn words_that_nobody_knows() {
    check(
        r#"[stack]
name = "demo"

[target.efi]
kind = "filesystem"
type = "vfat"
size = "small"
fat  = { volume-id = "1234ABCD" }

[target.disk]
kind   = "disk"
table  = "dos"
hybrid = [{ partition = 1, type = "0x00" }]

[[target.disk.partitions]]
type       = "esb"
size       = "max"
attributes = ["bootable", 64, "hidden", 3, true]
"#,
        r#"
error: unknown file system `vfat`
 --> bootwright.toml:6:8
  |
6 | type = "vfat"
  |        ^^^^^^
  |
  = help: it is called `fat` here

error: `small` is not a size
 --> bootwright.toml:7:8
  |
7 | size = "small"
  |        ^^^^^^^
  |
  = help: write `min`, or a whole number and a unit, as in `64K`, `512M` or `2G`

error: `1234ABCD` is not the number of a volume
 --> bootwright.toml:8:22
  |
8 | fat  = { volume-id = "1234ABCD" }
  |                      ^^^^^^^^^^
  |
  = help: write it as in `1234-ABCD`

error: unknown partition table `dos`
  --> bootwright.toml:12:10
   |
12 | table  = "dos"
   |          ^^^^^
   |
   = help: it is called `mbr` here

error: `0x00` is no type of an old table
  --> bootwright.toml:13:35
   |
13 | hybrid = [{ partition = 1, type = "0x00" }]
   |                                   ^^^^^^
   |
   = help: write a number as in `0x0c`, or a name: known types: `fat12`, `fat16`, `fat32`, `ntfs`, `linux-swap`, `linux`, `esp`

error: unknown type of partition `esb`
  --> bootwright.toml:16:14
   |
16 | type       = "esb"
   |              ^^^^^
   |
   = help: write a GUID or a name: did you mean `esp`?

error: `max` is not a size
  --> bootwright.toml:17:14
   |
17 | size       = "max"
   |              ^^^^^
   |
   = help: write `min`, `grow`, or a whole number and a unit, as in `512M`

error: unknown attribute `bootable`
  --> bootwright.toml:18:15
   |
18 | attributes = ["bootable", 64, "hidden", 3, true]
   |               ^^^^^^^^^^
   |
   = help: write the number of a bit, 0 to 63, or a name: known attributes: `required`, `no-block-io`, `legacy-boot`, `grow-file-system`, `read-only`, `hidden`, `no-automount`

error: unknown attribute `64`
  --> bootwright.toml:18:27
   |
18 | attributes = ["bootable", 64, "hidden", 3, true]
   |                           ^^
   |
   = help: write the number of a bit, 0 to 63, or a name: known attributes: `required`, `no-block-io`, `legacy-boot`, `grow-file-system`, `read-only`, `hidden`, `no-automount`

error: an entry of `attributes` must be the name or the number of a bit, not a boolean
  --> bootwright.toml:18:44
   |
18 | attributes = ["bootable", 64, "hidden", 3, true]
   |                                            ^^^^
"#,
    );
}

#[test]
fn disks() {
    check(
        r#"[stack]
name = "demo"

[target.efi]
kind  = "filesystem"
files = { "/a" = "" }

[target.disk]
kind        = "disk"
size        = "1G"
slack       = "1M"
sector-size = "1K"
signature   = "0x1"
boot-code   = { length = 500 }
blobs       = [{ target = "efi", file = "x", at = "17K" }]
hybrid      = [{ partition = 1, type = "fat32" }, { partition = 1, type = "0x0b" }, { partition = 5, type = "esp" }]

[[target.disk.partitions]]
name = "a name that has more than thirty-six characters"
type = "esp"

[[target.disk.partitions]]
number   = 300
type     = "ntfs"
size     = "grow"
guid     = "ad6871ee-31f9-4cf3-9e09-6f7a25c30050"
chromeos = { priority = 16 }

[[target.disk.partitions]]
number   = 300
type     = "esp"
size     = "grow"
guid     = "ad6871ee-31f9-4cf3-9e09-6f7a25c30050"
target   = "efi/efi.fat"
bootable = true

[[target.disk.partitions]]
type = "linux"
"#,
        r#"
error: a disk of a fixed size has no other
  --> bootwright.toml:11:15
   |
10 | size        = "1G"
   |               ---- the size
11 | slack       = "1M"
   |               ^^^^

error: no size of a sector
  --> bootwright.toml:12:15
   |
12 | sector-size = "1K"
   |               ^^^^
   |
   = help: sectors have 512 or 4096 bytes

error: there is a number of the disk only in a table of kind `mbr`
  --> bootwright.toml:13:15
   |
13 | signature   = "0x1"
   |               ^^^^^

error: there is nothing in it
  --> bootwright.toml:14:15
   |
14 | boot-code   = { length = 500 }
   |               ^^^^^^^^^^^^^^^^
   |
   = help: name a `target` or a `file`

error: 500 is out of range
  --> bootwright.toml:14:26
   |
14 | boot-code   = { length = 500 }
   |                          ^^^
   |
   = help: the range is 1 to 446

error: `target` and `file` exclude each other
  --> bootwright.toml:15:41
   |
15 | blobs       = [{ target = "efi", file = "x", at = "17K" }]
   |                           -----         ^^^
   |                           |
   |                           given here
   |
   = help: keep one of them

error: partition 1 is listed twice
  --> bootwright.toml:16:65
   |
16 | hybrid      = [{ partition = 1, type = "fat32" }, { partition = 1, type = "0x0b" }, { partition = 5, type = "esp" }]
   |                              - first listed here                ^

error: there is no partition 5
  --> bootwright.toml:16:99
   |
16 | hybrid      = [{ partition = 1, type = "fat32" }, { partition = 1, type = "0x0b" }, { partition = 5, type = "esp" }]
   |                                                                                                   ^

error: a partition without size and contents
  --> bootwright.toml:18:1
   |
18 | [[target.disk.partitions]]
   | ^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: give it a `size`, or a `target` or `file`

error: a name of 47 UTF-16 units
  --> bootwright.toml:19:8
   |
19 | name = "a name that has more than thirty-six characters"
   |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: a partition's name has at most 36

error: 300 is out of range
  --> bootwright.toml:23:12
   |
23 | number   = 300
   |            ^^^
   |
   = help: the range is 1 to 128

error: a table of kind `gpt` has no type `ntfs`
  --> bootwright.toml:24:12
   |
24 | type     = "ntfs"
   |            ^^^^^^

error: 16 is out of range
  --> bootwright.toml:27:25
   |
27 | chromeos = { priority = 16 }
   |                         ^^
   |
   = help: the range is 0 to 15

error: a partition can be marked as bootable only in a table of kind `mbr`
  --> bootwright.toml:29:1
   |
29 | [[target.disk.partitions]]
   | ^^^^^^^^^^^^^^^^^^^^^^^^^^

error: 300 is out of range
  --> bootwright.toml:30:12
   |
30 | number   = 300
   |            ^^^
   |
   = help: the range is 1 to 128

error: two partitions of number 300
  --> bootwright.toml:30:12
   |
23 | number   = 300
   |            --- the other
...
30 | number   = 300
   |            ^^^

error: two partitions cannot both take the rest
  --> bootwright.toml:32:12
   |
25 | size     = "grow"
   |            ------ the other
...
32 | size     = "grow"
   |            ^^^^^^

error: a GUID that is there already
  --> bootwright.toml:33:12
   |
26 | guid     = "ad6871ee-31f9-4cf3-9e09-6f7a25c30050"
   |            -------------------------------------- given here
...
33 | guid     = "ad6871ee-31f9-4cf3-9e09-6f7a25c30050"
   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: target `efi` leaves no `efi.fat`
  --> bootwright.toml:34:12
   |
34 | target   = "efi/efi.fat"
   |            ^^^^^^^^^^^^^
   |
   = help: did you mean `efi.ext4`?

error: a partition without size and contents
  --> bootwright.toml:37:1
   |
37 | [[target.disk.partitions]]
   | ^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: give it a `size`, or a `target` or `file`
"#,
    );
}

#[test]
fn old_tables() {
    check(
        r#"[stack]
name = "demo"

[target.disk]
kind   = "disk"
table  = "mbr"
guid   = "ad6871ee-31f9-4cf3-9e09-6f7a25c30050"
hybrid = [{ partition = 1, type = "fat32" }]

[[target.disk.partitions]]
type       = "linux-home"
size       = "1M"
attributes = [1]
guid       = "ad6871ee-31f9-4cf3-9e09-6f7a25c30051"
"#,
        r#"
error: there is a GUID of the disk only in a table of kind `gpt`
 --> bootwright.toml:7:10
  |
7 | guid   = "ad6871ee-31f9-4cf3-9e09-6f7a25c30050"
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: there are hybrid entries only in a table of kind `gpt`
 --> bootwright.toml:8:11
  |
8 | hybrid = [{ partition = 1, type = "fat32" }]
  |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: a table of kind `mbr` has no type `linux-home`
  --> bootwright.toml:11:14
   |
11 | type       = "linux-home"
   |              ^^^^^^^^^^^^

error: a partition has attributes only in a table of kind `gpt`
  --> bootwright.toml:13:15
   |
13 | attributes = [1]
   |               ^

error: a partition has a GUID only in a table of kind `gpt`
  --> bootwright.toml:14:14
   |
14 | guid       = "ad6871ee-31f9-4cf3-9e09-6f7a25c30051"
   |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn formats() {
    check(
        r#"[stack]
name = "demo"

[target.disk]
kind        = "disk"
size        = "1G"
sector-size = "4K"
formats     = { vdi = {}, vhdx = { block-size = "3M" } }

[target.none]
kind    = "convert"
target  = "disk/disk.qcow2"
formats = { raw = false }

[target.wrong]
kind = "convert"

[target.wrong.formats]
raw   = true
qcow2 = { level = 3, cluster = "4M", preallocated = true, backing = { name = "" } }
"#,
        r#"
error: a VDI disk cannot have sectors of 4096 bytes
 --> bootwright.toml:8:23
  |
8 | formats     = { vdi = {}, vhdx = { block-size = "3M" } }
  |                       ^^
  |
  = help: `raw`, `qcow2`, `vhdx` and `gcp` can

error: a block of a VHDX cannot have 3145728 bytes
 --> bootwright.toml:8:49
  |
8 | formats     = { vdi = {}, vhdx = { block-size = "3M" } }
  |                                                 ^^^^
  |
  = help: write `1M`, `2M` and so on to `256M`, each twice the one before

error: target `disk` leaves no `disk.qcow2`
  --> bootwright.toml:12:11
   |
12 | target  = "disk/disk.qcow2"
   |           ^^^^^^^^^^^^^^^^^
   |
   = help: did you mean `disk.raw`?

error: the disk is written in no format
  --> bootwright.toml:13:11
   |
13 | formats = { raw = false }
   |           ^^^^^^^^^^^^^^^
   |
   = help: name one, as in `formats = { qcow2 = {} }`

error: the disk to convert is not given
  --> bootwright.toml:15:9
   |
15 | [target.wrong]
   |         ^^^^^
   |
   = help: name a `target` or a `file`

error: `preallocated` excludes `compression` and `backing`
  --> bootwright.toml:20:9
   |
20 | qcow2 = { level = 3, cluster = "4M", preallocated = true, backing = { name = "" } }
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: keep one of them

error: `level` is for what is compressed
  --> bootwright.toml:20:19
   |
20 | qcow2 = { level = 3, cluster = "4M", preallocated = true, backing = { name = "" } }
   |                   ^
   |
   = help: add `compression = "zlib"` or `compression = "zstd"`

error: no size of a cluster
  --> bootwright.toml:20:32
   |
20 | qcow2 = { level = 3, cluster = "4M", preallocated = true, backing = { name = "" } }
   |                                ^^^^
   |
   = help: clusters have a power of two of bytes, from 512 to `2M`

error: the disk below is not given
  --> bootwright.toml:20:69
   |
20 | qcow2 = { level = 3, cluster = "4M", preallocated = true, backing = { name = "" } }
   |                                                                     ^^^^^^^^^^^^^
   |
   = help: name a `target` or a `file`

error: a name of 0 bytes
  --> bootwright.toml:20:78
   |
20 | qcow2 = { level = 3, cluster = "4M", preallocated = true, backing = { name = "" } }
   |                                                                              ^^
   |
   = help: it has 1 to 1023
"#,
    );
}

#[test]
fn file_systems_of_smaller_sectors() {
    check(
        r#"[stack]
name = "demo"

[target.esp]
kind  = "filesystem"
type  = "fat"
files = { "/a" = "" }

[target.fits]
kind  = "filesystem"
type  = "fat"
fat   = { sector-size = "4K" }
files = { "/a" = "" }

[target.root]
kind  = "filesystem"
ext4  = { block-size = "2K" }
files = { "/a" = "" }

[target.disk]
kind        = "disk"
sector-size = "4K"

[[target.disk.partitions]]
type   = "esp"
target = "esp"

[[target.disk.partitions]]
type   = "esp"
target = "fits"

[[target.disk.partitions]]
type   = "linux"
target = "root"
"#,
        r#"
error: `esp` has sectors of 512 bytes, and the disk has sectors of 4096
  --> bootwright.toml:26:10
   |
22 | sector-size = "4K"
   |               ---- given here
...
26 | target = "esp"
   |          ^^^^^
   |
   = help: give `esp` `fat = { sector-size = "4096" }`: systems cannot mount what is smaller than a sector

error: `root` has blocks of 2048 bytes, and the disk has sectors of 4096
  --> bootwright.toml:34:10
   |
22 | sector-size = "4K"
   |               ---- given here
...
34 | target = "root"
   |          ^^^^^^
   |
   = help: give `root` `ext4 = { block-size = "4K" }`: systems cannot mount what is smaller than a sector
"#,
    );
}
