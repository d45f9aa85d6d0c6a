//! Where inodes go: whatever fits a block is in one block, so that what is beside an inode is not divided.

use std::collections::BTreeMap;

use super::options::BLOCK;

/// What an inode begins at a multiple of, and what numbers of inodes count.
pub(super) const SLOT: u64 = 32;
/// Where the first inode can be: an inode whose number is zero is none to some programs.
const FIRST: u64 = 2 * SLOT;

/// Gives out room in a sequence of blocks.
pub(super) struct Allocation {
    end: u64,
    /// Where the last of what has a place ends.
    taken: u64,
    /// Room that is left in blocks: its size, and where it begins.
    open: BTreeMap<u64, Vec<u64>>,
}

impl Allocation {
    pub(super) fn new() -> Allocation {
        Allocation {
            end: BLOCK as u64,
            taken: FIRST,
            open: BTreeMap::from([(BLOCK as u64 - FIRST, vec![FIRST])]),
        }
    }

    /// Returns the place of `len` bytes: in the fullest block that has room for them, or in new ones.
    pub(super) fn place(&mut self, len: usize) -> u64 {
        let len = (len as u64).next_multiple_of(SLOT);
        let found = self.open.range_mut(len..).next().map(|(room, starts)| {
            let start = starts.pop().expect("what has no start left is taken out");
            (*room, start, starts.is_empty())
        });
        let (room, start) = match found {
            Some((room, start, is_last)) => {
                if is_last {
                    self.open.remove(&room);
                }
                (room, start)
            }
            None => {
                let start = self.end;
                let room = len.next_multiple_of(BLOCK as u64);
                self.end += room;
                (room, start)
            }
        };
        if room > len {
            self.open.entry(room - len).or_default().push(start + len);
        }
        self.taken = self.taken.max(start + len);
        start
    }

    /// Returns the size of everything. The last inode does not end where the image does: `fsck.erofs` looks behind each
    /// for the head of its attributes, also if it has none.
    pub(super) fn len(&self) -> u64 {
        self.end.max((self.taken + SLOT).next_multiple_of(BLOCK as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_a_block_is_in_one() {
        let mut allocation = Allocation::new();
        let mut taken = Vec::new();
        let mut state = 1_u32;
        for _ in 0..2000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let len = (state >> 19) as usize % 6000 + 1;
            let start = allocation.place(len);
            assert_eq!(start % SLOT, 0);
            let block = |at: u64| at / BLOCK as u64;
            if len <= BLOCK {
                assert_eq!(block(start), block(start + len as u64 - 1));
            }
            taken.push((start, start + len as u64));
        }
        taken.sort_unstable();
        assert!(taken[0].0 >= FIRST);
        assert!(taken.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        assert!(taken.last().unwrap().1 <= allocation.len());
        let used: u64 = taken.iter().map(|(start, end)| end - start).sum();
        assert!(used * 10 > allocation.len() * 8, "{used} of {}", allocation.len());
    }
}
