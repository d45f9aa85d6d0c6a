//! File-system images and disks that cannot be.

use crate::check;

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
"#,
        "",
    );
}

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
        "",
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
        "",
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
        "",
    );
}
