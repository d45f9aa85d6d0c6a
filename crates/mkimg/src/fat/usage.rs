//! What each file takes: its clusters.

use layer::ReadAt;

use super::error::ReadError;
use super::read::Reader;
use crate::usage::{Basis, FileUsage, Usage};

impl<R: ReadAt> Reader<R> {
    /// Returns what takes up the file system.
    pub(crate) fn usage(&self) -> Result<Usage, ReadError> {
        let cluster = self.boot().cluster_len();
        let size = u64::from(self.boot().sectors) * u64::from(self.boot().sector_size);
        let mut usage = Usage::new(size, Basis::Allocated);
        self.walk(&mut |visited| {
            let path = visited.path.trim_start_matches('/').as_bytes().to_vec();
            let Some(data) = &visited.data else {
                usage.directories.push(path);
                return Ok(());
            };
            let n_clusters: u64 = data.runs.iter().map(|run| u64::from(run.length)).sum();
            let stored = n_clusters * cluster;
            usage.files.push(FileUsage { path, size: data.size(), stored, is_further_name: false });
            Ok(())
        })?;
        let mut n_free = 0;
        for number in 0..self.boot().clusters {
            n_free += u64::from(self.entry(number + 2)? == 0);
        }
        usage.free = n_free * cluster;
        Ok(usage)
    }
}
