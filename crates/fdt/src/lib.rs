//! Flattened device trees: read, edited, checked, written, printed.
//!
//! [`Tree::parse`] reads the blobs of the Devicetree Specification v0.4 (chapter 5) with suspicion, and
//! [`Tree::write`] writes them byte for byte as `dtc -O dtb` does. [`Tree::to_dts`] prints source (chapter 6) that
//! `dtc` turns into the same tree. [`Tree::edited`] applies [`Edit`]s, which are data; [`machine`] has those that
//! describe an Arm virtual machine. [`Tree::overlaid`] applies overlays as `dtc -@` makes them. [`check`] says what is
//! wrong with a tree whatever machine it describes.
//!
//! All of it is pure. What the binding of a single device demands is left to others.

mod check;
mod draft;
mod dts;
mod edit;
pub mod machine;
mod name;
mod overlay;
mod read;
mod suggest;
mod tree;
mod write;

pub use check::{Problem, check};
pub use edit::{Edit, EditError, EditProblem, Labels, Part, Reference};
pub use name::{FormError, NameError};
pub use overlay::OverlayError;
pub use read::ReadError;
pub use tree::{Node, PathError, Property, Region, Tree};
pub use write::WriteError;
