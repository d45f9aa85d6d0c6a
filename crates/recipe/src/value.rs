//! The values of a TOML file with the place of each, before anything is known about their meaning.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::{Place, Problem, SourceFile};

/// A value and where it was written; a table that is not inline has the place of its name.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    String(String),
    Integer(i64),
    Boolean(bool),
    /// A string that was nothing but `${KNOB}`: it stands wherever the knob's own type could stand.
    Knob {
        text: String,
        value: Box<Kind>,
    },
    /// A float, a date or an integer beyond 64 bits: nothing that a recipe has a use for.
    Other(&'static str),
    Array(Vec<Value>),
    Table(Table),
}

/// A table: its keys in the order in which they were first written.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The header that leads to it, `target.kernel`; empty at the top.
    pub(crate) path: String,
    pub(crate) entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Value,
}

impl Value {
    /// Returns what kind of value it is, with its article.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::String(_) | Kind::Knob { .. } => "a string",
            Kind::Integer(_) => "an integer",
            Kind::Boolean(_) => "a boolean",
            Kind::Other(what) => what,
            Kind::Array(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) | Kind::Knob { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_table(&self) -> Option<&Table> {
        if let Kind::Table(table) = &self.kind { Some(table) } else { None }
    }

    pub(crate) fn as_table_mut(&mut self) -> Option<&mut Table> {
        if let Kind::Table(table) = &mut self.kind { Some(table) } else { None }
    }
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index))
    }
}

/// Reads TOML. Every syntax error is a problem; the value holds what could be read in spite of them.
pub(crate) fn parse(file: &Arc<SourceFile>) -> (Value, Vec<Problem>) {
    let (document, errors) = DeTable::parse_recoverable(&file.text);
    let problems = errors
        .iter()
        .map(|error| {
            let place = Place::new(file, error.span().unwrap_or(0..0));
            Problem::at(&place, format!("not valid TOML: {}", error.message()))
        })
        .collect();
    let top = Table { path: String::new(), entries: entries(file, document.into_inner(), "") };
    (Value { place: Place::new(file, 0..0), kind: Kind::Table(top) }, problems)
}

fn entries(file: &Arc<SourceFile>, table: DeTable<'_>, path: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| {
            let key_place = Place::new(file, key.span());
            let key = key.into_inner().into_owned();
            let written = if is_bare(&key) { key.clone() } else { format!("{key:?}") };
            let path = if path.is_empty() { written } else { format!("{path}.{written}") };
            let mut value = convert(file, value, &path);
            // The span of a table with a header covers that header only; its name is what people look for.
            if matches!(value.kind, Kind::Table(_)) && !value.place.text().starts_with('{') {
                value.place = key_place.clone();
            }
            Entry { key, key_place, value }
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_place.span().start);
    entries
}

fn convert(file: &Arc<SourceFile>, value: toml::Spanned<DeValue<'_>>, path: &str) -> Value {
    let place = Place::new(file, value.span());
    let kind = match value.into_inner() {
        DeValue::String(text) => Kind::String(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Kind::Integer(number),
            Err(_) => Kind::Other("an integer beyond 64 bits"),
        },
        DeValue::Float(_) => Kind::Other("a float"),
        DeValue::Boolean(value) => Kind::Boolean(value),
        DeValue::Datetime(_) => Kind::Other("a date"),
        DeValue::Array(values) => {
            Kind::Array(values.into_iter().map(|value| convert(file, value, path)).collect())
        }
        DeValue::Table(table) => {
            Kind::Table(Table { path: path.to_owned(), entries: entries(file, table, path) })
        }
    };
    Value { place, kind }
}

fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
