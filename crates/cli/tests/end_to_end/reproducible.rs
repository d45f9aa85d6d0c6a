//! Two clean builds give the same bytes, whoever makes them, where, when and how.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::harness::{Project, run, scratch};

/// Everything of the quickstart but the boot.
const TARGETS: &[&str] = &["build", "disk", "initrd", "kernel"];
/// A user that is not root. Nothing needs to know it by name.
const NOBODY: u32 = 65534;

#[test]
fn another_user_path_locale_time_zone_and_job_count_give_the_same_images() {
    let one = Project::copy_of("examples/quickstart");
    one.succeed(TARGETS);

    // The lock goes along, so that both have the same packages; nothing else does.
    let other = Project::copy_of("examples/quickstart");
    other.write("bootwright.lock", &one.read("bootwright.lock"));
    let cache = tempfile::Builder::new().prefix("a longer path for caches ").tempdir_in(scratch()).unwrap();
    let mut command = other.command(TARGETS);
    command.env_clear().args(["-j", "1"]).current_dir("/");
    command.env("PATH", "/usr/bin:/bin").env("HOME", cache.path()).env("BOOTWRIGHT_CACHE", cache.path());
    command.env("LC_ALL", "de_DE.UTF-8").env("TZ", "Asia/Tokyo").env("PROGRESS", "json");
    if rustix::process::geteuid().is_root() {
        for path in [other.path(), cache.path()] {
            give(path);
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    let ran = run(with_umask(&mut command, "077"));
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);

    for target in ["disk", "initrd", "kernel"] {
        let sums = format!("out/{target}/SHA256SUMS");
        assert_eq!(one.read(&sums), other.read(&sums), "{target}");
    }
    remove_as_owner(cache.path());
}

/// Runs under another umask, which only a shell can set without unsafe code.
fn with_umask<'a>(command: &'a mut Command, umask: &str) -> &'a mut Command {
    let program = command.get_program().to_owned();
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("umask {umask}; exec \"$0\" \"$@\"")).arg(program).args(arguments);
    shell.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell.current_dir("/");
    if rustix::process::geteuid().is_root() {
        shell.uid(NOBODY).gid(NOBODY);
    }
    *command = shell;
    command
}

fn give(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

/// A store has directories that are read-only; `tempfile` would leave them.
fn remove_as_owner(path: &Path) {
    let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(path).status();
}
