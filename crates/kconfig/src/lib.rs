//! Reads Kconfig trees and says why a symbol is not what was asked for.
//!
//! [`Kconfig::load`] reads the tree of the Linux kernel, or of anything else configured like it, as its
//! `Documentation/kbuild/kconfig-language.rst` and `kconfig-macro-language.rst` say. [`Values::parse`] reads
//! a `.config`, and [`Kconfig::explain`] compares one with the other. Making a `.config` is left to the
//! tree's own tools: nothing here computes what a symbol should be, and no command is run. What depends on
//! one, as `$(cc-option,-mfoo)` does, is unknown and said to be.

mod error;
mod evaluate;
mod explain;
mod expression;
mod load;
mod macros;
mod model;
mod reason;
mod setters;
mod statements;
mod tokens;
mod values;

pub use error::{LoadError, Location, Problem};
pub use expression::{Comparison, Expression, Operand};
pub use model::{Conditional, Definition, Kconfig, Prompt, Range, Symbol, Type};
pub use reason::{DefaultReason, Reason, SetBy, Setters, Unmet, Verdict};
pub use values::{Change, Tristate, Values, diff};
