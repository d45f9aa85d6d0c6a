//! "Did you mean": the known name that was probably meant.

use strsim::osa_distance;

/// Returns the candidate nearest to `wrong`, when it is near enough to be a slip.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase().replace('_', "-");
    candidates
        .into_iter()
        .map(|candidate| {
            let written = candidate.to_lowercase().replace('_', "-");
            let distance = osa_distance(&wrong, &written);
            // Names that begin alike (`package` for `packages-extra`) are slips too, if weaker ones.
            let allowed = wrong.chars().count().max(written.chars().count()).div_ceil(3).min(4);
            (distance, allowed, candidate)
        })
        .filter(|(distance, allowed, _)| distance <= allowed)
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, candidate)| candidate)
}

/// Returns help for a wrong name: the one probably meant, or all there are.
pub fn help<'a>(wrong: &str, what: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(nearest) = nearest(wrong, candidates.iter().copied()) {
        return format!("did you mean `{nearest}`?");
    }
    if candidates.is_empty() {
        return format!("the project has no {what}");
    }
    let list: Vec<String> = candidates.iter().map(|candidate| format!("`{candidate}`")).collect();
    format!("known {what}: {}", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["packages", "distro", "recommends"];
        assert_eq!(nearest("pakages", known), Some("packages"));
        assert_eq!(nearest("Distro", known), Some("distro"));
        assert_eq!(nearest("recomends", known), Some("recommends"));
        assert_eq!(nearest("zebra", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest("allow_empty", ["allow-empty"]), Some("allow-empty"));
    }
}
