//! Turns a .deb into a layer, without dpkg.
//!
//! A layer has the files of the package and what dpkg would remember about it; owners, modes, times, links and
//! devices stay data. [`ar`] and the decoders are strict, `layer::ForeignReader` refuses archives that would
//! write where they should not. Maintainer scripts are only files here; [`crate::configure`] runs them.

pub(crate) mod ahead;
pub mod ar;
mod compression;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod hostile;
mod package;
mod spool;
#[cfg(test)]
mod tests;
mod unpack;
pub mod usr_merge;

pub use compression::Compression;
pub(crate) use compression::{MAX_HEADERS, unpacked_limit};
pub use package::{ControlError, INFO_DIRECTORY, Identity, STATUS_DIRECTORY};
pub use unpack::{UnpackError, unpack, unpack_to};

/// Returns `bytes` as dpkg writes digests.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
