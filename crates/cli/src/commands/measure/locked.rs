//! `measure --check` and `--update`: digests that are expected, in a file that is kept beside a recipe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use launch::lock::{Expected, Lock, LockError, Moved, expected, moved};
use launch::{File, Measurement, ZeroPages};

use super::moved::{self, Origin};
use super::{place, write};
use crate::args::{Global, Measure};
use crate::failure::{Blame, Failure, io};
use crate::ui::Ui;

/// Where digests are if nothing else is said.
const LOCK: &str = "measurements.lock";

#[derive(Debug, thiserror::Error)]
#[error("could not read `{path}`")]
struct LockNotRead {
    path: PathBuf,
    source: LockError,
}

/// Returns the lock and where it is; none if there is none.
fn load(global: &Global, options: &Measure) -> Result<(PathBuf, Option<Lock>), Failure> {
    let path = options.lock.as_deref().unwrap_or(Path::new(LOCK));
    let text = match std::fs::read_to_string(place(global, path)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((path.to_owned(), None)),
        text => text.map_err(io(format!("read `{}`", path.display())))?,
    };
    let lock = Lock::parse(&text)
        .map_err(|source| Failure::project(LockNotRead { path: path.to_owned(), source }))?;
    Ok((path.to_owned(), Some(lock)))
}

/// Returns by which name an image is known.
fn name(options: &Measure) -> String {
    let name = options.file.file_name().unwrap_or(options.file.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Returns the command that has the lock expect what the image measures now, with all that was asked for in the same way.
fn accepting(global: &Global, options: &Measure) -> String {
    let mut command = "bootwright ".to_owned();
    if let Some(directory) = &global.directory {
        command += &format!("-C {} ", directory.display());
    }
    command += "measure --update";
    let is_usual = |lock: &Path| {
        let [lock, usual] = [lock, Path::new(LOCK)].map(|path| std::fs::canonicalize(place(global, path)));
        lock.is_ok_and(|lock| usual.is_ok_and(|usual| lock == usual))
    };
    if let Some(lock) = options.lock.as_deref().filter(|lock| !is_usual(lock)) {
        command += &format!(" --lock {}", lock.display());
    }
    if options.native_zero {
        command += " --native-zero";
    }
    for platform in &options.platform {
        command += &format!(" --platform {platform}");
    }
    format!("{command} {}", options.file.display())
}

fn found(file: &File<'_>, measured: &Measurement, zeros: ZeroPages) -> Result<Expected, Failure> {
    expected(file, measured.platform, zeros).map_err(|error| Failure::new(Blame::Build, error))
}

/// Returns what the lock at `path` expects of zero pages, by the names of the images that it has; nothing without a lock.
fn known(global: &Global, path: &Path) -> Result<BTreeMap<String, bool>, Failure> {
    let options = Measure { lock: Some(path.to_owned()), ..Measure::default() };
    let (_, lock) = load(global, &options)?;
    let images = lock.into_iter().flat_map(|lock| lock.images);
    let zeros = |platforms: &BTreeMap<_, Expected>| platforms.values().any(|expected| expected.native_zero);
    Ok(images.map(|(name, platforms)| (name, zeros(&platforms))).collect())
}

/// Compares images that were built with what the lock beside their project expects, of those that it has. Under `--locked`
/// fails when another digest was measured; else that is told.
pub(in crate::commands) fn after_build(
    global: &Global,
    ui: &Ui,
    root: &Path,
    images: &[(PathBuf, Origin<'_>)],
) -> Result<(), Failure> {
    let lock = root.join(LOCK);
    let known = known(global, &lock)?;
    let mut first = Ok(());
    for (image, origin) in images {
        let options = Measure { file: image.clone(), lock: Some(lock.clone()), ..Measure::default() };
        let Some(native_zero) = known.get(&name(&options)) else { continue };
        let checked =
            super::check_only(global, ui, &Measure { native_zero: *native_zero, ..options }, origin);
        match checked {
            Err(failure) if global.locked => first = first.and(Err(failure)),
            Err(failure) => ui.failure(&failure),
            Ok(()) => {}
        }
    }
    first
}

/// Accepts what was measured.
pub(super) fn update(
    global: &Global,
    ui: &Ui,
    options: &Measure,
    file: &File<'_>,
    measured: &[Measurement],
    zeros: ZeroPages,
) -> Result<(), Failure> {
    let (path, lock) = load(global, options)?;
    let before = lock.unwrap_or_default();
    let mut lock = before.clone();
    let platforms = lock.images.entry(name(options)).or_default();
    // Without a choice, what the file is no longer for is no longer expected.
    if options.platform.is_empty() {
        platforms.retain(|kind, _| measured.iter().any(|measured| measured.platform == *kind));
    }
    for measured in measured {
        platforms.insert(measured.platform, found(file, measured, zeros)?);
    }
    if lock == before {
        ui.note(&format!("`{}` says so already", path.display()));
        return Ok(());
    }
    write(&place(global, &path), lock.to_text().as_bytes())?;
    ui.note(&format!("wrote `{}`", path.display()));
    Ok(())
}

/// Fails if something else was measured than is expected.
pub(super) fn check(
    global: &Global,
    ui: &Ui,
    options: &Measure,
    file: &File<'_>,
    measured: &[Measurement],
    zeros: ZeroPages,
) -> Result<(), Failure> {
    let (path, lock) = load(global, options)?;
    let name = name(options);
    let accept = format!("`{}` accepts it", accepting(global, options));
    let Some(platforms) = lock.as_ref().and_then(|lock| lock.images.get(&name)) else {
        return Err(Failure::new(Blame::Build, format!("`{}` expects nothing of `{name}`", path.display()))
            .help(accept));
    };
    let mut n_moved = 0;
    for measured in measured {
        let kind = measured.platform;
        let Some(before) = platforms.get(&kind) else {
            ui.note(&format!("{kind}: nothing is expected"));
            n_moved += 1;
            continue;
        };
        let after = found(file, measured, zeros)?;
        let moved = moved(before, &after);
        if moved.is_empty() {
            continue;
        }
        n_moved += 1;
        let mut text = format!("{kind}: expected {}\n", before.digest);
        text += &format!("{:width$}  measured {}\n", "", after.digest, width = kind.name().len());
        for moved in &moved {
            text += &format!("    {}\n", said(moved));
        }
        ui.report(&text);
    }
    if options.platform.is_empty() {
        for kind in
            platforms.keys().filter(|kind| !measured.iter().any(|measured| measured.platform == **kind))
        {
            ui.note(&format!("{kind}: expected, and the file is not for it"));
            n_moved += 1;
        }
    }
    match n_moved {
        0 => Ok(()),
        _ => Err(Failure::new(
            Blame::Build,
            format!("`{name}` does not measure what `{}` expects", path.display()),
        )
        .help(accept)),
    }
}

/// Tells what changed since an image measured as the lock expects, if a build is remembered in which it did.
pub(super) fn explain(
    global: &Global,
    ui: &Ui,
    options: &Measure,
    zeros: ZeroPages,
    origin: &Origin<'_>,
) -> Result<(), Failure> {
    let (_, Some(lock)) = load(global, options)? else { return Ok(()) };
    let name = name(options);
    match moved::explain(origin, &name, &lock, zeros)? {
        Some(explanation) => {
            ui.report(&format!(
                "since `{name}` measured as expected:\n{}",
                indented(&explanation.to_string())
            ));
        }
        None => ui.note(&format!("no build is remembered in which `{name}` measured as expected")),
    }
    Ok(())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn said(moved: &Moved) -> String {
    match moved {
        Moved::Removed(part) => format!("gone     {}", part.shown()),
        Moved::Added(part) => format!("new      {}", part.shown()),
        Moved::Changed(before, after) if before.pages != after.pages => {
            format!("changed  {} (was {} pages)", after.shown(), before.pages)
        }
        Moved::Changed(_, after) => format!("changed  {}", after.shown()),
        Moved::NativeZero => {
            "pages of zeros count otherwise: `--native-zero` is missing, or too much".to_owned()
        }
        Moved::Order => "the same pages, loaded in another order".to_owned(),
    }
}
