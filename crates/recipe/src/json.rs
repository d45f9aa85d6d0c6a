//! The values of a JSON file with the place of each: recipes that others wrote.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::value::{Entry, Kind, Table, Value};
use crate::{Place, Problem, SourceFile};

/// How deep values may be in each other.
const MAX_DEPTH: usize = 32;
/// How many bytes the keys that lead to a value may have. Every table keeps them, and a file may have a million tables below
/// one long key.
const MAX_PATH: usize = 255;

/// Reads JSON (RFC 8259). What is no JSON is one problem, at the place where it ends to be; keys that are there twice are
/// problems, too.
pub(crate) fn parse(file: &Arc<SourceFile>) -> (Option<Value>, Vec<Problem>) {
    let mut reading = Reading { file, problems: Vec::new() };
    let value = match serde_json::from_str::<&RawValue>(&file.text) {
        Ok(raw) => reading.value(raw.get(), "", 0),
        Err(error) => {
            reading.refuse(&error);
            None
        }
    };
    (value, reading.problems)
}

struct Reading<'a> {
    file: &'a Arc<SourceFile>,
    problems: Vec<Problem>,
}

impl<'a> Reading<'a> {
    /// Returns where `part`, which is a slice of the text, begins.
    fn offset(&self, part: &str) -> usize {
        part.as_ptr() as usize - self.file.text.as_ptr() as usize
    }

    fn refuse(&mut self, error: &serde_json::Error) {
        let before = self.file.text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let at = before.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let text = error.to_string();
        let message = text.split(" at line ").next().unwrap_or(&text);
        self.problems
            .push(Problem::at(&Place::new(self.file, at..at + 1), format!("not valid JSON: {message}")));
    }

    /// Returns the value that `raw` is, which is a slice of the text without blanks around it.
    fn value(&mut self, raw: &'a str, path: &str, depth: usize) -> Option<Value> {
        let start = self.offset(raw);
        let place = Place::new(self.file, start..start + raw.len());
        if depth > MAX_DEPTH {
            self.problems.push(Problem::at(&place, "values are nested too deep"));
            return None;
        }
        let kind = match raw.as_bytes().first()? {
            b'{' => Kind::Table(self.table(raw, path, depth)?),
            b'[' => {
                let parts: Vec<&RawValue> = self.read(raw)?;
                let values = parts.into_iter().filter_map(|part| self.value(part.get(), path, depth + 1));
                Kind::Array(values.collect())
            }
            b'"' => Kind::String(self.read(raw)?),
            b't' => Kind::Boolean(true),
            b'f' => Kind::Boolean(false),
            b'n' => Kind::Other("null"),
            _ => raw.parse().map_or(Kind::Other("a number that is no integer of 64 bits"), Kind::Integer),
        };
        Some(Value { place, kind })
    }

    fn table(&mut self, raw: &'a str, path: &str, depth: usize) -> Option<Table> {
        let Pairs(pairs) = self.read(raw)?;
        let mut table = Table { path: path.to_owned(), entries: Vec::new() };
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        // Between two values there is one key with its quotes, and what is around these is neither.
        let mut cursor = self.offset(raw);
        for (key, value) in pairs {
            let value = value.get();
            let start = self.offset(value);
            let between = &self.file.text[cursor..start];
            let quotes = between.find('"').zip(between.rfind('"'));
            let (first, last) = quotes.unwrap_or((0, between.len().saturating_sub(1)));
            let key_place = Place::new(self.file, cursor + first..cursor + last + 1);
            cursor = start + value.len();
            if path.len() + key.len() > MAX_PATH {
                let problem = format!("the keys that lead here are longer than {MAX_PATH} bytes");
                self.problems.push(Problem::at(&key_place, problem));
                continue;
            }
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let Some(value) = self.value(value, &inner, depth + 1) else { continue };
            if let Some(earlier) = known.get(&key) {
                let earlier = &table.entries[*earlier];
                let problem = Problem::at(&key_place, format!("`{}` is there twice", key.escape_debug()));
                self.problems.push(problem.related(&earlier.key_place, "the first one"));
                continue;
            }
            known.insert(key.clone(), table.entries.len());
            table.entries.push(Entry { key, key_place, value });
        }
        Some(table)
    }

    /// Reads a slice of the text, all of which was seen to be JSON; what cannot be read nevertheless, such as half of a
    /// surrogate pair in a string, is a problem.
    fn read<T: Deserialize<'a>>(&mut self, raw: &'a str) -> Option<T> {
        serde_json::from_str(raw)
            .map_err(|error| {
                let start = self.offset(raw);
                let text = error.to_string();
                let message = text.split(" at line ").next().unwrap_or(&text);
                let place = Place::new(self.file, start..start + raw.len());
                self.problems.push(Problem::at(&place, format!("not valid JSON: {message}")));
            })
            .ok()
    }
}

/// The keys of an object with their values, as they are written.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<'a>, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }

        deserializer.deserialize_map(Keys).map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Value>, Vec<String>) {
        let file = Arc::new(SourceFile { name: "x.json".to_owned(), text: text.to_owned() });
        let (value, problems) = parse(&file);
        let told = problems.iter().map(|problem| {
            format!(
                "{}: {}",
                problem.place.as_ref().map(ToString::to_string).unwrap_or_default(),
                problem.message
            )
        });
        (value, told.collect())
    }

    #[test]
    fn values_have_places() {
        let (value, problems) =
            read("{ \"a\" : [1, \"x\\\"y\"],\n  \"b\\\"c\": {\"d\": null, \"e\": true} }\n");
        assert_eq!(problems, [""; 0]);
        let value = value.unwrap();
        let table = value.as_table().unwrap();
        assert_eq!(table.entries[0].key_place.text(), "\"a\"");
        assert_eq!(table.entries[1].key, "b\"c");
        assert_eq!(table.entries[1].key_place.text(), "\"b\\\"c\"");
        let Kind::Array(list) = &table.entries[0].value.kind else { panic!("no list") };
        assert_eq!(list[1].place.to_string(), "x.json:1:13");
        assert_eq!(list[1].as_str(), Some("x\"y"));
        let inner = table.entries[1].value.as_table().unwrap();
        assert_eq!(inner.entries[0].value.describe(), "null");
        assert_eq!(inner.entries[1].value.place.to_string(), "x.json:2:28");
        assert_eq!(inner.path, "b\"c");
    }

    #[test]
    fn what_is_no_json_is_told_where_it_is() {
        let check = |text: &str, expected: &str| assert_eq!(read(text).1, [expected], "{text}");
        check("{\n  \"a\": 1,\n}", "x.json:3:1: not valid JSON: key must be a string");
        check("", "x.json:1:1: not valid JSON: EOF while parsing a value");
        check("{} x", "x.json:1:4: not valid JSON: trailing characters");
        check("{\"a\": 1, \"a\": 2}", "x.json:1:10: `a` is there twice");
        check(&format!("{}{}", "[".repeat(100), "]".repeat(100)), "x.json:1:34: values are nested too deep");
        assert_eq!(read(&"[".repeat(200_000)).1.len(), 1);
        assert_eq!(read(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).1.len(), 1);
        assert_eq!(read("\"\\ud800\"").1.len(), 1);
    }

    #[test]
    fn keys_are_no_longer_than_their_tables_can_keep() {
        let list = "[{},{}]";
        let (value, problems) = read(&format!("{{\"{}\": {list}}}", "k".repeat(255)));
        assert!(value.is_some() && problems.is_empty());
        let too_long = "x.json:1:2: the keys that lead here are longer than 255 bytes";
        assert_eq!(read(&format!("{{\"{}\": {list}}}", "k".repeat(256))).1, [too_long]);
        let parts = ["k".repeat(200), "l".repeat(56)];
        let nested = format!("{{\"{}\": {{\"{}\": {list}}}}}", parts[0], parts[1]);
        assert_eq!(read(&nested).1, [too_long.replace(":2:", ":207:")]);
        // With a megabyte in each of these tables, it would be all the memory there is.
        let many = format!("{{\"{}\": [{}{{}}]}}", "k".repeat(1 << 20), "{},".repeat(300_000));
        assert_eq!(read(&many).1, [too_long]);
    }

    #[test]
    fn tables_may_have_many_keys() {
        // Comparing each with all before it would take minutes.
        let keys: Vec<String> = (0..50_000).map(|idx| format!("\"k{idx}\":0")).collect();
        let (value, problems) = read(&format!("{{{},\"k7\":1}}", keys.join(",")));
        assert_eq!(value.unwrap().as_table().unwrap().entries.len(), 50_000);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].ends_with("`k7` is there twice"), "{}", problems[0]);
        assert_eq!(read("[1.5, 99999999999999999999]").1, [""; 0]);
    }
}
