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
        "",
    );
}
