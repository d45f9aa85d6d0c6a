//! The same root file system for everybody: root, ordinary users with and without a range of ids, and containers.
//! Where namespaces are forbidden, a remedy.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Project, Ran, check_failure, run, scratch, skip};

/// Packages with files that are setuid, that belong to somebody, and that have capabilities.
const RECIPE: &str = r#"
[stack]
name = "rootless"

[target.root]
kind     = "rootfs"
distro   = "debian:bookworm"
packages = ["libcap2-bin", "iputils-ping", "dbus"]
"#;
/// A user that is not root. Nothing needs to know it by name.
const USER: &str = "65534";
/// Where Docker hides what is the machine's.
const HIDDEN: &str = "/proc/acpi";

/// A shell script that somebody runs `bootwright` with, as `"$@"`; from what it needs to be root for, root comes back
/// to the user by `setpriv`.
struct Way {
    name: &'static str,
    script: String,
}

fn ways() -> Vec<Way> {
    let user = format!("setpriv --reuid={USER} --regid={USER} --clear-groups");
    let container = "unshare --user --map-root-user --mount --pid --fork --mount-proc";
    let way = |name, script: String| Way { name, script };
    let mut ways = vec![way("root of a container", format!("exec {container} \"$@\""))];
    if rustix::process::geteuid().is_root() {
        let range = "for file in /etc/subuid /etc/subgid; do
             [ -e $file ] && echo 65534:100000:65536 > $0/range && mount --bind $0/range $file; done";
        ways = vec![
            way("a user without a range of ids", format!("exec {user} \"$@\"")),
            way(
                "a user with a range of ids",
                format!("unshare --mount sh -c '{range}; exec {user} \"$@\"' \"$0\" \"$@\""),
            ),
            way("root of a user's container", format!("exec {user} {container} \"$@\"")),
        ];
    }
    ways
}

/// Runs `bootwright build` on a project of its own, with an empty cache, by a shell that has it as `"$@"`.
fn build(lock: &str, script: &str) -> (Project, tempfile::TempDir, Ran) {
    let project = Project::new(RECIPE);
    project.write("bootwright.lock", lock);
    let cache = tempfile::Builder::new().prefix("rootless-").tempdir_in(scratch()).unwrap();
    let ran = run(&mut command(&project, cache.path(), script));
    (project, cache, ran)
}

fn command(project: &Project, cache: &Path, script: &str) -> Command {
    let everybody = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    };
    everybody(project.path());
    everybody(cache);
    let built = project.command(&["build"]);
    let mut shell = Command::new("sh");
    // The files of others are theirs: what one made cannot be in the way of the next.
    shell.arg("-ec").arg(format!("umask 0; {script}")).arg(cache);
    shell.arg(built.get_program()).args(built.get_args());
    shell.env("BOOTWRIGHT_CACHE", cache).env("PROGRESS", "plain").env("HOME", "/");
    shell
}

/// What containers are made with; `None` when one of them is missing or namespaces are not to be had.
fn tools() -> Option<()> {
    let found = Command::new("unshare").args(["--user", "--map-root-user", "setpriv", "true"]).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(());
    }
    skip("no container can be made here with `unshare` and `setpriv` of util-linux");
    None
}

#[test]
fn everybody_gets_the_same_root() {
    if tools().is_none() {
        return;
    }
    let ours = Project::new(RECIPE);
    ours.succeed(&["build"]);
    let (lock, sums) = (ours.read("bootwright.lock"), ours.read("out/root/SHA256SUMS"));
    let listed = Command::new("tar")
        .args(["--numeric-owner", "-tvf"])
        .arg(ours.path().join("out/root/rootfs.tar"))
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let has = |mode: &str, path: &str| {
        listed.lines().any(|line| line.starts_with(mode) && line.ends_with(&format!(" {path}")))
    };
    assert!(has("-rwsr-xr-x 0/0", "usr/bin/su"), "{listed}");
    assert!(has("-rw-r----- 0/42", "etc/shadow"), "{listed}");
    let helper = listed.lines().find(|line| line.ends_with("/dbus-daemon-launch-helper")).unwrap();
    assert!(helper.starts_with("-rwsr-xr-- 0/") && !helper.starts_with("-rwsr-xr-- 0/0"), "{helper}");
    assert!(capability_of_ping(&ours.path().join("out/root/rootfs.tar")), "ping has no capability");

    let others: Vec<_> = std::thread::scope(|scope| {
        let ways = ways();
        let runs: Vec<_> = ways
            .into_iter()
            .map(|way| {
                let lock = &lock;
                (way.name, scope.spawn(move || build(lock, &way.script)))
            })
            .collect();
        runs.into_iter().map(|(name, run)| (name, run.join().unwrap())).collect()
    });
    for (name, (project, cache, ran)) in others {
        assert_eq!(ran.code, Some(0), "{name}\n{}\n{}", ran.stdout, ran.stderr);
        assert_eq!(project.read("out/root/SHA256SUMS"), sums, "{name}");
        let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(cache.path()).status();
    }
}

/// Looks for the attribute in the tar's extended headers (pax, `SCHILY.xattr.`).
fn capability_of_ping(tar: &PathBuf) -> bool {
    let bytes = std::fs::read(tar).unwrap();
    let name = b"SCHILY.xattr.security.capability=";
    bytes.windows(name.len()).any(|window| window == name)
}

#[test]
fn where_namespaces_are_forbidden_a_remedy_is_named() {
    if tools().is_none() {
        return;
    }
    let project = Project::new(
        "[stack]\nname = \"x\"\n\n[target.a]\nkind = \"command\"\nenv = \"e\"\nrun = \"true\"\n\n[env.e]\ndistro = \"debian:bookworm\"\npackages = [\"make\"]\n",
    );
    project.succeed(&["build"]);
    let forbid = [
        ("echo 0 > /proc/sys/user/max_user_namespaces", "sysctl -w user.max_user_namespaces=15000"),
        (&format!("mount -t tmpfs none {HIDDEN}"), "--security-opt systempaths=unconfined"),
    ];
    for (script, remedy) in forbid {
        let container = "unshare --user --map-root-user --mount --pid --fork --mount-proc";
        let cache = tempfile::Builder::new().prefix("forbidden-").tempdir_in(scratch()).unwrap();
        let script = format!("exec {container} sh -ec '{script}; exec \"$@\"' \"$0\" \"$@\"");
        let ran = run(&mut command(&project, cache.path(), &script));
        check_failure(&ran, 3, &[remedy]);
    }
}
