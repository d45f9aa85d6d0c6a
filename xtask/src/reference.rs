//! The reference of `bootwright.toml`, as a page, out of its JSON Schema.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

const SCHEMA: &str = "docs/src/reference/bootwright.schema.json";
const PAGE: &str = "docs/src/reference/project-file.md";

/// Writes the page into the checkout at `root`.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let page = page(root)?;
    fs::write(root.join(PAGE), page).map_err(|error| format!("could not write {PAGE}: {error}"))
}

/// Returns what is wrong with the page in the checkout at `root`.
pub(crate) fn problem(root: &Path) -> Option<String> {
    match page(root) {
        Err(error) => Some(error),
        Ok(page) if fs::read_to_string(root.join(PAGE)).is_ok_and(|found| found == page) => None,
        Ok(_) => Some(format!("{PAGE}: not what {SCHEMA} says; run `cargo xtask reference`")),
    }
}

fn page(root: &Path) -> Result<String, String> {
    let text =
        fs::read_to_string(root.join(SCHEMA)).map_err(|error| format!("could not read {SCHEMA}: {error}"))?;
    let schema: Value = serde_json::from_str(&text).map_err(|error| format!("{SCHEMA}: {error}"))?;
    let mut page = Page { schema: &schema, text: String::new() };
    page.text.push_str(
        "# The project file\n\n<!-- Written by `cargo xtask reference` from the schema; do not edit. -->\n\n",
    );
    page.paragraphs(&schema);
    for (section, value) in properties(&schema) {
        let is_named = value.get("patternProperties").is_some();
        let title = if is_named { format!("[{section}.NAME]") } else { format!("[{section}]") };
        let inner = page.inner(value);
        if !inner.is_some_and(|inner| inner.get("properties").is_some() || variants(inner).is_some()) {
            let _ = write!(page.text, "\n## `{section}`\n\n");
            page.paragraphs(value);
            continue;
        }
        let Some(inner) = inner else { continue };
        let _ = write!(page.text, "\n## `{title}`\n\n");
        page.paragraphs(value);
        page.table(inner, 3);
    }
    Ok(page.text)
}

struct Page<'a> {
    schema: &'a Value,
    text: String,
}

impl<'a> Page<'a> {
    /// Follows references and wrappers to what a value is.
    fn resolve(&self, value: &'a Value) -> &'a Value {
        if let Some(name) = value.get("$ref").and_then(Value::as_str) {
            let name = name.rsplit('/').next().unwrap_or_default();
            return self.resolve(&self.schema["definitions"][name]);
        }
        match value.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            Some([only]) => self.resolve(only),
            _ => value,
        }
    }

    /// Returns what each named entry of a section is, or the section itself.
    fn inner(&self, value: &'a Value) -> Option<&'a Value> {
        match value.get("patternProperties").and_then(Value::as_object) {
            Some(patterns) => patterns.values().next().map(|value| self.resolve(value)),
            None => Some(self.resolve(value)),
        }
    }

    fn paragraphs(&mut self, value: &Value) {
        if let Some(text) = value.get("description").and_then(Value::as_str) {
            self.text.push_str(text);
            self.text.push('\n');
        }
    }

    fn table(&mut self, value: &'a Value, level: usize) {
        if let Some(all) = variants(value) {
            for variant in all {
                let variant = self.resolve(variant);
                let Some(title) = self.title_of(variant) else { continue };
                let _ = write!(self.text, "\n{} {title}\n\n", "#".repeat(level));
                self.paragraphs(variant);
                self.keys(variant, level + 1);
            }
            return;
        }
        self.keys(value, level);
    }

    /// A variant is known by its `kind`, or by the key that only it demands.
    fn title_of(&self, variant: &Value) -> Option<String> {
        let all = variant.get("properties")?.as_object()?;
        if let Some(kind) = all.get("kind").and_then(|kind| kind.get("const")).and_then(Value::as_str) {
            return Some(format!("`kind = \"{kind}\"`"));
        }
        let required: Vec<&str> = required(variant).collect();
        let key = ["url", "git", "path", "debian-source"].into_iter().find(|key| required.contains(key));
        key.or(required.first().copied()).map(|key| format!("`{key} = …`")).or(Some("As a table".to_owned()))
    }

    /// Writes the keys of a table, and below it those of the tables of which it has several.
    fn keys(&mut self, value: &'a Value, level: usize) {
        let required: Vec<&str> = required(value).collect();
        self.text.push_str("\n| key | is | |\n| --- | --- | --- |\n");
        for (key, property) in properties(value).filter(|(key, _)| *key != "kind") {
            let mut text =
                property.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
            if required.contains(&key) {
                text.push_str(" **Required.**");
            } else if let Some(default) = property.get("default")
                && !text.contains("The default")
            {
                let _ = write!(text, " The default is `{default}`.");
            }
            let _ = writeln!(
                self.text,
                "| `{key}` | {} | {} |",
                self.kind_of(property),
                text.replace('|', "\\|")
            );
        }
        for (key, property) in properties(value).filter(|(key, _)| *key != "when") {
            if let Some(inner) = self.one_of_several(property) {
                let _ = write!(self.text, "\n{} Each of `{key}`\n\n", "#".repeat(level));
                self.paragraphs(inner);
                self.keys(inner, level + 1);
            }
        }
    }

    /// Returns the table of which a list, or a table by names, has several.
    fn one_of_several(&self, value: &'a Value) -> Option<&'a Value> {
        let value = self.resolve(value);
        let items = value.get("items").map(|items| self.resolve(items));
        let named = value.get("patternProperties").and_then(|_| self.inner(value));
        items.or(named).filter(|inner| inner.get("properties").is_some())
    }

    /// Returns in a few words what a value is.
    fn kind_of(&self, value: &'a Value) -> String {
        let resolved = self.resolve(value);
        if let Some(words) = resolved.get("enum").and_then(Value::as_array) {
            let words: Vec<String> =
                words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
            return words.join(", ");
        }
        if let Some(all) = variants(resolved) {
            let consts: Vec<String> = all
                .iter()
                .filter_map(|variant| variant.get("const").and_then(Value::as_str))
                .map(|word| format!("`{word}`"))
                .collect();
            if !consts.is_empty() {
                return consts.join(", ");
            }
            let mut kinds: Vec<String> = Vec::new();
            for variant in all.iter().filter(|variant| !is_knob(variant)) {
                let kind = self.kind_of(variant);
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            return kinds.join(" or ");
        }
        match resolved.get("type").and_then(Value::as_str) {
            Some("array") => match resolved.get("items") {
                Some(items) => format!("list of {}", self.kind_of(items)),
                None => "list".to_owned(),
            },
            Some("object") => match resolved.get("patternProperties").and_then(Value::as_object) {
                Some(patterns) => match patterns.values().next() {
                    Some(inner) => format!("table of {}", self.kind_of(inner)),
                    None => "table".to_owned(),
                },
                None => "table".to_owned(),
            },
            Some(other) => other.to_owned(),
            None => "value".to_owned(),
        }
    }
}

/// The string that may stand for any value: nothing but a knob.
fn is_knob(value: &Value) -> bool {
    value.get("pattern").and_then(Value::as_str).is_some_and(|pattern| pattern.starts_with("^\\$\\{"))
}

fn variants(value: &Value) -> Option<&Vec<Value>> {
    value.get("oneOf").or_else(|| value.get("anyOf")).and_then(Value::as_array)
}

fn properties(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all: Option<&Map<String, Value>> = value.get("properties").and_then(Value::as_object);
    all.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn required(value: &Value) -> impl Iterator<Item = &str> {
    value.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
