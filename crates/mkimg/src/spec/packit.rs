//! Archives of COCONUT-SVSM.

use serde::{Deserialize, Serialize};

/// A PackIt archive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackItSpec {
    /// Where the archive goes.
    pub output: String,
    /// The files, in their order.
    pub files: Vec<PackItFile>,
}

/// A file of a PackIt archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackItFile {
    /// Its path in the archive, without a slash in front; at most 65535 bytes.
    pub name: String,
    /// Where its content is.
    pub source: String,
}
