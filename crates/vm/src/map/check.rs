//! Finds what is wrong with regions that have their addresses.

use super::arrangement::{Arrangement, lowest, what};
use super::problem::Problem;
use super::{Board, Measured, Spot};
use crate::number::hex;
use crate::spec::{AddressRange, Content};

/// Adds everything that is wrong with the arrangement to `problems`, region by region, then the overlaps,
/// then the entry.
pub(super) fn check(board: &Board, arrangement: &Arrangement<'_>, problems: &mut Vec<Problem>) {
    for (region_idx, measured) in arrangement.regions.iter().enumerate() {
        check_alone(measured, problems);
        if let Some(range) = arrangement.ranges[region_idx] {
            check_alignment(arrangement, region_idx, range, problems);
            check_bounds(board, arrangement, region_idx, range, problems);
        }
    }
    check_overlaps(arrangement, None, problems);
    check_entry(arrangement, problems);
}

fn check_alone(measured: &Measured<'_>, problems: &mut Vec<Problem>) {
    let Measured { region, extent } = measured;
    let (name, origin) = (|| region.name.clone(), || what(&region.content));
    if extent.size == 0 {
        problems.push(Problem::Empty { region: name(), origin: origin() });
    }
    if let Some(max) = region.max
        && extent.size > max
    {
        problems.push(Problem::Max { region: name(), size: extent.size, max, origin: origin() });
    }
    if let Some(align) = region.align
        && !align.is_power_of_two()
    {
        problems.push(Problem::Align { region: name(), align });
    }
}

fn check_alignment(
    arrangement: &Arrangement<'_>,
    region_idx: usize,
    range: AddressRange,
    problems: &mut Vec<Problem>,
) {
    let measured = &arrangement.regions[region_idx];
    let extent = measured.extent;
    let mut unaligned = |why| {
        let nearest = lowest(range.start, measured).filter(|nearest| *nearest != range.start);
        problems.push(Problem::Unaligned { spot: arrangement.spot(region_idx, range), why, nearest });
    };
    if range.start % extent.multiple != extent.offset {
        unaligned(match extent.offset {
            0 => format!("its header demands a multiple of {:#x}", extent.multiple),
            offset => format!("its header demands {offset:#x} after a multiple of {:#x}", extent.multiple),
        });
    }
    if let Some(align) = measured.region.align
        && align.is_power_of_two()
        && !range.start.is_multiple_of(align)
    {
        unaligned(format!("it shall be a multiple of {align:#x}"));
    }
}

fn check_bounds(
    board: &Board,
    arrangement: &Arrangement<'_>,
    region_idx: usize,
    range: AddressRange,
    problems: &mut Vec<Problem>,
) {
    let Measured { region, extent } = arrangement.regions[region_idx];
    let spot = || arrangement.spot(region_idx, range);
    if let Some(within) = region.within
        && !within.contains(&range)
    {
        problems.push(Problem::OutsideWithin { spot: spot(), within });
    }
    if let Some(parent_idx) = arrangement.parents[region_idx] {
        let Some(parent) = arrangement.ranges[parent_idx] else { return };
        if extent.size > parent.size() {
            let (missing, parent_size) = (extent.size - parent.size(), parent.size());
            let parent = arrangement.regions[parent_idx].region.name.clone();
            problems.push(Problem::TooBigForParent { spot: spot(), parent, parent_size, missing });
        } else if !parent.contains(&range) {
            let outside = extent.size - parent.intersection(&range).map_or(0, |both| both.size());
            let parent = arrangement.spot(parent_idx, parent);
            problems.push(Problem::OutsideParent { spot: spot(), parent, outside });
        }
    } else if let Content::Device(_) = region.content {
        problems.extend(device_problem(board, &spot, range));
    } else {
        problems.extend(memory_problem(board, &spot, range));
    }
}

fn device_problem(board: &Board, spot: &dyn Fn() -> Spot, range: AddressRange) -> Option<Problem> {
    if let Some(memory) = board.memory.iter().find_map(|memory| memory.intersection(&range)) {
        return Some(Problem::DeviceInMemory { spot: spot(), memory });
    }
    if board.windows.iter().any(|window| window.range.intersection(&range).is_some()) || range.size() == 0 {
        return None;
    }
    let distance = |window: AddressRange| {
        range.start.saturating_sub(window.end).max(window.start.saturating_sub(range.start))
    };
    let nearest = board.windows.iter().min_by_key(|window| distance(window.range))?;
    let nearest = format!("the nearest is `{}` at {}", nearest.name, nearest.range);
    Some(Problem::NoDevice { spot: spot(), nearest })
}

fn memory_problem(board: &Board, spot: &dyn Fn() -> Spot, range: AddressRange) -> Option<Problem> {
    let Some(memory) = board.memory.iter().find(|memory| memory.has(range.start)) else {
        let spot = spot();
        let ranges: Vec<String> = board.memory.iter().map(ToString::to_string).collect();
        let reaches_in = board.memory.iter().any(|memory| memory.intersection(&range).is_some());
        let help = if reaches_in && spot.origin.starts_with("the ELF file") {
            let why = "a linker may put the ELF headers in front of the first section: `ld -n` does not";
            Some(why.to_owned())
        } else {
            enough_memory(board, &spot)
        };
        return Some(Problem::OutsideMemory { spot, memory: ranges.join(" and "), help });
    };
    let spot = spot();
    let left = memory.end - range.start;
    if spot.size <= left {
        return None;
    }
    let (missing, help) = (spot.size - left, enough_memory(board, &spot));
    Some(Problem::PastMemory { spot, end: memory.end, missing, help })
}

/// Returns how much memory would be enough for a region behind the end of RAM, where more would be added just
/// there.
fn enough_memory(board: &Board, spot: &Spot) -> Option<String> {
    let [memory] = board.memory.as_slice() else { return None };
    let enough = spot.range.start.checked_sub(memory.start)?.checked_add(spot.size)?.div_ceil(1 << 20);
    // Advice to have a terabyte of memory is none.
    (enough < 1 << 20).then(|| format!("a machine with {enough} MiB has enough"))
}

/// Compares each region with those beside it that start before it ends. One that leaves its parent is told
/// of for that, so cousins need no comparing.
fn check_overlaps(arrangement: &Arrangement<'_>, parent: Option<usize>, problems: &mut Vec<Problem>) {
    let children = arrangement.children(parent);
    for (child_idx, (lower_idx, lower)) in children.iter().enumerate() {
        for (upper_idx, upper) in &children[child_idx + 1..] {
            if upper.start >= lower.end {
                break;
            }
            let Some(both) = lower.intersection(upper) else { continue };
            let help = overlap_help(arrangement, (*lower_idx, *lower), (*upper_idx, *upper));
            let (lower, upper) = (arrangement.spot(*lower_idx, *lower), arrangement.spot(*upper_idx, *upper));
            problems.push(Problem::Overlap { lower, upper, both, help });
        }
    }
    for (child_idx, _) in children {
        check_overlaps(arrangement, Some(child_idx), problems);
    }
}

fn overlap_help(
    arrangement: &Arrangement<'_>,
    (lower_idx, lower): (usize, AddressRange),
    (upper_idx, upper): (usize, AddressRange),
) -> String {
    let (lower_region, upper_region) =
        (arrangement.regions[lower_idx].region, arrangement.regions[upper_idx].region);
    let (lower_name, upper_name) = (&lower_region.name, &upper_region.name);
    if matches!(lower_region.content, Content::Reserved(_)) && lower.contains(&upper) {
        return format!("if `{upper_name}` is a part of `{lower_name}`, say that it is `inside` it");
    }
    if matches!(upper_region.content, Content::Reserved(_)) && upper.contains(&lower) {
        return format!("if `{lower_name}` is a part of `{upper_name}`, say that it is `inside` it");
    }
    let grown = format!("`{lower_name}` has grown past the start of `{upper_name}`");
    match lowest(lower.end, &arrangement.regions[upper_idx]).map(hex) {
        Some(next) if arrangement.regions[upper_idx].extent.address.is_some() => {
            format!("{grown}: link that to lie at {next} or later")
        }
        Some(next) => format!("{grown}: place that at {next} or later, or `after` `{lower_name}`"),
        None => format!("{grown}: place that somewhere else"),
    }
}

fn check_entry(arrangement: &Arrangement<'_>, problems: &mut Vec<Problem>) {
    let entries = arrangement
        .regions
        .iter()
        .filter_map(|measured| measured.region.entry.map(|entry| (measured, entry)));
    let entries: Vec<_> = entries.collect();
    for pair in entries.windows(2) {
        let (first, second) = (pair[0].0.region.name.clone(), pair[1].0.region.name.clone());
        problems.push(Problem::Entries { first, second });
    }
    for (Measured { region, extent }, entry) in entries {
        let (why, help) = match (&region.content, extent.entry) {
            (Content::Reserved(_) | Content::Device(_), _) => ("nothing is loaded there".to_owned(), None),
            (_, None) => {
                let why = format!("the entry point of {} is in none of its segments", what(&region.content));
                (why, Some("give the linker an entry point, as with `ENTRY(_start)`"))
            }
            (_, Some(start))
                if start.checked_add(entry.offset).is_none_or(|offset| offset >= extent.size) =>
            {
                (format!("the offset {:#x} is past its end", entry.offset), None)
            }
            (_, Some(_)) => continue,
        };
        problems.push(Problem::Entry { region: region.name.clone(), why, help });
    }
}
