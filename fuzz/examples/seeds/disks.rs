//! Disks, and the formats that hypervisors have for them.

use mkimg::{MemorySink, disk, vdisk};

use crate::Result;

/// Returns the smallest disk with a GUID partition table and two partitions.
pub(crate) fn disk() -> Result<Vec<u8>> {
    let guid = |number: u8| {
        disk::Guid::parse(&format!("00112233-4455-6677-8899-aabbccddee{number:02x}")).ok_or("no GUID")
    };
    let kind = disk::gpt_type("linux").ok_or("no type")?;
    let partition = |number: u8| -> Result<disk::Partition> {
        Ok(disk::Partition {
            number: None,
            name: format!("partition {number}"),
            identity: disk::Identity::Gpt { kind, guid: guid(number)?, attributes: 4 },
            size: disk::PartitionSize::Fixed(1024),
            at: None,
            align: None,
            content: None,
        })
    };
    let declared = disk::Disk {
        sector_size: 512,
        size: disk::Size::Fit { slack: 0, round: 512 },
        align: 512,
        first_lba: 0,
        table: disk::Table::Gpt { guid: guid(0)?, hybrid: Vec::new(), protective: disk::Protective::First },
        boot_code: 0,
        blobs: Vec::new(),
        partitions: vec![partition(1)?, partition(2)?],
    };
    let mut sink = MemorySink::default();
    disk::resolve(declared)?.write(&[], &[], &[], &mut sink)?;
    Ok(sink.into_bytes())
}

/// Returns that disk in every format.
pub(crate) fn virtual_disks() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let bytes = disk()?;
    let contents = vdisk::Contents::whole(&bytes)?;
    let uuid = [7; 16];
    let mut disks = Vec::new();
    for (name, compression) in [
        ("qcow2", vdisk::qcow2::Compression::None),
        ("qcow2-zlib", vdisk::qcow2::Compression::Zlib(6)),
        ("qcow2-zstd", vdisk::qcow2::Compression::Zstd(3)),
    ] {
        let options = vdisk::qcow2::Options { cluster_size: 512, compression, ..Default::default() };
        let mut sink = MemorySink::default();
        vdisk::qcow2::write(&contents, None, &options, 1, &mut sink)?;
        disks.push((name, sink.into_bytes()));
    }
    for (name, variant) in [
        ("vmdk", vdisk::vmdk::Variant::MonolithicSparse),
        ("vmdk-stream", vdisk::vmdk::Variant::StreamOptimized),
    ] {
        let adapter = vdisk::vmdk::Adapter::Ide;
        let options = vdisk::vmdk::Options { variant, adapter, name: "a.vmdk".to_owned(), uuid };
        let mut sink = MemorySink::default();
        vdisk::vmdk::write(&contents, &options, 1, &mut sink)?;
        disks.push((name, sink.into_bytes()));
    }
    let mut add = |name, write: &dyn Fn(&mut MemorySink) -> std::result::Result<(), vdisk::WriteError>| {
        let mut sink = MemorySink::default();
        write(&mut sink)?;
        disks.push((name, sink.into_bytes()));
        Ok::<(), vdisk::WriteError>(())
    };
    add("vdi", &|sink| vdisk::vdi::write(&contents, &vdisk::vdi::Options { fixed: false, uuid }, 1, sink))?;
    for (name, fixed) in [("vhd", false), ("vhd-fixed", true)] {
        let options = vdisk::vhd::Options { fixed, uuid, epoch: 1 };
        add(name, &|sink| vdisk::vhd::write(&contents, &options, 1, sink))?;
    }
    add("vhdx", &|sink| vdisk::vhdx::write(&contents, &vdisk::vhdx::Options::default(), 1, sink))?;
    add("parallels", &|sink| vdisk::parallels::write(&contents, 1, sink))?;
    Ok(disks)
}
