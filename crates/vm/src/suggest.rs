//! "Did you mean": the known name that was probably meant.

/// Returns help for a wrong name: the one probably meant, or all there are.
pub(crate) fn help(wrong: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|name| (strsim::levenshtein(&wrong.to_lowercase(), &name.to_lowercase()), *name))
        .filter(|(distance, name)| *distance <= wrong.len().max(name.len()).div_ceil(3).min(4))
        .min_by_key(|(distance, _)| *distance);
    match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there is no other region".to_owned(),
        None => {
            let list: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("known regions: {}", list.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_names_are_not() {
        let known = ["hypervisor", "linux", "initrd"];
        for (wrong, nearest) in [("linus", "linux"), ("Linux", "linux"), ("inird", "initrd")] {
            assert_eq!(help(wrong, &known), format!("did you mean `{nearest}`?"));
        }
        assert_eq!(help("zebra", &known), "known regions: `hypervisor`, `linux`, `initrd`");
        assert_eq!(help("", &[]), "there is no other region");
    }
}
