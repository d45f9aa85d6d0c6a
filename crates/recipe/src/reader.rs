//! Turns values into types, and everything that does not fit into problems, without stopping at the first.
//!
//! The types of a recipe are declared once, through the macros at the end; the fields, their defaults and
//! the doc comments of such a declaration are the reader, the JSON Schema and the reference page.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::scalar::Name;
use crate::value::{Entry, Kind, Table, Value};
use crate::{Place, Problem, Spanned, suggest};

/// A type that can be read from a value.
pub(crate) trait Read: Sized {
    /// Returns the value, or `None` after having reported why not.
    fn read(value: &Value, reader: &mut Reader) -> Option<Self>;

    /// Returns what it is when its key is left out; `None` if the key must be there.
    fn absent() -> Option<Self> {
        None
    }

    /// Returns whether the default may stand in for a value that was reported, so that what it stands in can
    /// be looked over for other problems.
    fn defaults_mislead_nobody() -> bool {
        true
    }
}

/// A type that is written as a string.
pub(crate) trait FromText: Sized {
    /// See [`Read::defaults_mislead_nobody`].
    const DEFAULTS_MISLEAD_NOBODY: bool = true;

    /// Returns the value that `text` stands for.
    fn from_text(text: &str) -> Result<Self, Wrong>;
}

/// Why a text is not what it should be.
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), help: Some(help.into()) }
    }
}

/// Collects the problems of one reading.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) problems: Vec<Problem>,
    /// Whether keys may be missing: an overlay that is not in force is read for its mistakes only, and what
    /// it lacks may come from another one.
    pub(crate) partial: bool,
    /// What names an entry of a section: the section, the name and where it is.
    pub(crate) references: Vec<(&'static str, Name, Place)>,
    /// How the value being read is called, innermost last.
    pub(crate) subjects: Vec<String>,
}

impl Reader {
    /// Reports that `value` should be `expected`, as in "a string".
    pub(crate) fn wrong_type(&mut self, value: &Value, expected: &str) {
        let found = value.describe();
        let subject = self.subjects.last().map_or("this", String::as_str);
        self.problems.push(Problem::at(&value.place, format!("{subject} must be {expected}, not {found}")));
    }

    /// Returns the table, or reports that it is something else.
    pub(crate) fn table<'a>(&mut self, value: &'a Value) -> Option<&'a Table> {
        let table = value.as_table();
        if table.is_none() {
            self.wrong_type(value, "a table");
        }
        table
    }

    /// Reports every key of `table` that is not `known`.
    pub(crate) fn known_keys(&mut self, table: &Table, known: &[Cow<'static, str>]) {
        for entry in &table.entries {
            if !known.iter().any(|key| **key == *entry.key) {
                let home = match table.path.as_str() {
                    "" => String::new(),
                    path => format!(" in `{path}`"),
                };
                let help = suggest::help(&entry.key, "keys", known.iter().map(|key| &**key));
                self.problems.push(
                    Problem::at(&entry.key_place, format!("unknown key `{}`{home}", entry.key)).help(help),
                );
            }
        }
    }

    /// Reads the value of `key`, or `default`, or what absence means.
    pub(crate) fn field<T: Read>(
        &mut self,
        value: &Value,
        table: &Table,
        key: &str,
        default: Option<Kind>,
    ) -> Option<T> {
        if let Some(entry) = table.get(key) {
            let read = self.inside(format!("`{key}`"), |reader| T::read(&entry.value, reader));
            if read.is_some() || default.is_none() || !T::defaults_mislead_nobody() {
                return read;
            }
        }
        if let Some(kind) = default {
            return T::read(&Value { place: value.place.clone(), kind }, self);
        }
        let absent = T::absent();
        if absent.is_none() {
            self.missing(&value.place, table, &format!("`{key}`"));
        }
        absent
    }

    /// Reports that `table` lacks `what`.
    pub(crate) fn missing(&mut self, place: &Place, table: &Table, what: &str) {
        if self.partial {
            return;
        }
        let home = if table.path.is_empty() { "the recipe".to_owned() } else { format!("`{}`", table.path) };
        self.problems.push(Problem::at(place, format!("{home} has no {what}")));
    }

    /// Returns the only one of `choices` that `table` has, or reports that it has none or several.
    pub(crate) fn exactly_one<'a>(
        &mut self,
        place: &Place,
        table: &'a Table,
        choices: &[&'static str],
    ) -> Option<&'a Entry> {
        let mut given = table.entries.iter().filter(|entry| choices.contains(&entry.key.as_str()));
        let Some(first) = given.next() else {
            let list: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
            self.missing(place, table, &format!("{}: one of them says what it is", one_of(&list)));
            return None;
        };
        let mut alone = true;
        for other in given {
            alone = false;
            self.problems.push(
                Problem::at(
                    &other.key_place,
                    format!("`{}` and `{}` exclude each other", first.key, other.key),
                )
                .related(&first.key_place, "given here")
                .help("keep one of them"),
            );
        }
        alone.then_some(first)
    }

    /// Runs `read` for a value that is called `subject`.
    pub(crate) fn inside<T>(&mut self, subject: String, read: impl FnOnce(&mut Reader) -> T) -> T {
        self.subjects.push(subject);
        let result = read(self);
        self.subjects.pop();
        result
    }

    /// Reads a text, or reports why it is none.
    pub(crate) fn text<T: FromText>(&mut self, text: &str, place: &Place) -> Option<T> {
        match T::from_text(text) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.report_wrong(wrong, place);
                None
            }
        }
    }

    /// Reports why a text is not what it should be.
    pub(crate) fn report_wrong(&mut self, wrong: Wrong, place: &Place) {
        self.problems.push(Problem { help: wrong.help, ..Problem::at(place, wrong.message) });
    }

    /// Remembers that an entry of `section` was referred to.
    pub(crate) fn note_reference(&mut self, section: &'static str, name: &Name, place: &Place) {
        self.references.push((section, name.clone(), place.clone()));
    }
}

/// Returns `a`, `b` or `c` as a person would list them.
pub(crate) fn one_of(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

impl<T: FromText> Read for T {
    fn read(value: &Value, reader: &mut Reader) -> Option<T> {
        match value.as_str() {
            Some(text) => reader.text(text, &value.place),
            None => {
                reader.wrong_type(value, "a string");
                None
            }
        }
    }

    fn defaults_mislead_nobody() -> bool {
        T::DEFAULTS_MISLEAD_NOBODY
    }
}

impl FromText for String {
    fn from_text(text: &str) -> Result<String, Wrong> {
        Ok(text.to_owned())
    }
}

impl Read for bool {
    fn read(value: &Value, reader: &mut Reader) -> Option<bool> {
        let kind = if let Kind::Knob { value, .. } = &value.kind { value } else { &value.kind };
        if let Kind::Boolean(boolean) = kind {
            return Some(*boolean);
        }
        reader.wrong_type(value, "a boolean");
        None
    }
}

impl Read for i64 {
    fn read(value: &Value, reader: &mut Reader) -> Option<i64> {
        let kind = if let Kind::Knob { value, .. } = &value.kind { value } else { &value.kind };
        if let Kind::Integer(number) = kind {
            return Some(*number);
        }
        reader.wrong_type(value, "an integer");
        None
    }
}

impl Read for u32 {
    fn read(value: &Value, reader: &mut Reader) -> Option<u32> {
        let number = i64::read(value, reader)?;
        let fits = u32::try_from(number).ok();
        if fits.is_none() {
            reader.problems.push(
                Problem::at(&value.place, format!("{number} is out of range"))
                    .help(format!("the range is 0 to {}", u32::MAX)),
            );
        }
        fits
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: &Value, reader: &mut Reader) -> Option<Option<T>> {
        T::read(value, reader).map(Some)
    }

    fn absent() -> Option<Option<T>> {
        Some(None)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Value, reader: &mut Reader) -> Option<Vec<T>> {
        let Kind::Array(values) = &value.kind else {
            reader.wrong_type(value, "a list");
            return None;
        };
        let list = reader.subjects.last().cloned().unwrap_or_default();
        reader.inside(format!("an entry of {list}"), |reader| {
            // An entry that could not be read was reported; the others are still looked over.
            Some(values.iter().filter_map(|value| T::read(value, reader)).collect())
        })
    }

    fn absent() -> Option<Vec<T>> {
        Some(Vec::new())
    }
}

impl<K: FromText + Ord, T: Read> Read for BTreeMap<K, T> {
    fn read(value: &Value, reader: &mut Reader) -> Option<BTreeMap<K, T>> {
        let table = reader.table(value)?;
        let mut map = BTreeMap::new();
        for entry in &table.entries {
            let key = reader.text(&entry.key, &entry.key_place);
            let value = reader.inside(format!("`{}`", entry.key), |reader| T::read(&entry.value, reader));
            // An entry that could not be read was reported; the others are still looked over.
            if let (Some(key), Some(value)) = (key, value)
                && map.insert(key, value).is_some()
            {
                let message = format!("`{}` is another way to write what is there already", entry.key);
                reader.problems.push(Problem::at(&entry.key_place, message).help("keep one of them"));
            }
        }
        Some(map)
    }

    fn absent() -> Option<BTreeMap<K, T>> {
        Some(BTreeMap::new())
    }
}

impl<T: Read> Read for Spanned<T> {
    fn read(value: &Value, reader: &mut Reader) -> Option<Spanned<T>> {
        let place = value.place.clone();
        T::read(value, reader).map(|value| Spanned { value, place })
    }

    fn defaults_mislead_nobody() -> bool {
        T::defaults_mislead_nobody()
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl From<&str> for Kind {
    fn from(text: &str) -> Kind {
        Kind::String(text.to_owned())
    }
}

impl From<bool> for Kind {
    fn from(value: bool) -> Kind {
        Kind::Boolean(value)
    }
}

impl From<i64> for Kind {
    fn from(value: i64) -> Kind {
        Kind::Integer(value)
    }
}

/// Returns how the field of that identifier is spelt in a recipe.
pub(crate) fn spelling(identifier: &'static str) -> Cow<'static, str> {
    let name = identifier.strip_prefix("r#").unwrap_or(identifier);
    if name.contains('_') { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) }
}

/// Replaces the list of required keys in the schema of a table by what its reader requires.
pub(crate) fn set_required(schema: &mut Schema, required: Vec<Cow<'static, str>>) {
    schema.remove("required");
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
}

/// Declares a table: a struct, its reader and its schema. `field: Type = literal` gives the default as it
/// would be written in a recipe.
macro_rules! table {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $default:literal)?,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, schemars::JsonSchema)]
        #[schemars(rename_all = "kebab-case", deny_unknown_fields, transform = $name::set_required)]
        $vis struct $name {
            $($(#[$field_meta])* $(#[schemars(extend("default" = $default))])? pub $field: $type,)*
        }

        impl $name {
            fn set_required(schema: &mut schemars::Schema) {
                let required = [$((
                    $crate::reader::spelling(stringify!($field)),
                    <$type as $crate::reader::Read>::absent().is_none() $(&& stringify!($default).is_empty())?,
                )),*];
                let required = required.into_iter().filter(|(_, required)| *required).map(|(key, _)| key);
                $crate::reader::set_required(schema, required.collect());
            }
        }

        impl $crate::reader::Read for $name {
            fn read(value: &$crate::value::Value, reader: &mut $crate::reader::Reader) -> Option<$name> {
                let table = reader.table(value)?;
                reader.known_keys(table, &<$name as $crate::reader::ReadFields>::known());
                <$name as $crate::reader::ReadFields>::read_fields(value, table, reader)
            }
        }

        impl $crate::reader::ReadFields for $name {
            fn known() -> Vec<std::borrow::Cow<'static, str>> {
                vec![$($crate::reader::spelling(stringify!($field))),*]
            }

            fn read_fields(
                value: &$crate::value::Value,
                table: &$crate::value::Table,
                reader: &mut $crate::reader::Reader,
            ) -> Option<$name> {
                // All fields are read before any missing one ends it, so that all are looked at.
                $(
                    let default: Option<$crate::value::Kind> =
                        None$(.or(Some($crate::value::Kind::from($default))))?;
                    let $field: Option<$type> =
                        reader.field(value, table, &$crate::reader::spelling(stringify!($field)), default);
                )*
                Some($name { $($field: $field?),* })
            }
        }
    };
}

/// A table whose fields can be read apart from the check that it has no others.
pub(crate) trait ReadFields: Sized {
    /// Returns the keys that it reads.
    fn known() -> Vec<Cow<'static, str>>;

    /// Reads the fields; what else is in `table` is the caller's.
    fn read_fields(value: &Value, table: &Table, reader: &mut Reader) -> Option<Self>;
}

/// Declares a set of words: an enum that is written as one of some strings. `not` lists what others call
/// it, so that the help can say what we do.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident ($what:literal) {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal $(not $other:literal)*,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, schemars::JsonSchema)]
        pub enum $name {
            $($(#[$variant_meta])* #[schemars(rename = $word)] $variant,)*
        }

        impl $name {
            /// Returns how it is written.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }

        impl $crate::reader::FromText for $name {
            // What is said of one architecture does not hold for another.
            const DEFAULTS_MISLEAD_NOBODY: bool = false;

            fn from_text(text: &str) -> Result<$name, $crate::reader::Wrong> {
                match text {
                    $($word => Ok($name::$variant),)*
                    $($($other => Err($crate::reader::Wrong::new(
                        format!(concat!("unknown ", $what, " `{}`"), text),
                        concat!("it is called `", $word, "` here"),
                    )),)*)*
                    _ => Err($crate::reader::Wrong::new(
                        format!(concat!("unknown ", $what, " `{}`"), text),
                        $crate::suggest::help(text, concat!($what, "s"), [$($word),*]),
                    )),
                }
            }
        }
    };
}

/// Declares a table that comes in several kinds, named by one of its keys.
macro_rules! kinds {
    (
        $(#[$meta:meta])*
        pub enum $name:ident by $tag:literal {
            $($(#[$variant_meta:meta])* $variant:ident($type:ident) = $word:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[allow(clippy::large_enum_variant, reason = "there are as many of them as a recipe has tables")]
        pub enum $name {
            $($(#[$variant_meta])* $variant($type),)*
        }

        impl $crate::reader::Read for $name {
            fn read(value: &$crate::value::Value, reader: &mut $crate::reader::Reader) -> Option<$name> {
                use $crate::reader::ReadFields as _;
                let table = reader.table(value)?;
                let Some(entry) = table.get($tag) else {
                    let words = [$(format!("`{}`", $word)),*];
                    reader.missing(
                        &value.place,
                        table,
                        &format!(concat!("`", $tag, "`: it is {}"), $crate::reader::one_of(&words)),
                    );
                    return None;
                };
                let Some(word) = entry.value.as_str() else {
                    reader.inside(concat!("`", $tag, "`").to_owned(), |reader| {
                        reader.wrong_type(&entry.value, "a string");
                    });
                    return None;
                };
                match word {
                    $($word => {
                        let mut known = vec![std::borrow::Cow::Borrowed($tag)];
                        known.extend($type::known());
                        reader.known_keys(table, &known);
                        $type::read_fields(value, table, reader).map($name::$variant)
                    })*
                    _ => {
                        let help = $crate::suggest::help(word, concat!($tag, "s"), [$($word),*]);
                        reader.problems.push(
                            $crate::Problem::at(&entry.value.place, format!(concat!("unknown ", $tag, " `{}`"), word))
                                .help(help),
                        );
                        None
                    }
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let variants = vec![$(
                    $crate::reader::kind_schema::<$type>($tag, $word, generator)
                ),*];
                schemars::json_schema!({ "oneOf": variants })
            }
        }
    };
}

/// Returns the schema of `T` with the key that names its kind.
pub(crate) fn kind_schema<T: JsonSchema>(tag: &str, word: &str, generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    let object = schema.ensure_object();
    if let Some(properties) =
        object.entry("properties").or_insert_with(|| serde_json::json!({})).as_object_mut()
    {
        properties.insert(tag.to_owned(), serde_json::json!({ "const": word }));
    }
    if let Some(required) = object.entry("required").or_insert_with(|| serde_json::json!([])).as_array_mut() {
        required.insert(0, tag.into());
    }
    schema
}

pub(crate) use {kinds, table, words};
