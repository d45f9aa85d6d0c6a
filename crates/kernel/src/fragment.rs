//! Lines of configurations: put together, changed, compared.

use std::collections::{BTreeMap, BTreeSet};

use kconfig::Values;

/// Returns a configuration with `lines` instead of what it said of the same symbols.
pub(crate) fn with_lines(config: &str, lines: &str) -> String {
    let replaced: BTreeSet<&str> = lines.lines().filter_map(symbol).collect();
    let kept = config.lines().filter(|line| symbol(line).is_none_or(|symbol| !replaced.contains(symbol)));
    let mut text: String = kept.chain(lines.lines()).map(|line| format!("{line}\n")).collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
}

/// Returns the fragment with these lines of a configuration in it.
///
/// A line takes the place of the last one that says something of the same symbol, else it comes at the end.
/// All other lines stay as they are.
pub fn update_fragment(fragment: &str, lines: &str) -> String {
    let mut new: BTreeMap<&str, &str> =
        lines.lines().filter_map(|line| Some((symbol(line)?, line.trim()))).collect();
    let mut updated: Vec<String> = Vec::new();
    let old: Vec<&str> = fragment.split_inclusive('\n').collect();
    for line in old.iter().rev() {
        let new_line = symbol(line).and_then(|symbol| new.remove(symbol));
        let text = line.trim_end_matches(['\n', '\r']);
        let ending = &line[text.len()..];
        updated.push(match new_line {
            Some(new_line) => format!("{new_line}{ending}"),
            None => (*line).to_owned(),
        });
    }
    updated.reverse();
    if let Some(last) = updated.last_mut()
        && !last.ends_with('\n')
        && !new.is_empty()
    {
        last.push('\n');
    }
    // In the order in which they came: that of the kernel's menus.
    let added = lines.lines().filter(|line| symbol(line).is_some_and(|symbol| new.contains_key(symbol)));
    updated.extend(added.map(|line| format!("{}\n", line.trim())));
    updated.concat()
}

/// Returns the lines that lead from one configuration to another one, given what `savedefconfig` says of both: what is
/// not the default is told, and what became the default again.
pub(crate) fn changes(defconfig_before: &str, defconfig_after: &str, after: &Values) -> String {
    let values = [defconfig_before, defconfig_after].map(Values::parse);
    let mut seen = BTreeSet::new();
    let symbols = defconfig_after.lines().chain(defconfig_before.lines()).filter_map(symbol);
    let changed =
        symbols.filter(|symbol| seen.insert(*symbol) && values[0].get(symbol) != values[1].get(symbol));
    changed.map(|symbol| line(symbol, after.get(symbol))).collect()
}

/// Returns every symbol that differs, as a line.
pub(crate) fn differences(before: &Values, after: &Values) -> String {
    kconfig::diff(before, after).iter().map(|change| line(&change.symbol, change.after.as_deref())).collect()
}

fn line(symbol: &str, value: Option<&str>) -> String {
    match value {
        None | Some("n") => format!("# CONFIG_{symbol} is not set\n"),
        Some(value) => format!("CONFIG_{symbol}={value}\n"),
    }
}

/// Returns the symbol of a line: `CONFIG_X=…` or `# CONFIG_X is not set`.
pub(crate) fn symbol(line: &str) -> Option<&str> {
    let line = line.trim();
    let name = match line.strip_prefix("# ") {
        Some(rest) => rest.strip_suffix(" is not set")?,
        None => line.split_once('=')?.0,
    };
    name.strip_prefix("CONFIG_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_several_say_the_last_counts() {
        let config = "# comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_AB=m\n";
        assert_eq!(
            with_lines(config, "CONFIG_B=y\n# CONFIG_A is not set\n"),
            "# comment\nCONFIG_AB=m\nCONFIG_B=y\n# CONFIG_A is not set\n"
        );
        assert_eq!(with_lines("", "CONFIG_CMDLINE=\"a=b\""), "CONFIG_CMDLINE=\"a=b\"\n");
    }

    #[track_caller]
    fn check_update(fragment: &str, lines: &str, expected: &str) {
        assert_eq!(update_fragment(fragment, lines), expected);
        assert_eq!(update_fragment(expected, lines), expected, "a second time");
    }

    #[test]
    fn a_fragment_keeps_all_that_is_not_changed() {
        let fragment = "# Mine.\nCONFIG_A=y\r\n\n  # CONFIG_B is not set\nCONFIG_A=m # odd\nnonsense";
        check_update(fragment, "", fragment);
        check_update(
            fragment,
            "CONFIG_B=y\nCONFIG_D=3\n# CONFIG_C is not set\n",
            "# Mine.\nCONFIG_A=y\r\n\nCONFIG_B=y\nCONFIG_A=m # odd\nnonsense\nCONFIG_D=3\n# CONFIG_C is not set\n",
        );
        check_update(
            "CONFIG_A=y\nCONFIG_A=m\n",
            "# CONFIG_A is not set\n",
            "CONFIG_A=y\n# CONFIG_A is not set\n",
        );
        check_update("CONFIG_A=y\r\n", "CONFIG_A=m\n", "CONFIG_A=m\r\n");
        check_update("", "CONFIG_A=m\n", "CONFIG_A=m\n");
    }

    #[test]
    fn changes_are_what_is_no_default_and_what_is_one_again() {
        let after = Values::parse("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=5\nCONFIG_DEPENDS_ON_A=y\n");
        let changes = changes(
            "CONFIG_C=4\n# CONFIG_A is not set\nCONFIG_GONE=m\n",
            "# CONFIG_B is not set\nCONFIG_C=5\n",
            &after,
        );
        assert_eq!(changes, "# CONFIG_B is not set\nCONFIG_C=5\nCONFIG_A=y\n# CONFIG_GONE is not set\n");
    }
}
