//! Makes a disk as a specification says: measures the files, plans, copies.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::guid::Guid;
use super::layout::{Blob, Disk, Hybrid, Identity, Partition, PartitionSize, Protective, Size, Table};
use super::place::resolve;
use super::types::mbr_type;
use super::write::{Plan, Source};
use crate::error::Error;
use crate::files::{Directory, create_above};
use crate::grub;
use crate::sink::SparseFile;
use crate::spec::{DiskSpec, FormatSpec, PartitionSizeSpec, PartitionSpec, ProtectiveSpec, TableSpec};
use crate::vdisk::{self, data_ranges};

/// What a size of a disk is rounded up to, and partitions are aligned to, unless it is said otherwise.
const MEBIBYTE: u64 = 1 << 20;
/// How much boot code there is in front of the disk's number.
const BOOT_CODE: u64 = 440;
/// The size of a boot sector, of which only the code is taken.
const BOOT_SECTOR: u64 = 512;

/// Writes the disk that `spec` describes.
pub(crate) fn write(spec: &DiskSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let boot_code = boot_code(spec, directory)?;
    let blobs = spec.blobs.iter().map(|blob| Content::open(directory.path(&blob.file)));
    let blobs = blobs.collect::<Result<Vec<Content>, Error>>()?;
    let files = spec.partitions.iter().filter_map(|partition| partition.file.as_ref());
    let files =
        files.map(|file| Content::open(directory.path(file))).collect::<Result<Vec<Content>, Error>>()?;
    let disk = declare(spec, boot_code.len() as u64, &blobs, &files)?;

    let plan = resolve(disk).map_err(Error::DiskLayout)?;
    let begins = begins(spec, &plan, &blobs, &files)?;
    grub::check(&boot_code, &begins).map_err(Error::Grub)?;
    if let Some(output) = &spec.map_output {
        let path = directory.path(output);
        let written = create_above(&path).and_then(|()| fs::write(&path, plan.map().draw()));
        written.map_err(|source| Error::Write { path, source })?;
    }
    let blobs = blobs.iter().map(Content::source).collect::<Result<Vec<_>, Error>>()?;
    let files = files.iter().map(Content::source).collect::<Result<Vec<_>, Error>>()?;
    if spec.format != FormatSpec::Raw {
        let view = plan.view(&boot_code, &blobs, &files);
        let sector_size = spec.sector_size.unwrap_or(512).into();
        return vdisk::write(&view.contents(), sector_size, &spec.format, &spec.output, directory);
    }
    let output = directory.create(&spec.output)?;
    let mut sink = SparseFile::new(&output.file);
    plan.write(&boot_code, &blobs, &files, &mut sink)
        .map_err(|source| Error::Disk { path: output.path.clone(), source })?;
    sink.finish().map(drop).map_err(|source| output.error(source))
}

/// A file that goes onto the disk.
struct Content {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Content {
    fn open(path: PathBuf) -> Result<Content, Error> {
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((size, file)) => Ok(Content { path, file, size }),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// Returns the first sector of the file, or what there is of it.
    fn begin(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.size.min(grub::SECTOR) as usize];
        let read = self.file.read_exact_at(&mut bytes, 0);
        read.map_err(|source| Error::Read { path: self.path.clone(), source })?;
        Ok(bytes)
    }

    /// Returns where the file has data: its holes need not be read.
    fn source(&self) -> Result<Source<'_>, Error> {
        let data = data_ranges(&self.file, self.size)
            .map_err(|error| Error::Read { path: self.path.clone(), source: error.into() })?;
        Ok(Source { content: &self.file, data })
    }
}

/// Returns what the disk's blobs and partitions begin with, and in which sector of a BIOS.
fn begins(
    spec: &DiskSpec,
    plan: &Plan,
    blobs: &[Content],
    files: &[Content],
) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let blobs = spec.blobs.iter().zip(blobs).map(|(blob, content)| (blob.at, content));
    let map = plan.map();
    let partitions = spec.partitions.iter().zip(&map.partitions);
    let partitions = partitions.filter(|(partition, _)| partition.file.is_some()).zip(files);
    let partitions =
        partitions.map(|((_, placed), content)| (placed.first.saturating_mul(map.sector_size), content));
    let begins = blobs.chain(partitions);
    begins.map(|(offset, content)| Ok((offset / grub::SECTOR, content.begin()?))).collect()
}

fn boot_code(spec: &DiskSpec, directory: &Directory<'_>) -> Result<Vec<u8>, Error> {
    let Some(code) = &spec.boot_code else { return Ok(Vec::new()) };
    let content = Content::open(directory.path(&code.file))?;
    let limit = match code.length {
        Some(length) => length.into(),
        // Of a boot sector the code is meant, and of what is longer nobody knows.
        None if content.size == BOOT_SECTOR => BOOT_CODE,
        None if content.size > BOOT_SECTOR => {
            return Err(Error::BootCode { path: content.path, size: content.size });
        }
        None => content.size,
    };
    let mut bytes = Vec::new();
    // A limit that is too high is found by the layout; it keeps what is read small.
    let read = (&content.file).take(limit.min(BOOT_SECTOR)).read_to_end(&mut bytes);
    read.map_err(|source| Error::Read { path: content.path, source })?;
    Ok(bytes)
}

fn declare(spec: &DiskSpec, boot_code: u64, blobs: &[Content], files: &[Content]) -> Result<Disk, Error> {
    let guid = |text: &str| Guid::parse(text).ok_or_else(|| Error::Uuid { text: text.to_owned() });
    let table = match &spec.table {
        TableSpec::Gpt { guid: text, hybrid, protective } => Table::Gpt {
            guid: guid(text)?,
            hybrid: hybrid
                .iter()
                .map(|entry| Hybrid {
                    partition: entry.partition,
                    kind: entry.r#type,
                    is_bootable: entry.bootable,
                })
                .collect(),
            protective: match protective {
                ProtectiveSpec::First => Protective::First,
                ProtectiveSpec::Last => Protective::Last,
            },
        },
        TableSpec::Mbr { signature } => Table::Mbr { signature: *signature },
    };
    let mut files = files.iter();
    let mut partitions = Vec::with_capacity(spec.partitions.len());
    for partition in &spec.partitions {
        let file = partition.file.as_ref().and_then(|name| Some((name, files.next()?.size)));
        partitions.push(Partition {
            number: partition.number,
            name: partition.name.clone(),
            identity: identity(&table, partition)?,
            size: match partition.size {
                PartitionSizeSpec::Bytes(bytes) => PartitionSize::Fixed(bytes),
                PartitionSizeSpec::Min => PartitionSize::Min,
                PartitionSizeSpec::Grow => PartitionSize::Grow,
            },
            at: partition.at,
            align: partition.align,
            content: file.map(|(name, size)| (size, format!("`{name}`"))),
        });
    }
    let blobs = spec.blobs.iter().zip(blobs);
    Ok(Disk {
        sector_size: spec.sector_size.unwrap_or(512).into(),
        size: match spec.size {
            Some(size) => Size::Fixed(size),
            None => Size::Fit { slack: spec.slack.unwrap_or(0), round: spec.round.unwrap_or(MEBIBYTE) },
        },
        align: spec.align.unwrap_or(MEBIBYTE),
        first_lba: spec.first_lba.unwrap_or(0),
        table,
        boot_code,
        blobs: blobs
            .map(|(blob, content)| Blob { name: blob.name.clone(), at: blob.at, size: content.size })
            .collect(),
        partitions,
    })
}

fn identity(table: &Table, partition: &PartitionSpec) -> Result<Identity, Error> {
    let wrong = |what: &'static str, value: &str| Error::Partition {
        name: partition.name.clone(),
        what,
        value: value.to_owned(),
    };
    if let Table::Mbr { .. } = table {
        let kind = mbr_type(&partition.r#type).ok_or_else(|| wrong("type", &partition.r#type))?;
        return Ok(Identity::Mbr { kind, is_bootable: partition.bootable });
    }
    let kind = Guid::parse(&partition.r#type).ok_or_else(|| wrong("type", &partition.r#type))?;
    let text = partition.guid.as_deref().unwrap_or_default();
    let guid = Guid::parse(text).ok_or_else(|| wrong("GUID", text))?;
    let mut attributes = 0;
    for bit in &partition.attributes {
        let mask = 1u64.checked_shl((*bit).into());
        attributes |= mask.ok_or_else(|| wrong("attribute", &bit.to_string()))?;
    }
    Ok(Identity::Gpt { kind, guid, attributes })
}
