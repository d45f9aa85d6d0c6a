//! "Did you mean": the known name that was probably meant.

/// Returns the candidate nearest to `wrong`, the first of several, if it is near enough to be a slip.
pub(crate) fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().filter_map(|candidate| {
        let allowed = (wrong.len().max(candidate.len()) / 3).min(4);
        // The lengths alone settle most; what is left is short, as names are.
        let is_possible = wrong.len().abs_diff(candidate.len()) <= allowed;
        let distance = is_possible.then(|| distance(wrong.as_bytes(), candidate.as_bytes()))?;
        (distance <= allowed).then_some((distance, candidate))
    });
    scored.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Returns how many bytes have to be added, left out or replaced to make one of the other.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (from_idx, from_byte) in from.iter().enumerate() {
        let mut diagonal = from_idx;
        row[0] = from_idx + 1;
        for (to_idx, to_byte) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(from_byte != to_byte);
            diagonal = row[to_idx + 1];
            row[to_idx + 1] = replaced.min(diagonal + 1).min(row[to_idx] + 1);
        }
    }
    row[to.len()]
}
