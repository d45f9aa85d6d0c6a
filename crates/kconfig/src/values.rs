//! What a `.config` says, and how two of them differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The value of a `bool` or `tristate` symbol, and of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tristate {
    /// `n`
    No,
    /// `m`
    Module,
    /// `y`
    Yes,
}

impl Tristate {
    /// Returns what `y`, `m` or `n` means.
    pub fn parse(text: &str) -> Option<Tristate> {
        match text {
            "n" => Some(Tristate::No),
            "m" => Some(Tristate::Module),
            "y" => Some(Tristate::Yes),
            _ => None,
        }
    }
}

impl fmt::Display for Tristate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tristate::No => "n",
            Tristate::Module => "m",
            Tristate::Yes => "y",
        })
    }
}

/// What a `.config` says. Names have no `CONFIG_` before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    written: BTreeMap<String, String>,
}

impl Values {
    /// Reads the text of a `.config`. Lines that are none of its kind are ignored; of two for one symbol, the
    /// last counts.
    pub fn parse(text: &str) -> Values {
        let mut written = BTreeMap::new();
        for line in text.lines() {
            let unset = line.strip_prefix("# CONFIG_").and_then(|rest| rest.strip_suffix(" is not set"));
            let set = line.strip_prefix("CONFIG_").and_then(|rest| rest.split_once('='));
            let Some((name, value)) = unset.map(|name| (name, "n")).or(set) else { continue };
            if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                written.insert(name.to_owned(), value.trim_end().to_owned());
            }
        }
        Values { written }
    }

    /// Returns the value of a symbol as it is written, strings with their quotes, or `None` if there is none.
    /// A symbol that is said not to be set is `n`.
    pub fn get(&self, symbol: &str) -> Option<&str> {
        self.written.get(symbol).map(String::as_str)
    }

    /// Returns the value of a `bool` or `tristate`, which is `n` if there is none.
    pub fn tristate(&self, symbol: &str) -> Tristate {
        self.get(symbol).and_then(Tristate::parse).unwrap_or(Tristate::No)
    }
}

/// Returns a value without the quotes of a string and its backslashes.
pub(crate) fn unquote(written: &str) -> String {
    let inner = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return written.to_owned() };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        text.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    text
}

/// A symbol that is not the same in two `.config`s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub symbol: String,
    /// What it was, as it is written; `None` if it was added.
    pub before: Option<String>,
    /// What it became; `None` if it was removed.
    pub after: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_tristate =
            [&self.before, &self.after].into_iter().flatten().all(|value| Tristate::parse(value).is_some());
        let absent = if is_tristate { "n" } else { "absent" };
        let [before, after] = [&self.before, &self.after].map(|value| value.as_deref().unwrap_or(absent));
        write!(f, "{}: {before} -> {after}", self.symbol)
    }
}

/// Returns what changed from one `.config` to another, by name. That a symbol is `n` and that nothing is said
/// about it is the same.
pub fn diff(before: &Values, after: &Values) -> Vec<Change> {
    let names: BTreeSet<&String> = before.written.keys().chain(after.written.keys()).collect();
    let is_set = |value: &Option<&str>| !matches!(value, None | Some("n"));
    let changes = names.into_iter().filter_map(|name| {
        let (old, new) = (before.get(name), after.get(name));
        let is_changed = old != new && (is_set(&old) || is_set(&new));
        is_changed.then(|| Change {
            symbol: name.clone(),
            before: old.map(str::to_owned),
            after: new.map(str::to_owned),
        })
    });
    changes.collect()
}
