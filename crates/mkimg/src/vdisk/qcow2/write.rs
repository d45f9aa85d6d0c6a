//! Writing a qcow2: clusters in the order of the disk, tables behind what they list, what is in front at last.

use super::format::{
    CLUSTER_BITS, COMPRESSED, COMPRESSION_ZSTD, COPIED, EXTENSION_BACKING_FORMAT, HEADER_LEN,
    INCOMPATIBLE_COMPRESSION, MOST_L1_BYTES, MOST_NAME, REFCOUNT_BYTES, REFCOUNT_ORDER, ZERO, length_shift,
};
use super::{Compression, MAGIC, Options};
use crate::GapSink;
use crate::earlier::Earlier;
use crate::vdisk::error::WriteError;
use crate::vdisk::stream::{Block, How, Packed, blocks, scope};
use crate::vdisk::{Contents, SECTOR, pack, put};

const NAME: &str = "qcow2";

/// Writes the disk as a qcow2 into `sink`. Its size is rounded up to whole sectors of 512 bytes.
///
/// With `below`, which is what [`Options::backing`] names, the file has what differs from that.
pub fn write(
    contents: &Contents<'_>,
    below: Option<&Contents<'_>>,
    options: &Options,
    n_threads: usize,
    sink: &mut dyn GapSink,
) -> Result<(), WriteError> {
    write_reusing(contents, below, options, n_threads, None, sink)
}

/// As [`write`], and takes over what earlier runs compressed.
pub(crate) fn write_reusing(
    contents: &Contents<'_>,
    below: Option<&Contents<'_>>,
    options: &Options,
    n_threads: usize,
    earlier: Option<&Earlier>,
    sink: &mut dyn GapSink,
) -> Result<(), WriteError> {
    let contents = contents.grown(contents.size().next_multiple_of(SECTOR));
    check(&contents, below, options)?;
    let compression = match options.compression {
        Compression::None => None,
        Compression::Zlib(level) => Some(pack::Compression::SmallDeflate(level)),
        Compression::Zstd(level) => Some(pack::Compression::Zstd(level)),
    };
    let earlier = scope(earlier, compression);
    let how = How { block: options.cluster_size, compression, below, earlier, n_threads };
    let mut writer = Writer::new(contents.size(), options, sink);
    blocks(&contents, &how, |cluster, block| writer.store(cluster, &block))?;
    writer.finish()
}

fn check(contents: &Contents<'_>, below: Option<&Contents<'_>>, options: &Options) -> Result<(), WriteError> {
    let wrong = |what: String, help| Err(WriteError::Option { format: NAME, what, help });
    let cluster = options.cluster_size;
    if !cluster.is_power_of_two() || !CLUSTER_BITS.contains(&cluster.trailing_zeros()) {
        return wrong(format!("clusters of {cluster} bytes"), "they have a power of two from 512 to 2 MiB");
    }
    match options.compression {
        Compression::Zlib(level) if !(1..=9).contains(&level) => {
            return wrong(format!("zlib at level {level}"), "levels are 1 to 9");
        }
        Compression::Zstd(level) if !(1..=22).contains(&level) => {
            return wrong(format!("zstd at level {level}"), "levels are 1 to 22");
        }
        _ => {}
    }
    if options.preallocated && (options.compression != Compression::None || options.backing.is_some()) {
        return wrong(
            "places for all clusters, and compression or a disk below".to_owned(),
            "leave out one of them",
        );
    }
    if below.is_some() != options.backing.is_some() {
        return wrong("a disk below without its name, or a name without the disk".to_owned(), "give both");
    }
    if let Some(backing) = &options.backing {
        // The name lies behind the header, in the first cluster.
        let room = cluster as usize - HEADER_LEN - extensions(options).len();
        if backing.name.is_empty() || backing.name.len() > room.min(MOST_NAME) {
            return wrong(
                format!("a name of {} bytes of the disk below", backing.name.len()),
                "it has 1 to 1023, and fits into the first cluster",
            );
        }
    }
    let most = (MOST_L1_BYTES / 8).saturating_mul(cluster / 8 * cluster);
    match contents.size() {
        0 => Err(WriteError::Empty),
        size if size > most => Err(WriteError::TooLarge { format: NAME, most, size }),
        _ => Ok(()),
    }
}

/// Returns the header extensions, with the end of their list.
fn extensions(options: &Options) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(backing) = &options.backing {
        bytes.extend(EXTENSION_BACKING_FORMAT.to_be_bytes());
        bytes.extend((backing.format.len() as u32).to_be_bytes());
        bytes.extend(backing.format.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes.extend([0; 8]);
    bytes
}

struct Writer<'a> {
    sink: &'a mut dyn GapSink,
    options: &'a Options,
    size: u64,
    /// The end of the clusters that are given out.
    end: u64,
    /// Where the tables are.
    l1: Vec<u64>,
    /// The table that is being filled, and its number.
    l2: Vec<u64>,
    l2_number: u64,
    /// The cluster of the file that compressed ones go into, and what of it is free.
    open: Option<(u64, u64)>,
    /// How many compressed clusters use each cluster of the file; none is one that has something else.
    shared: Vec<u16>,
    /// The cluster of the disk that comes next.
    next: u64,
}

impl<'a> Writer<'a> {
    fn new(size: u64, options: &'a Options, sink: &'a mut dyn GapSink) -> Writer<'a> {
        let cluster = options.cluster_size;
        let n_tables = size.div_ceil(cluster / 8 * cluster);
        // Behind the header.
        let end = cluster + (n_tables * 8).next_multiple_of(cluster);
        Writer {
            sink,
            options,
            size,
            end,
            l1: vec![0; n_tables as usize],
            l2: vec![0; cluster as usize / 8],
            l2_number: 0,
            open: None,
            shared: Vec::new(),
            next: 0,
        }
    }

    fn store(&mut self, number: u64, block: &Block<'_>) -> Result<(), WriteError> {
        self.skip_to(number)?;
        let entry = match block {
            Block::Zero => ZERO,
            Block::Plain(plain) => {
                let at = self.allocate();
                plain.put(at, self.sink)?;
                at | COPIED
            }
            Block::Packed(packed) => self.store_packed(packed)?,
        };
        self.list(number, entry);
        Ok(())
    }

    /// Goes on to a cluster of the disk: tables before that are finished, and clusters get their places if they have
    /// them from the start.
    fn skip_to(&mut self, number: u64) -> Result<(), WriteError> {
        let per_table = self.l2.len() as u64;
        if self.options.preallocated {
            for skipped in self.next..number {
                if skipped / per_table != self.l2_number {
                    self.finish_table(skipped / per_table)?;
                }
                let at = self.allocate();
                self.list(skipped, at | COPIED);
            }
            self.next = number + 1;
        }
        if number / per_table != self.l2_number {
            self.finish_table(number / per_table)?;
        }
        Ok(())
    }

    fn list(&mut self, number: u64, entry: u64) {
        let idx = number % self.l2.len() as u64;
        self.l2[idx as usize] = entry;
    }

    /// Returns the offset of a cluster that is free.
    fn allocate(&mut self) -> u64 {
        let at = self.end;
        self.end += self.options.cluster_size;
        at
    }

    /// Puts a compressed cluster behind the one before, or into the next cluster of the file if it does not fit and
    /// that is not the next to it.
    fn store_packed(&mut self, packed: &Packed<'_>) -> Result<u64, WriteError> {
        let bytes = packed.bytes;
        let cluster = self.options.cluster_size;
        let length = bytes.len() as u64;
        let at = match self.open {
            Some((at, room)) if length <= room || at + room == self.end => at,
            _ => self.end,
        };
        packed.note(at);
        let end = at + length;
        if end <= self.end && self.open.is_some_and(|(at, room)| at + room != self.end) {
            self.sink.fill_gap(at, bytes)?;
        } else {
            self.sink.data(at, bytes)?;
        }
        self.end = self.end.max(end.next_multiple_of(cluster));
        let room = end.next_multiple_of(cluster) - end;
        self.open = (room > 0).then_some((end, room));
        let (first, last) = (at / cluster, (end - 1) / cluster);
        self.shared.resize((last as usize + 1).max(self.shared.len()), 0);
        for count in &mut self.shared[first as usize..=last as usize] {
            // A compressed cluster has more bytes than 65535 of them would leave it.
            *count += 1;
        }
        let further_sectors = (end - 1) / SECTOR - at / SECTOR;
        Ok(COMPRESSED | further_sectors << length_shift(cluster.trailing_zeros()) | at)
    }

    /// Writes the table that is being filled, unless nothing is in it, and begins another.
    fn finish_table(&mut self, next: u64) -> Result<(), WriteError> {
        if self.l2.iter().any(|entry| *entry != 0) {
            let at = self.allocate();
            let bytes: Vec<u8> = self.l2.iter().flat_map(|entry| entry.to_be_bytes()).collect();
            self.sink.data(at, &bytes)?;
            self.l1[self.l2_number as usize] = at | COPIED;
            self.l2.fill(0);
        }
        self.l2_number = next;
        Ok(())
    }

    fn finish(mut self) -> Result<(), WriteError> {
        let cluster = self.options.cluster_size;
        if self.options.preallocated {
            self.skip_to(self.size.div_ceil(cluster))?;
        }
        self.finish_table(0)?;
        let (table_at, table_clusters) = self.write_counts()?;
        let l1: Vec<u8> = self.l1.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        let header = self.header(table_at, table_clusters);
        self.sink.fill_gap(cluster, &l1)?;
        self.sink.fill_gap(0, &header)?;
        Ok(())
    }

    /// Writes how often each cluster of the file is used, and returns where the table of that is and how many clusters
    /// it has.
    fn write_counts(&mut self) -> Result<(u64, u64), WriteError> {
        let cluster = self.options.cluster_size;
        let per_block = cluster / REFCOUNT_BYTES;
        let n_before = self.end / cluster;
        // The counts are counted, too.
        let (mut n_blocks, mut n_table) = (1, 1);
        loop {
            let n_all = n_before + n_blocks + n_table;
            let needed = (n_all.div_ceil(per_block), (n_blocks * 8).div_ceil(cluster));
            if needed.0 <= n_blocks && needed.1 <= n_table {
                break;
            }
            (n_blocks, n_table) = (needed.0.max(n_blocks), needed.1.max(n_table));
        }
        let n_all = n_before + n_blocks + n_table;
        let mut table = Vec::with_capacity((n_table * cluster) as usize);
        let mut block = Vec::with_capacity(cluster as usize);
        for number in 0..n_blocks {
            block.clear();
            for idx in number * per_block..(number + 1) * per_block {
                let shared = usize::try_from(idx).ok().and_then(|idx| self.shared.get(idx));
                let count = shared.copied().unwrap_or(0).max(u16::from(idx < n_all));
                block.extend(count.to_be_bytes());
            }
            let at = self.allocate();
            self.sink.data(at, &block)?;
            table.extend(at.to_be_bytes());
        }
        table.resize((n_table * cluster) as usize, 0);
        self.sink.data(self.end, &table)?;
        Ok((self.end, n_table))
    }

    fn header(&self, table_at: u64, table_clusters: u64) -> Vec<u8> {
        let cluster = self.options.cluster_size;
        let is_zstd = matches!(self.options.compression, Compression::Zstd(_));
        let mut header = vec![0; HEADER_LEN];
        put(&mut header, 0, MAGIC);
        put(&mut header, 4, &3_u32.to_be_bytes());
        put(&mut header, 20, &cluster.trailing_zeros().to_be_bytes());
        put(&mut header, 24, &self.size.to_be_bytes());
        // Both were seen to be far below 2^32.
        put(&mut header, 36, &(self.l1.len() as u32).to_be_bytes());
        put(&mut header, 40, &cluster.to_be_bytes());
        put(&mut header, 48, &table_at.to_be_bytes());
        put(&mut header, 56, &(table_clusters as u32).to_be_bytes());
        put(&mut header, 72, &(if is_zstd { INCOMPATIBLE_COMPRESSION } else { 0 }).to_be_bytes());
        put(&mut header, 96, &REFCOUNT_ORDER.to_be_bytes());
        put(&mut header, 100, &(HEADER_LEN as u32).to_be_bytes());
        header[104] = if is_zstd { COMPRESSION_ZSTD } else { 0 };
        header.extend(extensions(self.options));
        if let Some(backing) = &self.options.backing {
            let at = header.len() as u64;
            put(&mut header, 8, &at.to_be_bytes());
            put(&mut header, 16, &(backing.name.len() as u32).to_be_bytes());
            header.extend(backing.name.as_bytes());
        }
        header
    }
}
