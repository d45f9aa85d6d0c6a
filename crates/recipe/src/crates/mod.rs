//! The crates that a `Cargo.lock` names, and how cargo is told to find them without a network.
//!
//! They come to one tree, which lies above all sources: `.cargo/config.toml`, which cargo finds there, and in `crates` a
//! directory for each place that crates come from, with a directory for each crate. That is what `cargo vendor` leaves
//! (The Cargo Book, "Source Replacement", "Directory Sources"). A source that has its own crates says so in a
//! configuration of its own, which counts more.

mod lockfile;
mod manifest;
pub mod registry;

use std::collections::BTreeMap;
use std::fmt::Write as _;

pub use lockfile::{Crate, GitOrigin, GitReference, Lockfile, LockfileError, Origin, parse};
pub use manifest::{ManifestError, Package, is_workspace, package, stand_alone, version_of_workspace};

use crate::lock::quoted;

/// Where steps have the tree, relative to the input root.
pub const TREE: &str = "build";
/// Where the crates are in the tree.
pub const CRATES: &str = "crates";
/// The directory and the file of the tree that say where the crates are.
pub const CONFIG: [&str; 2] = [".cargo", "config.toml"];
/// The file of a crate that says what its archive hashes to.
pub const CHECKSUM: &str = ".cargo-checksum.json";
/// The place that crates come from when nothing else is said.
pub const CRATES_IO: &str = "crates-io";

impl Crate {
    /// Returns the name of its directory.
    pub fn directory(&self) -> String {
        // Build metadata is part of a version, and `+` of a name is no trouble to anybody.
        format!("{}-{}", self.name, self.version)
    }

    /// Returns what [`CHECKSUM`] says: nothing of the single files, which the archive's own checksum vouches for.
    pub fn checksum_file(&self) -> String {
        match &self.origin {
            Origin::Registry { checksum, .. } => format!("{{\"files\":{{}},\"package\":\"{checksum}\"}}\n"),
            Origin::Git(_) => "{\"files\":{},\"package\":null}\n".to_owned(),
        }
    }
}

impl Lockfile {
    /// Returns the places that crates come from, each once: the position of each is the name of its directory. crates.io
    /// is always there, as the first.
    pub fn origins(&self) -> Vec<String> {
        self.by_origin().into_iter().map(|(key, _)| key).collect()
    }

    /// Returns the crates by the directories of the places that they come from.
    pub fn directories(&self) -> BTreeMap<String, Vec<&Crate>> {
        let by_origin = self.by_origin().into_iter().enumerate();
        by_origin.map(|(idx, (_, crates))| (idx.to_string(), crates)).collect()
    }

    /// Returns what [`Lockfile::origins`] does, each with its crates.
    fn by_origin(&self) -> Vec<(String, Vec<&Crate>)> {
        let mut others: BTreeMap<String, Vec<&Crate>> = BTreeMap::new();
        for of in &self.crates {
            others.entry(of.origin.key()).or_default().push(of);
        }
        let first = others.remove(CRATES_IO).unwrap_or_default();
        std::iter::once((CRATES_IO.to_owned(), first)).chain(others).collect()
    }

    /// Returns the text of [`CONFIG`].
    pub fn config(&self) -> String {
        let mut text = String::new();
        for (idx, (key, crates)) in self.by_origin().iter().enumerate() {
            // Writing to a string never fails.
            let _ = writeln!(text, "[source.{}]", quoted(key));
            match crates.first().map(|of| &of.origin) {
                Some(Origin::Git(git)) => {
                    let _ = writeln!(text, "git = {}", quoted(&git.url));
                    if let Some((word, name)) = git.reference.as_config() {
                        let _ = writeln!(text, "{word} = {}", quoted(name));
                    }
                }
                Some(Origin::Registry { registry: Some(registry), .. }) => {
                    let _ = writeln!(text, "registry = {}", quoted(registry));
                }
                _ => {}
            }
            let _ = writeln!(text, "replace-with = \"locked-{idx}\"\n");
            let _ = writeln!(text, "[source.locked-{idx}]\ndirectory = \"/{TREE}/{CRATES}/{idx}\"\n");
        }
        text
    }
}

/// Has the crates that the standard library is compiled with beside the others: they come with its source.
const WITH_LIBRARY: &str = r#"for crate in "$(rustc --print sysroot)"/lib/rustlib/src/rust/library/vendor/*/; do
  link=/build/crates/0/$(basename "$crate")
  [ -e "$link" ] || ln -s "$crate" "$link"
done
exec "$@"
"#;

/// Returns the command of cargo that also compiles crates of the standard library.
pub(crate) fn with_library(command: Vec<String>) -> Vec<String> {
    let head = ["sh", "-euc", WITH_LIBRARY, "sh"].map(str::to_owned);
    head.into_iter().chain(command).collect()
}

#[cfg(test)]
mod tests;
