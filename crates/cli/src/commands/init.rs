//! `init`: starts a project from a template.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use recipe::Name;
use serde_json::json;

use crate::args::Global;
use crate::failure::{Failure, io};
use crate::templates::{TEMPLATES, Template};
use crate::ui::Ui;

/// The file from which editors complete and check a project.
const SCHEMA: &str = "bootwright.schema.json";
/// What may be in a directory that counts as empty: what `git init` leaves.
const HARMLESS: &[&str] = &[".git"];
/// What is not to be committed.
const IGNORED: &str = "/out/\n";

/// Lists the templates.
pub(crate) fn list(global: &Global, ui: &Ui) -> Result<(), Failure> {
    if global.json {
        let templates = TEMPLATES
            .iter()
            .map(|template| json!({ "name": template.name, "description": template.description() }));
        let templates: Vec<_> = templates.collect();
        ui.print_json(&json!({ "version": 1, "templates": templates }));
        return Ok(());
    }
    let width = TEMPLATES.iter().map(|template| template.name.len()).max().unwrap_or_default();
    for template in TEMPLATES {
        ui.print(&format!("{:width$}  {}\n", template.name, template.description()));
    }
    Ok(())
}

/// Writes the files of the template `from` into `place`, which must be empty, or the current directory.
pub(crate) fn run(global: &Global, ui: &Ui, place: Option<&Path>, from: &str) -> Result<(), Failure> {
    let Some(template) = TEMPLATES.iter().find(|template| template.name == from) else {
        let known = TEMPLATES.iter().map(|template| template.name);
        return Err(Failure::project(format!("there is no template `{from}`")).help(recipe::suggest::help(
            from,
            "templates",
            known,
        )));
    };
    let here = global.directory.clone().unwrap_or_else(|| PathBuf::from("."));
    let directory = place.map_or(here.clone(), |place| here.join(place));
    fs::create_dir_all(&directory).map_err(io(format!("make `{}`", directory.display())))?;
    let directory =
        directory.canonicalize().map_err(io(format!("find the directory `{}`", directory.display())))?;
    refuse_what_is_there(&directory)?;

    let name = project_name(&directory).unwrap_or_else(|| template.name.to_owned());
    let mut files = template.files_for(&name, SCHEMA);
    files.push((SCHEMA, false, recipe::schema().into_bytes()));
    files.push((".gitignore", false, IGNORED.as_bytes().to_vec()));
    for (path, is_executable, bytes) in &files {
        write(&directory.join(path), *is_executable, bytes)?;
    }
    let mut paths: Vec<&str> = files.iter().map(|(path, ..)| *path).collect();
    paths.sort_unstable();
    if global.json {
        ui.print_json(&json!({ "version": 1, "name": name, "directory": directory, "files": paths }));
    } else {
        ui.print(&told(template, &name, place, &paths));
    }
    Ok(())
}

fn refuse_what_is_there(directory: &Path) -> Result<(), Failure> {
    let listed = || io(format!("list `{}`", directory.display()));
    for entry in fs::read_dir(directory).map_err(listed())? {
        let name = entry.map_err(listed())?.file_name();
        if !HARMLESS.iter().any(|harmless| name == *harmless) {
            let what = format!("`{}` is not empty: there is `{}`", directory.display(), name.display());
            return Err(Failure::project(what).help("name a directory that is empty or not there"));
        }
    }
    Ok(())
}

/// Returns the name of the directory, if it can be that of a project.
fn project_name(directory: &Path) -> Option<String> {
    let name = directory.file_name()?.to_str()?.to_ascii_lowercase();
    Name::new(&name).map(|name| name.to_string())
}

/// Writes a file that is not there yet.
fn write(path: &Path, is_executable: bool, bytes: &[u8]) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io(format!("make `{}`", parent.display())))?;
    }
    let mode = if is_executable { 0o777 } else { 0o666 };
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    match opened.and_then(|mut file| file.write_all(bytes)) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Failure::project(format!("`{}` is there already", path.display())))
        }
        done => done.map_err(io(format!("write `{}`", path.display()))),
    }
}

/// Returns what was done and what comes next.
fn told(template: &Template, name: &str, place: Option<&Path>, paths: &[&str]) -> String {
    let mut text = format!("`{name}` is made from `{}`: {}\n\nnext:\n", template.name, paths.join(", "));
    let mut next = |command: &str, what: &str| text.push_str(&format!("  {command:<22}{what}\n"));
    if let Some(place) = place {
        next(&format!("cd {}", place.display()), "");
    }
    if template.has("test") {
        next("bootwright test", "build everything, boot it, check what it says");
    } else {
        next("bootwright build", "build everything that is built without more said");
    }
    if template.has("machine") {
        next("bootwright run", "the same machine, with its console as yours");
    }
    next("git add .", "with `bootwright.lock`, which pins what was used");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_called_like_its_directory_if_it_can_be() {
        let name = |path: &str| project_name(Path::new(path));
        assert_eq!(name("/tmp/My-guest").as_deref(), Some("my-guest"));
        assert_eq!(name("/tmp/my guest"), None);
        assert_eq!(name("/"), None);
    }
}
