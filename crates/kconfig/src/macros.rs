//! `$(…)`: variables, and functions of the macro language.

use std::collections::BTreeMap;

/// How deep expansions nest.
const MAX_DEPTH: usize = 32;
/// How many expansions there are in a tree. That of Linux has a few thousand.
const MAX_STEPS: usize = 100_000;
/// How long the result of one is.
const MAX_LENGTH: usize = 16 << 10;
/// How long all results are, each counted at every level that passes it on. All Kconfig files of Linux have a third of it.
const MAX_EXPANDED: usize = 16 << 20;

/// The word between the name of a variable and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// `=`: expanded where it is used.
    Recursive,
    /// `:=`: expanded here.
    Simple,
    /// `+=`: as it was before.
    Append,
}

#[derive(Debug)]
enum Variable {
    Recursive(String),
    Simple(Option<String>),
}

/// The variables, those of the environment among them.
#[derive(Debug)]
pub(crate) struct Macros {
    environment: BTreeMap<String, String>,
    variables: BTreeMap<String, Variable>,
    steps_left: usize,
    expanded_left: usize,
}

impl Macros {
    pub(crate) fn new(environment: BTreeMap<String, String>) -> Macros {
        Macros { environment, variables: BTreeMap::new(), steps_left: MAX_STEPS, expanded_left: MAX_EXPANDED }
    }

    /// Returns what `option env` and the `$NAME` of old trees read.
    pub(crate) fn environment(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    /// Follows `name = value`.
    pub(crate) fn assign(&mut self, name: &str, flavor: Flavor, value: &str) {
        let is_simple = match self.variables.get(name) {
            Some(Variable::Simple(_)) => flavor != Flavor::Recursive,
            _ => flavor == Flavor::Simple,
        };
        // Before it is replaced: the value may contain what it was.
        let value = if is_simple { self.expand(value) } else { Some(value.to_owned()) };
        let before = match self.variables.remove(name).filter(|_| flavor == Flavor::Append) {
            Some(Variable::Simple(before)) => before.map(|before| before + " "),
            Some(Variable::Recursive(before)) => Some(before + " "),
            None => Some(String::new()),
        };
        let joined = before.zip(value).map(|(before, value)| before + &value);
        let joined = joined.filter(|joined| joined.len() <= MAX_LENGTH);
        let variable = match joined {
            Some(joined) if !is_simple => Variable::Recursive(joined),
            joined => Variable::Simple(joined),
        };
        self.variables.insert(name.to_owned(), variable);
    }

    /// Returns `text` with each `$(…)` replaced, or `None` if only a command can tell by what.
    pub(crate) fn expand(&mut self, text: &str) -> Option<String> {
        self.text(text, &[], 0)
    }

    fn text(&mut self, text: &str, arguments: &[Option<String>], depth: usize) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("$(") {
            expanded.push_str(&rest[..start]);
            let length = reference_length(&rest[start..])?;
            let clause = &rest[start + 2..start + length - 1];
            let result = self.clause(clause, arguments, depth)?;
            self.expanded_left = self.expanded_left.checked_sub(result.len())?;
            expanded.push_str(&result);
            if expanded.len() > MAX_LENGTH {
                return None;
            }
            rest = &rest[start + length..];
        }
        expanded.push_str(rest);
        Some(expanded)
    }

    /// Expands what is between the parentheses: a name, and arguments after commas.
    fn clause(&mut self, clause: &str, arguments: &[Option<String>], depth: usize) -> Option<String> {
        self.steps_left = self.steps_left.checked_sub(1)?;
        if depth == MAX_DEPTH {
            return None;
        }
        let argument = clause.parse::<usize>().ok().and_then(|number| arguments.get(number.checked_sub(1)?));
        if let Some(argument) = argument {
            return argument.clone();
        }
        let mut parts = split(clause).into_iter();
        let name = self.text(parts.next().unwrap_or_default(), arguments, depth + 1)?;
        let parts: Vec<Option<String>> = parts.map(|part| self.text(part, arguments, depth + 1)).collect();
        match self.variables.get(&name) {
            Some(Variable::Simple(value)) => return value.clone(),
            Some(Variable::Recursive(body)) => {
                let body = body.clone();
                return self.text(&body, &parts, depth + 1);
            }
            None => {}
        }
        match name.as_str() {
            "shell" | "filename" | "lineno" => None,
            // Whether the tree refuses to be configured is not for us to say.
            "error-if" | "warning-if" | "info" => Some(String::new()),
            _ => Some(self.environment.get(&name).cloned().unwrap_or_default()),
        }
    }
}

/// Returns how long the `$(…)` is that `text` begins with, or `None` if it does not end.
pub(crate) fn reference_length(text: &str) -> Option<usize> {
    let mut n_open = 0_usize;
    for (offset, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'(' => n_open += 1,
            b')' if n_open == 1 => return Some(offset + 1),
            b')' => n_open -= 1,
            b'\n' => return None,
            _ => {}
        }
    }
    None
}

/// Splits at the commas that are not between parentheses.
fn split(clause: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut n_open) = (0, 0_i64);
    for (offset, byte) in clause.bytes().enumerate() {
        match byte {
            b'(' => n_open += 1,
            b')' => n_open -= 1,
            b',' if n_open == 0 => {
                parts.push(&clause[start..offset]);
                start = offset + 1;
            }
            _ => {}
        }
    }
    parts.push(&clause[start..]);
    parts
}
