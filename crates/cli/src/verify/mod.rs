//! Whether steps are reproducible: they run again under other circumstances, and their bytes are compared.

mod again;
mod aspect;
mod detail;

pub(crate) use again::{Again, Cause, Finding, How};
pub(crate) use aspect::Aspect;
