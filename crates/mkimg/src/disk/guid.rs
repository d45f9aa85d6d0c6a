//! GUIDs: 16 bytes whose first fields are stored little-endian.

use std::fmt;

/// A GUID, as it is stored on disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub [u8; 16]);

/// Which byte of the text each stored byte is (UEFI specification, appendix A).
const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
/// How many digits the groups of the text have.
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

impl Guid {
    /// No GUID: what an entry has that is not used.
    pub const NIL: Guid = Guid([0; 16]);

    /// Returns the bytes in the order of the text, as UUIDs are stored elsewhere.
    pub fn in_text_order(self) -> [u8; 16] {
        // The order is its own inverse.
        ORDER.map(|at| self.0[at])
    }

    /// Reads the usual form with hyphens, in small or large digits.
    pub fn parse(text: &str) -> Option<Guid> {
        let groups: Vec<&str> = text.split('-').collect();
        let is_form = groups.iter().map(|group| group.len()).eq(GROUPS);
        let digits: Vec<u8> =
            text.chars().filter_map(|char| char.to_digit(16)).map(|digit| digit as u8).collect();
        if !is_form || digits.len() != 32 {
            return None;
        }
        Some(Guid(ORDER.map(|at| digits[2 * at] << 4 | digits[2 * at + 1])))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = String::with_capacity(32);
        for byte in self.in_text_order() {
            digits += &format!("{byte:02x}");
        }
        let mut rest = digits.as_str();
        for (idx, length) in GROUPS.into_iter().enumerate() {
            let (group, others) = rest.split_at(length);
            write!(f, "{}{group}", if idx == 0 { "" } else { "-" })?;
            rest = others;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes() {
        let text = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
        let guid = Guid::parse(&text.to_uppercase()).unwrap();
        assert_eq!(guid.0[..8], [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11]);
        assert_eq!(guid.to_string(), text);
        for wrong in ["", "c12a7328f81f11d2ba4b00a0c93ec93b", "c12a7328-f81f-11d2-ba4b-00a0c93ec93g", "-----"]
        {
            assert_eq!(Guid::parse(wrong), None, "{wrong}");
        }
    }
}
