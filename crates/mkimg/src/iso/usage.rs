//! What each file takes: its sectors.

use std::collections::BTreeSet;

use layer::ReadAt;

use super::SECTOR;
use super::error::ReadError;
use super::read::{Reader, View};
use super::walk::Content;
use crate::usage::{Basis, FileUsage, Usage};

impl<R: ReadAt> Reader<R> {
    /// Returns what takes up the image. What machines start from and is in no file counts as metadata.
    pub(crate) fn usage(&self) -> Result<Usage, ReadError> {
        let view =
            if self.has(View::RockRidge) || !self.has(View::Joliet) { View::RockRidge } else { View::Joliet };
        let mut usage = Usage::new(self.image_size(), Basis::Plain);
        let mut starts = BTreeSet::new();
        self.walk(view, &mut |visited| {
            let path = visited.path.strip_prefix(b"/").unwrap_or(visited.path).to_vec();
            let Content::File(extents) = &visited.entry.content else {
                if let Content::Directory(_) = visited.entry.content {
                    usage.directories.push(path);
                }
                return Ok(());
            };
            let (mut size, mut stored) = (0_u64, 0_u64);
            let mut is_new = extents.is_empty();
            for extent in extents {
                let n_bytes = u64::from(extent.size);
                size = size.saturating_add(n_bytes);
                // Names of one file, and files with the same contents, have the same sectors.
                if n_bytes == 0 || starts.insert(extent.sector) {
                    is_new = true;
                    stored = stored.saturating_add(n_bytes.next_multiple_of(SECTOR as u64));
                }
            }
            let is_further_name = visited.entry.links > 1 && !is_new;
            usage.files.push(FileUsage { path, size, stored, is_further_name });
            Ok(())
        })?;
        Ok(usage)
    }
}
