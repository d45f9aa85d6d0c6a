//! Reads the files of a tree, each where it is sourced.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{LoadError, Location};
use crate::macros::Macros;
use crate::model::Kconfig;
use crate::statements::{Builder, Next};
use crate::tokens::{Statement, Statements, Token};

/// How deep files source others.
const MAX_DEPTH: usize = 64;
/// How often a file is sourced. Linux has 1,700 of them.
const MAX_FILES: usize = 50_000;
/// How long all of them are, in bytes. Those of Linux have 5 MiB.
const MAX_TEXT: u64 = 128 << 20;

/// How many names are looked at, those of directories and those that paths to source have, to find files. Linux has 10,000.
const MAX_NAMES: usize = 200_000;
/// How long a path is. Linux opens no longer ones.
const MAX_PATH: usize = 4095;

const MISSING: &str = "there is no such file";
const OUTSIDE: &str = "it is outside of the source tree";

impl Kconfig {
    /// Reads `file`, relative to the source tree `top`, and what it sources.
    ///
    /// `variables` are those that the tree's makefiles put into the environment: `ARCH`, `SRCARCH`, `CC` and
    /// so on. The variable `srctree` is always `.`. Nothing outside of `top` is read, also through links.
    /// What is not understood is skipped, see [`Kconfig::problems`]; fails where a file or a block is amiss.
    pub fn load(top: &Path, file: &str, variables: &BTreeMap<String, String>) -> Result<Kconfig, LoadError> {
        let read_failed = |source| LoadError::Read { path: top.to_owned(), source };
        let top = fs::canonicalize(top).map_err(read_failed)?;
        let mut environment = variables.clone();
        environment.insert("srctree".to_owned(), ".".to_owned());
        let mut loader = Loader {
            top,
            builder: Builder::new(environment.clone()),
            macros: Macros::new(environment),
            open: Vec::new(),
            n_files: 0,
            text_left: MAX_TEXT,
            names_left: MAX_NAMES,
        };
        let path = loader.top.join(file);
        let read_failed = |source| LoadError::Read { path: path.clone(), source };
        fs::metadata(&path).map_err(read_failed)?;
        let inside = inside("", file).ok_or_else(|| io::Error::other(OUTSIDE));
        loader.file(&inside.map_err(read_failed)?, &Location { file: file.into(), line: 0 })?;
        let mut kconfig = loader.builder.kconfig;
        kconfig.finish();
        Ok(kconfig)
    }
}

struct Loader {
    top: PathBuf,
    macros: Macros,
    builder: Builder,
    /// The files that are being read.
    open: Vec<PathBuf>,
    n_files: usize,
    text_left: u64,
    names_left: usize,
}

impl Loader {
    fn file(&mut self, file: &str, at: &Location) -> Result<(), LoadError> {
        let refused = |why| source_error(at, file, why);
        self.n_files += 1;
        if self.open.len() == MAX_DEPTH {
            return Err(refused("files are nested too deep"));
        }
        if self.n_files > MAX_FILES {
            return Err(refused("there are too many files"));
        }
        let path = self.find(file, at)?.ok_or_else(|| refused(MISSING))?;
        if self.open.contains(&path) {
            return Err(refused("it is being read already"));
        }
        let content = read(&path, self.text_left);
        let content = content.map_err(|source| LoadError::Read { path: path.clone(), source })?;
        let content = content.ok_or_else(|| refused("there is too much text"))?;
        // Help texts of old trees are not all UTF-8.
        let text = String::from_utf8_lossy(&content);
        self.text_left = self.text_left.saturating_sub(content.len() as u64);
        self.open.push(path);
        self.statements(&text, &Arc::from(file))?;
        self.open.pop();
        Ok(())
    }

    fn statements(&mut self, text: &str, file: &Arc<str>) -> Result<(), LoadError> {
        let base = self.builder.depth();
        let mut statements = Statements::new(text);
        while let Some((line, statement)) = statements.next(&mut self.macros) {
            let tokens = match statement {
                Statement::Tokens(tokens) => tokens,
                Statement::Assignment { name, flavor, value } => {
                    self.builder.end_entry();
                    self.macros.assign(&name, flavor, &value);
                    continue;
                }
            };
            let at = Location { file: Arc::clone(file), line };
            let mut tokens = tokens.into_iter().peekable();
            let Some(first) = tokens.next() else { continue };
            match &first {
                Token::Word(word) if matches!(&word[..], "source" | "rsource" | "osource" | "orsource") => {
                    self.builder.end_entry();
                    match tokens.next() {
                        Some(Token::Quoted(path) | Token::Word(path)) => self.source(word, &path, &at)?,
                        Some(Token::Unknown(_)) if word.starts_with('o') => {}
                        Some(Token::Unknown(written)) => {
                            return Err(source_error(&at, &written, "only a command can tell what it is"));
                        }
                        Some(Token::Sign(_)) | None => self.builder.problem(&at, "expected a path"),
                    }
                }
                _ => match self.builder.statement(first, tokens, &at, base)? {
                    Next::Statement => {}
                    Next::SkipHelp => statements.skip_help(),
                },
            }
        }
        self.builder.end_file(base)
    }

    /// Follows `source`, `rsource` (relative to the file), `osource` and `orsource` (which need not exist).
    fn source(&mut self, word: &str, path: &str, at: &Location) -> Result<(), LoadError> {
        let path = self.old_variables(path);
        let directory = match at.file.rsplit_once('/') {
            Some((directory, _)) if word.ends_with("rsource") => directory,
            _ => "",
        };
        let pattern = inside(directory, &path).ok_or_else(|| source_error(at, &path, OUTSIDE))?;
        if pattern.len() > MAX_PATH {
            return Err(source_error(at, &pattern, "it is too long for a path"));
        }
        let files = self.matches(&pattern, at)?;
        if files.is_empty() && !word.starts_with('o') {
            return Err(source_error(at, &pattern, MISSING));
        }
        files.iter().try_for_each(|file| self.file(file, at))
    }

    /// Replaces `$NAME`, as trees older than Linux 4.18 have it, where there is a variable of that name.
    fn old_variables(&self, path: &str) -> String {
        let mut parts = path.split('$');
        let mut replaced = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let length = part.as_bytes().iter().take_while(|byte| is_name(byte)).count();
            replaced.push_str(self.macros.environment(&part[..length]).unwrap_or_default());
            replaced.push_str(&part[length..]);
        }
        replaced
    }

    /// Returns where a file of the tree is in truth, or `None` if there is none.
    fn find(&self, file: &str, at: &Location) -> Result<Option<PathBuf>, LoadError> {
        let path = self.top.join(file);
        match fs::canonicalize(&path) {
            Ok(real) if real.starts_with(&self.top) => Ok(Some(real)),
            Ok(_) => Err(source_error(at, file, OUTSIDE)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(LoadError::Read { path, source }),
        }
    }

    /// Returns the files that match a pattern, by name.
    fn matches(&mut self, pattern: &str, at: &Location) -> Result<Vec<String>, LoadError> {
        let too_many =
            || source_error(at, pattern, "too many names were looked at for it and those before it");
        let mut found = vec![String::new()];
        for component in pattern.split('/') {
            let mut deeper = Vec::new();
            for directory in found {
                self.names_left = self.names_left.checked_sub(1).ok_or_else(too_many)?;
                if !component.contains(['*', '?']) {
                    deeper.push(below(&directory, component));
                    continue;
                }
                let names = self
                    .find(&directory, at)?
                    .map(|path| names(&path).map_err(|source| LoadError::Read { path, source }));
                let names = names.transpose()?.unwrap_or_default();
                self.names_left = self.names_left.checked_sub(names.len()).ok_or_else(too_many)?;
                deeper.extend(
                    names
                        .into_iter()
                        .filter(|name| is_match(component.as_bytes(), name.as_bytes()))
                        .map(|name| below(&directory, &name)),
                );
                if deeper.len() > MAX_FILES {
                    return Err(source_error(at, pattern, "it matches too many files"));
                }
            }
            found = deeper;
        }
        let mut existing = Vec::new();
        for file in found {
            if self.find(&file, at)?.is_some() {
                existing.push(file);
            }
        }
        Ok(existing)
    }
}

fn source_error(at: &Location, path: &str, why: &'static str) -> LoadError {
    LoadError::Source { at: at.clone(), path: path.to_owned(), why }
}

/// Returns the content of a file, or `None` if it is longer than `limit`.
fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    // A pipe would let us wait for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let mut content = Vec::new();
    fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= limit).then_some(content))
}

/// Returns the names in a directory, in order; none if it is not one.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Returns `path`, which is relative to `directory`, relative to the top; `None` if it is outside.
fn inside(directory: &str, path: &str) -> Option<String> {
    if path.is_empty() || path.starts_with('/') || path.contains('\0') {
        return None;
    }
    let mut components: Vec<&str> = Vec::new();
    for component in directory.split('/').chain(path.split('/')) {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()?),
            name => components.push(name),
        }
    }
    (!components.is_empty()).then(|| components.join("/"))
}

/// Returns whether `name` is what a pattern with `*` and `?` stands for.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern_idx, mut name_idx) = (0, 0);
    // Where to go on when what followed the last `*` did not fit.
    let mut retry = None;
    while name_idx < name.len() {
        match pattern.get(pattern_idx) {
            Some(b'*') => {
                retry = Some((pattern_idx + 1, name_idx + 1));
                pattern_idx += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[name_idx] => {
                pattern_idx += 1;
                name_idx += 1;
            }
            _ => {
                let Some((after_star, next)) = retry else { return false };
                (pattern_idx, name_idx) = (after_star, next);
                retry = Some((after_star, next + 1));
            }
        }
    }
    pattern[pattern_idx..].iter().all(|byte| *byte == b'*')
}
