//! Disks whose parts cannot lie as the recipe says, found before anything is built.

use super::check;

const HEAD: &str = r#"[stack]
name = "demo"

[target.data]
kind = "filesystem"
size = "100M"

[target.tool]
kind    = "command"
env     = "tools"
run     = "true"
outputs = ["x"]

[env.tools]
distro = "debian:bookworm"

[target.disk]
kind = "disk"
"#;

#[track_caller]
fn layout(disk: &str, expected: &str) {
    check(&format!("{HEAD}{disk}"), expected);
}

#[test]
fn more_than_the_disk_has() {
    layout(
        r#"size = "1G"
partitions = [
  { name = "a", type = "linux", size = "600M" },
  { name = "b", type = "linux", target = "data" },
  { name = "c", type = "linux", size = "400M", target = "tool" },
]
"#,
        "",
    );
}

#[test]
fn two_things_in_one_place() {
    layout(
        r#"size = "1G"
blobs = [{ target = "tool", at = "2M" }, { target = "tool", at = "512" }]
partitions = [
  { name = "a", type = "linux", size = "600M" },
  { name = "b", type = "linux", size = "4M", at = "300M" },
]
"#,
        "",
    );
}

#[test]
fn what_is_not_known_is_not_judged() {
    // If the first one has 3.5 MiB, the blob is in front of the second one.
    layout(
        r#"size = "1G"
blobs = [{ target = "tool", at = "4864K" }]
partitions = [
  { name = "a", type = "linux", target = "tool" },
  { name = "b", type = "linux", size = "600M" },
]
"#,
        "",
    );
    layout(
        r#"size = "1G"
blobs = [{ target = "tool", at = "900M" }]
partitions = [
  { name = "a", type = "linux", size = "grow", target = "data" },
  { name = "b", type = "linux", target = "tool" },
]
"#,
        "",
    );
}

#[test]
fn places_and_sizes_that_cannot_be() {
    layout(
        r#"size = "1000K"
align = "1M"
partitions = [
  { name = "a", type = "linux", size = "50M", target = "data" },
  { name = "b", type = "linux", size = "1M", at = "100M", align = "3M" },
  { name = "c", type = "linux", size = "1M", at = "0x12345" },
  { name = "d", type = "linux", size = "grow" },
]
"#,
        "",
    );
    layout(
        r#"size = "3T"
table = "mbr"
partitions = [{ type = "linux", size = "3T" }]
"#,
        "",
    );
}

#[test]
fn a_core_of_grub_elsewhere() {
    layout(
        r#"blobs = [
  { target = "grub", at = "17K" },
  { target = "grub/core.img", at = "17K" },
  { target = "told/core.img", at = "18K" },
  { target = "told/core.img", at = "20K" },
]

[target.grub]
kind     = "grub"
env      = "tools"
modules  = ["fat"]
firmware = "bios"

[target.told]
kind     = "grub"
env      = "tools"
modules  = ["fat"]
firmware = "bios"
at       = "20K"

[target.efi]
kind    = "grub"
env     = "tools"
modules = ["fat"]
at      = "20K"

[target.odd]
kind     = "grub"
env      = "tools"
modules  = ["fat"]
firmware = "bios"
at       = "20001"
"#,
        "",
    );
}
