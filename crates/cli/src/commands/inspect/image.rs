//! `inspect IMAGE[:PATH]`: what something is, and what is in it.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use inspect::{Container, Entry, EntryKind, Format, Found, Limits, Object, copy_to};
use mkimg::update::Journal;

use super::{How, show};
use crate::args::Global;
use crate::failure::{Blame, Failure};
use crate::ui::Ui;

/// Returns whether something is the name of an image, rather than of a machine: there is such a file, or it looks like
/// the path of one.
pub(super) fn names_one(global: &Global, what: &OsStr) -> bool {
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

/// Shows what `what` names.
pub(super) fn run(global: &Global, ui: &Ui, what: &OsStr, how: How) -> Result<(), Failure> {
    match find(global, what)? {
        Found::Object(object) if how.raw => raw(&object),
        Found::Object(object) => {
            let is_inside = object.is_inside();
            // A text in an image is shown as such.
            if is_inside && object.described().format == Format::Text && !global.json {
                return raw(&object);
            }
            let entries = match object.container() {
                Some(container) => list(&**container, b"", how.recursive)?,
                None => Vec::new(),
            };
            if global.json {
                ui.print_json(&show::object_json(&object, &entries));
            } else {
                ui.print(&show::object_text(&object, &entries, how.recursive));
            }
            Ok(())
        }
        Found::Directory { of, entry } => {
            let Some(container) = of.container() else { return Ok(()) };
            let entries = list(&**container, &entry.path, how.recursive)?;
            if global.json {
                ui.print_json(&show::entries_json(of.name(), &entries));
            } else {
                ui.print(&show::entries_text(&entries));
            }
            Ok(())
        }
        Found::Other { name, entry } => {
            let entries = [*entry];
            if global.json {
                ui.print_json(&show::entries_json(&name, &entries));
            } else {
                ui.print(&show::entries_text(&entries));
            }
            Ok(())
        }
    }
}

/// Writes the bytes of an object to standard output.
fn raw(object: &Object) -> Result<(), Failure> {
    let Some(source) = object.source() else {
        return Err(Failure::project(format!("`{}` is a directory, which has no bytes", object.name())));
    };
    let mut out = io::stdout().lock();
    copy_to(&**source, &mut out)
        .and_then(|_| out.flush())
        .map_err(crate::failure::io(format!("write `{}`", object.name())))
}

/// Returns what is below `top`: its own entries, or all.
fn list(container: &dyn Container, top: &[u8], recursive: bool) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    container
        .walk(&mut |entry| {
            let below = match top {
                b"" => Some(&entry.path[..]),
                top => entry.path.strip_prefix(top).and_then(|rest| rest.strip_prefix(b"/")),
            };
            let is_listed =
                below.is_some_and(|below| !below.is_empty() && (recursive || !below.contains(&b'/')));
            if is_listed {
                entries.push(entry);
            }
            Ok(())
        })
        .map_err(failure)?;
    // The order of a file system's names is its own; that of partitions means something.
    if entries.iter().all(|entry| !matches!(entry.kind, EntryKind::Partition | EntryKind::Section)) {
        entries.sort_by(|left, right| left.path.cmp(&right.path));
    }
    Ok(entries)
}
