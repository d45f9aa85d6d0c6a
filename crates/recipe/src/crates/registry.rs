//! Where the archives of crates are.

use toml::{Table, Value};

/// The index of crates.io.
const CRATES_IO: &str = "https://index.crates.io/";
/// How often one registry may stand for another: whoever goes round in circles is not followed.
const MAX_REPLACED: usize = 8;

/// Returns the address of a registry's sparse index, with a slash at the end. `None` is crates.io, or what stands for it in
/// `configuration`, the text of a configuration of cargo (The Cargo Book, "Source Replacement").
pub fn index(registry: Option<&str>, configuration: Option<&str>) -> String {
    let found = match registry {
        Some(registry) => Some(registry.to_owned()),
        None => configuration.and_then(replaced),
    };
    let index = found.unwrap_or_else(|| CRATES_IO.to_owned());
    let index = index.strip_prefix("sparse+").unwrap_or(&index);
    format!("{}/", index.trim_end_matches('/'))
}

/// Returns the sparse index that stands for crates.io.
fn replaced(configuration: &str) -> Option<String> {
    let configuration: Table = configuration.parse().ok()?;
    let sources = configuration.get("source")?;
    let mut name = super::CRATES_IO;
    for _ in 0..MAX_REPLACED {
        let source = sources.get(name)?;
        let text = |key: &str| source.get(key).and_then(Value::as_str);
        match text("replace-with") {
            Some(other) => name = other,
            // Only what is not an index in git can be read file by file.
            None => return text("registry").filter(|of| of.starts_with("sparse+")).map(str::to_owned),
        }
    }
    None
}

/// Returns the address of a crate's archive. `config` is the text of the index' `config.json`
/// (The Cargo Book, "Registry Index", "Index Configuration").
///
/// `None` when that does not say where archives are.
pub fn archive(config: &[u8], name: &str, version: &str, checksum: &str) -> Option<String> {
    let config: serde_json::Value = serde_json::from_slice(config).ok()?;
    let template = config.get("dl")?.as_str()?;
    let lower = name.to_lowercase();
    let markers = [
        ("{crate}", name.to_owned()),
        ("{version}", version.to_owned()),
        ("{prefix}", prefix(name)),
        ("{lowerprefix}", prefix(&lower)),
        ("{sha256-checksum}", checksum.to_owned()),
    ];
    if !markers.iter().any(|(marker, _)| template.contains(marker)) {
        return Some(format!("{}/{name}/{version}/download", template.trim_end_matches('/')));
    }
    let filled = |text: String, (marker, value): &(&str, String)| text.replace(marker, value);
    Some(markers.iter().fold(template.to_owned(), filled))
}

/// Returns the directory of a crate in an index (ibid., "Index Files"). Names are ASCII.
fn prefix(name: &str) -> String {
    match name.len() {
        0 => String::new(),
        1 => "1".to_owned(),
        2 => "2".to_owned(),
        3 => format!("3/{}", &name[..1]),
        _ => format!("{}/{}", &name[..2], &name[2..4]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_one_that_cargo_is_configured_for() {
        assert_eq!(index(None, None), "https://index.crates.io/");
        assert_eq!(index(Some("sparse+https://a.example/i/"), None), "https://a.example/i/");
        let text = "[source.crates-io]\nreplace-with = \"a\"\n[source.a]\nreplace-with = \"b\"\n[source.b]\n";
        let mirror = format!("{text}registry = \"sparse+http://b.example/x\"");
        assert_eq!(index(None, Some(&mirror)), "http://b.example/x/");
        assert_eq!(index(Some("sparse+https://a.example/"), Some(&mirror)), "https://a.example/");
        // What cannot be asked for a single crate, and what is damaged or goes round in circles.
        let round = "[source.crates-io]\nreplace-with = \"crates-io\"";
        for other in [&format!("{text}registry = \"https://b.example/x\""), text, "[source", round] {
            assert_eq!(index(None, Some(other)), "https://index.crates.io/", "{other}");
        }
    }

    #[test]
    fn archives_are_where_the_index_says() {
        let of = |config: &str, name: &str| archive(config.as_bytes(), name, "1.0.5", "ab");
        assert_eq!(
            of(r#"{ "dl": "https://a.example/crates" }"#, "cfg-if").unwrap(),
            "https://a.example/crates/cfg-if/1.0.5/download"
        );
        let marked =
            r#"{ "dl": "https://a.example/{lowerprefix}/{prefix}/{crate}-{version}-{sha256-checksum}" }"#;
        for (name, expected) in
            [("Inflector", "in/fl/In/fl/Inflector"), ("syn", "3/s/3/s/syn"), ("cc", "2/2/cc"), ("x", "1/1/x")]
        {
            assert_eq!(of(marked, name).unwrap(), format!("https://a.example/{expected}-1.0.5-ab"));
        }
        for other in ["", "{}", r#"{ "dl": 1 }"#] {
            assert_eq!(of(other, "x"), None);
        }
    }
}
