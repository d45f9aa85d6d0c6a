//! Disks for guests to write on: blank ones, and layers over disks that stay as they are.

use std::fs::File;

use super::contents::Contents;
use super::make::{Target, open};
use super::qcow2;
use crate::error::Error;
use crate::files::Directory;
use crate::spec::{BlankSpec, OverSpec};

/// Writes a qcow2 on which nothing is.
pub(crate) fn blank(spec: &BlankSpec, directory: &Directory<'_>) -> Result<(), Error> {
    write(spec.size, None, &spec.output, directory)
}

/// Writes a qcow2 that is what another disk is, until somebody writes.
pub(crate) fn over(spec: &OverSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let path = directory.path(&spec.below);
    let file = File::open(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let disk = open(&path, file, spec.format, &path)?;
    let below = qcow2::Backing { name: spec.name.clone(), format: disk.format().to_owned() };
    write(disk.contents()?.size(), Some(below), &spec.output, directory)
}

fn write(
    size: u64,
    below: Option<qcow2::Backing>,
    output: &str,
    directory: &Directory<'_>,
) -> Result<(), Error> {
    // Nothing differs from what is below, which therefore need not be read.
    let nothing = Vec::new();
    let contents = Contents::new(&nothing, size, Vec::new());
    let unread = below.is_some().then(|| Contents::new(&nothing, size, Vec::new()));
    let options = qcow2::Options { backing: below, ..qcow2::Options::default() };
    Target { format: "qcow2", output, directory }
        .write(|sink| qcow2::write(&contents, unread.as_ref(), &options, 1, sink))
}
