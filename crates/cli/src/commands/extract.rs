//! `extract`: what is in an image, written to a directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use inspect::{Container, Entry, Found, copy_to_file, extract};
use serde_json::json;

use crate::args::Global;
use crate::failure::{self as fail, Failure};
use crate::image::{failure, find};
use crate::ui::{self, Ui};

/// Writes what `what` names to `place`.
pub(crate) fn run(ui: &Ui, global: &Global, what: &OsStr, place: &Path) -> Result<(), Failure> {
    let place =
        global.directory.as_deref().map_or_else(|| place.to_owned(), |directory| directory.join(place));
    match find(global, what)? {
        Found::Object(object) => match object.container().cloned() {
            Some(container) => {
                let top = container.lookup(b"").map_err(failure)?;
                tree(ui, global, &*container, top.as_ref(), &place)
            }
            None => {
                // A single file goes into any directory, under its own name.
                fs::create_dir_all(&place).map_err(fail::io(format!("make `{}`", place.display())))?;
                let name =
                    what.as_bytes().rsplit(|byte| matches!(byte, b'/' | b':')).next().unwrap_or_default();
                let path = place.join(OsStr::from_bytes(if name.is_empty() { b"file" } else { name }));
                let write = || fail::io(format!("write `{}`", path.display()));
                let file = File::create_new(&path).map_err(write())?;
                if let Some(source) = object.source() {
                    copy_to_file(&**source, &file).map_err(write())?;
                }
                said(ui, global, &path, 1, &[]);
                Ok(())
            }
        },
        Found::Directory { of, entry } => match of.container() {
            Some(container) => tree(ui, global, &**container, Some(&entry), &place),
            None => Ok(()),
        },
        Found::Other { name, entry } => {
            let kind = entry.kind.name();
            Err(Failure::project(format!("`{name}` has no contents: it is a {kind}")))
        }
    }
}

fn tree(
    ui: &Ui,
    global: &Global,
    container: &dyn Container,
    top: Option<&Entry>,
    place: &Path,
) -> Result<(), Failure> {
    match fs::read_dir(place).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            return Err(Failure::project(format!("`{}` is not empty", place.display()))
                .help("name a directory that is empty or not there"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail::io(format!("read `{}`", place.display()))(error)),
        Ok(false) => {}
    }
    fs::create_dir_all(place).map_err(fail::io(format!("make `{}`", place.display())))?;
    let is_root = rustix::process::geteuid().is_root();
    let extracted = extract(container, top, place, is_root).map_err(failure)?;
    said(ui, global, place, extracted.files, &extracted.left_out);
    Ok(())
}

fn said(ui: &Ui, global: &Global, place: &Path, n_files: u64, left_out: &[String]) {
    if global.json {
        let place = place.display().to_string();
        ui.print_json(&json!({ "version": 1, "directory": place, "files": n_files, "left_out": left_out }));
        return;
    }
    if !left_out.is_empty() {
        ui.note(&format!("left out, since only an image can have them: {}", ui::some(left_out, 5)));
    }
    ui.note(&format!("{n_files} files in `{}`", place.display()));
}
