//! Images that a command names, `IMAGE[:PATH]`.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use inspect::{Found, Limits, Object};
use mkimg::update::Journal;

use crate::args::Global;
use crate::failure::{Blame, Failure};

/// Returns whether something is the name of an image, rather than of a machine: there is such a file, or it looks like
/// the path of one.
pub(crate) fn names_one(global: &Global, what: &OsStr) -> bool {
    let bytes = what.as_bytes();
    bytes.iter().any(|byte| matches!(byte, b'/' | b':' | b'.')) || place(global, Path::new(what)).exists()
}

fn place(global: &Global, path: &Path) -> PathBuf {
    global.directory.as_deref().map_or_else(|| path.to_owned(), |directory| directory.join(path))
}

/// Turns an error of what looks into images into a failure.
pub(crate) fn failure(error: inspect::Error) -> Failure {
    let help = error.help();
    let blame = if error.is_machine() { Blame::Machine } else { Blame::Project };
    let failure = match blame {
        Blame::Machine => Failure::machine(error),
        _ => Failure::new(blame, error),
    };
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// Returns what `IMAGE[:PATH]` names. A file whose name has a colon is found by all of it.
pub(crate) fn find(global: &Global, what: &OsStr) -> Result<Found, Failure> {
    let bytes = what.as_bytes();
    let limits = Limits::default();
    let mut split = bytes.len();
    loop {
        let (file, rest) = bytes.split_at(split);
        let path = place(global, Path::new(OsStr::from_bytes(file)));
        if path.exists() {
            refuse_unfinished(&path)?;
            let object = Object::open(&path, limits).map_err(failure)?;
            return object.find(rest.strip_prefix(b":").unwrap_or(rest)).map_err(failure);
        }
        match file.iter().rposition(|byte| *byte == b':') {
            Some(at) if at > 0 => split = at,
            _ => break,
        }
    }
    let file = bytes.split(|byte| *byte == b':').next().unwrap_or(bytes);
    let path = place(global, Path::new(OsStr::from_bytes(file)));
    let missing = inspect::Error::Open { path, source: io::ErrorKind::NotFound.into() };
    Err(failure(missing).help("name an image, and a path in it behind a colon: `live.raw:IMGA/etc/hostname`"))
}

/// Fails if an update of the image was interrupted.
fn refuse_unfinished(path: &Path) -> Result<(), Failure> {
    if Journal::of(path).is_pending() {
        let problem = format!(
            "an update of `{}` was interrupted: it is neither the old nor the new image",
            path.display()
        );
        return Err(Failure::new(Blame::Project, problem)
            .help("run the same `bootwright update` again: it finishes what it began"));
    }
    Ok(())
}
