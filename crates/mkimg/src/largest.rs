//! What fills an image: for those who have to make room in one.

use std::fmt;

/// How many files are named.
const MOST: usize = 5;

/// The largest files of a tree, largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Largest(pub Vec<(String, u64)>);

impl fmt::Display for Largest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (path, size)) in self.0.iter().enumerate() {
            let lead = if index == 0 { "; the largest files: " } else { ", " };
            write!(formatter, "{lead}`{path}` with {size}")?;
        }
        Ok(())
    }
}

impl Largest {
    /// Returns the largest of `files`, each a size and what names the file to `path`.
    pub(crate) fn of<F: Ord>(files: impl Iterator<Item = (u64, F)>, path: impl Fn(F) -> String) -> Largest {
        let mut files: Vec<(u64, F)> = files.collect();
        files.sort_unstable_by(|a, b| b.cmp(a));
        files.truncate(MOST);
        Largest(files.into_iter().map(|(size, file)| (path(file), size)).collect())
    }
}
