//! Looks into images: what they are, what is in them at any depth, and how two of them differ.
//!
//! An [`Object`] is something with bytes, of which it was found out what it is: a disk, a file system, an archive, a
//! kernel. Formats that only wrap another, such as a qcow2 or gzip, are looked through. What has others in it is a
//! [`Container`]: each of its [`Entry`]s may be an object again, so `live.qcow2:IMGA/boot/kernel` is found by going from
//! one to the next ([`Object::find`]).
//!
//! Nothing that an image says is trusted: sizes, depths and what compressed parts come to are bounded ([`Limits`]).

mod container;
mod diff;
mod dpkg;
mod entry;
mod error;
mod extract;
mod facts;
mod format;
mod object;
mod sizes;
mod source;

pub use container::{Container, Stored};
pub use diff::{Aspect, Change, Differences, Excerpt, Group, Ignored, PackageChange, diff};
pub use entry::{Entry, EntryKind};
pub use error::Error;
pub use extract::{Extracted, extract};
pub use facts::{Fact, Region, Value};
pub use format::Format;
pub use object::{Described, Found, Object};
pub use sizes::{FileKind, Part, SizedFile, Sizes};
pub use source::{Limits, Source, copy_to, copy_to_file};
