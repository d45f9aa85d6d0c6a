//! What each section checks of itself.

use crate::check;

#[test]
fn root_file_system_paths() {
    check(
        r#"[stack]
name = "demo"

[target.rootfs]
kind        = "rootfs"
packages    = ["hello", "hello"]
files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
symlinks    = { "/x" = "y" }
directories = { "/srv/../etc" = {} }
hostname    = "no_underscores"
"#,
        r#"
error: packages without a distribution
 --> bootwright.toml:4:9
  |
4 | [target.rootfs]
  |         ^^^^^^
  |
  = help: name it, as in `distro = "debian:bookworm"`

error: package `hello` is listed twice
 --> bootwright.toml:6:25
  |
6 | packages    = ["hello", "hello"]
  |                -------  ^^^^^^^
  |                |
  |                first listed here

error: invalid path `etc/motd`
 --> bootwright.toml:7:17
  |
7 | files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
  |                 ^^^^^^^^^^
  |
  = help: write it absolute: `/etc/motd`

error: `content` and `file` exclude each other
 --> bootwright.toml:7:64
  |
7 | files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
  |                                                 -------        ^^^^
  |                                                 |
  |                                                 given here
  |
  = help: keep one of them

error: `target.rootfs.files."/etc/b"` has no `content`, `file` or `target`: one of them says what it is
 --> bootwright.toml:7:89
  |
7 | files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
  |                                                                                         ^^^^^^^^^^^^^^^

error: `rw` is not a file mode
 --> bootwright.toml:7:98
  |
7 | files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
  |                                                                                                  ^^^^
  |
  = help: write three or four octal digits in quotes, as in `"0644"`

error: `/x` is a file and a symbolic link
 --> bootwright.toml:8:24
  |
7 | files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
  |                                                                                                                 -- first written here
8 | symlinks    = { "/x" = "y" }
  |                        ^^^

error: invalid path `/srv/../etc`
 --> bootwright.toml:9:17
  |
9 | directories = { "/srv/../etc" = {} }
  |                 ^^^^^^^^^^^^^
  |
  = help: a path cannot lead out with `..`

error: invalid host name `no_underscores`
  --> bootwright.toml:10:15
   |
10 | hostname    = "no_underscores"
   |               ^^^^^^^^^^^^^^^^
   |
   = help: a host name has letters, digits, `-` and `.`
"#,
    );
}

#[test]
fn users_and_groups() {
    check(
        r#"[stack]
name = "demo"

[target.rootfs]
kind   = "rootfs"
groups = { wheel = { gid = 1000 } }

[target.rootfs.users]
alice = { uid = 1000 }
bob   = { uid = 1000, password = "a:b" }
carol = { uid = -1 }
dave  = {}
"#,
        r#"
error: groups `bob` and `wheel` have the same number 1000
 --> bootwright.toml:6:20
  |
6 | groups = { wheel = { gid = 1000 } }
  |                    ^^^^^^^^^^^^^^

error: user `bob`: `a:b` has a colon or a line break
  --> bootwright.toml:10:9
   |
10 | bob   = { uid = 1000, password = "a:b" }
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: users `alice` and `bob` have the same number 1000
  --> bootwright.toml:10:9
   |
10 | bob   = { uid = 1000, password = "a:b" }
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: -1 is out of range
  --> bootwright.toml:11:17
   |
11 | carol = { uid = -1 }
   |                 ^^
   |
   = help: the range is 0 to 4294967295

error: `target.rootfs.users.dave` has no `uid`
  --> bootwright.toml:12:9
   |
12 | dave  = {}
   |         ^^
"#,
    );
}

#[test]
fn machines() {
    check(
        r#"[stack]
name = "demo"

[env.qemu]
distro = "debian:bookworm"

[target.kernel]
kind    = "kernel-package"
distro  = "debian:bookworm"
package = "linux-image-arm64"
arch    = "arm64"

[target.tool]
kind = "command"
env  = "qemu"
run  = "true"

[machine.a]
env    = "qemu"
cpus   = 0
memory = "512"
kernel = "kernel"
disks  = [{ target = "tool" }, { target = "tool/x", format = "vdi" }]

[machine.b]
env     = "qemu"
memory  = "100K"
initrd  = "tool/x"
cmdline = "quiet"
"#,
        r#"
error: machine `a` has no processor
  --> bootwright.toml:20:10
   |
20 | cpus   = 0
   |          ^

error: `512` is not a size
  --> bootwright.toml:21:10
   |
21 | memory = "512"
   |          ^^^^^
   |
   = help: write a whole number and a unit, as in `64K`, `512M` or `2G`

error: machine `a` is amd64 and its kernel arm64
  --> bootwright.toml:22:10
   |
11 | arch    = "arm64"
   |           ------- of the kernel
...
22 | kernel = "kernel"
   |          ^^^^^^^^

error: what a machine loads, starts or has as a disk is one file, and target `tool` leaves several or undeclared ones
  --> bootwright.toml:23:22
   |
23 | disks  = [{ target = "tool" }, { target = "tool/x", format = "vdi" }]
   |                      ^^^^^^
   |
   = help: say which: `tool/…`, and list it in the target's `outputs`

error: unknown disk format `vdi`
  --> bootwright.toml:23:62
   |
23 | disks  = [{ target = "tool" }, { target = "tool/x", format = "vdi" }]
   |                                                              ^^^^^
   |
   = help: known disk formats: `raw`, `qcow2`

error: a kernel command line without a kernel
  --> bootwright.toml:25:10
   |
25 | [machine.b]
   |          ^
   |
   = help: give the machine a `kernel`, too

error: memory comes in whole MiB
  --> bootwright.toml:27:11
   |
27 | memory  = "100K"
   |           ^^^^^^
   |
   = help: write it as in `512M` or `2G`

error: an initrd without a kernel
  --> bootwright.toml:28:11
   |
28 | initrd  = "tool/x"
   |           ^^^^^^^^
   |
   = help: give the machine a `kernel`, too
"#,
    );
}

#[test]
fn tests() {
    check(
        r#"[stack]
name = "demo"

[env.qemu]
distro = "debian:bookworm"

[machine.vm]
env = "qemu"

[test.boots]
machine = "vm"
expect  = ["", { sned = "x" }, 3]
timeout = "5 minutes"
end     = "poweroff"
"#,
        r#"
error: `test.boots.expect` has no `send`
  --> bootwright.toml:12:16
   |
12 | expect  = ["", { sned = "x" }, 3]
   |                ^^^^^^^^^^^^^^

error: unknown key `sned` in `test.boots.expect`
  --> bootwright.toml:12:18
   |
12 | expect  = ["", { sned = "x" }, 3]
   |                  ^^^^
   |
   = help: did you mean `send`?

error: an entry of `expect` must be a string or `{ send = … }`, not an integer
  --> bootwright.toml:12:32
   |
12 | expect  = ["", { sned = "x" }, 3]
   |                                ^

error: `5 minutes` is not a time span
  --> bootwright.toml:13:11
   |
13 | timeout = "5 minutes"
   |           ^^^^^^^^^^^
   |
   = help: write a whole number and a unit, as in `30s`, `5m` or `1h`

error: unknown end `poweroff`
  --> bootwright.toml:14:11
   |
14 | end     = "poweroff"
   |           ^^^^^^^^^^
   |
   = help: it is called `power-off` here
"#,
    );
}

#[test]
fn modules_of_another_architecture() {
    check(
        r#"[stack]
name = "demo"

[target.kernel]
kind    = "kernel-package"
distro  = "debian:bookworm"
package = "linux-image-amd64"

[target.initrd]
kind    = "initramfs"
arch    = "arm64"
modules = { kernel = "kernel", names = ["ext4"] }
init    = { file = "init.sh" }
"#,
        r#"
error: modules of a kernel for amd64
  --> bootwright.toml:12:22
   |
12 | modules = { kernel = "kernel", names = ["ext4"] }
   |                      ^^^^^^^^
   |
   = help: the initramfs is for arm64
"#,
    );
}

#[test]
fn values_that_are_not_what_they_should_be() {
    check(
        r#"[stack]
name   = "demo"
epoch  = -1
format = 2

[target.disk]
kind   = "filesystem"
rootfs = "rootfs"
size   = "1 gig"
uuid   = "1234"
label  = "a label that is too long"
type   = "btrfs"

[target.rootfs]
kind     = "rootfs"
distro   = "debian:bookworm"
packages = ["Hello", "hello=1:2.10-3", "hello:arm64"]
"#,
        r#"
error: `epoch` is before 1970
 --> bootwright.toml:3:10
  |
3 | epoch  = -1
  |          ^^

error: unknown recipe format 2
 --> bootwright.toml:4:10
  |
4 | format = 2
  |          ^
  |
  = help: this program knows format 1; a newer one may know more

error: `1 gig` is not a size
 --> bootwright.toml:9:10
  |
9 | size   = "1 gig"
  |          ^^^^^^^
  |
  = help: write `min`, or a whole number and a unit, as in `64K`, `512M` or `2G`

error: `1234` is not a UUID
  --> bootwright.toml:10:10
   |
10 | uuid   = "1234"
   |          ^^^^^^
   |
   = help: write it as in `ad6871ee-31f9-4cf3-9e09-6f7a25c30050`

error: unknown file system `btrfs`
  --> bootwright.toml:12:10
   |
12 | type   = "btrfs"
   |          ^^^^^^^
   |
   = help: known file systems: `ext4`, `fat`, `squashfs`, `erofs`, `iso`

error: invalid package name `Hello`
  --> bootwright.toml:17:13
   |
17 | packages = ["Hello", "hello=1:2.10-3", "hello:arm64"]
   |             ^^^^^^^
   |
   = help: write `name`, or with an architecture or version `name:arm64`, `name=1.2-3`
"#,
    );
}

#[test]
fn unicode_and_tabs_do_not_move_the_caret() {
    check(
        r#"[stack]
name = "demo"

[source."größe"]
	path = "/größe"	colour = 1
"#,
        r#"
error: invalid name `größe`
 --> bootwright.toml:4:9
  |
4 | [source."größe"]
  |         ^^^^^^^
  |
  = help: a name has lower-case letters, digits, `.`, `_` and `-`, and starts with a letter or digit

error: not valid TOML: unexpected key or value, expected newline, `#`
 --> bootwright.toml:5:18
  |
5 |     path = "/größe"    colour = 1
  |                        ^
"#,
    );
}

#[test]
fn keys_of_another_file_system() {
    check(
        r#"[stack]
name = "demo"

[target.disk]
kind     = "filesystem"
rootfs   = "rootfs"
squashfs = { compression = "zstd" }

[target.squash]
kind   = "filesystem"
rootfs = "rootfs"
type   = "squashfs"
size   = "16M"
label  = "demo"

[target.squash.squashfs]
level      = 13
bcj        = ["arm"]
block-size = "3K"

[target.fast]
kind     = "filesystem"
rootfs   = "rootfs"
type     = "squashfs"
squashfs = { compression = "lz4", level = 1 }

[target.rootfs]
kind = "rootfs"
"#,
        r#"
error: `squashfs` is for file systems of that type
 --> bootwright.toml:7:12
  |
7 | squashfs = { compression = "zstd" }
  |            ^^^^^^^^^^^^^^^^^^^^^^^^

error: `size` is not for squashfs
  --> bootwright.toml:13:10
   |
13 | size   = "16M"
   |          ^^^^^
   |
   = help: squashfs is as large as what is in it, and has neither label nor UUID

error: `label` is not for squashfs
  --> bootwright.toml:14:10
   |
14 | label  = "demo"
   |          ^^^^^^
   |
   = help: squashfs is as large as what is in it, and has neither label nor UUID

error: gzip has no level 13
  --> bootwright.toml:17:14
   |
17 | level      = 13
   |              ^^
   |
   = help: it has 1 to 12

error: `bcj` is not for gzip
  --> bootwright.toml:18:15
   |
18 | bcj        = ["arm"]
   |               ^^^^^
   |
   = help: only `compression = "xz"` has filters

error: a block of squashfs cannot have 3072 bytes
  --> bootwright.toml:19:14
   |
19 | block-size = "3K"
   |              ^^^^
   |
   = help: write `4K`, `8K` and so on to `1M`, each twice the one before; the usual is `128K`

error: `level` is not for lz4
  --> bootwright.toml:25:43
   |
25 | squashfs = { compression = "lz4", level = 1 }
   |                                           ^
   |
   = help: only `gzip` and `zstd` have levels
"#,
    );
}
