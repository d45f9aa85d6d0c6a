//! Reading a qcow2 of version 2 or 3.

use std::sync::{Mutex, PoisonError};

use super::MAGIC;
use super::format::{
    CLUSTER_BITS, COMPRESSED, COMPRESSION_ZSTD, HEADER_LEN, INCOMPATIBLE_COMPRESSION, INCOMPATIBLE_CORRUPT,
    INCOMPATIBLE_DIRTY, MOST_L1_BYTES, MOST_NAME, OFFSET, ZERO, length_shift,
};
use crate::vdisk::error::{ReadError, corrupt, unsupported};
use crate::vdisk::file::Image;
use crate::vdisk::pack::Compression;
use crate::vdisk::read::{Blocks, Place};
use crate::vdisk::{SECTOR, be_u32, be_u64};

const HEADER: &str = "the header";
const L1: &str = "the table of tables";
const L2: &str = "a table of clusters";

/// What a qcow2 says of its disk.
pub(in crate::vdisk) struct Qcow2 {
    version: u32,
    cluster_bits: u32,
    size: u64,
    compression: Compression,
    has_below: bool,
    backing: Option<String>,
    /// Where the tables are; 0 is nowhere.
    l1: Vec<u64>,
    /// The table that was read last, and its number.
    l2: Mutex<(u64, Vec<u8>)>,
}

pub(in crate::vdisk) fn read(image: &Image<'_>, has_below: bool) -> Result<Qcow2, ReadError> {
    let header: [u8; HEADER_LEN] = image.start()?;
    if !header.starts_with(MAGIC) {
        return Err(ReadError::Other { format: "qcow2" });
    }
    image.check(HEADER, 0, 72)?;
    let version = be_u32(&header, 4);
    if ![2, 3].contains(&version) {
        return unsupported(format!("version {version}"));
    }
    let cluster_bits = be_u32(&header, 20);
    if !CLUSTER_BITS.contains(&cluster_bits) {
        return corrupt(HEADER, format!("clusters cannot have 2^{cluster_bits} bytes"));
    }
    if be_u32(&header, 32) != 0 {
        return unsupported("encryption");
    }
    let compression = if version == 3 { features(image, &header)? } else { Compression::SmallDeflate(0) };
    let backing = backing(image, &header)?;
    if let Some(name) = &backing
        && !has_below
    {
        return Err(ReadError::NoBase { name: name.clone() });
    }
    let size = be_u64(&header, 24);
    let l1 = tables(image, &header, cluster_bits)?;
    let l2 = Mutex::new((u64::MAX, Vec::new()));
    Ok(Qcow2 { version, cluster_bits, size, compression, has_below, backing, l1, l2 })
}

/// Checks the features of version 3 and returns how clusters are compressed.
fn features(image: &Image<'_>, header: &[u8]) -> Result<Compression, ReadError> {
    image.check(HEADER, 0, 104)?;
    let (features, header_len) = (be_u64(header, 72), be_u32(header, 100));
    if features & INCOMPATIBLE_CORRUPT != 0 {
        return corrupt(HEADER, "it is marked as damaged");
    }
    let unknown = features & !(INCOMPATIBLE_DIRTY | INCOMPATIBLE_COMPRESSION);
    if unknown != 0 {
        return unsupported(format!("the feature {}", unknown.trailing_zeros()));
    }
    let has_type = header_len as usize >= HEADER_LEN;
    match header[104] {
        kind if features & INCOMPATIBLE_COMPRESSION == 0 || !has_type => {
            let is_told = features & INCOMPATIBLE_COMPRESSION != 0 || has_type && kind != 0;
            if is_told {
                corrupt(HEADER, "what it says of compression is at odds")
            } else {
                Ok(Compression::SmallDeflate(0))
            }
        }
        COMPRESSION_ZSTD => Ok(Compression::Zstd(0)),
        kind => unsupported(format!("compression of type {kind}")),
    }
}

/// Returns the name of the disk below.
fn backing(image: &Image<'_>, header: &[u8]) -> Result<Option<String>, ReadError> {
    let (at, length) = (be_u64(header, 8), be_u32(header, 16));
    if at == 0 {
        return Ok(None);
    }
    if length as usize > MOST_NAME {
        return corrupt(HEADER, "the name of the disk below is too long");
    }
    let name = image.bytes("the name of the disk below", at, length.into())?;
    Ok(Some(String::from_utf8_lossy(&name).into_owned()))
}

/// Returns where the tables are.
fn tables(image: &Image<'_>, header: &[u8], cluster_bits: u32) -> Result<Vec<u64>, ReadError> {
    let cluster = 1u64 << cluster_bits;
    let (size, n_tables, at) = (be_u64(header, 24), u64::from(be_u32(header, 36)), be_u64(header, 40));
    let needed = size.div_ceil(cluster / 8 * cluster);
    if n_tables < needed || n_tables * 8 > MOST_L1_BYTES {
        return corrupt(L1, format!("a disk of {size} bytes has {needed} tables, not {n_tables}"));
    }
    // There may be more, for a disk that was larger.
    let bytes = image.bytes(L1, at, needed * 8)?;
    let l1: Vec<u64> = bytes.chunks_exact(8).map(|entry| be_u64(entry, 0) & OFFSET).collect();
    // As no two are in one place, what they list is not more than the file has room for.
    let mut places: Vec<u64> = l1.iter().copied().filter(|at| *at != 0).collect();
    places.sort_unstable();
    if let Some(at) = places.iter().find(|at| !at.is_multiple_of(cluster)) {
        return corrupt(L1, format!("the table at {at} begins in the middle of a cluster"));
    }
    if let Some(pair) = places.windows(2).find(|pair| pair[0] == pair[1]) {
        return corrupt(L1, format!("two tables are at {}", pair[0]));
    }
    if let Some(at) = places.last() {
        image.check(L2, *at, cluster)?;
    }
    Ok(l1)
}

impl Qcow2 {
    fn per_table(&self) -> u64 {
        1 << (self.cluster_bits - 3)
    }

    fn nothing(&self) -> Place {
        if self.has_below { Place::Below } else { Place::Zero }
    }
}

impl Blocks for Qcow2 {
    fn size(&self) -> u64 {
        self.size
    }

    fn block_len(&self) -> u64 {
        1 << self.cluster_bits
    }

    fn place(&self, image: &Image<'_>, block: u64) -> Result<Place, ReadError> {
        let number = block / self.per_table();
        let at = usize::try_from(number).ok().and_then(|number| self.l1.get(number)).copied().unwrap_or(0);
        if at == 0 {
            return Ok(self.nothing());
        }
        let entry = {
            let mut l2 = self.l2.lock().unwrap_or_else(PoisonError::into_inner);
            if l2.0 != number {
                l2.0 = u64::MAX;
                l2.1.resize(1 << self.cluster_bits, 0);
                image.read(L2, at, &mut l2.1)?;
                l2.0 = number;
            }
            be_u64(&l2.1, (block % self.per_table()) as usize * 8)
        };
        if entry & COMPRESSED != 0 {
            let shift = length_shift(self.cluster_bits);
            let at = entry & ((1 << shift) - 1);
            let sectors = (entry & (COMPRESSED - 1)) >> shift;
            let end = (at / SECTOR + sectors + 1) * SECTOR;
            return Ok(Place::Packed(at, end - at, self.compression));
        }
        if self.version == 3 && entry & ZERO != 0 {
            return Ok(Place::Zero);
        }
        match entry & OFFSET {
            0 => Ok(self.nothing()),
            at if !at.is_multiple_of(1 << self.cluster_bits) => {
                corrupt(L2, format!("cluster {block} begins in the middle of one, at {at}"))
            }
            at => {
                // The last one may be cut short.
                image.check("a cluster", at, 1)?;
                Ok(Place::At(at))
            }
        }
    }

    fn skip(&self, _: &Image<'_>, block: u64) -> Result<u64, ReadError> {
        let number = usize::try_from(block / self.per_table()).unwrap_or(usize::MAX);
        let is_there = self.l1.get(number).is_some_and(|at| *at != 0);
        Ok(if is_there { 0 } else { self.per_table() - block % self.per_table() })
    }

    fn describe(&self) -> Vec<String> {
        let compression = match self.compression {
            Compression::Zstd(_) => "zstd",
            _ => "zlib",
        };
        let mut lines = vec![format!(
            "qcow2 {}, {} bytes in clusters of {}, {compression} if compressed",
            self.version,
            self.size,
            1 << self.cluster_bits
        )];
        lines.extend(self.backing.iter().map(|name| format!("over `{}`", name.escape_debug())));
        lines
    }
}
