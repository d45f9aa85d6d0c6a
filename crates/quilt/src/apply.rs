//! Applies a patch, or a series of them, to a directory.

use std::fmt::Write as _;
use std::io;

use layer::EntryPath;

use crate::error::{ApplyError, SeriesError, TreeError};
use crate::hunks::{self, Failure, MAX_COMPARED};
use crate::patch::{Existence, FilePatch, Line, Patch, Transfer};
use crate::pending::{Found, Kind, Pending};
use crate::series::{Record, Series};
use crate::tree::Tree;

/// How patches are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many lines at either end of a hunk's context need not be there. Quilt permits 2, dpkg-source none.
    pub fuzz: usize,
    /// Whether a file of which nothing is left is removed, even if the patch does not say so.
    pub remove_empty: bool,
}

const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_LINK: u32 = 0o120_000;

impl Tree {
    /// Applies a patch; if it fails, nothing was changed, unless the machine failed in the middle.
    ///
    /// What the files were before is kept below `backups`, where that is given.
    pub fn apply(
        &self,
        patch: &Patch<'_>,
        options: Options,
        backups: Option<&EntryPath>,
    ) -> Result<(), ApplyError> {
        let mut pending = Pending::new(self);
        let mut left = MAX_COMPARED;
        for file in &patch.files {
            apply_file(&mut pending, file, options, &mut left)?;
        }
        pending.commit(backups)?;
        Ok(())
    }

    /// Applies the patches of `series` in order, each as `read` gives it, and says each before to `announce`.
    ///
    /// With `record`, leaves below `.pc` what quilt does: the files before each patch, and which were applied.
    /// If one fails, those before it were applied.
    pub fn apply_series(
        &self,
        series: &Series,
        options: Options,
        record: Option<Record<'_>>,
        mut read: impl FnMut(&EntryPath) -> io::Result<Vec<u8>>,
        mut announce: impl FnMut(&EntryPath),
    ) -> Result<(), SeriesError> {
        let mut applied = Vec::new();
        if let Some(record) = record {
            self.record(record, &applied).map_err(SeriesError::Record)?;
        }
        for entry in &series.entries {
            announce(&entry.name);
            let patch = || entry.name.clone();
            let text = read(&entry.name).map_err(|source| SeriesError::Read { patch: patch(), source })?;
            let parsed = Patch::parse(&text, entry.strip)
                .map_err(|source| SeriesError::Parse { patch: patch(), source })?;
            let backups = record.map(|_| database(entry.name.as_bytes()));
            let failed = |source| SeriesError::Apply { patch: patch(), source: Box::new(source) };
            self.apply(&parsed, options, backups.as_ref()).map_err(failed)?;
            applied.extend_from_slice(entry.name.as_bytes());
            applied.push(b'\n');
        }
        if let Some(record) = record {
            self.record(record, &applied).map_err(SeriesError::Record)?;
        }
        Ok(())
    }

    fn record(&self, record: Record<'_>, applied: &[u8]) -> Result<(), TreeError> {
        self.write(&database(b".version"), b"2\n")?;
        self.write(&database(b".quilt_patches"), format!("{}\n", record.patches).as_bytes())?;
        self.write(&database(b".quilt_series"), format!("{}\n", record.series).as_bytes())?;
        self.write(&database(b"applied-patches"), applied)
    }
}

/// Returns the path of something in quilt's directory.
fn database(name: &[u8]) -> EntryPath {
    // A name of 255 bytes, or a path of 4095, fits no more: then the patch has no backups, and nothing else
    // depends on them.
    let directory = EntryPath::new(".pc").expect("the name is fine");
    directory.join(name).unwrap_or(directory)
}

/// Notes in `pending` what becomes of a file. The lines that are read and compared for it are taken off `left`.
fn apply_file(
    pending: &mut Pending<'_>,
    file: &FilePatch<'_>,
    options: Options,
    left: &mut u64,
) -> Result<(), ApplyError> {
    let (input, output) = choose(pending, file)?;
    let kind = pending.kind(&input)?;
    let git = file.git.unwrap_or_default();
    let file_type = |mode: Option<u32>| mode.map(|mode| mode & TYPE_MASK);
    let is_link = match (file_type(git.old_mode), file_type(git.new_mode)) {
        (Some(old), Some(new)) if old != new => None,
        (old, new) => match old.or(new).unwrap_or(TYPE_FILE) {
            TYPE_FILE => Some(false),
            TYPE_LINK => Some(true),
            _ => None,
        },
    };
    let wrong_type = |expected| ApplyError::Type { line: file.line, file: input.clone(), expected };
    let is_link = is_link.ok_or_else(|| wrong_type("what the patch makes of it"))?;
    match kind {
        Kind::File if is_link => return Err(wrong_type("a symbolic link")),
        Kind::Link if !is_link => return Err(wrong_type("a plain file")),
        Kind::Other => return Err(wrong_type("a plain file")),
        Kind::Absent | Kind::File | Kind::Link => {}
    }
    let before = match file.transfer() {
        Some(_) if input != output => pending.read_source(&input)?,
        _ => pending.read(&input)?,
    };
    let before_content = if kind == Kind::Absent { Vec::new() } else { before.content };
    if file.before == Existence::Absent && !before_content.is_empty() {
        return Err(ApplyError::Exists { line: file.line, file: input });
    }
    if kind == Kind::Absent && file.after == Existence::Absent {
        return Err(ApplyError::Missing { line: file.line, file: input.to_string() });
    }
    let content = hunks::apply(&before_content, &file.hunks, options.fuzz, left)
        .map_err(|failure| hunk_error(file, &input, &before_content, &failure))?;
    if content.is_empty() && (options.remove_empty || file.after == Existence::Absent || is_link) {
        pending.remove(&output);
        return Ok(());
    }
    if file.after == Existence::Absent {
        return Err(ApplyError::NotEmpty { line: file.line, file: output });
    }
    let new_mode = git.new_mode.filter(|_| git.old_mode != git.new_mode);
    if file.hunks.is_empty() && new_mode.is_none() && file.transfer().is_none() {
        pending.keep(&output);
        return Ok(());
    }
    let permissions = match (new_mode, kind) {
        (Some(mode), _) if mode & 0o111 != 0 => 0o755,
        (Some(_), _) | (None, Kind::Absent) => 0o644,
        (None, _) => before.permissions,
    };
    let is_in_place = input == output && kind != Kind::Absent;
    pending.write(&output, Found { content, permissions, is_link }, is_in_place)?;
    if file.transfer() == Some(Transfer::Rename) && input != output {
        pending.remove_source(&input);
    }
    Ok(())
}

/// Returns which file is read and which is written: of the two names of a patch, usually the one that exists.
fn choose(pending: &Pending<'_>, file: &FilePatch<'_>) -> Result<(EntryPath, EntryPath), ApplyError> {
    let mut names: Vec<&EntryPath> = file.old.iter().chain(&file.new).collect();
    names.dedup();
    let mut existing = Vec::new();
    for name in &names {
        if pending.kind(name)? != Kind::Absent {
            existing.push(*name);
        }
    }
    let input = match best(&existing) {
        Some(name) => name,
        None if file.before != Existence::Unknown => {
            // Of names that would have to be made, the one that needs the fewest new directories.
            let mut fewest: Vec<&EntryPath> = Vec::new();
            let mut n_fewest = usize::MAX;
            for name in &names {
                let n_new = pending.n_missing(name)?;
                if n_new < n_fewest {
                    (n_fewest, fewest) = (n_new, Vec::new());
                }
                if n_new == n_fewest {
                    fewest.push(name);
                }
            }
            best(&fewest).expect("a parsed patch has a name")
        }
        None => return Err(ApplyError::Missing { line: file.line, file: file.title() }),
    };
    let output = match (file.transfer(), &file.new) {
        (Some(_), Some(new)) => new,
        _ => input,
    };
    Ok((input.clone(), output.clone()))
}

/// Of several names, the one with the fewest directories, then the shortest last component, then the shortest.
fn best<'a>(names: &[&'a EntryPath]) -> Option<&'a EntryPath> {
    let key =
        |name: &&'a EntryPath| (name.components().count(), name.file_name().len(), name.as_bytes().len());
    names.iter().copied().min_by_key(key)
}

fn hunk_error(file: &FilePatch<'_>, name: &EntryPath, content: &[u8], failure: &Failure) -> ApplyError {
    let hunk = &file.hunks[failure.hunk_idx];
    let mut shown = String::from("  the hunk:\n");
    let old_count = hunk.old_lines().len();
    for line in hunk.lines.iter().take(MAX_SHOWN) {
        let sign = match line {
            Line::Context(_) => ' ',
            Line::Delete(_) => '-',
            Line::Insert(_) => '+',
        };
        show(&mut shown, sign, line.text());
    }
    omitted(&mut shown, hunk.lines.len());
    let _ = writeln!(shown, "  the file, from line {}:", failure.expected_at);
    let lines = hunks::split(content);
    let there = &lines[(failure.expected_at - 1).min(lines.len())..];
    let there = &there[..there.len().min(old_count.max(1))];
    there.iter().take(MAX_SHOWN).for_each(|line| show(&mut shown, ' ', line));
    omitted(&mut shown, there.len());
    if there.is_empty() {
        shown.push_str("    (it ends before)\n");
    }
    shown.truncate(shown.trim_end().len());
    ApplyError::Hunk {
        file: name.clone(),
        number: failure.hunk_idx + 1,
        header_line: hunk.header_line,
        mismatch: failure.mismatch,
        shown,
    }
}

/// How many lines of a hunk, or of a file, are shown.
const MAX_SHOWN: usize = 24;
/// How much of a line.
const MAX_WIDTH: usize = 160;

fn show(shown: &mut String, sign: char, line: &[u8]) {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = String::from_utf8_lossy(text.get(..MAX_WIDTH).unwrap_or(text));
    shown.push_str("    ");
    shown.push(sign);
    for character in text.chars() {
        // What a patch has in it must not reach a terminal as commands; tabs are fine.
        if character.is_control() && character != '\t' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.push('\n');
}

fn omitted(shown: &mut String, n_lines: usize) {
    if n_lines > MAX_SHOWN {
        let _ = writeln!(shown, "    … {} more lines", n_lines - MAX_SHOWN);
    }
}
