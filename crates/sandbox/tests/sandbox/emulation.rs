//! Root emulation, used as a tool inside a sandbox uses it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;

use sandbox::emulate::{self, Device, DeviceKind, Record, Records};
use sandbox::{Exit, Files, Mount, Overlay, Root, Sandbox, Standard, Stream, User, Writable, mount_overlay};

use crate::harness::{PROGRAM, Test, World};

pub(crate) const TESTS: &[Test] = &[
    ("emulated_owners", || check("owners")),
    ("emulated_owners_of_files_from_below", || check("below")),
    ("emulated_setuid_bits", || check("setuid")),
    ("emulated_devices", || check("devices")),
    ("emulated_attributes", || check("attributes")),
    ("emulated_names_change", || check("names")),
    ("emulated_inodes_are_not_mixed_up", || check("reuse")),
    ("emulated_replacements", || check("replacements")),
    ("emulated_access_lists", || check("lists")),
    ("emulated_users", || check("users")),
    ("emulated_paths", || check("paths")),
    ("emulated_errors", || check("errors")),
    ("emulation_ends_everything", || check("daemons")),
    ("emulated_sync", || check("sync")),
];

/// Runs [`configure`] in a sandbox.
#[track_caller]
fn check(what: &str) {
    let mut world = World::new(User::Root, &[PROGRAM, "--configure", what]);
    let root = world.scratch.path().join("lower/build/in/root");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/shadow"), "x").unwrap();
    fs::set_permissions(root.join("etc/shadow"), fs::Permissions::from_mode(0o640)).unwrap();
    let scratch = world.scratch.directory("tmp");
    world.sandbox.mounts.retain(|mount| mount.at != "/tmp");
    world.sandbox.mounts.push(Mount::read_write(scratch, "/tmp"));
    let (ended, printed) = world.run();
    assert_eq!(ended.exit, Exit::Code(0), "{what}: {printed}");
}

/// A tool that configures a tree: an overlay over what it was given, commands in it, records of them.
struct Tool {
    records: Records,
}

const TREE: &str = "/build/tree";

impl Tool {
    fn new() -> Self {
        for path in ["/tmp/upper", "/tmp/work", TREE] {
            fs::create_dir_all(path).unwrap();
        }
        let writable = Writable { upper: "/tmp/upper".into(), work: "/tmp/work".into() };
        let overlay = Overlay { lowers: vec!["/build/in/root".into()], writable: Some(writable) };
        mount_overlay(&overlay, Path::new(TREE)).unwrap();
        // As in the sandbox itself, where the host's programs work.
        Self { records: Records::default() }
    }

    fn command(arguments: &[&str]) -> Sandbox {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut sandbox = Sandbox::new(Root::Directory(TREE.into()), arguments);
        sandbox.user = User::Root;
        sandbox.environment = vec![("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())];
        let tree = Path::new(TREE);
        for path in ["/usr", "/bin", "/lib", "/lib64"] {
            match fs::read_link(path) {
                Ok(target) => {
                    let _made_before = std::os::unix::fs::symlink(target, tree.join(&path[1..]));
                }
                Err(_) if Path::new(path).is_dir() => sandbox.mounts.push(Mount::read_only(path, path)),
                Err(_) => {}
            }
        }
        sandbox.mounts.push(Mount::read_only(PROGRAM, "/program"));
        sandbox
    }

    /// Runs a script under emulation; returns its exit code and what it printed.
    fn try_run(&mut self, script: &str) -> (i32, String) {
        let sandbox = Self::command(&["sh", "-c", script]);
        let (mut reader, writer) = std::io::pipe().unwrap();
        let stream = Stream::File(writer.as_fd());
        let standard = Standard::Streams { stdin: Stream::Null, stdout: stream, stderr: stream };
        let files = Files { standard, ..Files::default() };
        let ended = emulate::run(&sandbox, &files, Path::new(PROGRAM), &mut self.records).unwrap();
        drop(files);
        drop(writer);
        let mut printed = String::new();
        reader.read_to_string(&mut printed).unwrap();
        (ended.exit.code(), printed)
    }

    #[track_caller]
    fn run(&mut self, script: &str) {
        let (code, printed) = self.try_run(script);
        assert_eq!((code, printed.as_str()), (0, ""), "{script}");
    }

    #[track_caller]
    fn record(&self, path: &str) -> Option<&Record> {
        self.records.get(&Self::metadata(path))
    }

    #[track_caller]
    fn metadata(path: &str) -> fs::Metadata {
        fs::symlink_metadata(format!("{TREE}/{path}")).unwrap()
    }

    #[track_caller]
    fn check_owner(&self, path: &str, user: Option<u32>, group: Option<u32>) {
        let record = self.record(path).cloned().unwrap_or_default();
        assert_eq!((record.user, record.group), (user, group), "{path}");
    }
}

/// Is the tool, in the sandbox.
pub(crate) fn configure(arguments: &[&str]) -> ExitCode {
    match arguments {
        ["set-attribute", path, name, value, flags @ ..] => return set_attribute(path, name, value, flags),
        ["set-list", path, group] => return set_list(path, group.parse().unwrap()),
        ["remove-attribute", path, name] => return code(rustix::fs::removexattr(*path, *name)),
        _ => {}
    }
    let mut tool = Tool::new();
    match arguments {
        ["owners"] => owners(&mut tool),
        ["below"] => below(&mut tool),
        ["setuid"] => setuid(&mut tool),
        ["devices"] => devices(&mut tool),
        ["attributes"] => attributes(&mut tool),
        ["names"] => names(&mut tool),
        ["reuse"] => reuse(&mut tool),
        ["replacements"] => replacements(&mut tool),
        ["lists"] => lists(&mut tool),
        ["users"] => users(&mut tool),
        ["paths"] => paths(&mut tool),
        ["errors"] => errors(&mut tool),
        ["daemons"] => daemons(&mut tool),
        ["sync"] => sync(&mut tool),
        _ => panic!("there is no test {arguments:?}"),
    }
    ExitCode::SUCCESS
}

fn set_attribute(path: &str, name: &str, value: &str, flags: &[&str]) -> ExitCode {
    use rustix::fs::XattrFlags;
    let flags = match flags {
        ["create"] => XattrFlags::CREATE,
        ["replace"] => XattrFlags::REPLACE,
        _ => XattrFlags::empty(),
    };
    code(rustix::fs::setxattr(path, name, value.as_bytes(), flags))
}

fn code(result: rustix::io::Result<()>) -> ExitCode {
    result.map_or_else(|errno| ExitCode::from(errno.raw_os_error() as u8), |()| ExitCode::SUCCESS)
}

fn owners(tool: &mut Tool) {
    tool.run("touch a b; mkdir d; ln -s nowhere l; chown 33:42 a; chgrp 7 b; chown -h 5:6 l; chown -R 1:2 d");
    tool.check_owner("a", Some(33), Some(42));
    tool.check_owner("b", None, Some(7));
    tool.check_owner("l", Some(5), Some(6));
    tool.check_owner("d", Some(1), Some(2));
    // A later command adds to what was.
    tool.run("chown 8 b; install -o 99 -g 98 -m 750 -d e");
    tool.check_owner("b", Some(8), Some(7));
    tool.check_owner("e", Some(99), Some(98));
    tool.check_owner("etc", None, None);
    assert_eq!(Tool::metadata("e").mode() & 0o7777, 0o750);
    assert_eq!(Tool::metadata("a").uid(), 0, "the disk knows nothing of it");
}

fn below(tool: &mut Tool) {
    tool.run("chgrp 42 /etc/shadow; chown 3 /etc");
    tool.check_owner("etc/shadow", None, Some(42));
    tool.check_owner("etc", Some(3), None);
    // So that whoever looks for what changed finds it.
    assert!(Path::new("/tmp/upper/etc/shadow").exists());
    assert_eq!(Tool::metadata("etc/shadow").mode() & 0o7777, 0o640);
    let lower = fs::metadata("/build/in/root/etc/shadow").unwrap();
    assert_eq!((lower.uid(), lower.len()), (0, 1));
}

fn setuid(tool: &mut Tool) {
    tool.run(
        "touch a b c; chmod 4755 a; chmod 2755 b; chmod 2644 c; mkdir d; chmod 2775 d; chown 1:1 a b c d",
    );
    let mode = |path| Tool::metadata(path).mode() & 0o7777;
    assert_eq!(["a", "b", "c", "d"].map(mode), [0o755, 0o755, 0o2644, 0o2775]);
    // In the order that works.
    tool.run("chown 0:104 a; chmod 4754 a; chgrp 50 b; chmod 2755 b");
    assert_eq!(["a", "b"].map(mode), [0o4754, 0o2755]);
    tool.check_owner("a", Some(0), Some(104));
}

fn devices(tool: &mut Tool) {
    tool.run("umask 027; mknod null c 1 3; mknod -m 660 disk b 259 70000; mknod pipe p; chown 0:6 disk");
    let device = |path| tool.record(path).and_then(|record| record.device);
    assert_eq!(device("null"), Some(Device { kind: DeviceKind::Character, major: 1, minor: 3 }));
    assert_eq!(device("disk"), Some(Device { kind: DeviceKind::Block, major: 259, minor: 70000 }));
    tool.check_owner("disk", Some(0), Some(6));
    assert_eq!(Tool::metadata("null").mode(), libc::S_IFREG | 0o640);
    assert_eq!(Tool::metadata("disk").mode() & 0o7777, 0o660);
    assert_eq!(Tool::metadata("pipe").mode(), libc::S_IFIFO | 0o640);
    let (code, printed) = tool.try_run("mknod null c 1 3");
    assert!(code == 1 && printed.contains("File exists"), "{printed}");
}

fn attributes(tool: &mut Tool) {
    let set = "/program --configure set-attribute";
    tool.run(&format!("touch a; {set} a security.capability xyz; {set} a trusted.t 1; {set} a user.u 2"));
    let recorded = |tool: &Tool| tool.record("a").unwrap().attributes.clone();
    let expected: BTreeMap<String, Vec<u8>> =
        [("security.capability".to_owned(), b"xyz".to_vec()), ("trusted.t".to_owned(), b"1".to_vec())].into();
    assert_eq!(recorded(tool), expected);
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(format!("{TREE}/a"), "user.u", &mut value), Ok(1), "anybody may set it");
    assert_eq!(tool.try_run(&format!("{set} a trusted.t 3 create")).0, libc::EEXIST);
    assert_eq!(tool.try_run(&format!("{set} a trusted.new 3 replace")).0, libc::ENODATA);
    tool.run("/program --configure remove-attribute a trusted.t");
    assert_eq!(tool.try_run("/program --configure remove-attribute a trusted.t").0, libc::ENODATA);
    // As the kernel does it.
    tool.run("chown 1:1 a");
    assert_eq!(recorded(tool), BTreeMap::new());
    // A file from below comes up, with its setuid bit.
    tool.run(&format!("{set} /etc/shadow security.capability c"));
    assert!(Path::new("/tmp/upper/etc/shadow").exists());
}

fn names(tool: &mut Tool) {
    tool.run("touch a; chown 33:33 a; mv a b; ln b c; mkdir d; chown 2:2 d; mv d e; mv b e/f");
    for path in ["c", "e/f"] {
        tool.check_owner(path, Some(33), Some(33));
    }
    tool.check_owner("e", Some(2), Some(2));
    tool.run("touch new; chown 4:5 new; mv new /etc/shadow; rm c");
    tool.check_owner("etc/shadow", Some(4), Some(5));
    tool.check_owner("e/f", Some(33), Some(33));
}

fn reuse(tool: &mut Tool) {
    // Deleted inodes' numbers come back at once on most file systems: as `passwd` and `adduser` use them.
    tool.run(
        "i=0; while [ $i -lt 60 ]; do
            touch x; chown 33:33 x; rm x; touch y$i; i=$((i+1))
         done",
    );
    for idx in 0..60 {
        assert_eq!(tool.record(&format!("y{idx}")), None);
    }
    tool.run("rm y*; i=0; while [ $i -lt 60 ]; do touch z$i; i=$((i+1)); done; rm -r /etc; mkdir /etc");
    assert_eq!(tool.record("z7"), None);
    assert_eq!(tool.record("etc"), None);
}

fn replacements(tool: &mut Tool) {
    // As `useradd` does it: what `stat` has for the old file is 0:0.
    tool.run("touch new; chown 0:42 etc/shadow; chown 0:0 new; mv new etc/shadow");
    tool.check_owner("etc/shadow", Some(0), Some(42));
    tool.run("touch a b c d; chown 1:2 a b c; chown 7:8 d; mv d a; touch e; mv e b; ln c c2; mv c c2 2>/dev/null || true");
    tool.check_owner("a", Some(7), Some(8));
    tool.check_owner("b", None, None);
    tool.check_owner("c", Some(1), Some(2));
}

/// Gives the members of `group` what a directory's own group has, as `setfacl -m g:GROUP:rx` does.
fn set_list(path: &str, group: u32) -> ExitCode {
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in
        [(1_u16, 7_u16, u32::MAX), (4, 5, u32::MAX), (8, 5, group), (0x10, 7, u32::MAX), (0x20, 0, u32::MAX)]
    {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let flags = rustix::fs::XattrFlags::empty();
    code(rustix::fs::setxattr(path, "system.posix_acl_access", &list, flags))
}

fn lists(tool: &mut Tool) {
    tool.run("mkdir -m 2700 d; /program --configure set-list d 4");
    let attributes = &tool.record("d").unwrap().attributes;
    assert_eq!(attributes["system.posix_acl_access"].len(), 4 + 5 * 8);
    assert_eq!(Tool::metadata("d").mode() & 0o7777, 0o2770, "the mask is the group's part of the mode");
    tool.run("/program --configure remove-attribute d system.posix_acl_access");
    assert!(tool.record("d").unwrap().attributes.is_empty());
}

fn users(tool: &mut Tool) {
    // What does not exist can be become, without effect.
    tool.run("setpriv --reuid 33 --regid 33 --clear-groups true");
    tool.run(
        "setpriv --reuid 33 --regid 33 --init-groups touch made 2>/dev/null || touch made; chown 1 made",
    );
    tool.check_owner("made", Some(1), None);
}

fn paths(tool: &mut Tool) {
    tool.run(
        "mkdir -p d/inner; touch d/f d/inner/g; ln -s /d/inner abs; ln -s d rel; ln -s ../../../../etc d/out
         cd d; chown 1:1 f; chown 2:2 ../rel/inner/../inner; chown 3:3 /abs/g; chown 4:4 out/shadow
         exec 5< /d; chown 6:6 /proc/self/fd/5",
    );
    tool.check_owner("d/f", Some(1), Some(1));
    tool.check_owner("d/inner", Some(2), Some(2));
    tool.check_owner("d/inner/g", Some(3), Some(3));
    tool.check_owner("etc/shadow", Some(4), Some(4));
    tool.check_owner("d", Some(6), Some(6));
    // A root of its own, inside.
    tool.run(
        "mkdir -p /r; for p in usr bin lib lib64; do mkdir -p /r/$p; mount --rbind /$p /r/$p; done
              touch /r/x; ln -s /x /r/link; chroot /r chown 9:9 /link",
    );
    tool.check_owner("r/x", Some(9), Some(9));
    assert!(!Path::new("/x").exists());
}

fn errors(tool: &mut Tool) {
    let mut check = |script: &str, expected: &str| {
        let (code, printed) = tool.try_run(script);
        assert!(code == 1 && printed.contains(expected), "{script}: {code} {printed}");
    };
    check("chown 1 missing", "No such file or directory");
    check("chown 1 etc/shadow/x", "Not a directory");
    check("ln -s loop loop; chown 1 loop", "Too many levels of symbolic links");
    check("chown 1 /usr/bin", "Read-only file system");
    check("mknod missing/x c 1 3", "No such file or directory");
    // What is not of the image.
    tool.run("chown 1 /dev/null; chown 1 /proc/self/comm");
    let error = sandbox::emulate::run(
        &Sandbox::new(Root::Directory(TREE.into()), vec!["true".to_owned()]),
        &Files::default(),
        Path::new(PROGRAM),
        &mut tool.records,
    );
    assert!(error.unwrap_err().to_string().contains("who is not root of a sandbox"));
}

fn daemons(tool: &mut Tool) {
    tool.run("(setsid sleep 77777 &); (sleep 77777 &); sleep 0.05");
    let sleeping = crate::harness::marked("77777");
    assert_eq!(sleeping, [""; 0]);
    let (code, _) = tool.try_run("kill -KILL $$");
    assert_eq!(code, 128 + libc::SIGKILL);
    assert_eq!(tool.try_run("no-such-program").0, 127);
    let ended = emulate::run(
        &Tool::command(&["no-such-program"]),
        &Files::default(),
        Path::new(PROGRAM),
        &mut tool.records,
    );
    assert_eq!(ended.unwrap().exit, Exit::NotRun(libc::ENOENT));
}

fn sync(tool: &mut Tool) {
    tool.run("touch a; sync; sync a; sync -f a; sync -d a; dd if=/dev/zero of=b bs=1k count=1 conv=fsync 2>/dev/null");
}
