//! What a sandbox costs: `true` on an overlay over a root of 20,000 files, over one and over a hundred
//! trees, and beside it bubblewrap with the same mounts (without overlay), when it is installed.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::{Exit, Files, Mount, Overlay, Root, Sandbox, User, Writable, remove_tree, spawn};

const N_RUNS: usize = 200;

/// What is measured, and its name.
type Case<'a> = (&'a str, Box<dyn Fn() + 'a>);

fn main() {
    sandbox::init::run_if_requested();
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cost");
    let root = scratch.join("root");
    // They stay for the next time: ext4 is slow to make files where many were just removed.
    for directory in 0..200 {
        let directory = root.join(format!("files/{directory}"));
        fs::create_dir_all(&directory).unwrap();
        for file in (0..100).map(|file| directory.join(file.to_string())) {
            if !file.exists() {
                fs::write(file, "").unwrap();
            }
        }
    }
    let mut mounts = Vec::new();
    for path in ["/usr", "/bin", "/lib", "/lib64"] {
        match fs::read_link(path) {
            Ok(_) if root.join(&path[1..]).is_symlink() => {}
            Ok(target) => std::os::unix::fs::symlink(target, root.join(&path[1..])).unwrap(),
            Err(_) if Path::new(path).is_dir() => mounts.push(Mount::read_only(path, path)),
            Err(_) => {}
        }
    }
    mounts.push(Mount::tmpfs("/tmp"));
    let trees: Vec<PathBuf> = (0..99).map(|idx| scratch.join(format!("tree{idx}"))).collect();
    for tree in &trees {
        fs::create_dir_all(tree.join("files/in/all")).unwrap();
    }
    for directory in ["upper", "work"] {
        remove_tree(&scratch.join(directory)).unwrap();
        fs::create_dir(scratch.join(directory)).unwrap();
    }
    // Where bubblewrap mounts what a root has no place for.
    for directory in ["usr", "proc", "dev", "tmp"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }

    let sandbox = |lowers: Vec<PathBuf>, user| {
        let writable = Writable { upper: scratch.join("upper"), work: scratch.join("work") };
        let overlay = Overlay { lowers, writable: Some(writable) };
        let mut sandbox = Sandbox::new(Root::Overlay(overlay), vec!["/usr/bin/true".to_owned()]);
        sandbox.mounts.extend(mounts.clone());
        sandbox.user = user;
        sandbox
    };
    let one = sandbox(vec![root.clone()], User::Build);
    let as_root = sandbox(vec![root.clone()], User::Root);
    let hundred = sandbox([trees, vec![root.clone()]].concat(), User::Build);
    let program = std::env::current_exe().unwrap();
    let run = |sandbox: &Sandbox| {
        let ended = spawn(sandbox, &Files::default(), &program).unwrap().wait().unwrap();
        assert_eq!(ended.exit, Exit::Code(0));
    };
    let command = |command: &mut Command| {
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "{command:?}");
    };
    let bubblewrap = || {
        let mut bubblewrap = Command::new("bwrap");
        bubblewrap.args([
            "--unshare-all",
            "--unshare-user",
            "--die-with-parent",
            "--new-session",
            "--ro-bind",
        ]);
        bubblewrap.arg(&root).arg("/").args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
        for mount in &mounts {
            if let sandbox::Source::ReadOnly(path) = &mount.source {
                bubblewrap.arg("--ro-bind").arg(path).arg(&mount.at);
            }
        }
        command(bubblewrap.arg("/usr/bin/true"));
    };
    let installed = Command::new("bwrap").arg("--version").stdout(Stdio::null()).status().is_ok();

    let mut cases: Vec<Case<'_>> = vec![
        ("fork and exec", Box::new(|| command(&mut Command::new("/usr/bin/true")))),
        ("sandbox", Box::new(|| run(&one))),
        ("sandbox as root", Box::new(|| run(&as_root))),
        ("sandbox over 100 trees", Box::new(|| run(&hundred))),
    ];
    if installed {
        cases.push(("bubblewrap", Box::new(bubblewrap)));
    }
    // In turns, so that whatever else the machine does hits all of them alike.
    let mut times = vec![Vec::new(); cases.len()];
    for _ in 0..N_RUNS {
        for ((_, case), times) in cases.iter().zip(&mut times) {
            let start = Instant::now();
            case();
            times.push(start.elapsed());
        }
    }
    println!("{:24} {:>9} {:>9} {:>9}", "", "fastest", "median", "90 %");
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    for ((name, _), mut times) in cases.iter().zip(times) {
        times.sort();
        let [fastest, median, most] = [0, N_RUNS / 2, N_RUNS * 9 / 10].map(|idx| ms(times[idx]));
        println!("{name:24} {fastest:>9} {median:>9} {most:>9}");
    }
}
