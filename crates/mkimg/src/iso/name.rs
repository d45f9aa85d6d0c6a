//! Names for readers that do not know Rock Ridge: of few characters and lengths, and none twice in a directory.

use std::collections::{BTreeMap, BTreeSet};

/// The longest name of a file or a directory: those of files may not have more (ECMA-119 7.5.1).
const MOST: usize = 30;
/// The longest extension that is kept whole, with its dot.
const MOST_EXTENSION: usize = 9;
/// The longest name in a Joliet tree, in UTF-16 units.
const MOST_UNITS: usize = 64;

/// A name that readers see, as it is stored.
pub(super) type Identifier = Vec<u8>;

/// What a name is made of before it is known whether another one is the same. The dot is one of the extension.
struct Basis<T> {
    base: Vec<T>,
    extension: Vec<T>,
}

/// Gives every name of a directory, and whether it is one of a directory, its identifier at interchange level 3. The
/// result depends on the names and on their order alone.
pub(super) fn primary<'a>(names: impl Iterator<Item = (&'a [u8], bool)>) -> Vec<Identifier> {
    let (bases, kinds): (Vec<Basis<u8>>, Vec<bool>) =
        names.map(|(name, is_directory)| (primary_basis(name, is_directory), is_directory)).unzip();
    let plain = unique(bases, MOST, |digit| digit);
    plain
        .into_iter()
        .zip(kinds)
        .map(|(plain, is_directory)| match (is_directory, plain.contains(&b'.')) {
            (true, _) => plain,
            // Files have a dot and a version.
            (false, true) => [&plain[..], b";1"].concat(),
            (false, false) => [&plain[..], b".;1"].concat(),
        })
        .collect()
}

/// Gives every name of a directory its identifier in a Joliet tree: UTF-16, big-endian.
pub(super) fn joliet<'a>(names: impl Iterator<Item = &'a [u8]>) -> Vec<Identifier> {
    let given = unique(names.map(joliet_basis).collect(), MOST_UNITS, u16::from);
    given.into_iter().map(|units| units.iter().flat_map(|unit| unit.to_be_bytes()).collect()).collect()
}

fn primary_basis(name: &[u8], is_directory: bool) -> Basis<u8> {
    let allowed = |byte: &u8| match byte.to_ascii_uppercase() {
        byte @ (b'A'..=b'Z' | b'0'..=b'9') => byte,
        _ => b'_',
    };
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0 && !is_directory);
    let (base, extension) = name.split_at(dot.unwrap_or(name.len()));
    let mut extension: Vec<u8> = extension.iter().map(allowed).collect();
    let base = base.iter().map(allowed).collect();
    // A dot alone is what a name without one gets.
    extension.truncate(if extension.len() > 1 { extension.len() } else { 0 });
    if let Some(dot) = extension.first_mut() {
        *dot = b'.';
    }
    Basis { base, extension }.shortened(MOST)
}

fn joliet_basis(name: &[u8]) -> Basis<u16> {
    let allowed = |char: char| match char {
        '*' | '/' | ':' | ';' | '?' | '\\' | '\0'..'\x20' | char::REPLACEMENT_CHARACTER => '_',
        char => char,
    };
    let text: String = String::from_utf8_lossy(name).chars().map(allowed).collect();
    let (base, extension) = text.split_at(text.rfind('.').filter(|dot| *dot > 0).unwrap_or(text.len()));
    Basis { base: base.encode_utf16().collect(), extension: extension.encode_utf16().collect() }
        .shortened(MOST_UNITS)
}

/// What identifiers are made of.
trait Unit: Copy + Ord {
    /// Says whether it is the first half of something.
    fn is_half(self) -> bool;
}

impl Unit for u8 {
    fn is_half(self) -> bool {
        false
    }
}

impl Unit for u16 {
    fn is_half(self) -> bool {
        (0xd800..0xdc00).contains(&self)
    }
}

/// Returns the first `most` units, or one less where a character would be cut in two.
fn cut<T: Unit>(units: &[T], most: usize) -> &[T] {
    match &units[..units.len().min(most)] {
        [whole @ .., last] if last.is_half() => whole,
        whole => whole,
    }
}

impl<T: Unit> Basis<T> {
    fn shortened(mut self, most: usize) -> Basis<T> {
        if self.base.len() + self.extension.len() > most {
            self.extension.truncate(cut(&self.extension, MOST_EXTENSION).len());
            self.base.truncate(cut(&self.base, most - self.extension.len()).len());
        }
        self
    }
}

/// Joins the parts of every name. One that is taken gets a number at the end of its base, the first that is free.
fn unique<T: Unit>(bases: Vec<Basis<T>>, most: usize, digit: impl Fn(u8) -> T) -> Vec<Vec<T>> {
    let mut taken: BTreeSet<Vec<T>> = BTreeSet::new();
    let mut next: BTreeMap<Vec<T>, u32> = BTreeMap::new();
    let mut given = Vec::with_capacity(bases.len());
    for Basis { base, mut extension } in bases {
        let plain = [&base[..], &extension].concat();
        if taken.insert(plain.clone()) {
            given.push(plain);
            continue;
        }
        // So that there is room for any number.
        extension.truncate(cut(&extension, MOST_EXTENSION).len());
        let number = next.entry(plain).or_insert(1);
        given.push(loop {
            let digits: Vec<T> = number.to_string().bytes().map(&digit).collect();
            *number += 1;
            let room = most - extension.len() - digits.len();
            let candidate = [cut(&base, room), &digits, &extension].concat();
            if taken.insert(candidate.clone()) {
                break candidate;
            }
        });
    }
    given
}

/// Returns what orders identifiers of the primary tree: the part before the dot, then that behind it without the version, which
/// all have in common (ECMA-119 9.3).
pub(super) fn order(identifier: &[u8]) -> (&[u8], &[u8]) {
    let name = identifier.strip_suffix(b";1").unwrap_or(identifier);
    match name.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&name[..dot], &name[dot + 1..]),
        None => (name, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[(&str, bool)], expected_primary: &str, expected_joliet: &str) {
        let pairs = || names.iter().map(|(name, is_directory)| (name.as_bytes(), *is_directory));
        let texts: Vec<String> =
            primary(pairs()).into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect();
        assert_eq!(texts.join(" "), expected_primary);
        let texts: Vec<String> = joliet(pairs().map(|(name, _)| name))
            .into_iter()
            .map(|bytes| {
                let units: Vec<u16> =
                    bytes.chunks(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect();
                String::from_utf16_lossy(&units)
            })
            .collect();
        assert_eq!(texts.join(" "), expected_joliet);
    }

    #[test]
    fn names_of_files_and_directories() {
        check(
            &[("README", false), ("boot.cat", false), ("a.b.tar.gz", false), ("pool.d", true)],
            "README.;1 BOOT.CAT;1 A_B_TAR.GZ;1 POOL_D",
            "README boot.cat a.b.tar.gz pool.d",
        );
        check(&[(".disk", false), ("ä?", false)], "_DISK.;1 ___.;1", ".disk ä_");
    }

    #[test]
    fn long_names_and_names_that_are_taken() {
        let long = "a very long name of a file that says a lot about what is in it and more.squashfs";
        let other = long.replace("and more", "and some");
        let base = "A_VERY_LONG_NAME_OF_A";
        check(
            &[(long, false), (&other, false), ("a?", false), ("a*", false), ("A_", true)],
            &format!("{base}.SQUASHFS;1 {}1.SQUASHFS;1 A_.;1 A_1.;1 A_2", &base[..20]),
            &format!("{}.squashfs {}1.squashfs a_ a_1 A_", &long[..55], &long[..54]),
        );
    }

    #[test]
    fn characters_are_not_cut_in_two() {
        let (long, longer) = ("x".repeat(63) + "\u{1f600}", "x".repeat(62) + "\u{1f600}y");
        let plain = "X".repeat(30);
        check(
            &[(&long, false), (&longer, false), (&long.replace('\u{1f600}', "\u{1f601}"), false)],
            &format!("{plain}.;1 {}1.;1 {}2.;1", &plain[..29], &plain[..29]),
            &format!("{} {} {}1", &long[..63], &longer[..66], &long[..63]),
        );
    }

    #[test]
    fn the_version_does_not_count_for_the_order() {
        let mut names: Vec<&[u8]> = [&b"LIB.12;1"[..], b"LIB.1;1", b"A.1;1", b"A.;1", b"AB", b"A"].into();
        names.sort_by_key(|name| order(name));
        let expected: [&[u8]; 6] = [b"A.;1", b"A", b"A.1;1", b"AB", b"LIB.1;1", b"LIB.12;1"];
        assert_eq!(names, expected);
    }

    #[test]
    fn many_names_that_are_the_same() {
        let names: Vec<Vec<u8>> =
            (0..3000).map(|index| format!("{}{index}", "x".repeat(60)).into()).collect();
        for given in
            [primary(names.iter().map(|name| (&name[..], false))), joliet(names.iter().map(|name| &name[..]))]
        {
            assert!(given.iter().all(|name| name.len() <= 128));
            assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 3000);
        }
    }
}
