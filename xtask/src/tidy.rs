//! Rules of the project that no compiler checks. A rule lives here or it is only a wish.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which crates of ours each crate may use, as ARCHITECTURE.md draws it.
const ARROWS: &[(&str, &[&str])] = &[
    ("cas", &[]),
    ("layer", &[]),
    ("fdt", &[]),
    ("kconfig", &[]),
    ("launch", &[]),
    ("sandbox", &[]),
    ("vm", &[]),
    ("mkimg", &["fdt", "launch", "layer"]),
    ("inspect", &["fdt", "launch", "layer", "mkimg"]),
    ("report", &[]),
    ("quilt", &["layer"]),
    ("kernel", &["kconfig", "layer", "quilt"]),
    ("distro", &["layer", "quilt", "sandbox"]),
    ("engine", &["cas"]),
    ("local", &["cas", "engine", "sandbox"]),
    ("recipe", &["cas", "engine", "fdt", "kernel", "mkimg", "vm"]),
    ("testkit", &["cas", "engine"]),
    (
        "bootwright",
        &[
            "cas", "fdt", "kconfig", "kernel", "layer", "quilt", "sandbox", "vm", "mkimg", "distro",
            "engine", "inspect", "launch", "local", "recipe", "report",
        ],
    ),
    ("xtask", &[]),
];
/// Crates that only tests may use.
const DEV_ONLY: &[&str] = &["testkit"];
/// No file of source is longer.
const MAX_LINES: usize = 600;
/// How many packages Cargo.lock may hold: each one is code that we answer for.
const MAX_PACKAGES: usize = 420;
/// What a dependency may be licensed under.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

/// Returns every breach of a rule in the checkout at `root`, a sentence each.
pub(crate) fn problems(root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    arrows(root, &mut problems);
    sources(root, &mut problems);
    lock(root, &mut problems);
    licences(root, &mut problems);
    problems.extend(crate::reference::problem(root));
    problems.extend(crate::docs::problems(root));
    problems
}

fn arrows(root: &Path, problems: &mut Vec<String>) {
    let known: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for manifest in manifests(root) {
        let Ok(text) = fs::read_to_string(&manifest) else { continue };
        let Ok(manifest_toml) = text.parse::<toml::Table>() else {
            problems.push(format!("{}: not TOML", show(root, &manifest)));
            continue;
        };
        let name = manifest_toml["package"]["name"].as_str().unwrap_or_default().to_owned();
        let Some(allowed) = known.get(name.as_str()) else {
            problems
                .push(format!("{}: crate `{name}` is not in the table of tidy.rs", show(root, &manifest)));
            continue;
        };
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest_toml.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for dependency in dependencies.keys().filter(|dependency| known.contains_key(dependency.as_str()))
            {
                let test_only = DEV_ONLY.contains(&dependency.as_str());
                let fine = if test_only {
                    section == "dev-dependencies"
                } else {
                    allowed.contains(&dependency.as_str())
                };
                if !fine {
                    problems.push(format!(
                        "{}: [{section}] `{name}` must not use `{dependency}`; the arrows go down as in ARCHITECTURE.md",
                        show(root, &manifest)
                    ));
                }
            }
        }
    }
}

fn sources(root: &Path, problems: &mut Vec<String>) {
    for path in files(root, "rs") {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = show(root, &path);
        let n_lines = text.lines().count();
        if n_lines > MAX_LINES {
            problems.push(format!("{name}: {n_lines} lines; split what has more than {MAX_LINES}"));
        }
        if !text.starts_with("//!") {
            problems.push(format!("{name}: begins without a `//!` comment that says what the module is for"));
        }
        for (line_idx, line) in text.lines().enumerate() {
            if ["TODO", "FIXME", "XXX"].iter().any(|word| line.contains(word)) && !name.ends_with("tidy.rs") {
                problems.push(format!("{name}:{}: do it now or open an issue", line_idx + 1));
            }
        }
    }
}

fn lock(root: &Path, problems: &mut Vec<String>) {
    let text = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let n_packages = text.matches("[[package]]").count();
    if n_packages > MAX_PACKAGES {
        problems.push(format!("Cargo.lock: {n_packages} packages, the limit is {MAX_PACKAGES}"));
    }
}

fn licences(root: &Path, problems: &mut Vec<String>) {
    let metadata = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| serde_json::from_slice::<serde_json::Value>(&output.stdout).ok());
    let Some(metadata) = metadata else {
        problems.push("cargo metadata: could not be read; is Cargo.lock up to date?".to_owned());
        return;
    };
    let mut refused = BTreeSet::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let licence = package["license"].as_str().unwrap_or("none");
        if !acceptable(licence) {
            refused.insert(format!("{}: licence `{licence}` is not listed in tidy.rs", package["name"]));
        }
    }
    problems.extend(refused);
}

/// An SPDX expression is acceptable when one side of each OR is, and both sides of each AND. The older
/// spelling `A/B` means OR.
fn acceptable(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    flat.split(" AND ").all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

fn manifests(root: &Path) -> Vec<PathBuf> {
    let mut paths = vec![root.join("xtask/Cargo.toml")];
    for entry in fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        paths.push(entry.path().join("Cargo.toml"));
    }
    paths.sort();
    paths
}

fn files(root: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = ["crates", "xtask", "fuzz/examples", "fuzz/fuzz_targets", "fuzz/src"]
        .map(|name| root.join(name))
        .to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn show(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_tidy() {
        let problems = problems(&crate::root());
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }

    #[test]
    fn licence_expressions() {
        for (expression, expected) in [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0", false),
            ("MIT AND GPL-2.0", false),
            ("none", false),
        ] {
            assert_eq!(acceptable(expression), expected, "{expression}");
        }
    }
}
