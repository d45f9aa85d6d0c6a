//! Turns a .deb into a layer, without dpkg.

pub mod ar;
mod compression;
pub mod usr_merge;
#[cfg(test)]
mod fixtures;

pub use compression::Compression;
