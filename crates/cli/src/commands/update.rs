//! `update`: makes an existing image what a target gives, in place.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cas::{Digest, LocalStore, Node};
use engine::{ActionCache as _, StepId};
use mkimg::update::{Error, Image, Journal, Layout, Patch, Patched, State};
use recipe::{Goal, Target};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use serde_json::json;

use crate::args::{Global, UpdateArgs};
use crate::built::Built;
use crate::failure::{Blame, Failure, io};
use crate::goals;
use crate::prepared::Prepared;
use crate::session::Session;
use crate::ui::{self, Ui, bytes};

/// How many earlier builds an image may be one of.
const MOST_BASES: usize = 16;
/// How often an image is looked at until it counts as in use, and how long apart: a machine that was just stopped may not
/// have closed it yet.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// Builds the target and writes what differs into the image.
pub(crate) fn run(global: &Global, ui: &Ui, arguments: &UpdateArgs) -> Result<(), Failure> {
    let path = global.directory.as_deref().map_or(arguments.image.clone(), |dir| dir.join(&arguments.image));
    // The journal lies beside the file itself, whatever leads there.
    let path = fs::canonicalize(&path).map_err(|source| missing(&path, source))?;
    let file = open(&path)?;
    let journal = Journal::of(&path);
    let is_recovered = journal.recover(&file, &mut go_on).map_err(failure)?;
    if is_recovered {
        ui.note(&format!("finished the update of `{}` that was interrupted", path.display()));
    }

    let session = Session::open(global, ui)?;
    let (target, wanted) = match arguments.with.split_once('/') {
        Some((target, wanted)) => (target, Some(wanted)),
        None => (arguments.with.as_str(), None),
    };
    let goals = goals::targets(&session.stack, &[target.to_owned()])?;
    let prepared = session.prepare(&goals)?;
    let built = session.build(&prepared, &prepared.steps())?;
    session.tell_notes(&prepared, &built)?;
    session.keep(&prepared, &built)?;
    if built.outcome.counts().failed > 0 {
        return Err(Failure::told(Blame::Build));
    }
    let store = &session.caches.store;
    let (step, name, digest) = choose(&session, &prepared, &built, &goals[0], wanted)?;
    let new =
        Image::open(Path::new(&name), store.open_blob(&digest).map_err(Failure::store)?).map_err(failure)?;

    let duplicate = file.try_clone().map_err(io(format!("open `{}`", path.display())))?;
    let image = Image::open(&path, duplicate).map_err(failure)?;
    let bases = bases(&session, &prepared, step, &name, &digest)?;
    let layout = Layout::compare(&image, &new, &state(&session, &goals[0], arguments)).map_err(failure)?;
    let patch = Patch {
        image: &image,
        file: &file,
        new: &new,
        bases: &bases,
        layout: &layout,
        force: arguments.force,
        cancel: &session.cancel,
    };
    let patched = if arguments.dry_run {
        patch.dry_run()
    } else {
        // Whoever opens it from here on waits for the new one.
        check_alone(&file, &path)?;
        patch.run(&journal, &mut go_on)
    };
    let patched = patched.map_err(failure)?;
    tell(ui, global, arguments, &path, patched, &layout.left, is_recovered);
    Ok(())
}

/// To write what differs takes no longer than to stop it would.
fn go_on() -> io::Result<()> {
    Ok(())
}

/// Opens the image for us alone. The lock goes when anything that has the file open in this process is closed.
fn open(path: &Path) -> Result<File, Failure> {
    let opened = File::options().read(true).write(true).open(path);
    let file = opened.map_err(io(format!("open `{}`", path.display())))?;
    let metadata = file.metadata().map_err(io(format!("read the attributes of `{}`", path.display())))?;
    if !metadata.is_file() {
        return Err(Failure::new(Blame::Project, format!("`{}` is no regular file", path.display())));
    }
    // QEMU and its tools lock bytes of an image as long as they have it open.
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN | Errno::ACCESS) => {
            let problem =
                format!("`{}` is in use: a machine runs from it, or a tool has it open", path.display());
            return Err(Failure::new(Blame::Build, problem).help("stop the machine first"));
        }
        Err(error) => return Err(io(format!("lock `{}`", path.display()))(error.into())),
    }
    if let Some(device) = loop_device(path) {
        let problem = format!("`{}` is in use: it is attached as `{device}`", path.display());
        return Err(
            Failure::new(Blame::Build, problem).help(format!("detach it first: `losetup -d {device}`"))
        );
    }
    check_alone(&file, path)?;
    // Others need not wait for the build. Where there are no leases, there is nothing to give back.
    let _released = sandbox::lease::release(&file);
    Ok(file)
}

/// Fails when somebody else has the image open, as far as that can be found out here. If nobody has, nobody can open it
/// until it is closed.
fn check_alone(file: &File, path: &Path) -> Result<(), Failure> {
    for _ in 0..TRIES {
        if sandbox::lease::lease(file).unwrap_or(true) {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    let who = holder(file).unwrap_or_else(|| "somebody".to_owned());
    let problem = format!("`{}` is in use: {who} has it open", path.display());
    Err(Failure::new(Blame::Build, problem)
        .help("stop the machine that runs from it, or wait for the copy to end"))
}

/// Returns the name of a process that has a file open, of those that we may look at.
fn holder(file: &File) -> Option<String> {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let wanted = identity(file.metadata().ok()?);
    let numbers =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let holds = |number: &u32| {
        let files = fs::read_dir(format!("/proc/{number}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::metadata(file.path()).ok()).any(|found| identity(found) == wanted)
    };
    let number = numbers.filter(|number| *number != std::process::id()).find(holds)?;
    let name = fs::read_to_string(format!("/proc/{number}/comm")).ok()?;
    Some(format!("`{}` (process {number})", name.trim_end()))
}

/// Returns the loop device that a file is attached as, if it is.
fn loop_device(path: &Path) -> Option<String> {
    let devices = fs::read_dir("/sys/block").ok()?.flatten();
    let attached = |device: fs::DirEntry| {
        let file = fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
        (Path::new(file.trim_end_matches('\n')) == path)
            .then(|| format!("/dev/{}", device.file_name().to_string_lossy()))
    };
    devices.into_iter().find_map(attached)
}

fn missing(path: &Path, source: io::Error) -> Failure {
    let mut failure = io(format!("open `{}`", path.display()))(source);
    failure.blame = Blame::Project;
    failure
}

/// Turns an error of an update into a failure.
fn failure(error: Error) -> Failure {
    if matches!(error, Error::Cancelled) {
        return Failure::interrupted();
    }
    let help = error.help();
    let failure =
        if error.is_machine() { Failure::machine(error) } else { Failure::new(Blame::Build, error) };
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// Returns the file of a target that an image is to become, and the step that left it.
fn choose(
    session: &Session<'_>,
    prepared: &Prepared,
    built: &Built<'_>,
    goal: &Goal,
    wanted: Option<&str>,
) -> Result<(StepId, String, Digest), Failure> {
    let Goal::Target(target) = goal else { return Err(Failure::project("only a target has files")) };
    let outputs = &prepared.lowered.targets[target];
    let mut files = Vec::new();
    for step in &outputs.steps {
        if let Some(result) = built.outcome.result(*step) {
            let directory = session.caches.store.read_directory(&result.output).map_err(Failure::store)?;
            for (name, node) in directory.entries {
                if let Node::File { digest, .. } = node {
                    files.push((*step, name, digest));
                }
            }
        }
    }
    let found = match wanted {
        Some(wanted) => files.iter().find(|(_, name, _)| name == wanted),
        // All formats have the same disk, and this one is read at once.
        None => {
            let raw = files.iter().find(|(_, name, _)| name.ends_with(".raw"));
            raw.or(files.iter().find(|(_, name, _)| Some(name) == outputs.main.as_ref()))
        }
    };
    found.cloned().ok_or_else(|| {
        let names: Vec<String> = files.iter().map(|(_, name, _)| format!("`{target}/{name}`")).collect();
        let problem = match wanted {
            Some(wanted) => format!("`{target}` leaves no file `{wanted}`"),
            None => format!("`{target}` leaves several files"),
        };
        Failure::project(problem).help(format!("name one of {}", ui::some(&names, 8)))
    })
}

/// Returns what the file was in earlier builds, the last one first, as far as the cache still has it.
fn bases(
    session: &Session<'_>,
    prepared: &Prepared,
    step: StepId,
    name: &str,
    now: &Digest,
) -> Result<Vec<Image>, Failure> {
    let store = &session.caches.store;
    let history = session.state.history()?;
    let cache = session.caches.action_cache();
    let label = &prepared.lowered.graph.step(step).label;
    let mut seen = vec![*now];
    let mut bases = Vec::new();
    for run in history.runs(label).iter().rev().filter(|run| run.exit_code == 0) {
        let Some(result) = cache.get(&run.action).map_err(Failure::machine)? else { continue };
        let Some(digest) = file_of(store, &result.output, name) else { continue };
        if seen.contains(&digest) {
            continue;
        }
        seen.push(digest);
        // What was collected is known no more.
        if let Ok(blob) = store.open_blob(&digest)
            && let Ok(image) = Image::open(Path::new(name), blob)
        {
            bases.push(image);
        }
        if bases.len() == MOST_BASES {
            break;
        }
    }
    Ok(bases)
}

fn file_of(store: &LocalStore, output: &Digest, name: &str) -> Option<Digest> {
    match store.read_directory(output).ok()?.entries.get(name)? {
        Node::File { digest, .. } => Some(*digest),
        _ => None,
    }
}

/// Returns which partitions belong to whoever runs the image: those that the project says so of, or puts nothing into,
/// and those that the command line names.
fn state(session: &Session<'_>, goal: &Goal, arguments: &UpdateArgs) -> State {
    let mut state = State { names: arguments.keep.iter().cloned().collect(), ..State::default() };
    if let Goal::Target(name) = goal
        && let Some(target) = session.stack.targets.get(name.as_str())
        && let Target::Disk(disk) = &target.value
    {
        state.numbers = disk.state();
    }
    state
}

fn tell(
    ui: &Ui,
    global: &Global,
    arguments: &UpdateArgs,
    path: &PathBuf,
    patched: Patched,
    left: &[String],
    is_recovered: bool,
) {
    if global.json {
        ui.print_json(&json!({
            "version": 1, "image": path, "bytes": patched.bytes, "pieces": patched.n_pieces, "left": left,
            "recovered": is_recovered, "dry_run": arguments.dry_run,
        }));
        return;
    }
    if !left.is_empty() {
        ui.note(&format!("left alone: {}", left.join(", ")));
    }
    let (path, size) = (path.display(), bytes(patched.bytes));
    let pieces = match patched.n_pieces {
        1 => "1 piece".to_owned(),
        n_pieces => format!("{n_pieces} pieces"),
    };
    ui.print(&match (patched.n_pieces, arguments.dry_run) {
        (0, _) => format!("`{path}` is what `{}` gives already\n", arguments.with),
        (_, true) => format!("{size} of `{path}` would be written, in {pieces}\n"),
        (_, false) => format!("{size} of `{path}` written, in {pieces}\n"),
    });
}
