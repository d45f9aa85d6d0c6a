//! SHA-384 of many pages at once (FIPS 180-4, sections 4.1.3, 5.3.4 and 6.4).
//!
//! One page after the other takes twice as long as what is wanted of a core, and pages have nothing to do with each other:
//! where the processor has registers of eight words (AVX-512), eight pages are hashed side by side, a word of each in every
//! register. The rest, and everything on other processors, is left to `sha2`.

use sha2::{Digest as _, Sha384};

use crate::file::PAGE;

/// How many pages are hashed side by side.
const LANES: usize = 8;
/// How many bytes a block has.
const BLOCK: usize = 128;

/// Returns the SHA-384 of each of some pages, which have [`PAGE`] bytes.
pub(super) fn sha384_of_pages(pages: &[&[u8]]) -> Vec<[u8; 48]> {
    let mut digests = Vec::with_capacity(pages.len());
    for group in pages.chunks(LANES) {
        match group.try_into() {
            Ok(group) if has_wide_registers() => digests.extend(side_by_side(group)),
            _ => digests.extend(group.iter().map(|page| <[u8; 48]>::from(Sha384::digest(page)))),
        }
    }
    digests
}

#[cfg(target_arch = "x86_64")]
fn has_wide_registers() -> bool {
    std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bw")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_wide_registers() -> bool {
    false
}

/// A word of each page.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Words([u64; LANES]);

impl Words {
    #[inline(always)]
    fn map(self, of: impl Fn(u64) -> u64) -> Words {
        Words(self.0.map(of))
    }

    #[inline(always)]
    fn with(mut self, other: Words, of: impl Fn(u64, u64) -> u64) -> Words {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word = of(*word, other);
        }
        self
    }

    #[inline(always)]
    fn plus(self, other: Words) -> Words {
        self.with(other, u64::wrapping_add)
    }
}

fn side_by_side(pages: &[&[u8]; LANES]) -> [[u8; 48]; LANES] {
    let mut state = INITIAL.map(|word| Words([word; LANES]));
    for at in (0..PAGE as usize).step_by(BLOCK) {
        compress(&mut state, &pages.map(|page| page.get(at..).unwrap_or_default()));
    }
    // What is behind a page is the same for all: a bit, zeros, and how many bits there were.
    let mut last = [0; BLOCK];
    last[0] = 0x80;
    last[BLOCK - 8..].copy_from_slice(&(PAGE * 8).to_be_bytes());
    compress(&mut state, &[&last; LANES]);
    std::array::from_fn(|lane| {
        let mut digest = [0; 48];
        for (bytes, words) in digest.chunks_exact_mut(8).zip(&state) {
            bytes.copy_from_slice(&words.0[lane].to_be_bytes());
        }
        digest
    })
}

/// Takes the block that each of `blocks` begins with into the state.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq"))]
fn compress(state: &mut [Words; 8], blocks: &[&[u8]; LANES]) {
    let mut schedule = [Words([0; LANES]); 16];
    for (lane, block) in blocks.iter().enumerate() {
        for (words, bytes) in schedule.iter_mut().zip(block.chunks_exact(8)) {
            words.0[lane] = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (part, constants) in CONSTANTS.chunks_exact(16).enumerate() {
        for (t, constant) in constants.iter().enumerate() {
            if part > 0 {
                let low = schedule[(t + 1) % 16].map(|x| x.rotate_right(1) ^ x.rotate_right(8) ^ x >> 7);
                let high = schedule[(t + 14) % 16].map(|x| x.rotate_right(19) ^ x.rotate_right(61) ^ x >> 6);
                schedule[t] = schedule[t].plus(low).plus(schedule[(t + 9) % 16]).plus(high);
            }
            let sum = e.map(|x| x.rotate_right(14) ^ x.rotate_right(18) ^ x.rotate_right(41));
            let choice = e.with(f.with(g, |f, g| f ^ g), |e, either| e & either).with(g, |x, g| x ^ g);
            let first = h.plus(sum).plus(choice).plus(schedule[t].map(|word| word.wrapping_add(*constant)));
            let sum = a.map(|x| x.rotate_right(28) ^ x.rotate_right(34) ^ x.rotate_right(39));
            let both = a.with(b, |a, b| a & b);
            let majority = c.with(a.with(b, |a, b| a | b), |c, one| c & one).with(both, |x, both| x | both);
            (h, g, f, e) = (g, f, e, d.plus(first));
            (d, c, b, a) = (c, b, a, first.plus(sum).plus(majority));
        }
    }
    for (words, add) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *words = words.plus(add);
    }
}

#[rustfmt::skip]
const INITIAL: [u64; 8] = [
    0xcbbb_9d5d_c105_9ed8, 0x629a_292a_367c_d507, 0x9159_015a_3070_dd17, 0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31, 0x8eb4_4a87_6858_1511, 0xdb0c_2e0d_64f9_8fa7, 0x47b5_481d_befa_4fa4,
];

#[rustfmt::skip]
const CONSTANTS: [u64; 80] = [
    0x428a_2f98_d728_ae22, 0x7137_4491_23ef_65cd, 0xb5c0_fbcf_ec4d_3b2f, 0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538, 0x59f1_11f1_b605_d019, 0x923f_82a4_af19_4f9b, 0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242, 0x1283_5b01_4570_6fbe, 0x2431_85be_4ee4_b28c, 0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f, 0x80de_b1fe_3b16_96b1, 0x9bdc_06a7_25c7_1235, 0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2, 0xefbe_4786_384f_25e3, 0x0fc1_9dc6_8b8c_d5b5, 0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275, 0x4a74_84aa_6ea6_e483, 0x5cb0_a9dc_bd41_fbd4, 0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab, 0xa831_c66d_2db4_3210, 0xb003_27c8_98fb_213f, 0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2, 0xd5a7_9147_930a_a725, 0x06ca_6351_e003_826f, 0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc, 0x2e1b_2138_5c26_c926, 0x4d2c_6dfc_5ac4_2aed, 0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de, 0x766a_0abb_3c77_b2a8, 0x81c2_c92e_47ed_aee6, 0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364, 0xa81a_664b_bc42_3001, 0xc24b_8b70_d0f8_9791, 0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218, 0xd699_0624_5565_a910, 0xf40e_3585_5771_202a, 0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8, 0x1e37_6c08_5141_ab53, 0x2748_774c_df8e_eb99, 0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63, 0x4ed8_aa4a_e341_8acb, 0x5b9c_ca4f_7763_e373, 0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc, 0x78a5_636f_4317_2f60, 0x84c8_7814_a1f0_ab72, 0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28, 0xa450_6ceb_de82_bde9, 0xbef9_a3f7_b2c6_7915, 0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c, 0xd186_b8c7_21c0_c207, 0xeada_7dd6_cde0_eb1e, 0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba, 0x0a63_7dc5_a2c8_98a6, 0x113f_9804_bef9_0dae, 0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84, 0x32ca_ab7b_40c7_2493, 0x3c9e_be0a_15c9_bebc, 0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6, 0x597f_299c_fc65_7e2a, 0x5fcb_6fab_3ad6_faec, 0x6c44_198c_4a47_5817,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(n_pages: u64) -> Vec<Vec<u8>> {
        let page = |seed: u64| (0..PAGE).map(|at| (at.wrapping_mul(seed * 2 + 1) >> 3) as u8).collect();
        (0..n_pages).map(page).collect()
    }

    fn one_by_one(pages: &[&[u8]]) -> Vec<[u8; 48]> {
        pages.iter().map(|page| Sha384::digest(page).into()).collect()
    }

    #[test]
    fn any_number_of_pages() {
        for n_pages in [0, 1, 7, 8, 9, 16, 29] {
            let pages = pages(n_pages);
            let pages: Vec<&[u8]> = pages.iter().map(Vec::as_slice).collect();
            assert_eq!(sha384_of_pages(&pages), one_by_one(&pages), "{n_pages} pages");
        }
    }

    /// Without registers for it, too.
    #[test]
    fn eight_pages_side_by_side() {
        let pages = pages(LANES as u64);
        let pages: [&[u8]; LANES] = std::array::from_fn(|lane| &pages[lane][..]);
        assert_eq!(side_by_side(&pages)[..], one_by_one(&pages));
    }
}
