//! Pages and their links: nothing points to what is not there, and every page of the book can be found.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The pages beside the book.
const PAGES: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
/// The pages of the book.
const BOOK: &str = "docs/src";
const SUMMARY: &str = "docs/src/SUMMARY.md";

/// Returns what is wrong with the pages of the checkout at `root`, a sentence each.
pub(crate) fn problems(root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let mut book = Vec::new();
    collect(&root.join(BOOK), &mut book);
    book.sort();
    let pages = PAGES.iter().map(|page| root.join(page)).chain(book.iter().cloned());
    for page in pages {
        let name = show(root, &page);
        let Ok(text) = fs::read_to_string(&page) else {
            problems.push(format!("{name}: cannot be read"));
            continue;
        };
        for (line, target) in links(&text) {
            if let Some(problem) = broken(&page, target) {
                problems.push(format!("{name}:{line}: the link to `{target}` {problem}"));
            }
        }
    }
    let summary = fs::read_to_string(root.join(SUMMARY)).unwrap_or_default();
    let listed: Vec<PathBuf> =
        links(&summary).into_iter().map(|(_, target)| normal(&root.join(BOOK).join(target))).collect();
    for page in book.iter().filter(|page| **page != root.join(SUMMARY)) {
        if !listed.contains(&normal(page)) {
            problems.push(format!("{}: not in SUMMARY.md, so nobody finds it", show(root, page)));
        }
    }
    problems
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// Returns the targets of the links in a page with their lines; what is code has none.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut is_code = false;
    for (line_idx, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        // Of what backticks part, every other piece is code; a target has none.
        for prose in line.split('`').step_by(2) {
            let ends = prose.match_indices("](").map(|(start, _)| &prose[start + 2..]);
            links.extend(ends.filter_map(|rest| Some((line_idx + 1, rest.split_once(')')?.0))));
        }
    }
    links
}

/// Returns what is wrong with a link of `page`; links to other hosts are not looked at.
fn broken(page: &Path, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = match target.split_once('#') {
        Some((file, heading)) => (file, Some(heading)),
        None => (target, None),
    };
    let path = match file {
        "" => page.to_path_buf(),
        _ => page.parent().unwrap_or(Path::new("")).join(file),
    };
    if !path.exists() {
        return Some("leads nowhere");
    }
    let heading = heading?;
    let text = fs::read_to_string(path).unwrap_or_default();
    let has_heading = text.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
    if has_heading { None } else { Some("names a heading that is not there") }
}

/// Returns the anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => _ = normal.pop(),
            other => normal.push(other),
        }
    }
    normal
}

fn show(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "[a](x.md) and [b](y.md#z), `[c](code)`\n```sh\n[d](code)\n```\n[e](https://host/)\n";
        assert_eq!(links(text), [(1, "x.md"), (1, "y.md#z"), (5, "https://host/")]);
    }

    #[test]
    fn what_is_broken_is_told() {
        let checkout = tempfile::tempdir().unwrap();
        let directory = checkout.path();
        let book = directory.join(BOOK);
        fs::create_dir_all(book.join("guide")).unwrap();
        for page in PAGES {
            fs::write(directory.join(page), "").unwrap();
        }
        fs::write(directory.join("README.md"), "[1](docs/src/one.md#a-heading-of-it) [2](two.md)\n").unwrap();
        fs::write(book.join("SUMMARY.md"), "- [One](one.md)\n- [Three](./guide/../guide/three.md)\n")
            .unwrap();
        fs::write(book.join("one.md"), "## A heading, of it\n[x](#gone) [y](guide/three.md)\n").unwrap();
        fs::write(book.join("guide/three.md"), "[z](../one.md)\n").unwrap();
        fs::write(book.join("guide/lost.md"), "").unwrap();
        assert_eq!(
            problems(directory),
            [
                "README.md:1: the link to `two.md` leads nowhere",
                "docs/src/one.md:2: the link to `#gone` names a heading that is not there",
                "docs/src/guide/lost.md: not in SUMMARY.md, so nobody finds it",
            ]
        );
    }
}
