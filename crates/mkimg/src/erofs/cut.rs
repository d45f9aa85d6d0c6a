//! Cuts what LZ4 made to the size of a cluster.
//!
//! A block of LZ4 (`lz4_Block_format.md`) is a list of sequences: some literal bytes, then a repetition of earlier ones.
//! Whatever ends with literals is a block by itself, so one that is too long can end behind any of its repetitions. The
//! decoder of Linux relies on two rules: the last five bytes are literals, and the last repetition begins twelve bytes
//! before the end.

/// How many literals come last.
const LAST_LITERALS: usize = 5;
/// How far before the end the last repetition begins.
const LAST_MATCH: usize = 12;
const SHORTEST_MATCH: usize = 4;
/// From here on a length goes on in further bytes.
const LONG: usize = 15;

/// Where a block can end.
#[derive(Clone, Copy)]
struct End {
    /// How much of the block is left.
    packed: usize,
    /// How much of the input that is.
    input: usize,
    n_literals: usize,
}

/// Shortens `packed`, which LZ4 made of `input` and which is longer than `limit`, to `limit` bytes at most. Returns how
/// much of the input it holds then: nothing if that is no repetition.
pub(super) fn cut(packed: &mut Vec<u8>, input: &[u8], limit: usize) -> usize {
    let mut best = None;
    let (mut at, mut from) = (0, 0);
    while let Some(sequence) = Sequence::read(packed, at) {
        at = sequence.end;
        from += sequence.n_literals + sequence.n_repeated;
        if at >= limit {
            break;
        }
        let n_literals = literals_within(limit - at).min(input.len() - from);
        let least = LAST_LITERALS.max(LAST_MATCH.saturating_sub(sequence.n_repeated));
        if n_literals >= least {
            best = Some(End { packed: at, input: from, n_literals });
        }
    }
    let Some(end) = best else { return 0 };
    packed.truncate(end.packed);
    put_literals(packed, &input[end.input..end.input + end.n_literals]);
    end.input + end.n_literals
}

/// A sequence that has a repetition.
struct Sequence {
    n_literals: usize,
    n_repeated: usize,
    /// Where the next one begins.
    end: usize,
}

impl Sequence {
    /// Reads the sequence at `at`; the last one has no repetition.
    fn read(packed: &[u8], mut at: usize) -> Option<Sequence> {
        let token = usize::from(*packed.get(at)?);
        at += 1;
        let n_literals = read_length(packed, &mut at, token >> 4)?;
        // The distance to what is repeated takes two bytes.
        at += n_literals + 2;
        if at > packed.len() {
            return None;
        }
        let n_repeated = read_length(packed, &mut at, token & LONG)? + SHORTEST_MATCH;
        Some(Sequence { n_literals, n_repeated, end: at })
    }
}

/// Reads what follows the four bits of a length in a token.
fn read_length(packed: &[u8], at: &mut usize, short: usize) -> Option<usize> {
    let mut length = short;
    if short == LONG {
        loop {
            let more = *packed.get(*at)?;
            *at += 1;
            length += usize::from(more);
            if more < 255 {
                break;
            }
        }
    }
    Some(length)
}

/// Returns how many literals a sequence of `room` bytes can have.
fn literals_within(room: usize) -> usize {
    let Some(room_beyond) = room.checked_sub(LONG + 2) else { return room.saturating_sub(1).min(LONG - 1) };
    // Of every 256 bytes one says that there are 255 more, and there is one that ends these.
    LONG + room_beyond - room_beyond / 256 - usize::from(room_beyond % 256 == 255)
}

fn put_literals(packed: &mut Vec<u8>, literals: &[u8]) {
    packed.push((literals.len().min(LONG) << 4) as u8);
    if let Some(mut rest) = literals.len().checked_sub(LONG) {
        while rest >= 255 {
            packed.push(255);
            rest -= 255;
        }
        packed.push(rest as u8);
    }
    packed.extend_from_slice(literals);
}

#[cfg(test)]
mod tests {
    use lz4::block::{CompressionMode, compress, decompress};

    use super::*;

    /// Text of few different bytes, with runs and long literals.
    fn input(seed: u32) -> Vec<u8> {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize
        };
        let mut bytes = Vec::new();
        while bytes.len() < 40_000 {
            match next() % 4 {
                0 => bytes.extend((0..next() % 700).map(|_| next() as u8)),
                1 => bytes.extend(std::iter::repeat_n(next() as u8, next() % 3000)),
                _ => {
                    let start = next() % (bytes.len() + 1);
                    let again = bytes[start..].iter().take(next() % 60).copied().collect::<Vec<_>>();
                    bytes.extend(again);
                }
            }
        }
        bytes
    }

    #[test]
    fn what_is_cut_unpacks_to_the_beginning() {
        for seed in 0..20 {
            let input = input(seed);
            for mode in [CompressionMode::DEFAULT, CompressionMode::HIGHCOMPRESSION(9)] {
                let whole = compress(&input, Some(mode), false).unwrap();
                // What is not too long is not cut.
                let limits = [0, 1, 20, 100, 300, 2048, 4096, 8192];
                for limit in limits.into_iter().filter(|limit| *limit < whole.len()) {
                    let mut packed = whole.clone();
                    let n_input = cut(&mut packed, &input, limit);
                    if n_input == 0 {
                        assert!(limit < 2048);
                        continue;
                    }
                    assert!(packed.len() <= limit);
                    let found = decompress(&packed, Some(n_input as i32)).unwrap();
                    assert!(found == input[..n_input], "{seed} {limit}");
                    if limit >= 2048 {
                        // Long literals or a repetition may be all that is left out.
                        assert!(packed.len() + 800 > limit, "{} of {limit}", packed.len());
                    }
                }
            }
        }
    }

    /// Returns how many bytes a sequence of so many literals takes.
    fn literals_len(n_literals: usize) -> usize {
        let more = if n_literals < LONG { 0 } else { 1 + (n_literals - LONG) / 255 };
        1 + more + n_literals
    }

    #[test]
    fn literals_fill_the_room() {
        for room in 1..3000 {
            let n_literals = literals_within(room);
            let mut packed = Vec::new();
            put_literals(&mut packed, &vec![b'a'; n_literals]);
            assert_eq!(packed.len(), literals_len(n_literals));
            assert!(packed.len() <= room && literals_len(n_literals + 1) > room, "{room}");
        }
    }
}
