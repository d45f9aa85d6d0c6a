//! The report for terminals.

use std::fmt::Write as _;

use super::{Changed, Growth, Image, Sum, kinds, packages};
use crate::numbers::{bytes, change, percent};
use crate::tree::Tree;

/// What of the report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextOptions {
    /// How deep directories are listed.
    pub depth: usize,
    /// How many lines a list has at most.
    pub lines: usize,
}

/// How wide the longest bar is.
const BAR: u64 = 24;

/// Returns the report as text.
pub fn text(image: &Image, before: Option<&Image>, options: TextOptions) -> String {
    let mut text = String::new();
    let used = image.used();
    // Writing to a string never fails.
    let _ = writeln!(text, "{}: {}, {}", image.name, image.formats.join(", "), bytes(image.size));
    let _ = writeln!(
        text,
        "  {} used: {} files of {} take {}; {}",
        bytes(used),
        image.files.len(),
        bytes(image.contents()),
        bytes(image.stored()),
        image.how
    );
    let growth = before.map(|before| Growth::of(image, before));
    if let Some(growth) = &growth {
        let _ = writeln!(
            text,
            "  {} since {}, {} of the file",
            change(growth.used_before, used),
            growth.against,
            change(growth.size_before, image.size)
        );
    }
    for problem in &image.problems {
        let _ = writeln!(text, "  {problem}");
    }
    text.push_str("\nby directory\n");
    directories(&mut text, &image.tree(), used, options);
    let packages = packages(image, before);
    // Where there are none, there is nothing to tell apart.
    if image.files.iter().any(|file| file.package.is_some()) {
        text.push_str("\nby package\n");
        sums(&mut text, &packages, used, options);
    }
    text.push_str("\nby type\n");
    sums(&mut text, &kinds(image, before), used, options);
    if let Some(growth) = &growth {
        let _ = writeln!(text, "\nsince {}", growth.against);
        if growth.files.is_empty() {
            text.push_str("  no file takes more or less\n");
        }
        changed(&mut text, growth.files.iter(), options.lines);
    }
    text
}

/// Returns lines on what grew at or below a path since an earlier image, or nothing if nothing did. Paths of budgets
/// begin with a slash; an empty one is everything.
pub fn grown_below(growth: &Growth, path: &str, lines: usize) -> String {
    let path = path.trim_start_matches('/');
    let is_below = |changed: &&Changed| {
        path.is_empty()
            || changed.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut text = String::new();
    let grown = growth.files.iter().filter(|changed| changed.by() > 0).filter(is_below);
    changed(&mut text, grown, lines);
    text
}

fn changed<'c>(text: &mut String, files: impl Iterator<Item = &'c Changed>, lines: usize) {
    let files: Vec<&Changed> = files.collect();
    for file in files.iter().take(lines) {
        let by = change(file.before.unwrap_or(0), file.after.unwrap_or(0));
        let how = match (file.before, file.after) {
            (None, _) => "new".to_owned(),
            (_, None) => "gone".to_owned(),
            (Some(before), Some(after)) => format!("{} → {}", bytes(before), bytes(after)),
        };
        let of = file.package.as_ref().map_or(String::new(), |package| format!(", {package}"));
        let _ = writeln!(text, "  {by:>9}  /{} ({how}{of})", file.path);
    }
    more(text, files.len().saturating_sub(lines));
}

fn more(text: &mut String, n_more: usize) {
    if n_more > 0 {
        let _ = writeln!(text, "             and {n_more} more");
    }
}

fn directories(text: &mut String, tree: &Tree, used: u64, options: TextOptions) {
    let mut pending: Vec<(usize, usize)> = vec![(0, 0)];
    while let Some((at, depth)) = pending.pop() {
        let node = &tree.0[at];
        if at != 0 {
            let name = format!("{}{}", "  ".repeat(depth - 1), node.name);
            let slash = if node.children.is_empty() { "" } else { "/" };
            line(text, node.bytes, used, &format!("{name}{slash}"), None);
        }
        if depth < options.depth {
            let shown = node.children.iter().take(options.lines).filter(|child| tree.0[**child].bytes > 0);
            pending.extend(shown.rev().map(|child| (*child, depth + 1)));
        }
    }
}

fn sums(text: &mut String, sums: &[Sum], used: u64, options: TextOptions) {
    for sum in sums.iter().take(options.lines) {
        let files = if sum.files == 1 { "1 file".to_owned() } else { format!("{} files", sum.files) };
        line(text, sum.bytes, used, &format!("{} ({files})", sum.name), sum.before);
    }
    more(text, sums.len().saturating_sub(options.lines));
}

fn line(text: &mut String, n_bytes: u64, whole: u64, name: &str, before: Option<u64>) {
    let length = (u128::from(n_bytes) * u128::from(BAR)).div_ceil(u128::from(whole.max(1))) as usize;
    let bar = "█".repeat(length.min(BAR as usize));
    let grown = match before {
        Some(before) if before != n_bytes => format!("  {}", change(before, n_bytes)),
        _ => String::new(),
    };
    let width = BAR as usize;
    let _ = writeln!(
        text,
        "  {:>8}  {:>5}  {bar:width$}  {name}{grown}",
        bytes(n_bytes),
        percent(n_bytes, whole)
    );
}

#[cfg(test)]
mod tests {
    use super::super::{File, Rest};
    use super::*;

    fn image(big: u64) -> Image {
        let file = |path: &str, stored, kind: &str, package: Option<&str>| File {
            path: path.to_owned(),
            size: stored * 2,
            stored,
            is_further_name: false,
            kind: kind.to_owned(),
            package: package.map(str::to_owned),
        };
        Image {
            name: "root".to_owned(),
            formats: vec!["a squashfs file system".to_owned()],
            size: big + 3000,
            how: "compressed blocks".to_owned(),
            files: vec![
                file("usr/lib/big.so", big, "libraries", Some("big")),
                file("usr/bin/sh", 1000, "ELF programs", Some("dash")),
                file("etc/motd", 500, "text", None),
            ],
            rest: vec![
                Rest { path: "[metadata]".to_owned(), bytes: 500, is_free: false },
                Rest { path: "[free]".to_owned(), bytes: 1000, is_free: true },
            ],
            ..Image::default()
        }
    }

    #[test]
    fn the_largest_comes_first_and_what_grew_is_named() {
        let before = Image { name: "the last build".to_owned(), ..image(8000) };
        let text = text(&image(18_000), Some(&before), TextOptions { depth: 2, lines: 10 });
        assert_eq!(
            text,
            "root: a squashfs file system, 21.0 kB
  20.0 kB used: 3 files of 39.0 kB take 19.5 kB; compressed blocks
  +10.0 kB since the last build, +10.0 kB of the file

by directory
   19.0 kB   95 %  ███████████████████████   usr/
   18.0 kB   90 %  ██████████████████████      lib/
   1.00 kB  5.0 %  ██                          bin/
     500 B  2.5 %  █                         [metadata]
     500 B  2.5 %  █                         etc/
     500 B  2.5 %  █                           motd

by package
   18.0 kB   90 %  ██████████████████████    big (1 file)  +10.0 kB
   1.00 kB  5.0 %  ██                        dash (1 file)
     500 B  2.5 %  █                         no package (1 file)

by type
   18.0 kB   90 %  ██████████████████████    libraries (1 file)  +10.0 kB
   1.00 kB  5.0 %  ██                        ELF programs (1 file)
     500 B  2.5 %  █                         text (1 file)

since the last build
   +10.0 kB  /usr/lib/big.so (8.00 kB → 18.0 kB, big)
"
        );
    }

    #[test]
    fn what_grew_in_a_directory() {
        let growth = Growth::of(&image(18_000), &image(8000));
        assert_eq!(
            grown_below(&growth, "/usr/lib", 3),
            "   +10.0 kB  /usr/lib/big.so (8.00 kB → 18.0 kB, big)\n"
        );
        assert_eq!(grown_below(&growth, "/usr/li", 3), "");
        assert_eq!(grown_below(&growth, "/etc", 3), "");
        assert!(!grown_below(&growth, "", 3).is_empty());
    }
}
