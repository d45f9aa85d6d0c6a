//! Checking a whole file system: nothing belongs to two files, nothing is lost, and all copies agree.

use layer::ReadAt;

use super::boot::{Info, LEN};
use super::error::ReadError;
use super::geometry::ENTRY_LEN;
use super::image::Run;
use super::options::Kind;
use super::read::{Link, Reader};

/// How much of two tables is compared at once.
const PIECE: usize = 1 << 18;

/// A set of clusters.
struct Clusters {
    bits: Vec<u64>,
}

impl Clusters {
    fn new(n_clusters: u32) -> Clusters {
        Clusters { bits: vec![0; (n_clusters as usize + 2).div_ceil(64)] }
    }

    /// Adds a cluster, and returns whether it is new.
    fn insert(&mut self, cluster: u32) -> bool {
        let (word, bit) = (&mut self.bits[cluster as usize / 64], 1 << (cluster % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn has(&self, cluster: u32) -> bool {
        self.bits[cluster as usize / 64] & 1 << (cluster % 64) != 0
    }
}

impl<R: ReadAt> Reader<R> {
    /// Checks all that can be checked. Fails with the first contradiction.
    pub fn check(&self) -> Result<(), ReadError> {
        let boot = self.boot();
        self.check_tables()?;
        let mut used = Clusters::new(boot.clusters);
        let mut add = |runs: &[Run], what: &str| {
            for cluster in runs.iter().flat_map(|run| run.start..run.start + run.length) {
                if !used.insert(cluster) {
                    let problem = format!("cluster {cluster} belongs to another file, too");
                    return Err(ReadError::corrupt(what, problem));
                }
            }
            Ok(())
        };
        let most = (super::directory::MOST_ENTRIES * ENTRY_LEN).div_ceil(boot.cluster_len());
        if boot.kind == Kind::Fat32 {
            add(&self.chain(boot.root_cluster, most, "/")?, "/")?;
        }
        self.label()?;
        self.walk(&mut |visit| match &visit.data {
            Some(data) => add(&data.runs, &visit.path),
            None => add(&self.chain(visit.cluster, most, &visit.path)?, &visit.path),
        })?;
        let mut free = 0;
        for cluster in 2..boot.clusters + 2 {
            match self.link(cluster)? {
                Link::Free => free += 1,
                Link::Bad => {}
                Link::Next(_) | Link::End if used.has(cluster) => {}
                Link::Next(_) | Link::End => {
                    return Err(ReadError::corrupt(
                        format_args!("cluster {cluster}"),
                        "it belongs to no file",
                    ));
                }
            }
        }
        self.check_copies(free)
    }

    fn check_tables(&self) -> Result<(), ReadError> {
        let boot = self.boot();
        let marks = match boot.kind {
            Kind::Fat12 => [0xf00 | u32::from(boot.media), 0xfff],
            Kind::Fat16 => [0xff00 | u32::from(boot.media), 0xffff],
            Kind::Fat32 => [0x0fff_ff00 | u32::from(boot.media), 0x0fff_ffff],
        };
        if [self.entry(0)?, self.entry(1)?] != marks {
            return Err(ReadError::corrupt("the table", "it does not begin with its marks"));
        }
        let len = u64::from(boot.sectors_per_table) * u64::from(boot.sector_size);
        let (mut first, mut other) = (vec![0; PIECE], vec![0; PIECE]);
        for table in 1..boot.tables {
            let mut at = 0;
            while at < len {
                let part = PIECE.min((len - at) as usize);
                self.read_at(boot.table_offset(0) + at, &mut first[..part])?;
                self.read_at(boot.table_offset(table) + at, &mut other[..part])?;
                if first[..part] != other[..part] {
                    return Err(ReadError::corrupt("the table", "its copies differ"));
                }
                at += part as u64;
            }
        }
        Ok(())
    }

    /// Checks what FAT32 has besides.
    fn check_copies(&self, free: u32) -> Result<(), ReadError> {
        let boot = self.boot();
        let sector = |number: u16| {
            let mut bytes = [0; LEN];
            self.read_at(u64::from(number) * u64::from(boot.sector_size), &mut bytes)?;
            Ok(bytes)
        };
        if boot.backup != 0 && sector(boot.backup)? != sector(0)? {
            return Err(ReadError::corrupt("the boot sector", "its copy differs"));
        }
        if boot.info != 0 {
            let corrupt = |problem: &str| Err(ReadError::corrupt("the sector of what is free", problem));
            match Info::decode(&sector(boot.info)?) {
                None => return corrupt("its marks are missing"),
                // All ones say that nobody knows.
                Some(info) if info.free != u32::MAX && info.free != free => {
                    return corrupt(&format!("it says {} clusters, and {free} are free", info.free));
                }
                Some(info) if info.next != u32::MAX && !self.has(info.next) => {
                    return corrupt("it leads outside");
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
