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
        r#"
error: the disk has 1 GiB, and all that is on it needs 1.1 GiB (1154499072 bytes): 77.0 MiB (80757248 bytes) are missing
  --> bootwright.toml:19:8
   |
19 | size = "1G"
   |        ^^^^
   |
   = help: the largest parts: partition 1 `a` with 600 MiB, partition 3 `c` with 400 MiB, partition 2 `b` with 100 MiB
"#,
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
        r#"
error: partition 1 `a` at 1 MiB and `tool` at 2 MiB overlap by 512 bytes
  --> bootwright.toml:20:34
   |
20 | blobs = [{ target = "tool", at = "2M" }, { target = "tool", at = "512" }]
   |                                  ^^^^
21 | partitions = [
22 |   { name = "a", type = "linux", size = "600M" },
   |   --------------------------------------------- the other
   |
   = help: `tool` at 2 MiB can begin at 630194176, or behind it wherever there is room

error: `GPT` at 512 bytes and `tool` at 512 bytes overlap by 512 bytes
  --> bootwright.toml:20:66
   |
20 | blobs = [{ target = "tool", at = "2M" }, { target = "tool", at = "512" }]
   |                                                                  ^^^^^
   |
   = help: `tool` at 512 bytes can begin at 17408, or behind it wherever there is room

error: partition 1 `a` at 1 MiB and partition 2 `b` at 300 MiB overlap by 4 MiB
  --> bootwright.toml:23:51
   |
22 |   { name = "a", type = "linux", size = "600M" },
   |   --------------------------------------------- the other
23 |   { name = "b", type = "linux", size = "4M", at = "300M" },
   |                                                   ^^^^^^
   |
   = help: partition 2 `b` at 300 MiB can begin at 630194176, or behind it wherever there is room
"#,
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
        r#"
error: the disk has 1000 KiB, and all that is on it needs 101.0 MiB (105923072 bytes): 100.0 MiB (104899072 bytes) are missing
  --> bootwright.toml:19:8
   |
19 | size = "1000K"
   |        ^^^^^^^
   |
   = help: the largest parts: partition 1 `a` with 50 MiB, partition 3 `c` with 1 MiB, partition 2 `b` with 1 MiB, partition 4 `d` with 0 bytes

error: partition 3 `c` at 72.5 KiB and partition 1 `a` at 1 MiB overlap by 72.5 KiB (74240 bytes)
  --> bootwright.toml:22:3
   |
22 |   { name = "a", type = "linux", size = "50M", target = "data" },
   |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
23 |   { name = "b", type = "linux", size = "1M", at = "100M", align = "3M" },
24 |   { name = "c", type = "linux", size = "1M", at = "0x12345" },
   |                                                   --------- the other
   |
   = help: partition 1 `a` at 1 MiB can begin at 1122816, or behind it wherever there is room

error: partition 1 `a` has 50 MiB, and `data` has 100 MiB: 50 MiB are missing
  --> bootwright.toml:22:40
   |
22 |   { name = "a", type = "linux", size = "50M", target = "data" },
   |                                        ^^^^^
   |
   = help: give it that much more, or no size at all: it is then as large as what is in it

error: partition 2 `b` begins at 104857600, which is not a multiple of 3145728
  --> bootwright.toml:23:51
   |
23 |   { name = "b", type = "linux", size = "1M", at = "100M", align = "3M" },
   |                                                   ^^^^^^

error: the start of partition 3 `c` is 74565 bytes, which are no whole sectors of 512
  --> bootwright.toml:24:51
   |
24 |   { name = "c", type = "linux", size = "1M", at = "0x12345" },
   |                                                   ^^^^^^^^^

error: partition 4 `d` has no size: there is nothing in it
  --> bootwright.toml:25:3
   |
25 |   { name = "d", type = "linux", size = "grow" },
   |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: give it a size or something that is in it
"#,
    );
    layout(
        r#"size = "4T"
table = "mbr"
partitions = [{ type = "linux", size = "3T" }]
"#,
        r#"
error: partition 1 reaches past the 2^32 sectors that an old table can say
  --> bootwright.toml:21:15
   |
21 | partitions = [{ type = "linux", size = "3T" }]
   |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"#,
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
        r#"
error: `boot.img` of `grub` looks for this at 0x200
  --> bootwright.toml:20:27
   |
20 |   { target = "grub", at = "17K" },
   |                           ^^^^^
...
26 | [target.grub]
   |         ---- it is made here
   |
   = help: give `grub` the same `at = "0x4400"`

error: `boot.img` of `grub` looks for this at 0x200
  --> bootwright.toml:21:36
   |
21 |   { target = "grub/core.img", at = "17K" },
   |                                    ^^^^^
...
26 | [target.grub]
   |         ---- it is made here
   |
   = help: give `grub` the same `at = "0x4400"`

error: `grub` at 17 KiB and `grub/core.img` at 17 KiB overlap by 512 bytes
  --> bootwright.toml:21:36
   |
20 |   { target = "grub", at = "17K" },
   |                           ----- the other
21 |   { target = "grub/core.img", at = "17K" },
   |                                    ^^^^^
   |
   = help: `grub/core.img` at 17 KiB can begin at 17920, or behind it wherever there is room

error: `boot.img` of `told` looks for this at 0x5000
  --> bootwright.toml:22:36
   |
22 |   { target = "told/core.img", at = "18K" },
   |                                    ^^^^^
...
37 | at       = "20K"
   |            ----- it is made here
   |
   = help: give `told` the same `at = "0x4800"`

error: only a BIOS' GRUB has to be told where it lies
  --> bootwright.toml:43:11
   |
43 | at      = "20K"
   |           ^^^^^
   |
   = help: leave `at` out, or say `firmware = "bios"`

error: no sector begins there that GRUB could lie in
  --> bootwright.toml:50:12
   |
50 | at       = "20001"
   |            ^^^^^^^
   |
   = help: write a multiple of 512 behind the first sector: `17K` is behind a table of kind `gpt`
"#,
    );
}
