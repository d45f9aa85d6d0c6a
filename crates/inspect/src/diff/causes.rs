//! What many differences have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::{Aspect, Change, Differences};

/// The same difference at several paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What differs.
    pub aspect: Aspect,
    /// Where.
    pub paths: Vec<String>,
}

/// From how many paths on the same difference is one cause.
const CAUSE: usize = 3;

impl Differences {
    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns what differs in the same way at several paths, the most frequent first, and the changes without that
    /// and without what the packages of other versions explain ([`Differences::packages`]).
    pub fn causes(&self) -> (Vec<Group>, Vec<Change>) {
        let explained: BTreeSet<&str> =
            self.packages.iter().flat_map(|package| &package.paths).map(String::as_str).collect();
        let changes = || self.changes.iter().filter(|change| !explained.contains(change.path.as_str()));
        let is_shared = |aspect: &Aspect| {
            matches!(
                aspect,
                Aspect::Mode(..)
                    | Aspect::Owner(..)
                    | Aspect::Time(..)
                    | Aspect::Attribute(..)
                    | Aspect::Unknown(_)
            )
        };
        let mut groups: BTreeMap<&Aspect, Vec<&str>> = BTreeMap::new();
        for change in changes() {
            for aspect in change.aspects.iter().filter(|aspect| is_shared(aspect)) {
                groups.entry(aspect).or_default().push(&change.path);
            }
        }
        groups.retain(|_, paths| paths.len() >= CAUSE);
        let rest = changes().filter_map(|change| {
            let aspects: Vec<Aspect> =
                change.aspects.iter().filter(|aspect| !groups.contains_key(aspect)).cloned().collect();
            (!aspects.is_empty()).then(|| Change { path: change.path.clone(), aspects })
        });
        let rest = rest.collect();
        let mut groups: Vec<Group> = groups
            .into_iter()
            .map(|(aspect, paths)| Group {
                aspect: aspect.clone(),
                paths: paths.into_iter().map(str::to_owned).collect(),
            })
            .collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.paths.len()));
        (groups, rest)
    }
}
