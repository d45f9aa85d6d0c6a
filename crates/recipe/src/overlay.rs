//! `when` overlays: keys that hold under a condition.

use crate::Problem;
use crate::knobs::Knobs;
use crate::reader::Reader;
use crate::value::{Kind, Table, Value};

/// Takes the overlays out of `value` and merges those in force into it.
///
/// Returns what `value` would be with each one that is not in force, to be read for its mistakes.
pub(crate) fn apply(value: &mut Value, knobs: &Knobs, problems: &mut Vec<Problem>) -> Vec<Value> {
    let Some(when) = value.as_table_mut().and_then(|table| table.remove("when")) else {
        return Vec::new();
    };
    let Kind::Table(overlays) = when.value.kind else {
        let mut reader = Reader::default();
        reader.inside("`when`".to_owned(), |reader| reader.wrong_type(&when.value, "a table of conditions"));
        problems.append(&mut reader.problems);
        return Vec::new();
    };
    let mut idle = Vec::new();
    for overlay in overlays.entries {
        let holds = knobs.holds(&overlay.key, &overlay.key_place, problems);
        let Kind::Table(keys) = overlay.value.kind else {
            let mut reader = Reader::default();
            reader
                .inside(format!("`{}`", overlay.key), |reader| reader.wrong_type(&overlay.value, "a table"));
            problems.append(&mut reader.problems);
            continue;
        };
        if let Some(nested) = keys.get("when") {
            problems.push(
                Problem::at(&nested.key_place, "an overlay cannot have overlays")
                    .help("join the conditions with a comma, as in `\"ARCH=arm64,DEBUG=true\"`"),
            );
        }
        if holds {
            if let Some(table) = value.as_table_mut() {
                merge(table, keys);
            }
        } else {
            idle.push(keys);
        }
    }
    // The place of keys tells overlays from what they are laid over, so the mistakes are shown where they are.
    idle.into_iter()
        .map(|keys| {
            let mut with = value.clone();
            if let Some(table) = with.as_table_mut() {
                merge(table, keys);
            }
            with
        })
        .collect()
}

/// Tables are merged, lists appended, anything else replaced.
fn merge(table: &mut Table, overlay: Table) {
    for entry in overlay.entries {
        if entry.key == "when" {
            continue;
        }
        let Some(known) = table.get_mut(&entry.key) else {
            let mut entry = entry;
            rename(&mut entry.value, &table.path);
            table.entries.push(entry);
            continue;
        };
        match (&mut known.value.kind, entry.value.kind) {
            (Kind::Table(known), Kind::Table(overlay)) => merge(known, overlay),
            (Kind::Array(known), Kind::Array(overlay)) => known.extend(overlay),
            (_, kind) => {
                known.key_place = entry.key_place;
                known.value = Value { place: entry.value.place, kind };
            }
        }
    }
}

/// Gives a table of an overlay the path that it has once laid over.
fn rename(value: &mut Value, home: &str) {
    if let Some(table) = value.as_table_mut() {
        let name = table.path.rsplit('.').next().unwrap_or_default();
        table.path = format!("{home}.{name}");
    }
}
