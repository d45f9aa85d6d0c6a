//! Whether a filter for branches would change a block.
//!
//! A filter that changes nothing makes a result that is no smaller than without it, so it need not be tried: of text
//! and of code for other processors, three tries become one. The conditions are those of the filters in xz, or wider.

use super::options::Bcj;

/// Returns `false` only if `filter` leaves `block` as it is.
pub(super) fn may_change(filter: Bcj, block: &[u8]) -> bool {
    let words = || block.chunks_exact(4);
    match filter {
        // A call or jump whose distance is near zero, that is, whose highest byte is all zeros or all ones.
        Bcj::X86 => block.windows(5).any(|code| code[0] & 0xfe == 0xe8 && matches!(code[4], 0 | 0xff)),
        Bcj::PowerPc => words().any(|code| code[0] >> 2 == 0x12 && code[3] & 3 == 1),
        Bcj::Arm => words().any(|code| code[3] == 0xeb),
        Bcj::ArmThumb => {
            let halves = || block.chunks_exact(2);
            halves()
                .zip(halves().skip(1))
                .any(|(first, second)| first[1] & 0xf8 == 0xf0 && second[1] & 0xf8 == 0xf8)
        }
        Bcj::Sparc => words()
            .any(|code| code[0] == 0x40 && code[1] & 0xc0 == 0 || code[0] == 0x7f && code[1] & 0xc0 == 0xc0),
        // `bl`, whose six highest bits are 100101, and `adrp`: 1..10000.
        Bcj::Arm64 => words().any(|code| code[3] & 0xfc == 0x94 || code[3] & 0x9f == 0x90),
        // Their instructions are not at multiples of four, or are of several forms.
        Bcj::Ia64 | Bcj::RiscV => true,
    }
}

#[cfg(test)]
mod tests {
    use liblzma::stream::{Action, Filters, LzmaOptions, Stream};

    use super::*;
    use crate::squashfs::pack::add_filter;

    /// The output of LZMA2 alone and with the filter in front: the same if the filter did nothing.
    fn is_changed(filter: Bcj, block: &[u8]) -> bool {
        let options = LzmaOptions::new_preset(0).unwrap();
        let encode = |filters: &Filters| {
            let mut out = Vec::with_capacity(block.len() * 2 + 1000);
            let mut stream = Stream::new_raw_encoder(filters).unwrap();
            stream.process_vec(block, &mut out, Action::Finish).unwrap();
            out
        };
        let (mut plain, mut filtered) = (Filters::new(), Filters::new());
        plain.lzma2(&options);
        add_filter(&mut filtered, filter);
        filtered.lzma2(&options);
        encode(&plain) != encode(&filtered)
    }

    #[test]
    fn what_is_left_out_would_change_nothing() {
        let mut state = 1_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        // Bytes that mean something to one filter or the other, so that blocks of both kinds come up.
        let telling = [0, 0xff, 0xe8, 0xe9, 0xeb, 0xf0, 0xf8, 0x48, 0x40, 0x7f, 0xc0, 0x94, 0x90, 1];
        let mut left_out = 0;
        for round in 0..6000 {
            let length = 5 + usize::from(next()) % 60;
            let block: Vec<u8> = (0..length)
                .map(|_| if round % 3 == 0 { next() } else { telling[usize::from(next()) % telling.len()] })
                .collect();
            for filter in Bcj::ALL {
                if !may_change(filter, &block) {
                    left_out += 1;
                    assert!(!is_changed(filter, &block), "{filter:?} {block:02x?}");
                }
            }
        }
        assert!(left_out > 1000, "{left_out}");
    }
}
