//! `diff`: how two images differ, at any depth.

use std::ffi::OsStr;
use std::fmt::Write as _;

use inspect::{Aspect, Change, Differences, Found, Group, Ignored, Object, diff};
use serde_json::json;

use super::inspect::image::{failure, find};
use super::inspect::show_time;
use crate::args::{Global, IgnoredArg};
use crate::failure::{Blame, Failure};
use crate::ui::{self, Ui};

/// Compares what `a` and `b` name.
pub(crate) fn run(
    global: &Global,
    ui: &Ui,
    a: &OsStr,
    b: &OsStr,
    ignore: &[IgnoredArg],
) -> Result<(), Failure> {
    let (left, right) = (object(global, a)?, object(global, b)?);
    let ignored = Ignored {
        signatures: ignore.contains(&IgnoredArg::Signatures),
        times: ignore.contains(&IgnoredArg::Times),
    };
    let found = diff(&left, &right, ignored).map_err(failure)?;
    if global.json {
        ui.print_json(&as_json(&found));
    } else {
        ui.print(&as_text(&found));
    }
    if found.is_empty() { Ok(()) } else { Err(Failure::told(Blame::Build)) }
}

fn object(global: &Global, what: &OsStr) -> Result<Object, Failure> {
    match find(global, what)? {
        Found::Object(object) => Ok(*object),
        Found::Directory { .. } => {
            Err(Failure::project(format!("`{}` is a directory in an image", what.display()))
                .help("compare the images, or files in them"))
        }
        Found::Other { name, entry } => {
            Err(Failure::project(format!("`{name}` has no contents: it is a {}", entry.kind.name())))
        }
    }
}

/// How many paths of a cause are named, and how many lines of a text.
const SHOWN: usize = 5;

fn as_text(found: &Differences) -> String {
    if found.is_empty() {
        return "no differences\n".to_owned();
    }
    let mut text = String::new();
    let (groups, changes) = found.causes();
    // Writing to a string never fails.
    for Group { aspect, paths } in &groups {
        let _ = writeln!(text, "{} in {} places: {}", said(aspect), paths.len(), ui::some(paths, SHOWN));
    }
    if !groups.is_empty() && !changes.is_empty() {
        text.push('\n');
    }
    for Change { path, aspects } in &changes {
        for aspect in aspects {
            let _ = writeln!(text, "{path}: {}", said(aspect));
            if let Aspect::Lines(removed, added) = aspect {
                for (sign, lines) in [('-', removed), ('+', added)] {
                    for line in lines.iter().take(SHOWN) {
                        let _ = writeln!(text, "    {sign} {}", line.trim_end().escape_debug());
                    }
                    if lines.len() > SHOWN {
                        let _ = writeln!(text, "    {sign} and {} more", lines.len() - SHOWN);
                    }
                }
            }
        }
    }
    text
}

/// Says in what respect something differs.
fn said(aspect: &Aspect) -> String {
    let value = |value: &Option<String>| value.as_deref().unwrap_or("nothing").to_owned();
    match aspect {
        Aspect::Removed(kind) => format!("only the first has this {kind}"),
        Aspect::Added(kind) => format!("only the second has this {kind}"),
        Aspect::Kind(a, b) => format!("is {a}, and {b}"),
        Aspect::Mode(a, b) => format!("mode {a:04o} → {b:04o}"),
        Aspect::Owner(a, b) => format!("owner {}:{} → {}:{}", a.0, a.1, b.0, b.1),
        Aspect::Time(a, b) => format!("time {} → {}", show_time(*a), show_time(*b)),
        Aspect::Attribute(name, a, b) => format!("attribute {name}: {} → {}", value(a), value(b)),
        Aspect::Detail(name, a, b) | Aspect::Fact(name, a, b) => format!("{name}: {a} → {b}"),
        Aspect::Lines(removed, added) => format!("{} lines → {} lines", removed.len(), added.len()),
        Aspect::Contents(a, b, at) if a == b => {
            let at = at.map_or(String::new(), |at| format!(", from byte {at} on"));
            format!("contents of {a} bytes{at}")
        }
        Aspect::Contents(a, b, _) => format!("contents, {a} → {b} bytes"),
        Aspect::Layout(at) => format!("the same in it, and other bytes from {at} on"),
        Aspect::Unknown(why) => format!("cannot be compared: {why}"),
    }
}

fn as_json(found: &Differences) -> serde_json::Value {
    let (groups, changes) = found.causes();
    let groups: Vec<_> = groups
        .iter()
        .map(
            |group| json!({ "what": name(&group.aspect), "said": said(&group.aspect), "paths": group.paths }),
        )
        .collect();
    let changes: Vec<_> = changes
        .iter()
        .map(|change| {
            let aspects: Vec<_> = change
                .aspects
                .iter()
                .map(|aspect| match aspect {
                    Aspect::Lines(removed, added) => {
                        json!({ "what": name(aspect), "said": said(aspect), "removed": removed, "added": added })
                    }
                    _ => json!({ "what": name(aspect), "said": said(aspect) }),
                })
                .collect();
            json!({ "path": change.path, "aspects": aspects })
        })
        .collect();
    json!({ "version": 1, "same": found.is_empty(), "compared": found.n_compared, "causes": groups, "changes": changes })
}

fn name(aspect: &Aspect) -> &'static str {
    match aspect {
        Aspect::Removed(_) => "removed",
        Aspect::Added(_) => "added",
        Aspect::Kind(..) => "kind",
        Aspect::Mode(..) => "mode",
        Aspect::Owner(..) => "owner",
        Aspect::Time(..) => "time",
        Aspect::Attribute(..) => "attribute",
        Aspect::Detail(..) => "detail",
        Aspect::Fact(..) => "fact",
        Aspect::Lines(..) => "lines",
        Aspect::Contents(..) => "contents",
        Aspect::Layout(_) => "layout",
        Aspect::Unknown(_) => "unknown",
    }
}
