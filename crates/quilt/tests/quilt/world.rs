//! Directories to patch.

use std::error::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use layer::EntryPath;
use quilt::{ApplyError, Options, Patch, Tree};

/// A directory with files, and room beside it.
pub(crate) struct World {
    directory: tempfile::TempDir,
}

pub(crate) const STRICT: Options = Options { fuzz: 0, remove_empty: true };

impl World {
    /// Returns a directory with these files: `name`, `name*` for an executable, `name@` for a link.
    pub(crate) fn new(files: &[(&str, &str)]) -> World {
        let world = World { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(world.root()).unwrap();
        fs::create_dir(world.scratch()).unwrap();
        for (name, content) in files {
            let path = world.root().join(name.trim_end_matches(['*', '@']));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if name.ends_with('@') {
                symlink(content, &path).unwrap();
                continue;
            }
            fs::write(&path, content).unwrap();
            let mode = if name.ends_with('*') { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        world
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.directory.path().join("scratch")
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree::new(self.root(), self.scratch())
    }

    /// Applies a patch whose names begin with one directory.
    pub(crate) fn apply(&self, patch: &str, options: Options) -> Result<(), ApplyError> {
        let patch = Patch::parse(patch.as_bytes(), 1).unwrap_or_else(|error| panic!("{error}"));
        self.tree().apply(&patch, options, None)
    }

    /// Applies a patch and keeps what was there before below `backup`.
    pub(crate) fn apply_with_backups(&self, patch: &str) -> Result<(), ApplyError> {
        let patch = Patch::parse(patch.as_bytes(), 1).unwrap();
        self.tree().apply(&patch, STRICT, Some(&EntryPath::new("backup").unwrap()))
    }

    /// Draws the directory: a line for each file, with its content; empty directories too.
    pub(crate) fn draw(&self) -> String {
        let mut lines = Vec::new();
        draw(&self.root(), "", &mut lines);
        lines.join("\n")
    }
}

fn draw(directory: &Path, prefix: &str, lines: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(|entry| entry.file_name());
    if entries.is_empty() && !prefix.is_empty() {
        lines.push(prefix.to_owned());
    }
    for entry in entries {
        let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().display()));
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            draw(&path, &format!("{name}/"), lines);
        } else if metadata.is_symlink() {
            lines.push(format!("{name}@ {}", fs::read_link(&path).unwrap().display()));
        } else {
            let mark = if metadata.permissions().mode() & 0o100 != 0 { "*" } else { "" };
            lines.push(format!("{name}{mark} {:?}", String::from_utf8_lossy(&fs::read(&path).unwrap())));
        }
    }
}

/// Applies the patch to the files and compares the directory that results, or the error.
#[track_caller]
pub(crate) fn check(files: &[(&str, &str)], patch: &str, expected: &str) {
    check_with(STRICT, files, patch, expected);
}

#[track_caller]
pub(crate) fn check_with(options: Options, files: &[(&str, &str)], patch: &str, expected: &str) {
    let world = World::new(files);
    let before = world.draw();
    match world.apply(patch, options) {
        Ok(()) => assert_eq!(world.draw(), expected),
        Err(error) => {
            assert_eq!(render(&error), expected);
            assert_eq!(world.draw(), before, "a patch that fails changes nothing");
        }
    }
    assert_eq!(fs::read_dir(world.directory.path()).unwrap().count(), 2, "nothing beside the directory");
}

/// Returns an error with its causes.
pub(crate) fn render(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", render(source)),
        None => error.to_string(),
    }
}
