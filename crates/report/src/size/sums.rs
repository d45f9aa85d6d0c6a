//! Files summed up by what they have in common.

use std::collections::BTreeMap;

use super::{File, Image, Sum};

/// Returns the sums of files that `name` calls the same, the largest first. What is gone is not among them.
pub(super) fn of<'i>(
    image: &'i Image,
    before: Option<&'i Image>,
    name: impl Fn(&'i File) -> &'i str,
) -> Vec<Sum> {
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for file in &image.files {
        let key = name(file);
        let sum = sums.entry(key).or_insert_with(|| Sum {
            name: key.to_owned(),
            bytes: 0,
            size: 0,
            files: 0,
            before: before.map(|_| 0),
        });
        sum.bytes = sum.bytes.saturating_add(file.stored);
        if !file.is_further_name {
            sum.size = sum.size.saturating_add(file.size);
        }
        sum.files += 1;
    }
    for file in before.into_iter().flat_map(|before| &before.files) {
        if let Some(bytes) = sums.get_mut(name(file)).and_then(|sum| sum.before.as_mut()) {
            *bytes = bytes.saturating_add(file.stored);
        }
    }
    let mut sums: Vec<Sum> = sums.into_values().collect();
    sums.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    sums
}
