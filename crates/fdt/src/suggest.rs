//! "Did you mean": the known name that was probably meant.

/// Returns the candidate nearest to `wrong`, the first of several, if it is near enough to be a slip.
pub(crate) fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().filter_map(|candidate| {
        let allowed = (wrong.len().max(candidate.len()) / 3).min(4);
        // The lengths alone settle most; what is left is short, as names are.
        let is_possible = wrong.len().abs_diff(candidate.len()) <= allowed;
        let distance = is_possible.then(|| strsim::levenshtein(wrong, candidate))?;
        (distance <= allowed).then_some((distance, candidate))
    });
    scored.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}
