//! Which symbols of two programs, or of two kernels' `System.map`, only one of them has.

use std::collections::BTreeMap;

use object::read::elf::{ElfFile32, ElfFile64};
use object::{Object, ObjectSymbol};

use crate::container::elf::most_names;
use crate::source::{Source, some};

/// A program or map that is read has at most so many bytes.
const MOST: usize = 1 << 30;

/// How often there is a symbol of a name: those of functions in files may repeat.
type Symbols = BTreeMap<String, usize>;

/// Returns the names of symbols that only the first and only the second program has, if there are such.
pub(super) fn of_programs(a: &Source, b: &Source) -> Option<(Vec<String>, Vec<String>)> {
    differing(&in_program(&read(a)?)?, &in_program(&read(b)?)?)
}

/// Does that for two texts, if both are maps of symbols as `nm` writes them.
pub(super) fn of_maps(a: &Source, b: &Source) -> Option<(Vec<String>, Vec<String>)> {
    let map = |source: &Source| {
        // What begins like no map is not read.
        in_map(first_line(std::str::from_utf8(&some(&**source, 0, 256).ok()?).ok()?))?;
        in_map(&String::from_utf8(read(source)?).ok()?)
    };
    differing(&map(a)?, &map(b)?)
}

fn read(source: &Source) -> Option<Vec<u8>> {
    some(&**source, 0, MOST + 1).ok().filter(|bytes| bytes.len() <= MOST)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn differing(a: &Symbols, b: &Symbols) -> Option<(Vec<String>, Vec<String>)> {
    let only = |of: &Symbols, other: &Symbols| {
        let more = of.iter().filter(|(name, n)| other.get(*name).is_none_or(|other| other < n));
        more.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let (removed, added) = (only(a, b), only(b, a));
    (!removed.is_empty() || !added.is_empty()).then_some((removed, added))
}

/// Returns the symbols that a program defines, those for the linker where it has no others; nothing if their names are
/// damaged, or share more bytes than those of any program.
fn in_program(bytes: &[u8]) -> Option<Symbols> {
    // The class is the fifth byte.
    if bytes.get(4) == Some(&1) {
        defined(&ElfFile32::<object::Endianness, _>::parse(bytes).ok()?, bytes.len() as u64)
    } else {
        defined(&ElfFile64::<object::Endianness, _>::parse(bytes).ok()?, bytes.len() as u64)
    }
}

fn defined<'d>(file: &impl Object<'d>, length: u64) -> Option<Symbols> {
    let mut symbols = Symbols::new();
    let mut left = most_names(length);
    file.symbols().try_for_each(|symbol| add(&symbol, &mut symbols, &mut left))?;
    if symbols.is_empty() {
        file.dynamic_symbols().try_for_each(|symbol| add(&symbol, &mut symbols, &mut left))?;
    }
    Some(symbols)
}

/// Adds a symbol, unless its name does not end or takes more than there is `left` for names.
fn add<'d>(symbol: &impl ObjectSymbol<'d>, symbols: &mut Symbols, left: &mut usize) -> Option<()> {
    let name = symbol.name_bytes().ok()?;
    *left = left.checked_sub(name.len())?;
    if !name.is_empty() && !symbol.is_undefined() {
        *symbols.entry(name.escape_ascii().to_string()).or_default() += 1;
    }
    Some(())
}

/// Returns the symbols of a map: lines of an address, a letter, and a name.
fn in_map(text: &str) -> Option<Symbols> {
    let mut symbols = Symbols::new();
    for line in text.lines() {
        let (address, rest) = line.split_once(' ')?;
        let (letter, name) = rest.split_once(' ')?;
        let is_address = address.len() >= 8 && address.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_address || letter.len() != 1 {
            return None;
        }
        *symbols.entry(name.to_owned()).or_default() += 1;
    }
    (!symbols.is_empty()).then_some(symbols)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn source(text: &str) -> Source {
        Arc::new(text.as_bytes().to_vec())
    }

    #[test]
    fn symbols_that_only_one_map_has() {
        let a = source("ffffffff81000000 T _text\nffffffff81000100 t init\nffffffff81000200 t init\n");
        let b = source("ffffffff81000000 T _text\nffffffff81000110 t init\nffffffff81000300 T panic\n");
        let (removed, added) = of_maps(&a, &b).unwrap();
        assert_eq!((removed, added), (vec!["init".to_owned()], vec!["panic".to_owned()]));
        assert_eq!(of_maps(&a, &a), None);
        assert_eq!(of_maps(&a, &source("just a text\n")), None);
    }

    /// Returns an object with symbols that all have the first of `names`.
    fn object(n_symbols: u64, names: &[u8]) -> Source {
        let number = |n: u64| n.to_le_bytes();
        let (at, length) = (64 + names.len().next_multiple_of(8) as u64, 24 * n_symbols);
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend([1, 0, 62, 0, 1, 0, 0, 0]);
        bytes.extend([number(0), number(0), number(at + length)].concat());
        bytes.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 1, 0]);
        bytes.extend_from_slice(names);
        // The first symbol of a table is none.
        bytes.resize(at as usize + 24, 0);
        let mut symbol = [0; 24];
        (symbol[4], symbol[6]) = (0x12, 1);
        (1..n_symbols).for_each(|_| bytes.extend(symbol));
        bytes.extend([0; 64]);
        for (kind, at, length, link, entry) in [(3, 64, names.len() as u64, 0, 0), (2, at, length, 1, 24)] {
            bytes.extend([0, 0, 0, 0, kind, 0, 0, 0]);
            let fields = [0, 0, at, length, link, 1, entry];
            bytes.extend(fields.map(u64::to_le_bytes).concat());
        }
        Arc::new(bytes)
    }

    #[test]
    fn names_that_many_symbols_share_are_bounded() {
        let (removed, added) = of_programs(&object(9, b"init\0"), &object(7, b"init\0")).unwrap();
        assert_eq!((removed, added), (vec!["init".to_owned()], vec![]));
        let long = [vec![0xff; 1 << 20], vec![0]].concat();
        assert_eq!(of_programs(&object(10_000, &long), &object(7, b"init\0")), None);
    }

    #[test]
    fn what_is_no_program_has_no_symbols() {
        let text = source("no program");
        assert_eq!(of_programs(&text, &text), None);
    }
}
