//! Budgets of images.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A check that an image, or what is in layers, is no larger than it may be. It writes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// What messages call it.
    pub name: String,
    /// The image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The layers, bottom first, if there is no image: what counts is the size of their files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// The most bytes that it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// The most bytes that what is at a path may take in the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub directories: BTreeMap<String, u64>,
}
