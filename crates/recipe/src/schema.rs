//! The JSON Schema of a project file, for editors: made from the types that read it.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value, json};

use crate::stack::Recipe;

/// Returns the JSON Schema of `bootwright.toml`, as text that ends with a line break.
pub fn schema() -> String {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<Recipe>();
    for section in ["source", "env", "target", "machine", "test"] {
        allow_overlays_of_entries(&mut schema, section);
    }
    allow_overlays(&mut schema, "StackSection");
    Tidy.transform(&mut schema);
    schema.insert("title".to_owned(), "bootwright.toml".into());
    let mut text = format!("{:#}", schema.as_value());
    text.push('\n');
    text
}

/// Lets every entry of that section have `when`.
fn allow_overlays_of_entries(schema: &mut Schema, section: &str) {
    let name = {
        let entries = schema.pointer(&format!("/properties/{section}"));
        let entry = entries.and_then(|entries| {
            let by_pattern =
                entries.pointer("/patternProperties").and_then(|all| all.as_object()?.values().next());
            by_pattern.or_else(|| entries.pointer("/additionalProperties"))?.pointer("/$ref")
        });
        entry.and_then(Value::as_str).and_then(|path| path.rsplit('/').next()).map(str::to_owned)
    };
    let name = name.expect("each section is a map whose entries are a type of their own");
    allow_overlays(schema, &name);
}

fn allow_overlays(schema: &mut Schema, definition: &str) {
    let when = json!({
        "type": "object",
        "description": "Overlays: keys that hold under a condition, as in `when.\"ARCH=arm64\"`.",
        "additionalProperties": { "type": "object" },
    });
    let definition = schema
        .pointer_mut(&format!("/definitions/{definition}"))
        .expect("a type that is referred to is defined");
    let tables = match definition.get_mut("oneOf").and_then(Value::as_array_mut) {
        Some(variants) => variants.iter_mut().collect(),
        None => vec![definition],
    };
    for table in tables {
        if let Some(properties) = table.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("when".to_owned(), when.clone());
        }
    }
}

/// Says in JSON Schema what is different in TOML, and with knobs.
struct Tidy;

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        // TOML has no null: what is optional is left out.
        if let Some(types) = object.get_mut("type").and_then(Value::as_array_mut) {
            types.retain(|name| name != "null");
            if let [only] = &types[..] {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(choices) = object.get_mut("anyOf").and_then(Value::as_array_mut) {
            choices.retain(|choice| choice != &json!({ "type": "null" }));
            if let [only] = &choices[..] {
                let only = only.clone();
                object.remove("anyOf");
                object.insert("allOf".to_owned(), json!([only]));
            }
        }
        // A string that has `${…}` in it may come to anything.
        if let Some(pattern) = object.get("pattern").and_then(Value::as_str) {
            object.insert("pattern".to_owned(), format!("({pattern})|\\$\\{{").into());
        }
        if let Some(choices) = object.get_mut("oneOf").and_then(Value::as_array_mut)
            && choices.iter().all(|choice| choice.get("const").is_some_and(Value::is_string))
        {
            choices.push(json!({ "type": "string", "pattern": "\\$\\{" }));
        }
        // A whole string of `${KNOB}` may stand for what the knob's type is.
        let typed = matches!(object.get("type").and_then(Value::as_str), Some("integer" | "boolean"));
        if typed {
            let mut value = Map::new();
            for key in ["type", "minimum", "maximum"] {
                if let Some(entry) = object.remove(key) {
                    value.insert(key.to_owned(), entry);
                }
            }
            object.remove("format");
            let knob = json!({ "type": "string", "pattern": "^\\$\\{[A-Z][A-Z0-9_]*\\}$" });
            object.insert("anyOf".to_owned(), json!([value, knob]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/reference/bootwright.schema.json");

    #[test]
    fn the_copy_in_the_documentation_is_current() {
        let written = std::fs::read_to_string(PATH).unwrap_or_default();
        #[expect(clippy::disallowed_methods, reason = "how a person asks for the new copy to be written")]
        let bless = std::env::var_os("BOOTWRIGHT_BLESS").is_some();
        if bless {
            std::fs::write(PATH, schema()).unwrap();
        } else if written != schema() {
            panic!(
                "`docs/src/reference/bootwright.schema.json` is not current: run this test with BOOTWRIGHT_BLESS=1"
            );
        }
    }
}
