//! The hash by which a directory's index finds names: half of an MD4, seeded by the superblock.
//!
//! Kernel documentation, ext4, "Hash Tree Directories"; RFC 1320 for the round functions of MD4.

use super::bytes::get_u32;

/// How the bytes of a name become numbers: the superblock's flags remember which `char` the file system was
/// made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signedness {
    /// Bytes from 0x80 are negative, as on x86.
    Signed,
    /// Bytes are what they are, as on Arm.
    Unsigned,
}

/// A name's place in a directory's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NameHash {
    /// What the index compares. The lowest bit is zero: the index uses it as a mark.
    pub(super) major: u32,
    /// Orders names whose `major` is the same.
    pub(super) minor: u32,
}

/// The largest hash would mean "end of directory" to readers of `telldir` positions.
const END: u32 = 0xffff_fffe;

/// Computes the half-MD4 hash of names under one seed.
#[derive(Debug, Clone)]
pub(super) struct NameHasher {
    start: [u32; 4],
    signedness: Signedness,
}

impl NameHasher {
    /// Returns the hasher of a file system. A seed of zeros means MD4's own start values.
    pub(super) fn new(seed: &[u8; 16], signedness: Signedness) -> NameHasher {
        let words = [0, 4, 8, 12].map(|at| get_u32(seed, at));
        let start =
            if words == [0; 4] { [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476] } else { words };
        NameHasher { start, signedness }
    }

    /// Returns the hash of `name`.
    pub(super) fn hash(&self, name: &[u8]) -> NameHash {
        let mut state = self.start;
        let mut rest = name;
        while !rest.is_empty() {
            transform(&mut state, &self.words(rest));
            rest = rest.get(32..).unwrap_or_default();
        }
        let major = state[1] & !1;
        NameHash { major: if major == END { END - 2 } else { major }, minor: state[2] }
    }

    /// Packs the first 32 bytes of `rest` into words, big end first, and fills up with the length of `rest`.
    fn words(&self, rest: &[u8]) -> [u32; 8] {
        let length = u32::try_from(rest.len()).expect("a name has at most 255 bytes");
        let padding = length << 24 | length << 16 | length << 8 | length;
        let mut words = [padding; 8];
        for (word, bytes) in words.iter_mut().zip(rest.chunks(4)) {
            for byte in bytes {
                let value = match self.signedness {
                    Signedness::Signed => i32::from(byte.cast_signed()).cast_unsigned(),
                    Signedness::Unsigned => u32::from(*byte),
                };
                *word = value.wrapping_add(*word << 8);
            }
        }
        words
    }
}

/// Mixes eight words into the state: three rounds of MD4 over half a block.
fn transform(state: &mut [u32; 4], words: &[u32; 8]) {
    const ROUND_2: u32 = 0x5a82_7999;
    const ROUND_3: u32 = 0x6ed9_eba1;
    let select = |x: u32, y: u32, z: u32| z ^ (x & (y ^ z));
    let majority = |x: u32, y: u32, z: u32| (x & y).wrapping_add((x ^ y) & z);
    let parity = |x: u32, y: u32, z: u32| x ^ y ^ z;

    let mut registers = *state;
    let mut round =
        |function: fn(u32, u32, u32) -> u32, constant: u32, order: [usize; 8], shifts: [u32; 4]| {
            for (step, word) in order.into_iter().enumerate() {
                let [a, b, c, d] = registers;
                let sum = a.wrapping_add(function(b, c, d)).wrapping_add(words[word]).wrapping_add(constant);
                // The registers turn: what was computed becomes `b` of the next step.
                registers = [d, sum.rotate_left(shifts[step % 4]), b, c];
            }
        };
    round(select, 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]);
    round(majority, ROUND_2, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]);
    round(parity, ROUND_3, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]);
    for (word, register) in state.iter_mut().zip(registers) {
        *word = word.wrapping_add(register);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seed: [u8; 16], name: &[u8], major: u32, minor: u32) {
        let hash = NameHasher::new(&seed, Signedness::Signed).hash(name);
        assert_eq!(hash, NameHash { major, minor }, "{hash:x?}");
    }

    /// The expected values are what `debugfs -R "dx_hash -h half_md4 [-s SEED] NAME"` prints.
    #[test]
    fn hashes_are_those_of_e2fsprogs() {
        const LONG: &[u8] = b"a longer name that does not fit into thirty-two bytes at all";
        let seed = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        check([0; 16], b"a", 0xd5fa_7d7a, 0xacb4_8187);
        check([0; 16], b"abc", 0xd196_a868, 0xc420_eb28);
        check([0; 16], b"lost+found", 0x591d_e422, 0x6ffc_56e0);
        check([0; 16], LONG, 0x87f3_b46c, 0xadd2_3828);
        check([0; 16], b"\xc3\xa4\xff\x80", 0xa384_617e, 0xfcfc_e35c);
        check(seed, b"a", 0x8d08_ec4c, 0x2fbc_cd78);
        check(seed, b"abc", 0xf54f_014a, 0xd928_c19d);
        check(seed, LONG, 0xe6b8_bc72, 0x2ccf_181e);
    }

    #[test]
    fn signedness_matters_only_above_ascii() {
        let [signed, unsigned] =
            [Signedness::Signed, Signedness::Unsigned].map(|s| NameHasher::new(&[3; 16], s));
        assert_eq!(signed.hash(b"ascii"), unsigned.hash(b"ascii"));
        assert_ne!(signed.hash(b"\xff"), unsigned.hash(b"\xff"));
    }
}
