//! Disks whose contents are in memory.

use mkimg::disk::{
    Disk, Guid, Identity, Partition, PartitionSize, Plan, Protective, Size, Source, Table, gpt_type, resolve,
};
use mkimg::{MemorySink, Sink};

#[path = "../tool/mod.rs"]
mod tool;

pub(crate) use tool::tool;

pub(crate) const MIB: u64 = 1 << 20;

/// Returns a GUID that is like no other with another number.
pub(crate) fn guid(number: u8) -> Guid {
    Guid::parse(&format!("00112233-4455-6677-8899-aabbccddee{number:02x}")).unwrap()
}

/// Returns an empty disk with a GUID partition table, as large as what is on it.
pub(crate) fn gpt() -> Disk {
    Disk {
        sector_size: 512,
        size: Size::Fit { slack: 0, round: MIB },
        align: MIB,
        first_lba: 0,
        table: Table::Gpt { guid: guid(0), hybrid: Vec::new(), protective: Protective::First },
        boot_code: 0,
        blobs: Vec::new(),
        partitions: Vec::new(),
    }
}

/// Returns an empty disk with an old table.
pub(crate) fn mbr() -> Disk {
    Disk { table: Table::Mbr { signature: 0x1234_abcd }, ..gpt() }
}

/// Returns a partition for Linux; its GUID depends on its name's last byte.
pub(crate) fn partition(name: &str, size: PartitionSize) -> Partition {
    let number = name.bytes().last().unwrap_or(0);
    let identity = Identity::Gpt { kind: gpt_type("linux").unwrap(), guid: guid(number), attributes: 0 };
    Partition { number: None, name: name.to_owned(), identity, size, at: None, align: None, content: None }
}

pub(crate) fn fixed(mebibytes: u64) -> PartitionSize {
    PartitionSize::Fixed(mebibytes * MIB)
}

impl Contents for Partition {
    fn with(mut self, bytes: u64) -> Partition {
        self.content = Some((bytes, "`file`".to_owned()));
        self
    }
}

/// Says how much is in a partition.
pub(crate) trait Contents {
    /// Returns it with so many bytes in it.
    fn with(self, bytes: u64) -> Self;
}

/// Contents of a partition or blob.
pub(crate) fn noise(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ seed | 1).collect()
}

/// Writes a disk into a sink: boot code of ones, and noise in blobs and partitions.
pub(crate) fn write(plan: &Plan, disk: &Disk, sink: &mut dyn Sink) {
    let contents = |sizes: Vec<u64>, seed: u8| -> Vec<Vec<u8>> {
        let sizes = sizes.into_iter().zip(seed..);
        sizes.map(|(size, seed)| noise(usize::try_from(size).unwrap(), seed)).collect()
    };
    let blobs = contents(disk.blobs.iter().map(|blob| blob.size).collect(), 100);
    let files = disk.partitions.iter().filter_map(|partition| partition.content.as_ref());
    let files = contents(files.map(|(size, _)| *size).collect(), 1);
    let sources = |contents: &'static [Vec<u8>]| -> Vec<Source<'static>> {
        contents.iter().map(|bytes| Source::whole(bytes, bytes.len() as u64)).collect()
    };
    // Tests are short: what they leak is gone with them.
    let (blobs, files) = (sources(blobs.leak()), sources(files.leak()));
    plan.write(&vec![1; usize::try_from(disk.boot_code).unwrap()], &blobs, &files, sink).unwrap();
}

/// Returns the bytes of a disk that is right.
#[track_caller]
pub(crate) fn bytes(disk: &Disk) -> Vec<u8> {
    let plan = resolve(disk.clone()).unwrap();
    let mut sink = MemorySink::default();
    write(&plan, disk, &mut sink);
    let bytes = sink.into_bytes();
    assert_eq!(bytes.len() as u64, plan.map().size());
    bytes
}
