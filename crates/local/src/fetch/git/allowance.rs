//! What a commit may come to: a few kilobytes can say that they are terabytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::most_unpacked;

/// What came for a commit and its submodules, and what was made of it so far. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowance(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    n_came: AtomicU64,
    n_kept: AtomicU64,
    n_taken: AtomicU64,
}

impl Allowance {
    /// So much may be taken for each byte that may be kept, to make objects out of others: mostly it is three times as much
    /// as they have.
    const TAKEN_FOR_KEPT: u64 = 10;

    /// Counts packs that came, of so many bytes.
    pub(super) fn came(&self, n_bytes: u64) {
        self.0.n_came.fetch_add(n_bytes, Ordering::Relaxed);
    }

    /// Counts what is kept, files and links. Fails with how many bytes that may be if it is more.
    pub(super) fn keep(&self, n_bytes: u64) -> Result<(), u64> {
        counted(&self.0.n_kept, n_bytes, most_unpacked(self.0.n_came.load(Ordering::Relaxed)))
    }

    /// Counts the memory that it took to make an object out of others. Fails as [`Allowance::keep`].
    pub(super) fn take(&self, n_bytes: u64) -> Result<(), u64> {
        let most = most_unpacked(self.0.n_came.load(Ordering::Relaxed)).saturating_mul(Self::TAKEN_FOR_KEPT);
        counted(&self.0.n_taken, n_bytes, most)
    }
}

fn counted(count: &AtomicU64, n_bytes: u64, most: u64) -> Result<(), u64> {
    if count.fetch_add(n_bytes, Ordering::Relaxed).saturating_add(n_bytes) <= most {
        Ok(())
    } else {
        Err(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_counted_together() {
        let allowance = Allowance::default();
        allowance.came(5 << 20);
        // 1 GiB whatever came.
        assert_eq!(allowance.clone().keep(1 << 30), Ok(()));
        assert_eq!(allowance.keep(1), Err(1 << 30));
        allowance.came(15 << 20);
        let most = (20 << 20) * 100;
        assert_eq!(allowance.keep(most - (1 << 30) - 1), Ok(()));
        assert_eq!(allowance.keep(1), Err(most));
        assert_eq!(allowance.take(10 * most), Ok(()));
        assert_eq!(allowance.take(1), Err(10 * most));
    }
}
