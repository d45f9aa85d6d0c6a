//! `watch`: what is saved is built, what runs is started anew or given new files, and builds are told what changed.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::guest::{POWER_OFF, SLEEP, program};
use crate::harness::{Project, unique};

/// Nothing takes that long, on any machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// A `bootwright watch` that runs.
struct Watch {
    child: Child,
    said: Receiver<String>,
    text: String,
}

impl Watch {
    fn start(mut command: Command) -> Watch {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, said) = channel();
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                    let _gone = sender.send(String::from_utf8_lossy(&line).into_owned());
                }
            });
        }
        Watch { child, said, text: String::new() }
    }

    /// Waits for a line that has this text, and returns it.
    #[track_caller]
    fn says(&mut self, expected: &str) -> String {
        loop {
            let line = self.said.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("not said: {expected}\n{}", self.text));
            self.text.push_str(&line);
            self.text.push('\n');
            assert!(!line.contains("panicked"), "{}", self.text);
            if line.contains(expected) {
                return line;
            }
        }
    }

    /// Waits for builds until `is_there`.
    #[track_caller]
    fn builds_until(&mut self, is_there: impl Fn() -> bool) {
        loop {
            self.says(" ran, ");
            if is_there() {
                return;
            }
        }
    }

    /// Does what Ctrl-c does, and waits for the end.
    fn interrupt(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A root file system of the project's own files: nothing of it is downloaded, and nothing runs but our tool.
const ROOT: &str = "[stack]\nname = \"saved\"\n\n[target.root]\nkind = \"rootfs\"\noverlays = [\"tree\"]\n";

fn saved(recipe: &str) -> Project {
    let project = Project::new(recipe);
    project.write("tree/etc/motd", unique());
    project
}

#[test]
fn what_cannot_be_watched_is_looked_at() {
    let project = saved(ROOT);
    let bootwright = project.command(&["watch", "root"]);
    // A name space of users has limits of its own, which its root may lower.
    let inside = "echo 1 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", inside, "sh"]);
    command.arg(bootwright.get_program()).args(bootwright.get_args()).stdin(Stdio::null());
    command.envs(bootwright.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut watch = Watch::start(command);
    watch.says("is looked at every second: there are more directories");
    watch.says("waiting for changes");
    let archive = || fs::read(project.path().join("out/root/rootfs.tar")).unwrap();
    let has = |text: &str| archive().windows(text.len()).any(|window| window == text.as_bytes());
    for text in [format!("looked at {}", unique()), format!("and again {}", unique())] {
        project.write("tree/etc/motd", &text);
        watch.builds_until(|| has(&text));
    }
    // So is what the project is read from.
    project
        .write("bootwright.toml", &format!("{ROOT}\n[target.root.files]\n\"/new\" = \"new {}\"\n", unique()));
    watch.builds_until(|| has(&format!("new {}", unique())));
    assert!(watch.interrupt().code().is_some());
}

#[test]
fn what_is_saved_is_built() {
    let project = saved(ROOT);
    let archive = || fs::read(project.path().join("out/root/rootfs.tar")).unwrap();
    let has = |text: &str| {
        let text = text.as_bytes();
        archive().windows(text.len()).any(|window| window == text)
    };
    let mut watch = Watch::start(project.command(&["watch", "root"]));
    watch.says("waiting for changes");
    assert!(has(unique()));

    project.write("tree/etc/motd", &format!("saved {}", unique()));
    watch.says("note: tree/etc/motd changed");
    watch.builds_until(|| has(&format!("saved {}", unique())));

    // As editors do it: a new file takes the place of the old one. And where nothing was watched before.
    project.write("tree/etc/motd.new", &format!("replaced {}", unique()));
    fs::rename(project.path().join("tree/etc/motd.new"), project.path().join("tree/etc/motd")).unwrap();
    project.write("tree/new/and/below", &format!("below {}", unique()));
    watch.builds_until(|| has(&format!("replaced {}", unique())) && has(&format!("below {}", unique())));
    fs::rename(project.path().join("tree/new"), project.path().join("tree/old")).unwrap();
    watch.builds_until(|| has("old/and/below"));
    project.write("tree/old/and/below", &format!("moved {}", unique()));
    watch.says("tree/old/and/below changed");
    watch.builds_until(|| has(&format!("moved {}", unique())));

    // What is left out wakes nobody, and a build that is started meanwhile has nothing to do.
    project.write("tree/.git/index", "index");
    // As in a submodule of git's.
    project.write("tree/old/.git", "gitdir: ../../.git/modules/old");
    let ran = project.succeed(&["build", "root"]);
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);

    project.write("bootwright.toml", &ROOT.replace("overlays", "overlay"));
    watch.says("bootwright.toml changed");
    watch.says("the project has 1 problem");
    project.write("tree/etc/motd", &format!("put right {}", unique()));
    project.write("bootwright.toml", ROOT);
    watch.builds_until(|| has(&format!("put right {}", unique())));
    assert_eq!(watch.interrupt().code(), Some(0), "{}", watch.text);
    let said = &watch.text;
    assert!(!said.contains(".git") && !said.contains("interrupted"), "{said}");
}

#[test]
fn what_a_build_leaves_in_the_project_is_no_change() {
    let project = saved(&ROOT.replace("\"tree\"", "\".\""));
    let mut watch = Watch::start(project.command(&["watch"]));
    watch.says("waiting for changes");
    // If there were a change, it would be built first.
    project.write("tree/last", unique());
    assert_eq!(watch.says(" changed"), "note: tree/last changed");
    watch.says(" ran, ");
    let ran = project.succeed(&["build"]);
    assert!(ran.stderr.contains("nothing to do"), "{}", ran.stderr);
    assert_eq!(watch.interrupt().code(), Some(0));
}

#[test]
fn a_file_that_comes_and_goes_and_lies_elsewhere_is_waited_for() {
    let recipe =
        "[stack]\nname = \"saved\"\n\n[target.initrd]\nkind = \"initramfs\"\ninit = { file = \"init\" }\n";
    let project = Project::new(recipe);
    let mut watch = Watch::start(project.command(&["watch"]));
    watch.says("`init`");
    project.write("elsewhere/init", &format!("#!/bin/sh\n# {}\n", unique()));
    std::os::unix::fs::symlink("elsewhere/init", project.path().join("init")).unwrap();
    watch.says("init changed");
    watch.says(" ran, ");
    // Nobody watches where a link leads, but the file is looked at.
    project.write("elsewhere/init", &format!("#!/bin/sh\n# edited {}\n", unique()));
    watch.says("init changed");
    watch.says(" ran, ");
    fs::remove_file(project.path().join("init")).unwrap();
    watch.says("init changed");
    watch.says("`init`");
    assert_eq!(watch.interrupt().code(), Some(0));
}

#[test]
fn a_directory_that_is_read_in_two_ways_is_watched_in_both() {
    let target = |name: &str, ignore: &str| {
        format!(
            "[source.{name}]\npath = \"files\"\nignore = [\"/{ignore}\"]\n[target.of-{name}]\nkind = \"command\"\n\
             env = \"small\"\nsources = [\"{name}\"]\nrun = 'cp src/{name}/* \"$OUT\"'\n"
        )
    };
    let project = Project::new(&format!(
        "[stack]\nname = \"ways\"\n[env.small]\ndistro = \"debian:bookworm\"\npackages = []\n{}{}",
        target("a", "x"),
        target("b", "y")
    ));
    let files = ["x", "y"];
    files.iter().for_each(|file| project.write(&format!("files/{file}"), unique()));
    let mut watch = Watch::start(project.command(&["watch"]));
    watch.says("waiting for changes");
    for (file, of) in [("y", "a"), ("x", "b")] {
        project.write(&format!("files/{file}"), &format!("{file} {}", unique()));
        assert_eq!(watch.says(" changed"), format!("note: files/{file} changed"));
        watch.says(" ran, ");
        assert_eq!(project.read(&format!("out/of-{of}/{file}")), format!("{file} {}", unique()));
    }
    assert_eq!(watch.interrupt().code(), Some(0));
}

#[test]
fn a_lock_that_is_edited_during_a_build_begins_another_one() {
    let project = Project::new(&SLOW.replace("sleep 3600", "sleep 2"));
    project.write("files/how", &format!("fast {}", unique()));
    project.succeed(&["build"]);
    project.write("files/how", &format!("slow {}", unique()));
    let mut command = project.command(&["watch"]);
    command.env("PROGRESS", "json");
    let mut watch = Watch::start(command);
    watch.says("\"event\":\"started\"");
    let lock = project.read("bootwright.lock");
    project.write("bootwright.lock", &format!("{lock}# edited\n"));
    watch.says("bootwright.lock changed");
    watch.says("waiting for changes");
    assert_eq!(project.read("out/slow/how"), format!("slow {}", unique()));
    assert_eq!(watch.interrupt().code(), Some(0), "{}", watch.text);
}

/// A step that takes until somebody changes its mind, and an environment that other tests have, too.
const SLOW: &str = r#"
[stack]
name = "slow"

[source.files]
path = "files"

[env.vm]
distro   = "debian:bookworm"
packages = ["qemu-system-arm"]

[target.slow]
kind    = "command"
env     = "vm"
sources = ["files"]
run     = 'if grep -q slow src/files/how; then sleep 3600; fi; cp src/files/how "$OUT"'
outputs = ["how"]
"#;

#[test]
fn a_change_during_a_build_begins_another_one() {
    let project = Project::new(SLOW);
    project.write("files/how", &format!("fast {}", unique()));
    project.succeed(&["build"]);
    project.write("files/how", &format!("slow {}", unique()));
    let mut command = project.command(&["watch"]);
    let mut watch = Watch::start({
        command.env("PROGRESS", "json");
        command
    });
    watch.says("\"event\":\"started\"");
    project.write("files/how", &format!("quick {}", unique()));
    watch.says("files/how changed");
    watch.says(" ran, ");
    assert_eq!(project.read("out/slow/how"), format!("quick {}", unique()));
    project.write("files/how", &format!("slow again {}", unique()));
    watch.says("\"event\":\"started\"");
    // Also in the middle of a build.
    assert_eq!(watch.interrupt().code(), Some(0), "{}", watch.text);
    assert!(!watch.text.contains("interrupted"), "{}", watch.text);
}

#[test]
fn somebody_in_the_background_tells_builds_what_changed() {
    let project = saved(ROOT);
    let ran = project.succeed(&["watch", "--daemon"]);
    assert!(ran.stderr.contains("watches"), "{}", ran.stderr);
    project.fail(&["watch", "--daemon"], 3, &["another process watches this project already"]);
    for text in ["one", "two", "three", "four"] {
        project.write("tree/text", &format!("{text} {}", unique()));
        let ran = project.succeed(&["build"]);
        assert!(ran.stderr.contains(" ran, "), "{text}: {}", ran.stderr);
        let ran = project.succeed(&["build"]);
        assert!(ran.stderr.contains("nothing to do"), "{text}: {}", ran.stderr);
        let ran = project.succeed(&["build", "--no-watcher"]);
        assert!(ran.stderr.contains("nothing to do"), "{text}: {}", ran.stderr);
    }
    let ran = project.succeed(&["watch", "--stop"]);
    assert!(ran.stderr.contains("does not watch"), "{}", ran.stderr);
    // It has ended, so there can be another one, and then there is nobody to end.
    project.succeed(&["watch", "--daemon"]);
    project.succeed(&["watch", "--stop"]);
    let ran = project.succeed(&["watch", "--stop"]);
    assert!(ran.stderr.contains("nobody watches"), "{}", ran.stderr);
    project.write("tree/text", &format!("five {}", unique()));
    assert!(project.succeed(&["build"]).stderr.contains(" ran, "));
}

#[test]
fn the_command_line_says_what_goes_together() {
    let project = saved(ROOT);
    project.fail(&["watch", "--daemon", "root"], 2, &["cannot be used with"]);
    project.fail(&["watch", "-C", "/"], 2, &["there is no `bootwright.toml`"]);
}

const GUEST: &str = r#"
[stack]
name = "anew"

[source.files]
path = "files"

[env.vm]
distro   = "debian:bookworm"
packages = ["qemu-system-arm"]

[target.guest]
kind    = "command"
env     = "vm"
sources = ["files"]
run     = 'cp src/files/guest "$OUT"'
outputs = ["guest"]

[machine.guest]
arch   = "arm64"
env    = "vm"
memory = "64M"
accel  = "tcg"

[machine.guest.regions]
guest = { raw = "guest/guest", at = "0x40000000", entry = true }
"#;

#[test]
fn a_machine_starts_anew_when_it_became_another_one() {
    let project = Project::new(GUEST);
    let write = |text: &str, then| {
        fs::create_dir_all(project.path().join("files")).unwrap();
        fs::write(project.path().join("files/guest"), program(&format!("{text} {}\n", unique()), then))
            .unwrap();
    };
    write("first", SLEEP);
    let mut watch = Watch::start(project.command(&["watch", "--run", "guest"]));
    watch.says("machine `guest` starts");
    watch.says(&format!("first {}", unique()));
    write("second", POWER_OFF);
    watch.says("files/guest changed");
    watch.says("machine `guest` starts anew");
    watch.says(&format!("second {}", unique()));
    watch.says("machine `guest` has ended");
    write("third", SLEEP);
    watch.says("machine `guest` starts");
    watch.says(&format!("third {}", unique()));
    // What is wrong ends nothing that runs.
    project.write("bootwright.toml", &GUEST.replace("64M", "64Q"));
    watch.says("the project has 1 problem");
    project.write("bootwright.toml", &GUEST.replace("64M", "65M"));
    watch.says("machine `guest` starts anew");
    watch.says(&format!("third {}", unique()));
    assert_eq!(watch.interrupt().code(), Some(0), "{}", watch.text);
}

/// A Debian whose agent runs, and a file that it shows.
const PUSHED: &str = r##"
[stack]
name = "pushed"

[target.kernel]
kind    = "kernel-package"
distro  = "debian:bookworm"
package = "linux-image-cloud-amd64"

[target.rootfs]
kind     = "rootfs"
distro   = "debian:bookworm"
packages = ["qemu-guest-agent"]

[target.rootfs.files]
"/etc/greeting" = { file = "greeting" }
"/opt/new/tool" = "#!/bin/sh\necho a tool says $(cat /etc/greeting)\n"
"/usr/sbin/init-here" = '''
#!/bin/sh
mkdir -p /run/lock
qemu-ga --daemonize --method virtio-serial --path "$(echo /dev/vport*p1)"
echo "at the start: $(cat /etc/greeting), boot $(cat /proc/sys/kernel/random/boot_id)"
while :; do sleep 3600; done
'''

[target.disk]
kind   = "filesystem"
rootfs = "rootfs"
size   = "600M"

[target.initrd]
kind     = "initramfs"
distro   = "debian:bookworm"
packages = ["busybox-static"]
busybox  = ["chroot", "mount", "modprobe", "sh"]
modules  = { kernel = "kernel", names = ["virtio_pci", "virtio_blk", "virtio_console"] }
init     = '''
#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
modprobe -a virtio_pci virtio_blk virtio_console
mount -t ext4 /dev/vda /mnt
mount -t proc proc /mnt/proc
mount -t devtmpfs dev /mnt/dev
exec chroot /mnt /usr/sbin/init-here
'''
directories = { "/mnt" = {} }

[env.vm]
distro   = "debian:bookworm"
packages = ["qemu-system-x86"]

[machine.guest]
env     = "vm"
kernel  = "kernel"
initrd  = "initrd"
cmdline = "console=ttyS0 quiet panic=-1"
disks   = [{ target = "disk" }]

[machine.guest.push]
files = { "/etc/greeting" = { file = "greeting" }, "/opt/new/tool" = { content = "#!/bin/sh\necho a tool says $(cat /etc/greeting)\n" } }
then  = 'echo "pushed: $(/opt/new/tool), boot $(cat /proc/sys/kernel/random/boot_id)" > /dev/console'
"##;

#[test]
fn files_are_pushed_into_the_guest_that_runs() {
    let project = Project::new(PUSHED);
    project.write("greeting", &format!("hello {}", unique()));
    let mut watch = Watch::start(project.command(&["watch", "--run", "guest"]));
    let boot = |line: &str| line.trim().rsplit(' ').next().unwrap().to_owned();
    let started = boot(&watch.says(&format!("at the start: hello {}, boot", unique())));

    project.write("greeting", &format!("good day {}", unique()));
    watch.says("greeting changed");
    let pushed = watch.says(&format!("pushed: a tool says good day {}, boot", unique()));
    assert_eq!(boot(&pushed), started, "it was started anew:\n{}", watch.text);

    // The tool itself, and a mode.
    let another = PUSHED.replace("a tool says", "another one says");
    project.write("bootwright.toml", &another);
    let pushed = watch.says(&format!("pushed: another one says good day {}, boot", unique()));
    assert_eq!(boot(&pushed), started, "it was started anew:\n{}", watch.text);

    // What nobody can push starts it anew, with the pushed file in its image.
    project.write("bootwright.toml", &another.replace("quiet panic=-1", "quiet"));
    watch.says("machine `guest` starts anew");
    let anew = boot(&watch.says(&format!("at the start: good day {}, boot", unique())));
    assert_ne!(anew, started);
    assert_eq!(watch.interrupt().code(), Some(0), "{}", watch.text);
}
