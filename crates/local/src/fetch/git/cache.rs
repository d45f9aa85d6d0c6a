//! Objects that are kept because others may be made of them.

use std::collections::VecDeque;

use gix_object::Kind;
use gix_pack::cache::DecodeEntry;

/// How many are kept at most, and how many bytes of them.
const MOST: usize = 64;
const MOST_BYTES: usize = 64 << 20;

/// The objects of packs that were made of others last, the one used last first.
#[derive(Default)]
pub(super) struct Cache {
    kept: VecDeque<Kept>,
    n_bytes: usize,
}

struct Kept {
    place: (u32, u64),
    kind: Kind,
    compressed_size: usize,
    data: Vec<u8>,
}

impl DecodeEntry for Cache {
    fn put(&mut self, pack_id: u32, offset: u64, data: &[u8], kind: Kind, compressed_size: usize) {
        if data.len() > MOST_BYTES {
            return;
        }
        while self.kept.len() == MOST || self.n_bytes + data.len() > MOST_BYTES {
            let Some(oldest) = self.kept.pop_back() else { break };
            self.n_bytes -= oldest.data.len();
        }
        self.n_bytes += data.len();
        self.kept.push_front(Kept { place: (pack_id, offset), kind, compressed_size, data: data.to_vec() });
    }

    fn get(&mut self, pack_id: u32, offset: u64, out: &mut Vec<u8>) -> Option<(Kind, usize)> {
        let at = self.kept.iter().position(|kept| kept.place == (pack_id, offset))?;
        let found = self.kept.remove(at)?;
        out.clear();
        out.extend_from_slice(&found.data);
        let answer = (found.kind, found.compressed_size);
        self.kept.push_front(found);
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_long_makes_room() {
        let mut cache = Cache::default();
        let mut out = vec![1];
        for offset in 0..MOST as u64 {
            cache.put(1, offset, &offset.to_le_bytes(), Kind::Blob, 7);
        }
        assert_eq!(cache.get(1, 0, &mut out), Some((Kind::Blob, 7)));
        assert_eq!(out, 0_u64.to_le_bytes());
        cache.put(2, 0, b"another", Kind::Tree, 3);
        assert_eq!(cache.get(1, 1, &mut out), None);
        assert_eq!(cache.get(2, 0, &mut out), Some((Kind::Tree, 3)));
        assert_eq!(out, b"another");
        // One that is large leaves room for few.
        cache.put(3, 0, &vec![5; MOST_BYTES - 8], Kind::Blob, 1);
        assert_eq!(cache.get(2, 0, &mut out), Some((Kind::Tree, 3)));
        assert_eq!((cache.kept.len(), cache.n_bytes), (2, MOST_BYTES - 1));
        cache.put(4, 0, &vec![5; MOST_BYTES + 1], Kind::Blob, 1);
        assert_eq!(cache.get(4, 0, &mut out), None);
        cache.put(5, 0, &vec![5; MOST_BYTES], Kind::Blob, 1);
        assert_eq!((cache.kept.len(), cache.n_bytes), (1, MOST_BYTES));
    }
}
