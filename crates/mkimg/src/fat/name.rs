//! Names: which there can be, and the short form that each long one has beside it.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Reason;

/// A short name as directories store it: eight and three bytes, filled up with spaces.
pub(super) type Short = [u8; 11];

/// The most UTF-16 units of a long name.
const MOST_UNITS: usize = 255;

/// Says whether a short name can have this byte, beyond what only code pages know.
pub(super) fn is_short(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"!#$%&'()-@^_`{}~".contains(&byte)
}

/// Returns the UTF-16 units of a name, or why FAT has no such name.
pub(super) fn units(name: &[u8]) -> Result<Vec<u16>, Reason> {
    let text = std::str::from_utf8(name).map_err(|_| Reason::NotUtf8)?;
    let illegal = |char: &char| *char < ' ' || r#""*/:<>?\|"#.contains(*char);
    if let Some(char) = text.chars().find(illegal) {
        return Err(Reason::Character { char });
    }
    // Windows takes these away without a word, and then finds another file.
    if text.ends_with(['.', ' ']) {
        return Err(Reason::Edge);
    }
    let units: Vec<u16> = text.encode_utf16().collect();
    if units.is_empty() || units.len() > MOST_UNITS {
        return Err(Reason::Length { units: units.len() });
    }
    Ok(units)
}

/// Returns the form of a name in which those are equal that no directory can have both of.
pub(super) fn folded(units: &[u16]) -> Vec<u16> {
    units.iter().map(|unit| upper(*unit)).collect()
}

/// Returns the capital of a character if that is one unit, too, as in the table that Windows goes by.
fn upper(unit: u16) -> u16 {
    let Some(char) = char::from_u32(unit.into()) else { return unit };
    let mut capital = char.to_uppercase();
    match (capital.next().map(|char| u16::try_from(u32::from(char))), capital.next()) {
        (Some(Ok(capital)), None) => capital,
        _ => unit,
    }
}

/// What the short name of a long one is made from ("The Basis-Name Generation Algorithm").
struct Basis {
    base: Vec<u8>,
    extension: Vec<u8>,
    /// Whether it stands for the name as it is, but for the case of letters.
    is_whole: bool,
}

fn basis(units: &[u16]) -> Basis {
    let dot = u16::from(b'.');
    // A name that starts with its only dot has no extension.
    let last_dot =
        units.iter().rposition(|unit| *unit == dot).filter(|at| units[..*at].iter().any(|unit| *unit != dot));
    let (base, extension) = match last_dot {
        Some(at) => (&units[..at], &units[at + 1..]),
        None => (units, &[][..]),
    };
    let mut is_whole = true;
    let mut part = |units: &[u16], most: usize| {
        let mut bytes = Vec::new();
        for unit in units {
            match u8::try_from(upper(*unit)) {
                Ok(b' ' | b'.') => is_whole = false,
                Ok(byte) if is_short(byte) => bytes.push(byte),
                _ => {
                    is_whole = false;
                    bytes.push(b'_');
                }
            }
        }
        is_whole &= bytes.len() <= most;
        bytes.truncate(most);
        bytes
    };
    let (base, extension) = (part(base, 8), part(extension, 3));
    is_whole &= !base.is_empty() && (last_dot.is_none() || !extension.is_empty());
    Basis { base, extension, is_whole }
}

fn short(base: &[u8], extension: &[u8]) -> Short {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base);
    short[8..8 + extension.len()].copy_from_slice(extension);
    short
}

/// Returns the units that a short name reads as.
fn read_as(short: &Short) -> Vec<u16> {
    shown(short).bytes().map(u16::from).collect()
}

/// What bytes from 0x80 stand for in the code page of the first PCs, 437, which Linux takes short names to be in.
const CODE_PAGE: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
                         αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// Returns a short name as it is written.
pub(super) fn shown(short: &Short) -> String {
    let char = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        0x80.. => CODE_PAGE.chars().nth(usize::from(*byte - 0x80)).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::REPLACEMENT_CHARACTER,
    };
    let part = |bytes: &[u8]| -> String {
        let end = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |at| at + 1);
        bytes[..end].iter().map(char).collect()
    };
    let (base, extension) = (part(&short[..8]), part(&short[8..]));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

/// A name with the short form that it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// The short form, which no other name of the directory has.
    pub(super) short: Short,
    /// The long form; empty if the short one says all.
    pub(super) long: Vec<u16>,
}

/// Gives every name of a directory its short form. The names differ in more than case; the result depends on them
/// and on their order alone.
///
/// Names that are short but for their case keep theirs. The others get `~1` and so on, the first that is free, as
/// Windows does for the first few and `mtools` always.
pub(super) fn assign(names: &[Vec<u16>]) -> Vec<Name> {
    let bases: Vec<Basis> = names.iter().map(|units| basis(units)).collect();
    let whole = bases.iter().filter(|basis| basis.is_whole);
    let mut taken: BTreeSet<Short> = whole.map(|basis| short(&basis.base, &basis.extension)).collect();
    let mut next: BTreeMap<Short, u32> = BTreeMap::new();
    let mut assigned = Vec::with_capacity(names.len());
    for (units, basis) in names.iter().zip(&bases) {
        let plain = short(&basis.base, &basis.extension);
        if basis.is_whole {
            let long = if read_as(&plain) == *units { Vec::new() } else { units.clone() };
            assigned.push(Name { short: plain, long });
            continue;
        }
        let number = next.entry(plain).or_insert(1);
        let short = loop {
            let tail = format!("~{number}");
            *number += 1;
            let mut base = basis.base.clone();
            base.truncate(8 - tail.len());
            base.extend_from_slice(tail.as_bytes());
            let candidate = short(&base, &basis.extension);
            if taken.insert(candidate) {
                break candidate;
            }
        };
        assigned.push(Name { short, long: units.clone() });
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[&str], expected: &str) {
        let units: Vec<Vec<u16>> = names.iter().map(|name| units(name.as_bytes()).unwrap()).collect();
        let told: Vec<String> = assign(&units)
            .iter()
            .map(|name| format!("{}{}", shown(&name.short), if name.long.is_empty() { "" } else { "+" }))
            .collect();
        assert_eq!(told.join(" "), expected);
    }

    #[test]
    fn short_names_that_say_all() {
        check(&["EFI", "BOOTX64.EFI", "A-1~{.X_", "README"], "EFI BOOTX64.EFI A-1~{.X_ README");
    }

    #[test]
    fn short_names_of_others_are_shown_as_linux_does() {
        assert_eq!(CODE_PAGE.chars().count(), 128);
        check(&["DON'T.TXT"], "DON'T.TXT");
        for (short, expected) in [
            (b"DON'T   TXT", "DON'T.TXT"),
            (b"\x9aBER    \xe1  ", "ÜBER.ß"),
            (b"A\x01      \xff  ", "A\u{fffd}.\u{a0}"),
        ] {
            assert_eq!(shown(short), expected);
        }
    }

    #[test]
    fn short_names_of_another_case() {
        check(&["grub.cfg", "Boot", "a.B"], "GRUB.CFG+ BOOT+ A.B+");
    }

    #[test]
    fn long_names_get_a_number() {
        check(
            &[
                "The quick brown.fox",
                "The quick red.fox",
                "long extension.html",
                "a+b.c",
                "äö",
                ".profile",
                "a.tar.gz",
                "..a",
            ],
            "THEQUI~1.FOX+ THEQUI~2.FOX+ LONGEX~1.HTM+ A_B~1.C+ __~1+ PROFIL~1+ ATAR~1.GZ+ A~1+",
        );
        check(&["a .b", "x.y "].map(|name| name.trim_end()), "A~1.B+ X.Y+");
    }

    #[test]
    fn a_number_is_not_given_twice() {
        check(
            &["long name 1", "LONGNA~1", "longna~2", "long name 2"],
            "LONGNA~3+ LONGNA~1 LONGNA~2+ LONGNA~4+",
        );
        let many: Vec<Vec<u16>> =
            (0..1200).map(|idx| units(format!("some long name {idx}").as_bytes()).unwrap()).collect();
        let shorts: BTreeSet<Short> = assign(&many).iter().map(|name| name.short).collect();
        assert_eq!(shorts.len(), 1200);
        assert!(shorts.contains(b"SOME~999   ") || shorts.contains(b"SOMEL~99   "), "{:?}", shorts.last());
    }

    #[track_caller]
    fn check_refused(name: &[u8], expected: &str) {
        assert_eq!(units(name).unwrap_err().to_string(), expected);
    }

    #[test]
    fn names_that_there_cannot_be() {
        check_refused(b"a\xff", "its name is not UTF-8");
        check_refused(b"a:b", "FAT has no `:` in names");
        check_refused(b"a\x01", r"FAT has no `\u{1}` in names");
        check_refused(b"a.", "its name ends with a space or a dot");
        check_refused("x".repeat(256).as_bytes(), "its name has 256 UTF-16 units: the limit is 255");
        assert_eq!(units("\u{1f600}".as_bytes()).unwrap().len(), 2);
        assert_eq!(
            folded(&units("ßäŸ\u{1f600}".as_bytes()).unwrap()),
            units("ßÄŸ\u{1f600}".as_bytes()).unwrap()
        );
    }
}
