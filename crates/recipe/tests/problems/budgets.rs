//! Budgets that nothing could keep.

use crate::check;

#[test]
fn budgets_that_contradict_each_other() {
    check(
        r#"[stack]
name = "demo"

[target.disk]
kind     = "filesystem"
rootfs   = "rootfs"
size     = "1G"
max-size = "512M"
budgets  = { "/usr" = "600M", "/etc" = "1M" }

[target.initrd]
kind     = "initramfs"
init     = "x"
max-size = "1.5M"
budgets  = { "usr" = "1M" }

[target.live]
kind     = "disk"
max-size = "1G"
budgets  = { "/usr" = "1M" }

[target.rootfs]
kind     = "rootfs"
budget   = { "/usr" = "1M" }
"#,
        r#"
error: `disk` has more than its `max-size`
 --> bootwright.toml:8:12
  |
7 | size     = "1G"
  |            ---- its size is fixed here
8 | max-size = "512M"
  |            ^^^^^^

error: `/usr` may take more than `disk` as a whole
 --> bootwright.toml:9:23
  |
8 | max-size = "512M"
  |            ------ its `max-size` is here
9 | budgets  = { "/usr" = "600M", "/etc" = "1M" }
  |                       ^^^^^^

error: `1.5M` is not a size
  --> bootwright.toml:14:12
   |
14 | max-size = "1.5M"
   |            ^^^^^^
   |
   = help: write a whole number and a unit, as in `64K`, `512M` or `2G`

error: invalid path `usr`
  --> bootwright.toml:15:14
   |
15 | budgets  = { "usr" = "1M" }
   |              ^^^^^
   |
   = help: write it absolute: `/usr`

error: unknown key `budgets` in `target.live`
  --> bootwright.toml:20:1
   |
20 | budgets  = { "/usr" = "1M" }
   | ^^^^^^^
   |
   = help: known keys: `kind`, `formats`, `table`, `guid`, `signature`, `sector-size`, `size`, `slack`, `round`, `align`, `first-lba`, `boot-code`, `blobs`, `hybrid`, `protective`, `partitions`, `max-size`

error: unknown key `budget` in `target.rootfs`
  --> bootwright.toml:24:1
   |
24 | budget   = { "/usr" = "1M" }
   | ^^^^^^
   |
   = help: did you mean `budgets`?
"#,
    );
}
