//! Regions at addresses, right or wrong: what is asked of them, and the map made of them.

use super::{Board, Map, Measured, Placed, Spot, Start};
use crate::spec::{AddressRange, Content, Place};

/// How deep regions may be nested, which bounds drawings and recursion.
pub(super) const MOST_DEPTH: usize = 8;

/// The regions with the addresses that they got.
pub(super) struct Arrangement<'a> {
    pub(super) regions: &'a [Measured<'a>],
    /// The region that each lies in.
    pub(super) parents: Vec<Option<usize>>,
    /// `None` for a region that a problem keeps from having a place.
    pub(super) ranges: Vec<Option<AddressRange>>,
}

/// Returns the lowest address from `from` on that suits the region, if addresses go so far.
pub(super) fn lowest(from: u64, measured: &Measured<'_>) -> Option<u64> {
    let Measured { region, extent } = measured;
    let align = region.align.filter(|align| align.is_power_of_two()).unwrap_or(1);
    // Both are powers of two. Where they contradict each other, the region is reported as unaligned.
    let multiple = if extent.offset == 0 { extent.multiple.max(align) } else { extent.multiple };
    let below = (from - from % multiple).checked_add(extent.offset)?;
    if below >= from { Some(below) } else { below.checked_add(multiple) }
}

/// Returns the words for what is in a region.
pub(super) fn what(content: &Content) -> String {
    match content {
        Content::Raw(file) => format!("the file `{file}`"),
        Content::LinuxImage(file) => format!("the Linux image `{file}`"),
        Content::Elf(file) => format!("the ELF file `{file}`"),
        Content::Reserved(_) => "reserved memory".to_owned(),
        Content::Device(_) => "a device window".to_owned(),
    }
}

impl Arrangement<'_> {
    /// Returns the regions that lie in `parent`, or in no other, lowest and then largest first.
    pub(super) fn children(&self, parent: Option<usize>) -> Vec<(usize, AddressRange)> {
        let mut children: Vec<(usize, AddressRange)> = (0..self.regions.len())
            .filter(|idx| self.parents[*idx] == parent)
            .filter_map(|idx| self.ranges[idx].map(|range| (idx, range)))
            .collect();
        children.sort_by_key(|(idx, range)| (range.start, std::cmp::Reverse(range.end), *idx));
        children
    }

    /// Returns how many regions a region lies in, or some number above the limit.
    pub(super) fn depth(&self, region_idx: usize) -> usize {
        let above = std::iter::successors(self.parents[region_idx], |idx| self.parents[*idx]);
        above.take(MOST_DEPTH + 1).count()
    }

    /// Returns a region as problems tell it.
    pub(super) fn spot(&self, region_idx: usize, range: AddressRange) -> Spot {
        let Measured { region, extent } = self.regions[region_idx];
        let why = match &region.place {
            _ if extent.address.is_some() => "linked there".to_owned(),
            Place::At(_) => "placed there".to_owned(),
            Place::After(anchor) => format!("after `{anchor}`"),
            Place::Free => "in the first gap".to_owned(),
        };
        let origin = format!("{}, {why}", what(&region.content));
        Spot { name: region.name.clone(), range, size: extent.size, origin }
    }

    /// Returns the map of what has a place.
    pub(super) fn to_map(&self, board: &Board) -> Map {
        let entry = self.regions.iter().zip(&self.ranges).find_map(|(Measured { region, extent }, range)| {
            let address = range.as_ref()?.start.checked_add(extent.entry?)?;
            let address = address.checked_add(region.entry?.offset)?;
            Some(Start { region: region.name.clone(), address })
        });
        Map { memory: board.memory.clone(), entry, regions: self.placed_in(None) }
    }

    fn placed_in(&self, parent: Option<usize>) -> Vec<Placed> {
        let children = self.children(parent).into_iter();
        let placed = children.map(|(region_idx, range)| {
            let region = self.regions[region_idx].region;
            Placed {
                name: region.name.clone(),
                range,
                content: region.content.clone(),
                regions: self.placed_in(Some(region_idx)),
            }
        });
        placed.collect()
    }
}
