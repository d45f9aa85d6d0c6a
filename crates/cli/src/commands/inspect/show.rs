//! Objects and entries as text and as JSON.

use std::fmt::Write as _;

use inspect::{Described, Entry, EntryKind, Fact, Object, Region, Value};
use serde_json::json;

use crate::ui::{bytes, date};

/// Returns what is known of an object.
pub(super) fn object_text(object: &Object, entries: &[Entry], recursive: bool) -> String {
    let mut text = String::new();
    for described in object.wrappers().iter().chain([object.described()]) {
        describe(&mut text, described);
    }
    map(&mut text, &object.described().regions, object.described().mapped());
    if let Some(source) = object.text() {
        text.push('\n');
        text.push_str(source);
    }
    if !entries.is_empty() {
        text.push('\n');
        text.push_str(&entries_text(entries));
        let has_directories = entries.iter().any(|entry| entry.kind == EntryKind::Directory);
        if has_directories && !recursive {
            text.push_str("\n--recursive lists everything\n");
        }
    }
    text
}

fn describe(text: &mut String, described: &Described) {
    let Described { format, size, facts, .. } = described;
    // Writing to a string never fails.
    let _ = match size {
        0 => writeln!(text, "{}", format.name()),
        size => writeln!(text, "{}, {}", format.name(), bytes(*size)),
    };
    let width = facts.iter().map(|fact| fact.name.len()).max().unwrap_or(0);
    for Fact { name, value } in facts {
        let value = match value {
            Value::Text(value) => value.clone(),
            Value::Number(number) => number.to_string(),
            Value::Size(size) if *size < 1000 => format!("{size} bytes"),
            Value::Size(size) => format!("{size} bytes ({})", bytes(*size)),
            Value::Address(address) => format!("{address:#x}"),
            Value::List(lines) => lines.join(&format!("\n    {:width$}  ", "")),
        };
        let _ = writeln!(text, "    {name:width$}  {value}");
    }
}

/// Draws where what lies. What is in no region is shown as such.
fn map(text: &mut String, regions: &[Region], size: u64) {
    if regions.is_empty() {
        return;
    }
    text.push('\n');
    let digits = format!("{size:x}").len();
    let mut line = |start: u64, end: u64, name: &str| {
        let _ =
            writeln!(text, "    {start:#0width$x}  {:>8}  {name}", bytes(end - start), width = digits + 2);
    };
    let mut at = 0;
    for Region { name, range } in regions {
        if range.start > at {
            line(at, range.start, "-");
        }
        line(range.start, range.end, name);
        at = at.max(range.end);
    }
    if at < size {
        line(at, size, "-");
    }
}

/// Returns a line for each entry, as `ls -l` has it.
pub(super) fn entries_text(entries: &[Entry]) -> String {
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let mode = match entry.mode {
            Some(mode) => permissions(&entry.kind, mode),
            None => entry.kind.letter().to_string(),
        };
        let owner = entry.owner.map_or(String::new(), |(uid, gid)| format!("{uid}:{gid}"));
        let time = entry.mtime.map_or(String::new(), date);
        let mut name = entry.shown();
        match &entry.kind {
            EntryKind::Symlink(target) => name += &format!(" -> {}", target.escape_ascii()),
            EntryKind::HardLink(target) => name += &format!(" = {}", target.escape_ascii()),
            EntryKind::CharDevice(major, minor) | EntryKind::BlockDevice(major, minor) => {
                name += &format!("  {major}:{minor}");
            }
            EntryKind::Directory => name.push('/'),
            _ => {}
        }
        for (what, value) in &entry.details {
            name += &format!("  {what} {value}");
        }
        rows.push([mode, owner, entry.size.to_string(), time, name]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for [mode, owner, size, time, name] in &rows {
        let mut line = format!("{mode:0$}", widths[0]);
        for (column, width, is_right) in
            [(owner, widths[1], false), (size, widths[2], true), (time, widths[3], false)]
        {
            if width > 0 {
                line += &if is_right { format!("  {column:>width$}") } else { format!("  {column:width$}") };
            }
        }
        let _ = writeln!(text, "{line}  {name}");
    }
    text
}

fn permissions(kind: &EntryKind, mode: u32) -> String {
    let mut text = String::from(kind.letter());
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// Returns what is known of an object for programs.
pub(super) fn object_json(object: &Object, entries: &[Entry]) -> serde_json::Value {
    let layers = object.wrappers().iter().chain([object.described()]).map(|described| {
        let facts: serde_json::Map<String, serde_json::Value> = described
            .facts
            .iter()
            .map(|fact| (fact.name.to_owned(), serde_json::to_value(&fact.value).unwrap_or_default()))
            .collect();
        let regions: Vec<_> = described
            .regions
            .iter()
            .map(|region| json!({ "name": region.name, "start": region.range.start, "end": region.range.end }))
            .collect();
        json!({ "format": described.format.name(), "size": described.size, "facts": facts, "regions": regions })
    });
    let layers: Vec<_> = layers.collect();
    let entries: Vec<_> = entries.iter().map(entry_json).collect();
    let mut value = json!({ "version": 1, "path": object.name(), "layers": layers, "entries": entries });
    if let Some(text) = object.text() {
        value["text"] = json!(text);
    }
    value
}

/// Returns entries for programs.
pub(super) fn entries_json(path: &str, entries: &[Entry]) -> serde_json::Value {
    json!({ "version": 1, "path": path, "entries": entries.iter().map(entry_json).collect::<Vec<_>>() })
}

fn entry_json(entry: &Entry) -> serde_json::Value {
    let mut value = json!({ "path": entry.shown(), "kind": entry.kind.name(), "size": entry.size });
    if let Some(mode) = entry.mode {
        value["mode"] = json!(format!("{mode:04o}"));
    }
    if let Some((uid, gid)) = entry.owner {
        value["uid"] = json!(uid);
        value["gid"] = json!(gid);
    }
    if let Some(mtime) = entry.mtime {
        value["mtime"] = json!(mtime);
    }
    if let Some(range) = &entry.range {
        value["start"] = json!(range.start);
        value["end"] = json!(range.end);
    }
    match &entry.kind {
        EntryKind::Symlink(target) | EntryKind::HardLink(target) => {
            value["target"] = json!(String::from_utf8_lossy(target));
        }
        EntryKind::CharDevice(major, minor) | EntryKind::BlockDevice(major, minor) => {
            value["device"] = json!([major, minor]);
        }
        _ => {}
    }
    for (name, said) in &entry.details {
        value[*name] = json!(said);
    }
    if !entry.xattrs.is_empty() {
        let xattrs: serde_json::Map<String, serde_json::Value> = entry
            .xattrs
            .iter()
            .map(|(name, value)| (name.escape_ascii().to_string(), json!(value.escape_ascii().to_string())))
            .collect();
        value["xattrs"] = xattrs.into();
    }
    value
}
