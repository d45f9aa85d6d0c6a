//! The size report: what takes up an image, and what grew.

mod growth;
mod html;
mod json;
mod sums;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;

pub use growth::{Changed, Growth};
pub use html::page;
pub use json::json;
pub use text::{TextOptions, grown_below, text};

use crate::tree::Tree;

/// What was measured of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// What people call it: a target, or the path of a file.
    pub name: String,
    /// What it is, from the outside: `a qcow2 disk`, `a disk`.
    pub formats: Vec<String>,
    /// How many bytes its file has.
    pub size: u64,
    /// How the bytes of files were counted, as a sentence without its full stop.
    pub how: String,
    /// Its files.
    pub files: Vec<File>,
    /// What is in it beside files.
    pub rest: Vec<Rest>,
    /// What lies where, of a disk.
    pub regions: Vec<Region>,
    /// What could not be looked into, and why: a sentence each.
    pub problems: Vec<String>,
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path without a slash in front; in a disk it begins with the partition.
    pub path: String,
    /// How many bytes it has.
    pub size: u64,
    /// How many bytes of the image it takes.
    pub stored: u64,
    /// Whether it is a further name of another one.
    pub is_further_name: bool,
    /// What it is: `libraries`.
    pub kind: String,
    /// What brought it: a package, or a layer.
    pub package: Option<String>,
}

/// Something in an image beside files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Its path, as if it were a file: `[metadata]`, `IMGA/[free]`.
    pub path: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// Whether nothing is there.
    pub is_free: bool,
}

/// A part of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Region {
    /// What is there.
    pub name: String,
    /// The first byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
}

/// What of an image belongs together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// What it is: a package, or what files are.
    pub name: String,
    /// How many bytes its files take.
    pub bytes: u64,
    /// How many bytes they have.
    pub size: u64,
    /// How many files there are.
    pub files: u64,
    /// How many bytes they took before, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

impl Image {
    /// Returns how many bytes all files take.
    pub fn stored(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.stored))
    }

    /// Returns how many bytes all files have.
    pub fn contents(&self) -> u64 {
        let once = self.files.iter().filter(|file| !file.is_further_name);
        once.fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// Returns how many bytes everything takes, what is free left out.
    pub fn used(&self) -> u64 {
        let rest = self.rest.iter().filter(|rest| !rest.is_free);
        rest.fold(self.stored(), |sum, rest| sum.saturating_add(rest.bytes))
    }

    /// Takes over from `other` what brought the files of which this image does not know it: what is the same path was
    /// brought by the same.
    pub fn adopt_packages(&mut self, other: &Image) {
        let known: BTreeMap<&str, &String> = other
            .files
            .iter()
            .filter_map(|file| Some((file.path.as_str(), file.package.as_ref()?)))
            .collect();
        for file in self.files.iter_mut().filter(|file| file.package.is_none()) {
            file.package = known.get(file.path.as_str()).map(|package| (*package).clone());
        }
    }

    /// Returns files and the rest by their directories. What is free takes nothing.
    pub(crate) fn tree(&self) -> Tree {
        let files = self.files.iter().map(|file| (file.path.as_str(), file.stored, false));
        let rest = self.rest.iter().filter(|rest| !rest.is_free);
        Tree::of(files.chain(rest.map(|rest| (rest.path.as_str(), rest.bytes, true))))
    }
}

/// What stands for the package of files that no package brought.
const NO_PACKAGE: &str = "no package";

/// Returns what each package takes, the largest first.
pub fn packages(image: &Image, before: Option<&Image>) -> Vec<Sum> {
    sums::of(image, before, |file| file.package.as_deref().unwrap_or(NO_PACKAGE))
}

/// Returns what the files of each kind take, the largest first.
pub fn kinds(image: &Image, before: Option<&Image>) -> Vec<Sum> {
    sums::of(image, before, |file| &file.kind)
}
