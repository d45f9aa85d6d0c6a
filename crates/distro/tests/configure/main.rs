//! Runs the tool `pkgroot` on small packages whose scripts do what maintainer scripts do, in a sandbox as a
//! build step has it, with this machine's own shell and dpkg inside.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests, which may panic and print")]

#[path = "../../src/deb/fixtures.rs"]
#[allow(dead_code, reason = "the unit tests of `deb` use the rest")]
mod fixtures;
mod stages;
mod world;

use fixtures::{TarEntry, control, directory, entry, file, program, symlink};
use world::{Outcome, Package, World, skip};

/// A script of the shell that the sandbox has.
fn script(name: &str, text: &str) -> TarEntry {
    program(&format!("./{name}"), &format!("#!/bin/sh\nset -e\n{text}\n"))
}

fn package(name: &str, fields: &str, scripts: &[TarEntry], data: &[TarEntry]) -> Package {
    let mut all = vec![control(name, fields), file("./md5sums", "")];
    all.extend_from_slice(scripts);
    Package { name: name.to_owned(), deb: fixtures::deb(&all, data) }
}

/// Configures `packages` beside those of [`world::userland`]; returns the changes, one per line, without
/// dpkg's database and the links of a merged /usr.
fn changes(packages: &[Package]) -> Option<Vec<String>> {
    let world = World::new(packages)?;
    match world.configure() {
        Outcome::Done => {}
        Outcome::Failed { code, printed } => panic!("exit code {code}:\n{printed}"),
    }
    Some(world.changes())
}

#[track_caller]
fn check(packages: &[Package], expected: &[&str]) {
    if let Some(changes) = changes(packages) {
        assert_eq!(changes, expected);
    }
}

#[track_caller]
fn check_failure(packages: &[Package], expected_code: i32, expected: &str) {
    let Some(world) = World::new(packages) else { return };
    match world.configure() {
        Outcome::Done => panic!("it succeeded"),
        Outcome::Failed { code, printed } => {
            let start = printed.find("error: ").unwrap_or_default();
            assert_eq!((code, &printed[start..]), (expected_code, expected));
        }
    }
}

#[test]
fn what_scripts_do_is_in_the_layer() {
    let postinst = script(
        "postinst",
        "echo hello > /etc/made; chown 33:42 /etc/made; chmod 640 /etc/made
         mknod /lib/console c 5 1; chmod 600 /lib/console
         mkdir -m 2775 /var/shared; chown 0:50 /var/shared
         ln -s made /etc/link; ln /etc/made /etc/second
         mkfifo -m 622 /var/pipe
         rm /usr/share/alpha/removed
         chmod 4711 /usr/share/alpha/kept
         cp -p /usr/share/alpha/copied /etc/copy
         cp -p /usr/share/alpha/copied /etc/edited; echo more >> /etc/edited
         echo x > /tmp/scratch; echo x > /run/x; echo x > /var/log/alpha.log; touch /var/log/alpha
         echo random > /etc/machine-id; echo key > /etc/ssh/ssh_host_rsa_key
         echo 'root:*:20000:0:99999:7:::' > /etc/shadow
         chown 7 /usr/share/alpha/owned",
    );
    let data = [
        directory("./usr/share/alpha/"),
        file("./usr/share/alpha/removed", "1"),
        file("./usr/share/alpha/kept", "2"),
        file("./usr/share/alpha/copied", "some text"),
        file("./usr/share/alpha/owned", "3"),
        TarEntry { gid: 42, mode: 0o640, ..file("./etc/untouched", "4") },
        directory("./etc/ssh/"),
        directory("./var/log/"),
    ];
    check(
        &[package("alpha", "", &[postinst], &data)],
        &[
            "file    0644 0:0 1700000000 etc/copy size=9",
            "file    0644 0:0 1700000000 etc/edited size=14",
            "symlink 0777 0:0 1700000000 etc/link -> made",
            "file    0644 0:0 1700000000 etc/machine-id size=0",
            "file    0640 33:42 1700000000 etc/made size=6",
            "link    0640 33:42 1700000000 etc/second = etc/made",
            "file    0644 0:42 1700000000 etc/shadow size=26",
            "char    0600 0:0 1700000000 usr/lib/console device=5:1",
            "removed 0000 0:0 0 usr/share/alpha/removed",
            // Contents and so the time are the package's.
            "file    4711 0:0 1000000000 usr/share/alpha/kept size=1",
            "file    0644 7:0 1000000000 usr/share/alpha/owned size=1",
            "file    0644 0:0 1700000000 var/log/alpha size=0",
            "fifo    0622 0:0 1700000000 var/pipe",
            "dir     2775 0:50 1700000000 var/shared",
        ],
    );
}

#[test]
fn dpkg_believes_that_it_installed_everything() {
    let conffile = file("./conffiles", "/etc/alpha.conf\n");
    let postinst = script("postinst", "echo \"postinst $*\" >> /etc/order");
    let beta = [script("preinst", "echo \"beta preinst $*\" >> /etc/order"), postinst.clone()];
    let alpha = [postinst, conffile];
    let packages = [
        package("alpha", "Depends: beta\n", &alpha, &[file("./etc/alpha.conf", "x\n")]),
        package("beta", "Multi-Arch: same\n", &beta, &[]),
    ];
    let Some(world) = World::new(&packages) else { return };
    assert!(matches!(world.configure(), Outcome::Done));
    assert_eq!(world.read("etc/order"), "beta preinst install\npostinst configure \npostinst configure \n");
    let status = world.read("var/lib/dpkg/status");
    assert!(!status.contains("unpacked"), "{status}");
    assert!(status.contains("Conffiles:\n /etc/alpha.conf 401b30e3b8b5d629635a5c613cdb7919\n"), "{status}");
    assert_eq!(world.read("var/lib/dpkg/arch"), "amd64\n");
    assert!(world.changes_of_database().contains(&"removed 0000 0:0 0 var/lib/dpkg/status.d".to_owned()));
}

#[test]
fn diverted_files_go_where_they_were_diverted() {
    let divert = script(
        "preinst",
        "dpkg-divert --package beta --add --rename --divert /usr/bin/tool.real /usr/bin/tool
         dpkg-divert --package beta --add --rename --divert /usr/bin/gone.real /usr/bin/gone",
    );
    let packages = [
        package(
            "gamma",
            "",
            &[],
            &[
                TarEntry { gid: 42, mode: 0o2755, ..program("./usr/bin/tool", "gamma") },
                program("./usr/bin/gone", "gamma's"),
            ],
        ),
        package("beta", "", &[divert], &[program("./usr/bin/tool", "beta")]),
    ];
    let Some(world) = World::new(&packages) else { return };
    assert!(matches!(world.configure(), Outcome::Done));
    assert_eq!(world.read("usr/bin/tool.real"), "gamma");
    let changes: Vec<String> = world.changes().into_iter().filter(|line| line.contains("usr/bin")).collect();
    // `tool` itself is beta's already in the packages' tree.
    assert_eq!(
        changes,
        [
            "removed 0000 0:0 0 usr/bin/gone",
            "file    0755 0:0 1000000000 usr/bin/gone.real size=7",
            "file    2755 0:42 1000000000 usr/bin/tool.real size=5",
        ]
    );
}

#[test]
fn replaced_files_are_the_later_packages() {
    let packages = [
        package("new", "Replaces: old (<< 2)\n", &[], &[file("./usr/share/x", "new")]),
        package("old", "", &[], &[file("./usr/share/x", "old"), file("./usr/share/y", "")]),
    ];
    let Some(world) = World::new(&packages) else { return };
    assert!(matches!(world.configure(), Outcome::Done));
    // In the order of installation `old` comes last, and yet has to give way.
    assert_eq!(world.read("usr/share/x"), "new");
    assert_eq!(world.read("var/lib/dpkg/info/old.list"), "/.\n/usr/share/y\n");
}

#[test]
fn triggers_run_once_at_the_end() {
    let interested = [
        file("./triggers", "interest-noawait update-index\n"),
        script("postinst", "echo \"$1 $2\" >> /etc/index"),
    ];
    let activate = || [file("./triggers", "activate-noawait update-index\n")];
    let packages = [
        package("index", "Essential: yes\n", &interested, &[]),
        package("one", "", &[activate(), [script("preinst", "true")]].concat(), &[]),
        package("two", "", &activate(), &[]),
    ];
    let Some(world) = World::new(&packages) else { return };
    assert!(matches!(world.configure(), Outcome::Done));
    assert_eq!(world.read("etc/index"), "configure \ntriggered update-index\n");
}

#[test]
fn directories_are_as_the_first_package_has_them() {
    let packages = [
        package("one", "", &[], &[TarEntry { gid: 8, ..entry("./var/mail/", b'5', 0o2775) }]),
        package("two", "", &[], &[directory("./var/mail/"), file("./var/mail/x", "")]),
    ];
    check(&packages, &["dir     2775 0:8 1000000000 var/mail"]);
}

#[test]
fn nothing_is_started_and_nothing_reaches_outside() {
    let postinst = script(
        "postinst",
        "/usr/sbin/policy-rc.d ssh start && exit 9 || test $? = 101
         test ! -e /build
         test \"$(cat /proc/sys/kernel/hostname)\" = bootwright
         rm -r /etc/evil; ln -s /build/out /etc/evil; ln -s /build/out /srv",
    );
    let data = [directory("./etc/evil/"), file("./etc/evil/x", "")];
    check(
        &[package("alpha", "", &[postinst], &data)],
        &[
            "symlink 0777 0:0 1700000000 etc/evil -> /build/out",
            "symlink 0777 0:0 1700000000 srv -> /build/out",
        ],
    );
}

#[test]
fn a_failing_script_is_named_with_its_last_words() {
    let postinst = script("postinst", "echo working on it; echo 'no such thing' >&2; exit 3");
    check_failure(
        &[package("alpha", "", &[postinst], &[])],
        1,
        "error: `postinst` of the package `alpha` failed with exit code 3\n  | Setting up alpha (1.0) ...\n  | \
         working on it\n  | no such thing\n",
    );
    let preinst = script("preinst", "echo 'not here' >&2; kill -9 $$");
    check_failure(
        &[package("alpha", "", &[preinst], &[])],
        1,
        "error: `preinst` of the package `alpha` failed with signal 9\n  | not here\n",
    );
}

#[test]
fn packages_that_cannot_go_together_are_refused() {
    check_failure(
        &[
            package("one", "", &[], &[file("./usr/share/x", "1")]),
            package("two", "", &[], &[file("./usr/share/x", "2")]),
        ],
        1,
        "error: the packages cannot be installed together\n  caused by: `usr/share/x` is in the package `one` and \
         also in `two`, and neither replaces the other's files\n",
    );
    check_failure(
        &[
            package("one", "", &[], &[directory("./usr/share/x/"), file("./usr/share/x/f", "1")]),
            package("two", "", &[], &[symlink("./usr/share/x", "y")]),
        ],
        1,
        "error: the packages cannot be installed together\n  caused by: `usr/share/x` is a directory in the package \
         `one` and a symbolic link in `two`, and files would be lost whichever is there\n",
    );
    check_failure(
        &[package("one", "Depends: missing\n", &[], &[])],
        1,
        "error: `dpkg` of the package `one` failed with exit code 1\n  | dpkg: dependency problems prevent \
         configuration of one:\n  |  one depends on missing; however:\n  |   Package missing is not installed.\n  \
         | \n  | dependency problems - leaving unconfigured\n",
    );
}

#[test]
fn private_keys_that_scripts_made_are_noted() {
    let postinst = script(
        "postinst",
        "mkdir -p /etc/ssl/private
         for key in ssl/private/ssl-cert-snakeoil.key own.key; do
             echo '-----BEGIN PRIVATE KEY-----' > /etc/$key
         done",
    );
    let Some(world) = World::new(&[package("alpha", "", &[postinst], &[])]) else { return };
    assert!(matches!(world.configure(), Outcome::Done));
    assert!(world.changes().contains(&"file    0644 0:0 1700000000 etc/own.key size=28".to_owned()));
    let log = world.log();
    let notes: Vec<&str> = log.lines().filter(|line| line.starts_with("note: ")).collect();
    assert_eq!(
        notes,
        [
            "note: `/etc/own.key` is a private key that a script made: all that is made of this has the same one"
        ]
    );
}

#[test]
fn the_result_is_the_same_for_every_user_and_every_checkout() {
    let postinst = script(
        "postinst",
        "echo x > /etc/made; chown 33:33 /etc/made; mkdir -p /opt/a/b; cp -p /usr/share/f /etc/f; touch /usr/share/g",
    );
    let packages = [
        package("alpha", "", &[postinst], &[file("./usr/share/f", "f"), file("./usr/share/g", "g")]),
        package("beta", "", &[], &[symlink("./usr/share/l", "f")]),
    ];
    let Some(first) = World::new(&packages) else { return };
    assert!(matches!(first.configure(), Outcome::Done));
    let Some(second) = World::new(&packages) else { return };
    second.make_writable();
    if rustix::process::geteuid().is_root() {
        match second.configure_as_ordinary_user() {
            Some(outcome) => assert!(matches!(outcome, Outcome::Done), "{outcome:?}"),
            None => return skip("this test cannot run itself as an ordinary user"),
        }
    } else {
        assert!(matches!(second.configure(), Outcome::Done));
    }
    assert!(first.layer() == second.layer());
}

/// Configures the world that another process prepared; see [`World::configure_as_ordinary_user`].
#[test]
fn helper_for_ordinary_users() {
    world::configure_given_world();
}
