//! Local sources that are watched: whatever happens, a build gets what it would get by looking at everything.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cas::{Asked, Ignore, Imported, LocalStore, Server, StatCache, WatchError, Watcher, Watches};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

const DIRECTORIES: usize = 60;
const FILES: usize = 50;

/// A source of some thousand files, and stores of those who ask and of one who never does.
struct Fixture {
    root: tempfile::TempDir,
    asking: LocalStore,
    looking: LocalStore,
}

impl Fixture {
    fn new(n_directories: usize) -> Fixture {
        let root = tempfile::tempdir().unwrap();
        for directory in 0..n_directories {
            let directory = root.path().join(format!("source/{}/{directory}/deep", directory % 7));
            fs::create_dir_all(&directory).unwrap();
            for file in 0..FILES {
                fs::write(directory.parent().unwrap().join(file.to_string()), format!("{file}\n")).unwrap();
            }
            fs::write(directory.join("below"), "below").unwrap();
        }
        let asking = LocalStore::open(&root.path().join("asking")).unwrap();
        let looking = LocalStore::open(&root.path().join("looking")).unwrap();
        Fixture { root, asking, looking }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("source").join(name)
    }

    fn socket(&self) -> PathBuf {
        self.root.path().join("watcher")
    }

    fn ignore() -> Ignore {
        Ignore::new(["*.o", "/out/", ".git/"])
    }

    /// Returns what a build gets that asks, and what came of asking.
    fn ask(&self) -> (Imported, Asked) {
        // On a busy machine an answer takes its time.
        self.ask_for(Duration::from_secs(600))
    }

    fn ask_for(&self, patience: Duration) -> (Imported, Asked) {
        let watcher = Watcher::patient(&self.socket(), patience);
        let imported = self.import(&self.asking, "asking.cache", &watcher);
        (imported, watcher.asked())
    }

    /// Returns what a build gets that nobody told anything.
    fn look(&self) -> Imported {
        self.import(&self.looking, "looking.cache", &Watcher::nobody())
    }

    fn import(&self, store: &LocalStore, cache: &str, watcher: &Watcher) -> Imported {
        let mut cache = StatCache::at(&self.root.path().join(cache));
        let imported = store.import_source(&self.path(""), &Fixture::ignore(), &mut cache, watcher).unwrap();
        cache.save().unwrap();
        imported
    }

    /// Asks, and checks that this gives what is there.
    #[track_caller]
    fn check(&self, how: Asked) {
        let (asked, found) = self.ask();
        assert_eq!(asked, self.look());
        assert_eq!(found, how);
    }

    /// Watches the source from now on, and has asked once.
    fn watched(&self) -> (Arc<Watches>, Server) {
        let watches = Watches::new().unwrap();
        watches.add(&self.path(""), &Fixture::ignore()).unwrap();
        let server = Server::start(&self.socket(), &watches).unwrap();
        self.check(LOOKED);
        self.check(UNCHANGED);
        (watches, server)
    }
}

const UNCHANGED: Asked = Asked { unchanged: 1, partly: 0, looked: 0 };
const PARTLY: Asked = Asked { unchanged: 0, partly: 1, looked: 0 };
const LOOKED: Asked = Asked { unchanged: 0, partly: 0, looked: 1 };

#[test]
fn every_kind_of_change_is_told() {
    let fixture = Fixture::new(DIRECTORIES);
    let (_watches, _server) = fixture.watched();
    let path = |name: &str| fixture.path(name);
    type Change<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let changes: Vec<Change<'_>> = vec![
        ("an edit", Box::new(|| fs::write(path("1/1/7"), "edited").unwrap())),
        // Within the same tick of the clock, of the same size: only who hears of it can tell.
        ("another one", Box::new(|| fs::write(path("1/1/7"), "detide").unwrap())),
        (
            "something at the end",
            Box::new(|| {
                File::options().append(true).open(path("2/2/9")).unwrap().write_all(b"more").unwrap();
            }),
        ),
        ("a cut", Box::new(|| File::options().write(true).open(path("2/2/9")).unwrap().set_len(1).unwrap())),
        ("a new file", Box::new(|| fs::write(path("3/3/new"), "new").unwrap())),
        ("a file less", Box::new(|| fs::remove_file(path("3/3/new")).unwrap())),
        ("another name", Box::new(|| fs::rename(path("4/4/1"), path("4/4/deep/one")).unwrap())),
        (
            "a replacement",
            Box::new(|| {
                fs::write(path("5/5/.8.new"), "replaced").unwrap();
                fs::rename(path("5/5/.8.new"), path("5/5/8")).unwrap();
            }),
        ),
        (
            "a mode",
            Box::new(|| fs::set_permissions(path("6/6/0"), fs::Permissions::from_mode(0o755)).unwrap()),
        ),
        ("a link", Box::new(|| symlink("0", path("0/0/link")).unwrap())),
        (
            "another link",
            Box::new(|| {
                fs::remove_file(path("0/0/link")).unwrap();
                symlink("1", path("0/0/link")).unwrap();
            }),
        ),
        (
            "a new directory",
            Box::new(|| {
                fs::create_dir_all(path("1/1/new/and/below")).unwrap();
                fs::write(path("1/1/new/and/below/it"), "it").unwrap();
            }),
        ),
        ("something in it", Box::new(|| fs::write(path("1/1/new/and/it"), "it").unwrap())),
        ("a moved directory", Box::new(|| fs::rename(path("1/1/new"), path("2/2/deep/moved")).unwrap())),
        ("something in that", Box::new(|| fs::write(path("2/2/deep/moved/and/below/it"), "too").unwrap())),
        (
            "one moved back and forth",
            Box::new(|| {
                fs::rename(path("2/2"), path("2/two")).unwrap();
                fs::rename(path("2/two"), path("two")).unwrap();
                fs::create_dir(path("2/2")).unwrap();
                fs::write(path("2/2/other"), "other").unwrap();
                fs::rename(path("two"), path("2/two")).unwrap();
            }),
        ),
        ("something in the other", Box::new(|| fs::write(path("2/two/deep/below"), "?").unwrap())),
        (
            "a directory out of sight",
            Box::new(|| fs::rename(path("2/two"), fixture.root.path().join("away")).unwrap()),
        ),
        (
            "and back",
            Box::new(|| {
                fs::write(fixture.root.path().join("away/9"), "from afar").unwrap();
                fs::rename(fixture.root.path().join("away"), path("6/back")).unwrap();
            }),
        ),
        ("directories less", Box::new(|| fs::remove_dir_all(path("3")).unwrap())),
        ("a file where one was", Box::new(|| fs::write(path("3"), "three").unwrap())),
        (
            "and one again",
            Box::new(|| {
                fs::remove_file(path("3")).unwrap();
                fs::create_dir_all(path("3/3")).unwrap();
                fs::write(path("3/3/3"), "three").unwrap();
            }),
        ),
        (
            "an exchange",
            Box::new(|| {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(rustix::fs::CWD, path("4"), rustix::fs::CWD, path("3/3"), flags)
                    .unwrap();
            }),
        ),
        ("something in what was exchanged", Box::new(|| fs::write(path("3/3/4/1"), "1").unwrap())),
    ];
    for (what, change) in changes {
        change();
        let (asked, found) = fixture.ask();
        assert_eq!(asked, fixture.look(), "{what}");
        assert_eq!(found, PARTLY, "{what}");
        assert_eq!(fixture.ask(), (asked, UNCHANGED), "{what}");
    }
}

#[test]
fn what_is_touched_is_looked_at_and_what_is_left_out_is_not() {
    let fixture = Fixture::new(8);
    let (_watches, _server) = fixture.watched();
    let before = fixture.ask().0;
    File::open(fixture.path("1/1/1")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(fixture.ask(), (before, PARTLY));
    fs::write(fixture.path("1/1/main.o"), "object").unwrap();
    fs::create_dir_all(fixture.path("2/.git/objects")).unwrap();
    fs::write(fixture.path("2/.git/objects/pack"), "pack").unwrap();
    fs::create_dir(fixture.path("out")).unwrap();
    fs::write(fixture.path("out/image"), "image").unwrap();
    assert_eq!(fixture.ask(), (before, UNCHANGED));
    // What reads leaves no trace.
    File::open(fixture.path("1/1/2")).unwrap().read_to_end(&mut Vec::new()).unwrap();
    fs::read_dir(fixture.path("1")).unwrap().for_each(drop);
    assert_eq!(fixture.ask(), (before, UNCHANGED));
    assert_eq!(fixture.look(), before);
}

/// A sequence of numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Does something to the tree that may or may not succeed.
fn disturb(root: &Path, numbers: &mut Numbers) {
    let mut path = || {
        let names = ["0", "1", "2", "deep", "x", "y"];
        let depth = 1 + numbers.below(4);
        (0..depth).fold(root.to_owned(), |path, _| path.join(names[numbers.below(names.len())]))
    };
    let (one, other) = (path(), path());
    let _may_fail = match numbers.below(8) {
        0 | 1 => fs::write(&one, numbers.below(1000).to_string()),
        2 => fs::create_dir_all(&one),
        3 => fs::rename(&one, &other),
        4 => fs::remove_file(&one),
        5 => fs::remove_dir_all(&one),
        6 => symlink("0", &one),
        _ => fs::set_permissions(&one, fs::Permissions::from_mode(0o755)),
    };
}

#[test]
fn any_changes_in_any_order_come_to_what_is_there() {
    let fixture = Fixture::new(14);
    let (_watches, _server) = fixture.watched();
    let mut numbers = Numbers(1);
    for round in 0..150 {
        for _ in 0..numbers.below(12) {
            disturb(&fixture.path(""), &mut numbers);
        }
        let (asked, found) = fixture.ask();
        assert_eq!(asked, fixture.look(), "round {round}");
        assert_eq!(found.looked, 0, "round {round}");
    }
}

#[test]
fn changes_while_it_is_asked_and_looked_at_are_not_lost() {
    let fixture = Fixture::new(14);
    let (_watches, _server) = fixture.watched();
    for round in 0..10 {
        std::thread::scope(|scope| {
            let root = fixture.path("");
            let disturber = scope.spawn(move || {
                let mut numbers = Numbers(round);
                for step in 0..400 {
                    // Files only: a directory that goes while it is looked at fails a build.
                    let file = root.join(format!("{}/{}/{}", step % 7, step % 14, numbers.below(FILES)));
                    let _may_fail = fs::write(&file, format!("{round} {step}"));
                }
            });
            while !disturber.is_finished() {
                fixture.ask();
            }
        });
        let (asked, found) = fixture.ask();
        assert_eq!(asked, fixture.look(), "round {round}");
        assert_eq!(found.looked, 0, "round {round}");
    }
}

#[test]
fn files_with_other_names_are_looked_at_each_time() {
    let fixture = Fixture::new(8);
    fs::hard_link(fixture.path("1/1/1"), fixture.root.path().join("elsewhere")).unwrap();
    let watches = Watches::new().unwrap();
    watches.add(&fixture.path(""), &Fixture::ignore()).unwrap();
    let _server = Server::start(&fixture.socket(), &watches).unwrap();
    fixture.check(LOOKED);
    fixture.check(PARTLY);
    fs::write(fixture.root.path().join("elsewhere"), "by its other name").unwrap();
    fixture.check(PARTLY);
}

#[test]
fn another_directory_at_the_same_path_is_another_source() {
    let fixture = Fixture::new(8);
    let (watches, _server) = fixture.watched();
    fs::rename(fixture.path(""), fixture.root.path().join("before")).unwrap();
    fs::create_dir(fixture.path("")).unwrap();
    fs::write(fixture.path("only"), "this").unwrap();
    fixture.check(LOOKED);
    // It is watched from now on, as soon as somebody asked.
    watches.add(&fixture.path(""), &Fixture::ignore()).unwrap();
    fixture.check(LOOKED);
    fixture.check(UNCHANGED);
    // A link leads to another one without anything happening to the first.
    let [one, other] = ["one", "other"].map(|name| fixture.root.path().join(name));
    fs::rename(fixture.path(""), &one).unwrap();
    fs::create_dir(&other).unwrap();
    symlink(&one, fixture.root.path().join("source")).unwrap();
    watches.add(&fixture.path(""), &Fixture::ignore()).unwrap();
    fixture.check(LOOKED);
    fixture.check(UNCHANGED);
    fs::remove_file(fixture.root.path().join("source")).unwrap();
    symlink(&other, fixture.root.path().join("source")).unwrap();
    fixture.check(LOOKED);
}

/// A process that watches the source of a fixture.
struct Process(Child);

impl Process {
    fn start(fixture: &Fixture) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_watches", "--ignored", "--nocapture", "--test-threads=1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{}", fixture.root.path().display()).unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("watching")), "the child ended early");
        Process(child)
    }

    fn stop(&self) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::STOP).unwrap();
        // Its threads stop one after the other.
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped());
    }

    fn go_on(&self) {
        kill_process(Pid::from_child(&self.0), Signal::CONT).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

#[test]
#[ignore = "started by the other tests as a process of its own"]
fn child_watches() {
    let mut lines = std::io::stdin().lines();
    let Some(Ok(root)) = lines.next() else { return };
    let root = Path::new(&root);
    let watches = Watches::new().unwrap();
    watches.add(&root.join("source").join(""), &Fixture::ignore()).unwrap();
    let _server = Server::start(&root.join("watcher"), &watches).unwrap();
    println!("watching");
    assert!(lines.next().is_none());
}

#[test]
fn a_watcher_that_is_killed_is_done_without_and_the_next_one_counts_anew() {
    let fixture = Fixture::new(DIRECTORIES);
    let first = Process::start(&fixture);
    fixture.check(LOOKED);
    fixture.check(UNCHANGED);
    drop(first);
    assert!(fixture.socket().exists());
    fs::write(fixture.path("1/1/1"), "while nobody watched").unwrap();
    fixture.check(LOOKED);
    fs::write(fixture.path("1/1/1"), "nobody watched while").unwrap();
    let _second = Process::start(&fixture);
    fixture.check(LOOKED);
    fixture.check(UNCHANGED);
}

#[test]
fn nobody_waits_for_a_watcher_that_hangs_and_one_that_lost_count_says_so() {
    let fixture = Fixture::new(DIRECTORIES);
    let process = Process::start(&fixture);
    fixture.check(LOOKED);
    process.stop();
    fs::write(fixture.path("1/1/1"), "unheard").unwrap();
    assert_eq!(fixture.ask_for(Duration::from_millis(1)), (fixture.look(), LOOKED));
    process.go_on();
    // Who looked for himself has to do so once more.
    fixture.check(LOOKED);
    fixture.check(UNCHANGED);

    let longest = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let longest: usize = longest.trim().parse().unwrap();
    process.stop();
    let files: Vec<File> =
        (0..FILES).map(|file| File::open(fixture.path(&format!("2/2/{file}"))).unwrap()).collect();
    for round in 0..=longest / FILES {
        let time = std::time::UNIX_EPOCH + Duration::from_secs(round as u64);
        for file in &files {
            file.set_modified(time).unwrap();
        }
    }
    fs::write(fixture.path("3/3/3"), "lost").unwrap();
    fs::create_dir(fixture.path("3/3/lost")).unwrap();
    process.go_on();
    fixture.check(LOOKED);
    fixture.check(UNCHANGED);
    fs::write(fixture.path("3/3/lost/and"), "found").unwrap();
    fixture.check(PARTLY);
}

#[test]
fn one_process_answers_and_only_its_own_user() {
    let fixture = Fixture::new(1);
    let (watches, server) = fixture.watched();
    assert_eq!(fs::metadata(fixture.socket()).unwrap().mode() & 0o777, 0o600);
    assert!(matches!(Server::start(&fixture.socket(), &watches), Err(WatchError::Served)));
    drop(server);
    assert!(!fixture.socket().exists());
    fixture.check(LOOKED);
    let _server = Server::start(&fixture.socket(), &watches).unwrap();
    // Whoever looked for himself meanwhile may have to do so once more.
    fixture.ask();
    fixture.check(UNCHANGED);
}

#[test]
fn a_source_is_watched_once_somebody_asked_for_it() {
    let fixture = Fixture::new(1);
    let watches = Watches::new().unwrap();
    let _server = Server::start(&fixture.socket(), &watches).unwrap();
    let before = watches.beat();
    fixture.check(LOOKED);
    assert!(watches.wait(before, Duration::from_secs(60)));
    assert!(watches.has(&fixture.path(""), &Fixture::ignore()));
    fixture.check(LOOKED);
    fixture.check(UNCHANGED);
}

#[test]
fn answers_that_are_none_are_not_believed() {
    let fixture = Fixture::new(1);
    let other_version = [&[4, 0, 0, 0][..], &[0x08, 0x63, 0x12, 0x00]].concat();
    let without_protocol = [&[0; 4][..], b"more"].concat();
    for said in [&b""[..], b"HTTP/1.1 200 OK\r\n\r\n", &[0xff; 8], &other_version, &without_protocol] {
        let listener = UnixListener::bind(fixture.socket()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(said).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                // Until the other end has gone.
                let _ended = stream.read_to_end(&mut Vec::new());
            });
            fixture.check(LOOKED);
        });
        fs::remove_file(fixture.socket()).unwrap();
    }
}

#[test]
fn names_are_for_people() {
    let fixture = Fixture::new(8);
    let (watches, _server) = fixture.watched();
    let take = || watches.take_names(&fixture.path(""), &Fixture::ignore());
    assert!(take().is_empty());
    let before = watches.beat();
    let mut file = File::create(fixture.path("1/1/main.c")).unwrap();
    file.write_all(b"one").unwrap();
    file.rewind().unwrap();
    file.write_all(b"two").unwrap();
    fs::rename(fixture.path("2/2"), fixture.path("2/two")).unwrap();
    assert!(watches.wait(before, Duration::from_secs(60)));
    assert_eq!(take().names, ["1/1/main.c", "2/2", "2/two"]);
    assert!(take().is_empty());
    assert!(!watches.wait(watches.beat(), Duration::from_millis(1)));
    for file in 0..FILES {
        fs::remove_file(fixture.path(&format!("3/3/{file}"))).unwrap();
    }
    let names = take();
    assert_eq!((names.names.len(), names.n_more), (16, FILES - 16));
}

#[test]
fn limits_of_the_system_are_told_with_what_to_do() {
    let fixture = Fixture::new(8);
    let script = "echo 5 > /proc/sys/user/max_inotify_watches || exit 77; exec \"$1\" --exact \
                  child_meets_a_limit --ignored --nocapture --test-threads=1";
    let child = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return println!("skipped: no `unshare` on this machine: {error}"),
    };
    // It may have ended before it read this.
    let _ = writeln!(child.stdin.take().unwrap(), "{}", fixture.root.path().display());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || text.contains("unshare:") {
        return println!("skipped: no limits can be set here: {text}");
    }
    assert!(output.status.success() && text.contains("limited"), "{text}");
}

#[test]
#[ignore = "started by another test where there is a limit"]
fn child_meets_a_limit() {
    let Some(Ok(root)) = std::io::stdin().lines().next() else { return };
    let watches = Watches::new().unwrap();
    let error = watches.add(&Path::new(&root).join("source"), &Fixture::ignore()).unwrap_err();
    assert!(matches!(error, WatchError::Watches { .. }), "{error}");
    assert!(error.help().unwrap().contains("fs.inotify.max_user_watches"));
    println!("limited");
}
