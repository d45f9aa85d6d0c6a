//! `diff`: how two images differ, at any depth.

use std::ffi::OsStr;
use std::fmt::Write as _;

use inspect::{Aspect, Change, Differences, Found, Group, Ignored, Object, diff};
use serde_json::json;

use crate::args::{Global, IgnoredArg};
use crate::differences::{SHOWN, below, of_package, said};
use crate::failure::{Blame, Failure};
use crate::image::{failure, find};
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

fn as_text(found: &Differences) -> String {
    if found.is_empty() {
        return "no differences\n".to_owned();
    }
    let mut text = String::new();
    let (groups, changes) = found.causes();
    // Writing to a string never fails.
    for package in &found.packages {
        let _ = writeln!(text, "{}", of_package(package));
    }
    for Group { aspect, paths } in &groups {
        let _ = writeln!(text, "{} in {} places: {}", said(aspect), paths.len(), ui::some(paths, SHOWN));
    }
    if !text.is_empty() && !changes.is_empty() {
        text.push('\n');
    }
    for Change { path, aspects } in &changes {
        for aspect in aspects {
            let _ = writeln!(text, "{path}: {}", said(aspect));
            for line in below(aspect) {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    text
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
                    Aspect::Lines(removed, added) | Aspect::Symbols(removed, added) => {
                        json!({ "what": name(aspect), "said": said(aspect), "removed": removed, "added": added })
                    }
                    _ => json!({ "what": name(aspect), "said": said(aspect) }),
                })
                .collect();
            json!({ "path": change.path, "aspects": aspects })
        })
        .collect();
    let packages: Vec<_> = found
        .packages
        .iter()
        .map(|package| {
            json!({ "name": package.name, "before": package.before, "after": package.after, "paths": package.paths })
        })
        .collect();
    json!({
        "version": 1, "same": found.is_empty(), "compared": found.n_compared, "packages": packages, "causes": groups,
        "changes": changes,
    })
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
        Aspect::Symbols(..) => "symbols",
        Aspect::Contents(..) => "contents",
        Aspect::Layout(_) => "layout",
        Aspect::Unknown(_) => "unknown",
    }
}
