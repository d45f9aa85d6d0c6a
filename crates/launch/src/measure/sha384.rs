//! SHA-384 of many pages: FIPS 180-4, sections 4.1.3, 5.1.2, 6.4 and 6.5.
//!
//! One page after the other takes a processor its whole time, since every step waits for the one before. So where there are
//! registers for it (AVX-512), eight pages go side by side, a word of each in every register.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use sha2::{Digest as _, Sha384};

use crate::file::PAGE;

/// How many pages go side by side.
const LANES: usize = 8;
/// The size of a block, in bytes.
const BLOCK: usize = 128;
const ROUNDS: usize = 80;

/// A word of each page.
type Words = [u64; LANES];

/// Returns the SHA-384 of each of some pages.
pub(super) fn sha384_of_pages(pages: &[&[u8]]) -> Vec<[u8; 48]> {
    let mut digests = Vec::with_capacity(pages.len());
    let mut groups = pages.chunks_exact(LANES);
    for group in &mut groups {
        let group: &[&[u8]; LANES] = group.try_into().expect("a group has as many pages as there are lanes");
        if group.iter().all(|page| page.len() == PAGE as usize) {
            digests.extend(side_by_side(group));
        } else {
            digests.extend(group.map(one));
        }
    }
    digests.extend(groups.remainder().iter().map(|page| one(page)));
    digests
}

fn one(page: &[u8]) -> [u8; 48] {
    Sha384::digest(page).into()
}

/// Returns the digests of whole pages. Each is of [`PAGE`] bytes.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq"))]
fn side_by_side(pages: &[&[u8]; LANES]) -> [[u8; 48]; LANES] {
    // With narrower registers `sha2` is as fast.
    if !target_cfg_f!(target_feature = "avx512f") {
        return pages.map(one);
    }
    let mut state = INITIAL.map(|word| [word; LANES]);
    for block in 0..PAGE as usize / BLOCK {
        let mut words = [[0; LANES]; 16];
        for (lane, page) in pages.iter().enumerate() {
            let (block, _) = page[block * BLOCK..][..BLOCK].as_chunks::<8>();
            for (word, bytes) in words.iter_mut().zip(block) {
                word[lane] = u64::from_be_bytes(*bytes);
            }
        }
        compress(&mut state, &mut words);
    }
    // What ends a message of whole blocks: a bit, and how many bits there were.
    let mut last = [[0; LANES]; 16];
    last[0] = [1 << 63; LANES];
    last[15] = [PAGE * 8; LANES];
    compress(&mut state, &mut last);

    let mut digests = [[0; 48]; LANES];
    for (lane, digest) in digests.iter_mut().enumerate() {
        for (bytes, word) in digest.as_chunks_mut::<8>().0.iter_mut().zip(&state) {
            *bytes = word[lane].to_be_bytes();
        }
    }
    digests
}

/// Takes a block of each page into the state. Of `words` is left what nobody needs.
#[inline(always)]
fn compress(state: &mut [Words; 8], words: &mut [Words; 16]) {
    let mut names = *state;
    for (round, constant) in CONSTANTS.iter().enumerate() {
        let at = round % 16;
        if round >= 16 {
            let (now, early) = (words[at], words[(at + 1) % 16]);
            let (between, late) = (words[(at + 9) % 16], words[(at + 14) % 16]);
            words[at] = each(|lane| {
                let small_0 = early[lane].rotate_right(1) ^ early[lane].rotate_right(8) ^ (early[lane] >> 7);
                let small_1 = late[lane].rotate_right(19) ^ late[lane].rotate_right(61) ^ (late[lane] >> 6);
                now[lane].wrapping_add(small_0).wrapping_add(between[lane]).wrapping_add(small_1)
            });
        }
        let word = words[at];
        // Instead of words, names go round.
        let name = |idx: usize| (idx + ROUNDS - round) % 8;
        let [a, b, c] = [0, 1, 2].map(|idx| names[name(idx)]);
        let [e, f, g, h] = [4, 5, 6, 7].map(|idx| names[name(idx)]);
        let one = each(|lane| {
            let big_1 = e[lane].rotate_right(14) ^ e[lane].rotate_right(18) ^ e[lane].rotate_right(41);
            let choice = (e[lane] & f[lane]) ^ (!e[lane] & g[lane]);
            let sum = h[lane].wrapping_add(big_1).wrapping_add(choice);
            sum.wrapping_add(*constant).wrapping_add(word[lane])
        });
        let d = &mut names[name(3)];
        *d = each(|lane| d[lane].wrapping_add(one[lane]));
        names[name(7)] = each(|lane| {
            let big_0 = a[lane].rotate_right(28) ^ a[lane].rotate_right(34) ^ a[lane].rotate_right(39);
            let majority = (a[lane] & b[lane]) ^ (a[lane] & c[lane]) ^ (b[lane] & c[lane]);
            one[lane].wrapping_add(big_0).wrapping_add(majority)
        });
    }
    for (word, more) in state.iter_mut().zip(names) {
        *word = each(|lane| word[lane].wrapping_add(more[lane]));
    }
}

#[inline(always)]
fn each(word: impl Fn(usize) -> u64) -> Words {
    std::array::from_fn(word)
}

/// The first 64 bits of the fractional parts of the square roots of the ninth to the sixteenth prime (section 5.3.4).
const INITIAL: [u64; 8] = [
    0xcbbb_9d5d_c105_9ed8,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31,
    0x8eb4_4a87_6858_1511,
    0xdb0c_2e0d_64f9_8fa7,
    0x47b5_481d_befa_4fa4,
];

/// The same of the cube roots of the first eighty primes (section 4.2.3).
const CONSTANTS: [u64; ROUNDS] = [
    0x428a_2f98_d728_ae22,
    0x7137_4491_23ef_65cd,
    0xb5c0_fbcf_ec4d_3b2f,
    0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538,
    0x59f1_11f1_b605_d019,
    0x923f_82a4_af19_4f9b,
    0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242,
    0x1283_5b01_4570_6fbe,
    0x2431_85be_4ee4_b28c,
    0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f,
    0x80de_b1fe_3b16_96b1,
    0x9bdc_06a7_25c7_1235,
    0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2,
    0xefbe_4786_384f_25e3,
    0x0fc1_9dc6_8b8c_d5b5,
    0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275,
    0x4a74_84aa_6ea6_e483,
    0x5cb0_a9dc_bd41_fbd4,
    0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab,
    0xa831_c66d_2db4_3210,
    0xb003_27c8_98fb_213f,
    0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2,
    0xd5a7_9147_930a_a725,
    0x06ca_6351_e003_826f,
    0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc,
    0x2e1b_2138_5c26_c926,
    0x4d2c_6dfc_5ac4_2aed,
    0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de,
    0x766a_0abb_3c77_b2a8,
    0x81c2_c92e_47ed_aee6,
    0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364,
    0xa81a_664b_bc42_3001,
    0xc24b_8b70_d0f8_9791,
    0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218,
    0xd699_0624_5565_a910,
    0xf40e_3585_5771_202a,
    0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8,
    0x1e37_6c08_5141_ab53,
    0x2748_774c_df8e_eb99,
    0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63,
    0x4ed8_aa4a_e341_8acb,
    0x5b9c_ca4f_7763_e373,
    0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc,
    0x78a5_636f_4317_2f60,
    0x84c8_7814_a1f0_ab72,
    0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28,
    0xa450_6ceb_de82_bde9,
    0xbef9_a3f7_b2c6_7915,
    0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c,
    0xd186_b8c7_21c0_c207,
    0xeada_7dd6_cde0_eb1e,
    0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba,
    0x0a63_7dc5_a2c8_98a6,
    0x113f_9804_bef9_0dae,
    0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84,
    0x32ca_ab7b_40c7_2493,
    0x3c9e_be0a_15c9_bebc,
    0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6,
    0x597f_299c_fc65_7e2a,
    0x5fcb_6fab_3ad6_faec,
    0x6c44_198c_4a47_5817,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pages_have_the_digests_that_each_has() {
        let mut seed = 1_u64;
        let mut byte = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8
        };
        let mut pages: Vec<Vec<u8>> = (0..27).map(|_| (0..PAGE).map(|_| byte()).collect()).collect();
        pages[3] = vec![0; PAGE as usize];
        pages[9] = vec![0xff; PAGE as usize];
        // What is no whole page is hashed all the same.
        pages[20].truncate(100);
        let pages: Vec<&[u8]> = pages.iter().map(Vec::as_slice).collect();
        let expected: Vec<[u8; 48]> = pages.iter().map(|page| one(page)).collect();
        assert_eq!(sha384_of_pages(&pages), expected);
    }
}
