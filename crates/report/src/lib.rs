//! Turns what was measured, of an image or of a build, into text, JSON and pages.
//!
//! The data come from others: this crate opens no image and knows no build. The same data are always the same bytes. A
//! page is one file that needs nothing else: no network, no fonts, no other files.

pub mod build;
mod numbers;
mod page;
pub mod size;
mod tree;
pub mod treemap;

pub use numbers::{bytes, change, percent, seconds};
