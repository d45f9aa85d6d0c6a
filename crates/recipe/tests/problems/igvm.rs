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
 --> bootwright.toml:4:1
  |
4 | [target.none]
  | ^^^^^^^^^^^^^
  |
  = help: list what it can be loaded on: `platforms = ["snp", "native"]`
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
        "",
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
        "",
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
        "",
    );
}
