//! Which files of a local source are left out.

/// Patterns for what is left out of a source, as in a `.gitignore`.
///
/// A pattern with a slash anywhere but at its end is matched against the path from the source's root,
/// another one against the name alone. `*` and `?` stand for characters except slashes, `**` for any number
/// of directories; a slash at the end matches only directories. There is no negation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// Its parts between slashes; one part alone matches at any depth if not anchored.
    parts: Vec<String>,
    anchored: bool,
    only_directories: bool,
}

impl Ignore {
    /// Returns the rules with these patterns; an empty pattern matches nothing.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Ignore {
        let patterns = patterns.into_iter().map(|pattern| {
            let (body, only_directories) = match pattern.strip_suffix('/') {
                Some(body) => (body, true),
                None => (pattern, false),
            };
            let anchored = body.contains('/');
            let parts = body.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            Pattern { parts, anchored, only_directories }
        });
        Ignore { patterns: patterns.collect() }
    }

    /// Returns whether it leaves nothing out.
    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns patterns that say the same.
    pub(crate) fn patterns(&self) -> Vec<String> {
        let text = |pattern: &Pattern| {
            let start = if pattern.anchored { "/" } else { "" };
            let end = if pattern.only_directories { "/" } else { "" };
            format!("{start}{}{end}", pattern.parts.join("/"))
        };
        self.patterns.iter().map(text).collect()
    }

    /// Returns whether the entry is left out; `path` is relative to the source, its parts apart.
    pub(crate) fn matches(&self, path: &[String], is_directory: bool) -> bool {
        self.patterns.iter().any(|pattern| {
            if pattern.parts.is_empty() || pattern.only_directories && !is_directory {
                return false;
            }
            if pattern.anchored {
                return match_path(&pattern.parts, path);
            }
            path.last().is_some_and(|name| match_name(pattern.parts[0].as_bytes(), name.as_bytes()))
        })
    }
}

fn match_path(pattern: &[String], path: &[String]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((part, rest)) if part == "**" => {
            // At the end it stands for what is in the directory, not for the directory itself.
            let least = usize::from(rest.is_empty());
            (least..=path.len()).any(|n_skipped| match_path(rest, &path[n_skipped..]))
        }
        Some((part, rest)) => path.split_first().is_some_and(|(name, deeper)| {
            match_name(part.as_bytes(), name.as_bytes()) && match_path(rest, deeper)
        }),
    }
}

/// Matches with one remembered star, so in time proportional to the product of the lengths at worst.
fn match_name(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern_idx, mut name_idx) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while name_idx < name.len() {
        match pattern.get(pattern_idx) {
            Some(b'*') => {
                star = Some((pattern_idx, name_idx));
                pattern_idx += 1;
                continue;
            }
            Some(byte) if *byte == b'?' || *byte == name[name_idx] => {
                pattern_idx += 1;
                name_idx += 1;
                continue;
            }
            _ => {}
        }
        let Some((star_idx, matched)) = star else { return false };
        star = Some((star_idx, matched + 1));
        pattern_idx = star_idx + 1;
        name_idx = matched + 1;
    }
    pattern[pattern_idx..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, path: &str, expected: bool) {
        let (path, is_directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        let parts: Vec<_> = path.split('/').map(str::to_owned).collect();
        assert_eq!(Ignore::new([pattern]).matches(&parts, is_directory), expected, "{pattern} {path}");
    }

    #[test]
    fn rules_can_be_told_to_others() {
        let rules = Ignore::new(["*.o", "./out/", ".git/", "/a", "docs/**/x.html", "a//b", "", "/"]);
        let told = rules.patterns();
        assert_eq!(told[..3], ["*.o", "/./out/", ".git/"].map(str::to_owned));
        assert_eq!(Ignore::new(told.iter().map(String::as_str)), rules);
    }

    #[test]
    fn patterns_are_those_of_gitignore() {
        check("*.o", "a/b/main.o", true);
        check("*.o", "main.oo", false);
        check("target/", "a/target/", true);
        check("target/", "a/target", false);
        check("/target", "target", true);
        check("/target", "a/target", false);
        check("docs/*.html", "docs/x.html", true);
        check("docs/*.html", "docs/a/x.html", false);
        check("docs/**/x.html", "docs/x.html", true);
        check("docs/**/x.html", "docs/a/b/x.html", true);
        check("**/x", "a/x", true);
        check("a/**", "a", false);
        check("a/**", "a/b/c", true);
        check("a?c*e*", "abcdefeg", true);
        check("a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaa", false);
        check("", "a", false);
    }
}
