//! Sets of extended attributes: most inodes have none, and those that have any mostly have the same.

use std::collections::BTreeMap;

use super::Error;

/// Keeps every set of attributes `A` once, as the `S` that a format makes of it.
pub(crate) struct Attributes<A, S> {
    known: BTreeMap<Vec<A>, u32>,
    sets: Vec<S>,
}

impl<A: Ord, S> Attributes<A, S> {
    pub(crate) fn new() -> Attributes<A, S> {
        Attributes { known: BTreeMap::new(), sets: Vec::new() }
    }

    /// Returns the number by which an inode refers to `attributes`: zero to none at all.
    pub(crate) fn number<E: From<Error>>(
        &mut self,
        attributes: Vec<A>,
        make: impl FnOnce(&[A]) -> Result<S, E>,
    ) -> Result<u32, E> {
        if attributes.is_empty() {
            return Ok(0);
        }
        if let Some(known) = self.known.get(&attributes) {
            return Ok(*known);
        }
        self.sets.push(make(&attributes)?);
        let number = u32::try_from(self.sets.len()).map_err(|_| Error::TooLarge)?;
        self.known.insert(attributes, number);
        Ok(number)
    }

    /// Forgets what only declarations look up.
    pub(crate) fn seal(&mut self) {
        self.known.clear();
    }

    /// Returns all sets, in the order in which they were first declared.
    pub(crate) fn sets(&self) -> &[S] {
        &self.sets
    }

    /// Returns the set of this number, and its place among all of them.
    pub(crate) fn get(&self, number: u32) -> Option<(u32, &S)> {
        let place = number.checked_sub(1)?;
        Some((place, &self.sets[place as usize]))
    }
}
