//! What of this machine reaches what its own tools build.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cas::Digest;

use crate::environment;

/// The programs that compile and link.
const PROGRAMS: [&str; 8] = ["cargo", "rustc", "cc", "ld", "rust-lld", "objcopy", "make", "sh"];
/// How the names of variables begin that compilers heed.
const VARIABLES: [&str; 22] = [
    "AR",
    "AS",
    "BINDGEN",
    "CARGO",
    "CC",
    "CFLAGS",
    "CLANG",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "CXX",
    "C_INCLUDE_PATH",
    "GCC",
    "LD",
    "LIBRARY_PATH",
    "LLVM",
    "NM",
    "OBJCOPY",
    "PKG_CONFIG",
    "RUST",
    "SOURCE_DATE_EPOCH",
    "STRIP",
    "TARGET",
];
/// Variables of these that cargo sets for whom it runs, and which say nothing of what is built.
const OF_CARGO: [&str; 6] = [
    "CARGO_MAKEFLAGS",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_BIN_",
];

/// Returns what stands for this machine's tools, further `toolchains` of rustup's among them, and their configuration: another
/// text when what they build may be another one.
pub(super) fn identity(root: &Path, toolchains: &BTreeSet<&str>) -> String {
    let mut text = String::new();
    let variables = environment::variables();
    let search = variables.get("PATH").map(String::as_str).unwrap_or_default();
    for program in PROGRAMS {
        let found = search.split(':').map(|directory| Path::new(directory).join(program));
        let found = found.filter_map(|path| path.canonicalize().ok()).find(|path| path.is_file());
        let stamp = found.as_deref().and_then(|path| Some((path, fs::metadata(path).ok()?)));
        if let Some((path, metadata)) = stamp {
            // Writing to a string never fails.
            let _ = writeln!(
                text,
                "{program} {} {} {}.{:09}",
                path.display(),
                metadata.len(),
                metadata.mtime(),
                metadata.mtime_nsec()
            );
        }
    }
    // Which compiler there is behind the name depends on the tree, where rustup is in use.
    for toolchain in
        [None].into_iter().chain(toolchains.iter().map(|toolchain| Some(format!("+{toolchain}"))))
    {
        let compiler = Command::new("rustc").args(toolchain).arg("-vV").current_dir(root).output();
        text.push_str(
            &compiler.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default(),
        );
    }
    for (name, value) in &variables {
        let is_heeded = VARIABLES.iter().any(|start| name.starts_with(start))
            && !OF_CARGO.iter().any(|start| name.starts_with(start));
        if is_heeded {
            let _ = writeln!(text, "{name}={value}");
        }
    }
    let home = variables.get("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| variables.get("HOME").map(|home| Path::new(home).join(".cargo")));
    // Paths in there reach what panics tell.
    let _ = writeln!(text, "home {:?}", home);
    // Of the directories above the tree, cargo reads the configuration, too.
    let above = root.ancestors().skip(1).map(|directory| directory.join(".cargo"));
    for directory in above.chain(home) {
        for file in ["config.toml", "config"] {
            if let Ok(bytes) = fs::read(directory.join(file)) {
                let _ = writeln!(text, "{} {}", directory.display(), Digest::of(&bytes));
            }
        }
    }
    // The tree's place is in the paths that panics tell.
    let _ = writeln!(text, "tree {}", root.display());
    Digest::of(text.as_bytes()).hex()
}
