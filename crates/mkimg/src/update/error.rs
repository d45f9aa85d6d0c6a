//! Why an image is not updated.

use std::io;
use std::path::PathBuf;

use crate::vdisk::ReadError;

/// An image was not updated. Unless it is said otherwise, it is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("could not read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("could not write `{path}`")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The image was being written when it happened.
    #[error("could not finish updating `{path}`, which is neither the old nor the new image now")]
    Unfinished {
        /// The image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody wanted it any more.
    #[error("interrupted")]
    Cancelled,
    /// A virtual disk cannot be read.
    #[error("could not read the virtual disk `{path}`")]
    VirtualDisk {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// An image is in a format that cannot be changed in place.
    #[error("`{path}` is {format}, and only raw images and qcow2 are updated in place")]
    Format {
        /// The image.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },
    /// A qcow2 has something that we do not change.
    #[error("`{path}` is a qcow2 {what}")]
    Qcow2 {
        /// The image.
        path: PathBuf,
        /// What it has.
        what: String,
    },
    /// It is laid out in another way.
    #[error("`{path}` is laid out in another way: {}", .differences.join("; "))]
    Layout {
        /// The image.
        path: PathBuf,
        /// What is different.
        differences: Vec<String>,
    },
    /// It has something that no build put there.
    #[error(
        "`{path}` is no image that was built here, or was changed since: at {offset}, {place}, it has what no build put there"
    )]
    Base {
        /// The image.
        path: PathBuf,
        /// Where it begins.
        offset: u64,
        /// What lies there.
        place: String,
    },
    /// Nobody knows what it was built as.
    #[error("nothing is known of what `{path}` was built as")]
    NoBase {
        /// The image.
        path: PathBuf,
    },
    /// A journal is there that cannot be of this image.
    #[error("`{journal}` is the journal of another file than `{path}`")]
    Journal {
        /// The journal.
        journal: PathBuf,
        /// The image.
        path: PathBuf,
    },
}

impl Error {
    /// Returns what the reader can do about it.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Error::Unfinished { .. } => {
                "run the same `bootwright update` again: it finishes what it began, from the journal beside the image"
            }
            Error::Format { .. } => "build the image anew instead, or convert it to qcow2",
            Error::Qcow2 { .. } => {
                "copy it to a plain one with `qemu-img convert -O qcow2`, or build it anew"
            }
            Error::Layout { .. } => {
                "build the image anew: what lies where can only be decided for a whole image"
            }
            Error::Base { .. } | Error::NoBase { .. } => {
                "leave partitions alone that the machine writes to with `--keep NAME`, or overwrite all of it with `--force`"
            }
            Error::Journal { .. } => {
                "an update of that file was interrupted: put it back and update it, or remove the journal"
            }
            Error::Read { .. } | Error::Write { .. } | Error::VirtualDisk { .. } | Error::Cancelled => {
                return None;
            }
        })
    }

    /// Says whether this machine is to blame, and not what it was given.
    pub fn is_machine(&self) -> bool {
        matches!(self, Error::Read { .. } | Error::Write { .. } | Error::Unfinished { .. })
    }
}
