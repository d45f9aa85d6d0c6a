//! `inspect IMAGE[:PATH]`: what something is, and what is in it.

use std::ffi::OsStr;
use std::io::{self, Write as _};

use inspect::{Container, Entry, EntryKind, Format, Found, Object, copy_to};

use super::{How, show};
use crate::args::Global;
use crate::failure::Failure;
use crate::image::{failure, find};
use crate::ui::Ui;

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
