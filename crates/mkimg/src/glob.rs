//! Patterns for paths: `*` and `?` within a name, `**` across names.

/// A pattern, split into names.
pub(crate) struct Glob {
    names: Vec<Vec<u8>>,
}

impl Glob {
    /// Returns the pattern; slashes in front and at the end mean nothing.
    pub(crate) fn new(pattern: &str) -> Glob {
        let names = pattern.as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        Glob { names: names.map(<[u8]>::to_vec).collect() }
    }

    /// Says whether the whole of `path` matches.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let path: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let names: Vec<&[u8]> = self.names.iter().map(|name| &name[..]).collect();
        wildcards(&names, &path, |name| *name == b"**", |name, part| name_matches(name, part))
    }

    /// Says whether `path` or a directory above it matches.
    pub(crate) fn covers(&self, path: &layer::EntryPath) -> bool {
        self.matches(path.as_bytes()) || path.ancestors().any(|above| self.matches(above))
    }
}

fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    wildcards(pattern, name, |byte| *byte == b'*', |wanted, byte| *wanted == b'?' || wanted == byte)
}

/// Matches a sequence against a pattern in which some elements stand for any number of elements.
///
/// Only the last such element needs to be tried again, so the time is the product of the lengths.
fn wildcards<P, E>(
    pattern: &[P],
    sequence: &[E],
    is_any: impl Fn(&P) -> bool,
    matches: impl Fn(&P, &E) -> bool,
) -> bool {
    let (mut at, mut element) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while element < sequence.len() {
        if pattern.get(at).is_some_and(&is_any) {
            retry = Some((at + 1, element));
            at += 1;
        } else if pattern.get(at).is_some_and(|wanted| matches(wanted, &sequence[element])) {
            (at, element) = (at + 1, element + 1);
        } else if let Some((after, start)) = retry {
            retry = Some((after, start + 1));
            (at, element) = (after, start + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(is_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_names() {
        let matches = |pattern: &str, path: &str| Glob::new(pattern).matches(path.as_bytes());
        for (pattern, path) in [
            ("boot/vmlinu*-*", "boot/vmlinuz-6.1.0-40-amd64"),
            ("/usr/lib/modules/*/kernel/**", "usr/lib/modules/6.1/kernel/fs/ext4/ext4.ko"),
            ("**/*.ko", "a/b/c.ko"),
            ("**/*.ko", "c.ko"),
            ("a?c", "abc"),
            ("*a*b*", "xaab"),
            ("**", "anything/at/all"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("boot/*", "boot/grub/grub.cfg"),
            ("boot", "boot/x"),
            ("*.ko", "a/b.ko"),
            ("a?c", "ac"),
            ("a/**/b", "ab"),
            ("", "a"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
        assert!(Glob::new("usr/*").covers(&layer::EntryPath::new("usr/lib/x/y").unwrap()));
        assert!(!Glob::new("usr/*").covers(&layer::EntryPath::new("usr").unwrap()));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "a*".repeat(60) + "b";
        assert!(!Glob::new(&pattern).matches("a".repeat(250).as_bytes()));
    }
}
