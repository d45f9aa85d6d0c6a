//! Reading: the boot sector, the table, chains of clusters, contents.

use std::cell::RefCell;

use layer::ReadAt;

use super::boot::{BootSector, LEN};
use super::error::ReadError;
use super::geometry::ENTRY_LEN;
use super::image::Run;
use super::options::Kind;
use crate::bytes::{get_u16, get_u32};

/// How much of the table is kept at hand: little, since a chain can lead to another place with each step.
const PAGE: u64 = 4096;

/// A FAT file system that is read. It trusts nothing that the image says.
pub struct Reader<R> {
    image: R,
    boot: BootSector,
    page: RefCell<Page>,
}

/// A part of the first table.
#[derive(Default)]
struct Page {
    start: u64,
    bytes: Vec<u8>,
}

/// What the table says of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Free,
    Next(u32),
    End,
    Bad,
}

/// The contents of a file: the clusters that they are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    pub(super) runs: Vec<Run>,
    /// Where in the file each of them ends.
    ends: Vec<u64>,
    size: u64,
}

impl Data {
    fn new(runs: Vec<Run>, size: u64, cluster_len: u64) -> Data {
        let mut end = 0;
        let ends = runs.iter().map(|run| {
            end += u64::from(run.length) * cluster_len;
            end
        });
        Data { ends: ends.collect(), runs, size }
    }

    /// Returns how many bytes there are.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl<R: ReadAt> Reader<R> {
    /// Opens a file system. Fails if its boot sector is none, or contradicts itself or the image's size.
    pub fn open(image: R) -> Result<Reader<R>, ReadError> {
        let io = |source| ReadError::Io { offset: 0, length: LEN, source };
        let size = image.size().map_err(io)?;
        let mut bytes = [0; LEN];
        if size >= LEN as u64 {
            image.read_exact_at(&mut bytes, 0).map_err(io)?;
        }
        let boot = BootSector::decode(&bytes, size)?;
        Ok(Reader { image, boot, page: RefCell::default() })
    }

    /// Returns what the boot sector says.
    pub fn boot(&self) -> &BootSector {
        &self.boot
    }

    /// Fills the buffer with what is at an offset of the image.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let length = buffer.len();
        self.image.read_exact_at(buffer, offset).map_err(|source| ReadError::Io { offset, length, source })
    }

    /// Returns the entry of the first table for `cluster`, as it is stored.
    pub(super) fn entry(&self, cluster: u32) -> Result<u32, ReadError> {
        let at = match self.boot.kind {
            Kind::Fat12 => u64::from(cluster) * 3 / 2,
            Kind::Fat16 => u64::from(cluster) * 2,
            Kind::Fat32 => u64::from(cluster) * 4,
        };
        let mut page = self.page.borrow_mut();
        let is_there = page.start <= at && at + 4 <= page.start + page.bytes.len() as u64;
        if !is_there {
            // The last entries may need bytes of what follows the table, which are masked away.
            let start = at - at % PAGE;
            let offset = self.boot.table_offset(0) + start;
            let image_len = u64::from(self.boot.sectors) * u64::from(self.boot.sector_size);
            let length = (PAGE + 4).min(image_len.saturating_sub(offset)) as usize;
            let mut bytes = vec![0; length];
            self.read_at(offset, &mut bytes)?;
            bytes.resize(PAGE as usize + 4, 0);
            *page = Page { start, bytes };
        }
        let at = (at - page.start) as usize;
        Ok(match self.boot.kind {
            Kind::Fat12 if cluster % 2 == 1 => u32::from(get_u16(&page.bytes, at) >> 4),
            Kind::Fat12 => u32::from(get_u16(&page.bytes, at) & 0xfff),
            Kind::Fat16 => get_u16(&page.bytes, at).into(),
            Kind::Fat32 => get_u32(&page.bytes, at) & 0x0fff_ffff,
        })
    }

    /// Says whether there is such a cluster.
    pub(super) fn has(&self, cluster: u32) -> bool {
        cluster >= 2 && cluster - 2 < self.boot.clusters
    }

    /// Returns what comes after `cluster`, which there is.
    pub(super) fn link(&self, cluster: u32) -> Result<Link, ReadError> {
        // The values of the widest kind, of which the others have the low bits.
        let mask = match self.boot.kind {
            Kind::Fat12 => 0xfff,
            Kind::Fat16 => 0xffff,
            Kind::Fat32 => 0x0fff_ffff,
        };
        let entry = self.entry(cluster)?;
        match entry {
            0 => Ok(Link::Free),
            next if self.has(next) => Ok(Link::Next(next)),
            bad if bad == 0x0fff_fff7 & mask => Ok(Link::Bad),
            end if end >= 0x0fff_fff8 & mask => Ok(Link::End),
            other => {
                let problem = format!("it leads to {other}, which is outside");
                Err(ReadError::corrupt(format_args!("cluster {cluster}"), problem))
            }
        }
    }

    /// Returns the chain of clusters that begins with `start`, of at most `limit`.
    pub(super) fn chain(&self, start: u32, limit: u64, what: &str) -> Result<Vec<Run>, ReadError> {
        let corrupt = |problem: String| Err(ReadError::corrupt(what, problem));
        if !self.has(start) {
            return corrupt(format!("it begins with cluster {start}, which is outside"));
        }
        let mut runs = vec![Run { start, length: 1 }];
        let (mut cluster, mut length) = (start, 1);
        loop {
            match self.link(cluster)? {
                Link::End => return Ok(runs),
                Link::Free => return corrupt(format!("its cluster {cluster} is free")),
                Link::Bad => return corrupt(format!("its cluster {cluster} is bad")),
                Link::Next(_) if length >= limit => {
                    return corrupt(format!(
                        "it has more than the {limit} clusters of its size, or goes round"
                    ));
                }
                Link::Next(next) => {
                    match runs.last_mut() {
                        Some(run) if run.start + run.length == next => run.length += 1,
                        _ => runs.push(Run { start: next, length: 1 }),
                    }
                    cluster = next;
                    length += 1;
                }
            }
        }
    }

    /// Returns the contents of a file of `size` bytes that begins with the cluster `start`.
    pub(super) fn data(&self, start: u32, size: u32, what: &str) -> Result<Data, ReadError> {
        let size = u64::from(size);
        let needed = size.div_ceil(self.boot.cluster_len());
        let runs = match (start, needed) {
            (0, 0) => Vec::new(),
            (_, 0) => return Err(ReadError::corrupt(what, "it is empty and has clusters")),
            _ => self.chain(start, needed, what)?,
        };
        if runs.iter().map(|run| u64::from(run.length)).sum::<u64>() < needed {
            return Err(ReadError::corrupt(what, "it has fewer clusters than its size needs"));
        }
        Ok(Data::new(runs, size, self.boot.cluster_len()))
    }

    /// Fills the buffer with what is in a file at `offset`; its end before that is an error.
    pub fn read_data(&self, data: &Data, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let length = buffer.len();
        if offset.checked_add(length as u64).is_none_or(|end| end > data.size) {
            let source = std::io::ErrorKind::UnexpectedEof.into();
            return Err(ReadError::Io { offset, length, source });
        }
        let mut filled = 0;
        let first = data.ends.partition_point(|end| *end <= offset);
        for (run, end) in data.runs.iter().zip(&data.ends).skip(first) {
            if filled == length {
                break;
            }
            let at = offset + filled as u64;
            let run_start = end - u64::from(run.length) * self.boot.cluster_len();
            let part = (length - filled).min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let place = self.boot.cluster_offset(run.start) + (at - run_start);
            self.read_at(place, &mut buffer[filled..filled + part])?;
            filled += part;
        }
        Ok(())
    }

    /// Returns the bytes of a directory: the root's if `cluster` is `None`.
    pub(super) fn directory(&self, cluster: Option<u32>, what: &str) -> Result<Vec<u8>, ReadError> {
        let boot = &self.boot;
        let start = match (cluster, boot.kind) {
            (None, Kind::Fat12 | Kind::Fat16) => {
                let mut bytes = vec![0; (u64::from(boot.root_entries) * ENTRY_LEN) as usize];
                self.read_at(boot.table_offset(boot.tables), &mut bytes)?;
                return Ok(bytes);
            }
            (None, Kind::Fat32) => boot.root_cluster,
            (Some(cluster), _) => cluster,
        };
        let most = (super::directory::MOST_ENTRIES * ENTRY_LEN).div_ceil(boot.cluster_len());
        let runs = self.chain(start, most, what)?;
        let size = runs.iter().map(|run| u64::from(run.length)).sum::<u64>() * boot.cluster_len();
        let mut bytes = vec![0; size as usize];
        self.read_data(&Data::new(runs, size, boot.cluster_len()), 0, &mut bytes)?;
        Ok(bytes)
    }
}
