//! Reads Debian repositories: signatures, indexes, solving, unpacking.
//!
//! Everything here is pure: bytes in, values out. Nobody opens a connection or reads a clock; the caller
//! fetches what [`resolve`] asks for and passes the time in. What reads an archive is behind the feature
//! `archive`, since the tool `pkgroot`, which only unpacks and configures, needs neither OpenPGP nor a solver.

pub mod configure;
pub mod deb;
pub mod deb822;
pub mod depends;
pub mod digest;
pub mod source;
pub mod timestamp;
pub mod version;

#[cfg(feature = "archive")]
pub mod mirror;
#[cfg(feature = "archive")]
pub mod packages;
#[cfg(feature = "archive")]
pub mod release;
#[cfg(feature = "archive")]
pub mod resolve;
#[cfg(feature = "archive")]
pub mod solve;
