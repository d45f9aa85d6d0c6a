//! Firmware, disks, and tests that go on where others ended.

use super::check;

#[test]
fn disks_and_firmware() {
    check(
        r#"[stack]
name = "demo"

[env.qemu]
distro = "debian:bookworm"

[target.tool]
kind    = "command"
env     = "qemu"
run     = "true"
outputs = ["x"]

[machine.a]
env      = "qemu"
firmware = "uefi"
disks    = [{}, { target = "tool", blank = "1G" }, { blank = "0K" }, { blank = "1G", access = "read-only" }]

[machine.c]
env      = "qemu"
firmware = "bios"

[machine.b]
arch     = "riscv64"
env      = "qemu"
firmware = { secure-boot = true, code = "none" }
disks    = [{ blank = "1G", name = "one" }, { blank = "1G", name = "one" }]

[machine.b.regions]
ram = { reserve = "1M" }
"#,
        r#"
error: a disk of nothing
  --> bootwright.toml:16:13
   |
16 | disks    = [{}, { target = "tool", blank = "1G" }, { blank = "0K" }, { blank = "1G", access = "read-only" }]
   |             ^^
   |
   = help: give it a `target`, or the size of an empty one: `blank = "8G"`

error: `target` and `blank` exclude each other
  --> bootwright.toml:16:44
   |
16 | disks    = [{}, { target = "tool", blank = "1G" }, { blank = "0K" }, { blank = "1G", access = "read-only" }]
   |                                            ^^^^

error: a disk is one or more sectors of 512 bytes
  --> bootwright.toml:16:62
   |
16 | disks    = [{}, { target = "tool", blank = "1G" }, { blank = "0K" }, { blank = "1G", access = "read-only" }]
   |                                                              ^^^^
   |
   = help: write its size as in `8G`

error: nobody can write to this blank disk
  --> bootwright.toml:16:70
   |
16 | disks    = [{}, { target = "tool", blank = "1G" }, { blank = "0K" }, { blank = "1G", access = "read-only" }]
   |                                                                      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: unknown firmware `bios`
  --> bootwright.toml:20:12
   |
20 | firmware = "bios"
   |            ^^^^^^
   |
   = help: it is `"uefi"`, or a table; without it there is what QEMU has

error: `firmware` and `regions` exclude each other
  --> bootwright.toml:25:12
   |
25 | firmware = { secure-boot = true, code = "none" }
   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: what lies where is either the firmware's business or yours

error: no firmware for riscv64 checks signatures here
  --> bootwright.toml:25:12
   |
25 | firmware = { secure-boot = true, code = "none" }
   |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: `secure-boot` is for amd64 and arm64

error: unknown target `none`
  --> bootwright.toml:25:41
   |
25 | firmware = { secure-boot = true, code = "none" }
   |                                         ^^^^^^
   |
   = help: known targets: `tool`

error: two disks are called `one`
  --> bootwright.toml:26:45
   |
26 | disks    = [{ blank = "1G", name = "one" }, { blank = "1G", name = "one" }]
   |             ------------------------------  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |             |
   |             the other one
"#,
    );
}

#[test]
fn tests_that_follow_others() {
    check(
        r#"[stack]
name = "demo"

[env.qemu]
distro = "debian:bookworm"

[machine.a]
env   = "qemu"
disks = [{ blank = "1G" }, { blank = "2G", name = "data" }]

[machine.b]
env   = "qemu"
disks = [{ blank = "3G" }]

[machine.c]
env = "qemu"

[test.first]
machine = "a"
after   = "third"

[test.second]
machine = "b"
after   = "first"

[test.third]
machine = "a"
after   = "first"

[test.fourth]
machine = "c"
after   = "first"

[test.fifth]
machine = "a"
after   = "fourht"
"#,
        r#"
error: `disk0` is another disk than in the machine of test `first`
  --> bootwright.toml:13:10
   |
 9 | disks = [{ blank = "1G" }, { blank = "2G", name = "data" }]
   |          ---------------- it is this there
...
13 | disks = [{ blank = "3G" }]
   |          ^^^^^^^^^^^^^^^^
   |
   = help: give disks that have nothing to do with each other a `name`

error: nothing that test `first` leaves is used here
  --> bootwright.toml:24:11
   |
24 | after   = "first"
   |           ^^^^^^^
   |
   = help: machines of tests that follow each other have a disk of the same name

error: tests follow each other: `first` → `third` → `first`
  --> bootwright.toml:28:11
   |
20 | after   = "third"
   |           ------- `first` follows `third` here
...
28 | after   = "first"
   |           ^^^^^^^
   |
   = help: one of these references has to go

error: nothing that test `first` leaves is used here
  --> bootwright.toml:32:11
   |
32 | after   = "first"
   |           ^^^^^^^
   |
   = help: machines of tests that follow each other have a disk of the same name

error: unknown test `fourht`
  --> bootwright.toml:36:11
   |
36 | after   = "fourht"
   |           ^^^^^^^^
   |
   = help: did you mean `fourth`?
"#,
    );
}

#[test]
fn drives_and_networks() {
    check(
        r#"[stack]
name = "demo"

[env.qemu]
distro = "debian:bookworm"

[target.tool]
kind    = "command"
env     = "qemu"
run     = "true"
outputs = ["x", "y"]

[machine.a]
env     = "qemu"
network = { boot = "tool" }
disks   = [
  { blank = "1G", cd = true },
  { target = "tool/x", bus = "ahci" },
  { target = "tool/x", bus = "sata" }, { target = "tool/x", bus = "sata" }, { target = "tool/x", bus = "sata" },
  { target = "tool/x", bus = "sata" }, { target = "tool/x", bus = "sata" }, { target = "tool/x", bus = "sata" },
  { target = "tool/x", bus = "sata" },
]

[machine.b]
arch    = "arm64"
env     = "qemu"
network = { boot = "tool/z", bot = "x" }
disks   = [{ target = "tool/x", bus = "sata", cd = true }]

[test.a]
machine = "c"

[test.b]
machine = "c"
after   = "a"

[machine.c]
env   = "qemu"
disks = [{ target = "tool/x", cd = true }]
"#,
        r#"
error: what a machine loads, starts or has as a disk is one file, and target `tool` leaves several or undeclared ones
  --> bootwright.toml:15:20
   |
15 | network = { boot = "tool" }
   |                    ^^^^^^
   |
   = help: say which: `tool/…`, and list it in the target's `outputs`

error: nobody can write to this blank disk
  --> bootwright.toml:17:3
   |
17 |   { blank = "1G", cd = true },
   |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: unknown bus `ahci`
  --> bootwright.toml:18:30
   |
18 |   { target = "tool/x", bus = "ahci" },
   |                              ^^^^^^
   |
   = help: it is called `sata` here

error: the board has SATA for 6 disks
  --> bootwright.toml:21:30
   |
21 |   { target = "tool/x", bus = "sata" },
   |                              ^^^^^^
   |
   = help: leave `bus` out: it is on virtio then

error: nothing in this machine starts what a network has
  --> bootwright.toml:27:20
   |
27 | network = { boot = "tool/z", bot = "x" }
   |                    ^^^^^^^^
   |
   = help: give it a `firmware`: `"uefi"`

error: target `tool` leaves no `z`
  --> bootwright.toml:27:20
   |
27 | network = { boot = "tool/z", bot = "x" }
   |                    ^^^^^^^^
   |
   = help: did you mean `x`?

error: unknown key `bot` in `machine.b.network`
  --> bootwright.toml:27:30
   |
27 | network = { boot = "tool/z", bot = "x" }
   |                              ^^^
   |
   = help: did you mean `boot`?

error: a machine for arm64 has no SATA here
  --> bootwright.toml:28:39
   |
28 | disks   = [{ target = "tool/x", bus = "sata", cd = true }]
   |                                       ^^^^^^
   |
   = help: leave `bus` out: it is on virtio then

error: nothing that test `a` leaves is used here
  --> bootwright.toml:35:11
   |
35 | after   = "a"
   |           ^^^
   |
   = help: machines of tests that follow each other have a disk of the same name
"#,
    );
}

#[test]
fn an_igvm_file_says_alone_how_a_guest_starts() {
    check(
        r#"[stack]
name = "demo"

[env.qemu]
distro = "debian:bookworm"

[target.tool]
kind    = "command"
env     = "qemu"
run     = "true"
outputs = ["x", "y"]

[machine.a]
env      = "qemu"
igvm     = "tool/x"
qemu     = "tool"
kernel   = "tool/y"
firmware = "uefi"

[machine.b]
arch = "arm64"
env  = "qemu"
qemu = "tool/qemu"
igvm = "tool/x"
"#,
        r#"
error: what a machine loads, starts or has as a disk is one file, and target `tool` leaves several or undeclared ones
  --> bootwright.toml:16:12
   |
16 | qemu     = "tool"
   |            ^^^^^^
   |
   = help: say which: `tool/…`, and list it in the target's `outputs`

error: `kernel` and `igvm` exclude each other
  --> bootwright.toml:17:12
   |
15 | igvm     = "tool/x"
   |            -------- given here
16 | qemu     = "tool"
17 | kernel   = "tool/y"
   |            ^^^^^^^^
   |
   = help: what the guest starts from is in the IGVM file

error: `firmware` and `igvm` exclude each other
  --> bootwright.toml:18:12
   |
15 | igvm     = "tool/x"
   |            -------- given here
...
18 | firmware = "uefi"
   |            ^^^^^^
   |
   = help: what the guest starts from is in the IGVM file

error: target `tool` leaves no `qemu`
  --> bootwright.toml:23:8
   |
23 | qemu = "tool/qemu"
   |        ^^^^^^^^^^^
   |
   = help: known files of it: `x`, `y`

error: QEMU starts no arm64 guest from an IGVM file
  --> bootwright.toml:24:8
   |
24 | igvm = "tool/x"
   |        ^^^^^^^^
   |
   = help: they are for `arch = "amd64"`
"#,
    );
}
