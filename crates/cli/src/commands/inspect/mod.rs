//! `inspect`: what is in an image, or what lies where in a machine.

mod image;
mod machine;
mod show;

use std::ffi::OsStr;

use crate::args::Global;
use crate::failure::Failure;
use crate::image::names_one;
use crate::ui::Ui;

/// How an image is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// With everything that is in it.
    pub(crate) recursive: bool,
    /// As its bytes.
    pub(crate) raw: bool,
}

/// Shows an image if there is a file of that name, or a machine.
pub(crate) fn run(global: &Global, ui: &Ui, what: Option<&OsStr>, how: How) -> Result<(), Failure> {
    match what {
        Some(what) if names_one(global, what) => image::run(global, ui, what, how),
        Some(what) => machine::run(global, ui, Some(&what.to_string_lossy())),
        None => machine::run(global, ui, None),
    }
}
