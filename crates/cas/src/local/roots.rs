//! Roots: what a collection keeps, however long ago it was used.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::SystemTime;

use super::LocalStore;
use super::lease::names_in;
use super::records::parse_reference;
use crate::remove::remove_file;
use crate::store::Doing as _;
use crate::{Digest, StoreError};

use super::Reference;

/// A named list of things that a collection keeps; for instance the last results of one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The name; any text without a line break.
    pub name: String,
    /// What it keeps.
    pub references: Vec<Reference>,
    /// When it was last changed.
    pub set_at: SystemTime,
}

impl LocalStore {
    /// Makes `references` what the root `name` keeps, in place of what it kept before.
    pub fn set_root(&self, name: &str, references: &[Reference]) -> Result<(), StoreError> {
        let doing = || format!("write root `{name}`");
        if name.contains('\n') {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "the name has a line break");
            return Err(error).doing(doing);
        }
        let mut text = format!("{name}\n");
        for reference in references {
            text.push_str(&format!("{reference}\n"));
        }
        if fs::read(self.root_path(name)).is_ok_and(|found| found == text.as_bytes()) {
            return Ok(());
        }
        let mut file = self.new_file()?;
        file.write_all(text.as_bytes()).doing(doing)?;
        file.persist(self.root_path(name)).map(drop).map_err(|error| error.error).doing(doing)
    }

    /// Removes the root; one that is not there is fine.
    pub fn remove_root(&self, name: &str) -> Result<(), StoreError> {
        remove_file(&self.root_path(name))
    }

    /// Returns all roots, sorted by name.
    pub fn roots(&self) -> Result<Vec<Root>, StoreError> {
        let mut roots = Vec::new();
        for name in names_in(&self.root().join("roots"))? {
            let path = self.root().join("roots").join(name);
            let read =
                fs::read_to_string(&path).and_then(|text| Ok((text, fs::metadata(&path)?.modified()?)));
            let (text, set_at) = match read {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.doing(|| format!("read root `{}`", path.display()))?,
            };
            let mut lines = text.lines();
            let name = lines.next().unwrap_or_default().to_owned();
            roots.push(Root { name, references: lines.filter_map(parse_reference).collect(), set_at });
        }
        roots.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(roots)
    }

    pub(super) fn root_path(&self, name: &str) -> PathBuf {
        self.root().join("roots").join(Digest::of(name.as_bytes()).hex())
    }
}
