//! ISO 9660 images that cannot be.

use crate::check;

#[test]
fn what_an_iso_is_told() {
    check(
        r#"[stack]
name = "demo"

[target.root]
kind  = "filesystem"
files = { "/a" = "" }
iso   = {}

[target.iso]
kind  = "filesystem"
type  = "iso"
files = { "/a" = "" }
size  = "16M"
uuid  = "ad6871ee-31f9-4cf3-9e09-6f7a25c30050"
label = "grüße"

[target.iso.iso]
publisher = "ä"
uuid      = "2024-13-31-12-00-00-00"
"#,
        r#"
error: `iso` is for file systems of that type
 --> bootwright.toml:7:9
  |
7 | iso   = {}
  |         ^^

error: `2024-13-31-12-00-00-00` is not the UUID of an ISO
  --> bootwright.toml:19:13
   |
19 | uuid      = "2024-13-31-12-00-00-00"
   |             ^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: it is a time: year, month, day, hour, minute, second and hundredths, as in `2024-01-31-12-00-00-00`
"#,
    );
}

#[test]
fn what_starts() {
    check(
        r#"[stack]
name = "demo"

[target.loaders]
kind    = "command"
env     = "tools"
outputs = ["a", "b"]
run     = "true"

[env.tools]
distro = "debian:bookworm"

[target.iso]
kind  = "filesystem"
type  = "iso"
files = { "/a" = "" }
size  = "16M"
uuid  = "ad6871ee-31f9-4cf3-9e09-6f7a25c30050"
label = "grüße"

[target.iso.iso]
publisher = "ä"
bios      = { load-units = 0 }
efi       = { file = "x", path = "/a" }

[target.disk]
kind  = "filesystem"
type  = "iso"
files = { "/a" = "" }
iso   = { hybrid = { target = "loaders", signature = "1" } }
"#,
        r#"
error: `size` is not for ISO 9660
  --> bootwright.toml:17:9
   |
17 | size  = "16M"
   |         ^^^^^
   |
   = help: it is as large as what is in it

error: `uuid` is not for ISO 9660
  --> bootwright.toml:18:9
   |
18 | uuid  = "ad6871ee-31f9-4cf3-9e09-6f7a25c30050"
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: its UUID is a time: `iso.uuid`

error: `grüße` cannot be there
  --> bootwright.toml:19:9
   |
19 | label = "grüße"
   |         ^^^^^^^
   |
   = help: it has 1 to 32 characters, all of them of ASCII

error: `ä` cannot be there
  --> bootwright.toml:22:13
   |
22 | publisher = "ä"
   |             ^^^
   |
   = help: it has 0 to 128 characters, all of them of ASCII

error: there is nothing to start
  --> bootwright.toml:23:13
   |
23 | bios      = { load-units = 0 }
   |             ^^^^^^^^^^^^^^^^^^
   |
   = help: name a `target`, a `file` or a `path`

error: 0 is out of range
  --> bootwright.toml:23:28
   |
23 | bios      = { load-units = 0 }
   |                            ^
   |
   = help: the range is 1 to 65535

error: it is on the image or comes from elsewhere, not both
  --> bootwright.toml:24:34
   |
24 | efi       = { file = "x", path = "/a" }
   |                      ---         ^^^^
   |                      |
   |                      given here
   |
   = help: keep one of them

error: there is nothing to list as a partition
  --> bootwright.toml:30:20
   |
30 | iso   = { hybrid = { target = "loaders", signature = "1" } }
   |                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: name what UEFI starts as `iso.efi`, or write `table = "mbr"`

error: this boot code has nothing to load
  --> bootwright.toml:30:31
   |
30 | iso   = { hybrid = { target = "loaders", signature = "1" } }
   |                               ^^^^^^^^^
   |
   = help: it loads what a BIOS starts: name that as `iso.bios`

error: what a machine starts is one file, and target `loaders` leaves several or undeclared ones
  --> bootwright.toml:30:31
   |
30 | iso   = { hybrid = { target = "loaders", signature = "1" } }
   |                               ^^^^^^^^^
   |
   = help: say which: `loaders/…`, and list it in the target's `outputs`

error: only an old table has a `signature`
  --> bootwright.toml:30:54
   |
30 | iso   = { hybrid = { target = "loaders", signature = "1" } }
   |                                                      ^^^
"#,
    );
}
