//! IGVM files that nothing would start.

use crate::check;

#[test]
fn platforms() {
    check(
        r#"[stack]
name = "demo"

[target.none]
kind      = "igvm"
platforms = []
firmware  = { file = "OVMF.fd" }

[target.other]
kind      = "igvm"
platforms = ["snpp", "sev-snp"]
firmware  = { file = "OVMF.fd" }

[target.twice]
kind      = "igvm"
platforms = ["snp", "snp"]
firmware  = { file = "OVMF.fd" }
"#,
        r#"
error: this file is for no platform
 --> bootwright.toml:6:13
  |
6 | platforms = []
  |             ^^
  |
  = help: list what it can be loaded on: `["snp", "native"]`

error: unknown platform `snpp`
  --> bootwright.toml:11:14
   |
11 | platforms = ["snpp", "sev-snp"]
   |              ^^^^^^
   |
   = help: did you mean `snp`?

error: unknown platform `sev-snp`
  --> bootwright.toml:11:22
   |
11 | platforms = ["snpp", "sev-snp"]
   |                      ^^^^^^^^^
   |
   = help: it is called `snp` here

error: `snp` is listed twice
  --> bootwright.toml:16:21
   |
16 | platforms = ["snp", "snp"]
   |              -----  ^^^^^
   |              |
   |              first here
"#,
    );
}

#[test]
fn what_starts() {
    check(
        r#"[stack]
name = "demo"

[target.nothing]
kind      = "igvm"
platforms = ["native"]
initrd    = { file = "initrd" }
cmdline   = "quiet"

[target.direct]
kind      = "igvm"
platforms = ["native", "snp", "tdx"]
kernel    = { file = "vmlinuz" }
entry     = "0x200000"

[target.firmware]
kind         = "igvm"
platforms    = ["native", "tdx"]
firmware     = { file = "OVMF.fd" }
kernel       = { file = "vmlinuz" }
load-address = "0x200000"
policy       = "0x30000"
cpus         = 2
cpu          = "EPYC-Milan"

[target.told]
kind      = "igvm"
platforms = ["snp"]
firmware  = { file = "OVMF.fd" }
memory    = "1G"
cpus      = 0
"#,
        r#"
error: nothing starts in this guest
 --> bootwright.toml:4:9
  |
4 | [target.nothing]
  |         ^^^^^^^
  |
  = help: give it `firmware`, or a `kernel` to start without any

error: `initrd` is for a kernel, and there is no `kernel`
 --> bootwright.toml:7:13
  |
7 | initrd    = { file = "initrd" }
  |             ^^^^^^^^^^^^^^^^^^^

error: `cmdline` is for a kernel, and there is no `kernel`
 --> bootwright.toml:8:13
  |
8 | cmdline   = "quiet"
  |             ^^^^^^^

error: the kernel has to be told how much memory there is
  --> bootwright.toml:10:9
   |
10 | [target.direct]
   |         ^^^^^^
   |
   = help: say it, as in `memory = "512M"`, and start the guest with as much

error: a guest of `snp` does not start without firmware
  --> bootwright.toml:12:24
   |
12 | platforms = ["native", "snp", "tdx"]
   |                        ^^^^^
   |
   = help: nobody would accept its memory for the kernel: give it OVMF as `firmware`

error: a guest of `tdx` does not start without firmware
  --> bootwright.toml:12:31
   |
12 | platforms = ["native", "snp", "tdx"]
   |                               ^^^^^
   |
   = help: nobody would accept its memory for the kernel: give it OVMF as `firmware`

error: `entry` is in a kernel of which nobody knows where it lies
  --> bootwright.toml:14:13
   |
14 | entry     = "0x200000"
   |             ^^^^^^^^^^
   |
   = help: say it with `load-address`

error: firmware of a guest of `tdx` has to be told how much memory there is
  --> bootwright.toml:18:27
   |
18 | platforms    = ["native", "tdx"]
   |                           ^^^^^
   |
   = help: say it, as in `memory = "2G"`, and start the guest with as much

error: of a kernel behind firmware only SEV-SNP is told anything: its hashes
  --> bootwright.toml:20:16
   |
20 | kernel       = { file = "vmlinuz" }
   |                ^^^^^^^^^^^^^^^^^^^^
   |
   = help: list `snp` in `platforms`, or leave the `kernel` out

error: a kernel behind firmware is loaded by that
  --> bootwright.toml:21:16
   |
21 | load-address = "0x200000"
   |                ^^^^^^^^^^
   |
   = help: leave this out, or the `firmware`

error: `policy` is for the platform `snp`, which is not listed
  --> bootwright.toml:22:16
   |
22 | policy       = "0x30000"
   |                ^^^^^^^^^
   |
   = help: list it in `platforms`, or leave this out

error: `cpus` is for the platform `snp`, which is not listed
  --> bootwright.toml:23:16
   |
23 | cpus         = 2
   |                ^
   |
   = help: list it in `platforms`, or leave this out

error: `cpu` is for the platform `snp`, which is not listed
  --> bootwright.toml:24:16
   |
24 | cpu          = "EPYC-Milan"
   |                ^^^^^^^^^^^^
   |
   = help: list it in `platforms`, or leave this out

error: nobody is told of this: the firmware finds the memory itself
  --> bootwright.toml:30:13
   |
30 | memory    = "1G"
   |             ^^^^
   |
   = help: leave it out

error: a guest cannot have 0 processors
  --> bootwright.toml:31:13
   |
31 | cpus      = 0
   |             ^
   |
   = help: it has 1 to 65535
"#,
    );
}

#[test]
fn words() {
    check(
        r#"[stack]
name = "demo"

[target.guest]
kind      = "igvm"
platforms = ["snp"]
firmware  = { file = "OVMF.fd" }
policy    = "0x10000"
cpu       = "EPYC-v4"
vcpus     = 2

[target.other]
kind      = "igvm"
platforms = ["snp"]
firmware  = { file = "OVMF.fd" }
policy    = "debug"
cpu       = "EPYC-Milano"
"#,
        r#"
error: no guest starts with the policy `0x10000`
 --> bootwright.toml:8:13
  |
8 | policy    = "0x10000"
  |             ^^^^^^^^^
  |
  = help: bit 17 has to be set: `0x30000`

error: unknown processor `EPYC-v4`
 --> bootwright.toml:9:13
  |
9 | cpu       = "EPYC-v4"
  |             ^^^^^^^^^
  |
  = help: it is called `EPYC` here

error: unknown key `vcpus` in `target.guest`
  --> bootwright.toml:10:1
   |
10 | vcpus     = 2
   | ^^^^^
   |
   = help: did you mean `cpus`?

error: `debug` is not a policy
  --> bootwright.toml:16:13
   |
16 | policy    = "debug"
   |             ^^^^^^^
   |
   = help: write its bits as in `0x30000`

error: unknown processor `EPYC-Milano`
  --> bootwright.toml:17:13
   |
17 | cpu       = "EPYC-Milano"
   |             ^^^^^^^^^^^^^
   |
   = help: did you mean `EPYC-Milan`?
"#,
    );
}

#[test]
fn references() {
    check(
        r#"[stack]
name = "demo"

[target.guest]
kind      = "igvm"
platforms = ["native"]
firmware  = "ovmf/OVMF.df"

[target.ovmf]
kind     = "extract"
distro   = "debian:bookworm"
packages = ["ovmf"]
files    = { "OVMF.fd" = "/usr/share/ovmf/OVMF.fd" }
"#,
        r#"
error: target `ovmf` leaves no `OVMF.df`
 --> bootwright.toml:7:13
  |
7 | firmware  = "ovmf/OVMF.df"
  |             ^^^^^^^^^^^^^^
  |
  = help: did you mean `OVMF.fd`?
"#,
    );
}
