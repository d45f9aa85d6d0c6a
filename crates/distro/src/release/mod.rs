//! The signed table of contents of a suite: who signed it, whether it may be used now, which files it vouches for.
//!
//! Trust enters here and nowhere else: an `InRelease` is verified against a keyring, every index is verified
//! against the `InRelease`, every package against an index.

mod cleartext;
mod contents;
mod keyring;

pub use cleartext::{SignatureError, Signer, verify};
pub use contents::{Asked, Freshness, IndexFile, Release, ReleaseError};
pub use keyring::{Keyring, KeyringError};

#[cfg(test)]
pub(crate) mod test_key;
