//! Differences of images in words.

use inspect::{Aspect, Excerpt, PackageChange};

use crate::ui;

/// How many paths of a cause are named, and how many lines of a text.
pub(crate) const SHOWN: usize = 5;

/// Says in what respect something differs.
pub(crate) fn said(aspect: &Aspect) -> String {
    let value = |value: &Option<String>| value.as_deref().unwrap_or("nothing").to_owned();
    match aspect {
        Aspect::Removed(kind) => format!("only the first has this {kind}"),
        Aspect::Added(kind) => format!("only the second has this {kind}"),
        Aspect::Kind(a, b) => format!("is {a}, and {b}"),
        Aspect::Mode(a, b) => format!("mode {a:04o} → {b:04o}"),
        Aspect::Owner(a, b) => format!("owner {}:{} → {}:{}", a.0, a.1, b.0, b.1),
        Aspect::Time(a, b) => format!("time {} → {}", ui::date(*a), ui::date(*b)),
        Aspect::Attribute(name, a, b) => format!("attribute {name}: {} → {}", value(a), value(b)),
        Aspect::Detail(name, a, b) | Aspect::Fact(name, a, b) => format!("{name}: {a} → {b}"),
        Aspect::Lines(removed, added) => format!("{} lines → {} lines", removed.len(), added.len()),
        Aspect::Symbols(removed, added) => {
            format!("symbols: {} only in the first, {} only in the second", removed.len(), added.len())
        }
        Aspect::Contents(a, b, excerpt) if a == b => {
            format!("contents of {a} bytes, from byte {} on", excerpt.at)
        }
        Aspect::Contents(a, b, excerpt) => format!("contents, {a} → {b} bytes, from byte {} on", excerpt.at),
        Aspect::Layout(at) => format!("the same in it, and other bytes from {at} on"),
        Aspect::Unknown(why) => format!("cannot be compared: {why}"),
    }
}

/// Returns the lines that show what of it differs.
pub(crate) fn below(aspect: &Aspect) -> Vec<String> {
    let (removed, added) = match aspect {
        Aspect::Lines(removed, added) | Aspect::Symbols(removed, added) => (removed, added),
        Aspect::Contents(_, _, Excerpt { before, after, .. }) => {
            return [('-', before), ('+', after)]
                .map(|(sign, bytes)| format!("{sign} {}", bytes.escape_ascii()))
                .into();
        }
        _ => return Vec::new(),
    };
    let mut shown = Vec::new();
    for (sign, lines) in [('-', removed), ('+', added)] {
        shown.extend(
            lines.iter().take(SHOWN).map(|line| format!("{sign} {}", line.trim_end().escape_debug())),
        );
        if lines.len() > SHOWN {
            shown.push(format!("{sign} and {} more", lines.len() - SHOWN));
        }
    }
    shown
}

/// Says what became of a package, and how many differences that explains.
pub(crate) fn of_package(package: &PackageChange) -> String {
    let version = |version: &Option<String>| version.as_deref().unwrap_or("not there").to_owned();
    let what = format!("package {} {} → {}", package.name, version(&package.before), version(&package.after));
    match package.paths.len() {
        0 => what,
        1 => format!("{what}, which explains {}", package.paths[0]),
        n_paths => format!("{what}, which explains {n_paths} paths: {}", ui::some(&package.paths, SHOWN)),
    }
}
