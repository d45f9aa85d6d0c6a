//! File-system images and disks as steps of `mkimg`.

use std::collections::BTreeSet;

use engine::{Input, Placement, StepId};
use mkimg::spec::{
    BlobSpec, BootCodeSpec, DiskSpec, ErofsSpec, Ext4Spec, FatSpec, FormatSpec, HybridSpec, OnErrorSpec,
    PartitionSizeSpec, PartitionSpec, ProtectiveSpec, Spec, TableSpec,
};

use super::{INPUTS, Lowering, place_layers};
use crate::Spanned;
use crate::disk::{DiskImage, Partition, PartitionSize, PartitionTable, ProtectivePlace};
use crate::filesystem::{Filesystem, FilesystemType, ImageSize, NoneOrSize, OnErrors};
use crate::scalar::{Name, ProjectPath, TargetRef, Uuid};

impl Lowering<'_> {
    /// Adds the step that makes a file-system image.
    pub(super) fn filesystem(&mut self, name: &Name, filesystem: &Filesystem) -> StepId {
        let mut layers =
            filesystem.rootfs.as_ref().map_or(Vec::new(), |rootfs| self.rootfs[rootfs.as_str()].clone());
        if !filesystem.files.is_empty() {
            layers.push(self.layer_of_files(format!("{name}/files"), &filesystem.files));
        }
        let (mut inputs, layers) = place_layers("layers", &layers);
        let derived = |what: &str| Uuid::derived(&self.stack.name, what);
        let output = format!("out/{name}.{}", filesystem.r#type.as_str());
        let epoch = self.stack.epoch;
        let (size, slack) = match filesystem.size.as_ref().map(|size| size.value) {
            None => (None, None),
            Some(ImageSize::Min) => (None, Some(0)),
            Some(ImageSize::Fixed(size)) => (Some(size.bytes()), None),
        };
        let label = filesystem.label.as_ref().map(|label| label.value.clone());
        let spec = match filesystem.r#type {
            FilesystemType::Ext4 => {
                let own = filesystem.uuid.as_ref().map(|uuid| uuid.value);
                let ext4 = filesystem.ext4.as_ref().map(|ext4| &ext4.value);
                let free = ext4.and_then(|ext4| ext4.free.as_ref()).map(|free| free.bytes());
                let none_or_bytes = |size: &Option<Spanned<NoneOrSize>>| match size.as_ref()?.value {
                    NoneOrSize::None => Some(0),
                    NoneOrSize::Size(size) => Some(size.bytes()),
                };
                Spec::Ext4(Ext4Spec {
                    output,
                    epoch,
                    layers,
                    size,
                    slack: free.or(slack),
                    label,
                    uuid: own.unwrap_or_else(|| derived(name.as_str())).to_string(),
                    hash_seed: derived(&format!("{name}/hash-seed")).to_string(),
                    block_size: ext4
                        .and_then(|ext4| ext4.block_size.as_ref())
                        .and_then(|size| u32::try_from(size.bytes()).ok()),
                    inodes: ext4.and_then(|ext4| ext4.inodes.as_ref()).map(|inodes| inodes.value),
                    journal: ext4.and_then(|ext4| none_or_bytes(&ext4.journal)),
                    grow_to: ext4.and_then(|ext4| none_or_bytes(&ext4.grow_to)),
                    reserved_percent: ext4
                        .and_then(|ext4| ext4.reserved.as_ref())
                        .and_then(|reserved| u8::try_from(reserved.value).ok())
                        .filter(|percent| *percent > 0),
                    on_error: match ext4.map_or(OnErrors::Continue, |ext4| ext4.errors) {
                        OnErrors::Continue => OnErrorSpec::Continue,
                        OnErrors::RemountReadOnly => OnErrorSpec::RemountReadOnly,
                        OnErrors::Panic => OnErrorSpec::Panic,
                    },
                })
            }
            FilesystemType::Squashfs => {
                let squashfs = filesystem.squashfs.as_ref().map(|squashfs| &squashfs.value);
                Spec::Squashfs(super::squashfs::spec(squashfs, output, epoch, layers))
            }
            FilesystemType::Erofs => {
                let own = filesystem.uuid.as_ref().map(|uuid| uuid.value);
                let uuid = own.unwrap_or_else(|| derived(name.as_str())).to_string();
                let erofs = filesystem.erofs.as_ref().map(|erofs| &erofs.value);
                let plain = ErofsSpec { output, epoch, uuid, layers, label, ..ErofsSpec::default() };
                Spec::Erofs(super::erofs::spec(erofs, plain))
            }
            FilesystemType::Iso => Spec::Iso(self.iso_spec(name, filesystem, &mut inputs, output, layers)),
            FilesystemType::Fat => {
                let fat = filesystem.fat.as_ref();
                let own = fat.and_then(|fat| fat.volume_id.as_ref()).map(|id| id.number());
                // What was checked to be a size of a sector, a cluster or a geometry fits.
                let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
                let geometry = fat.and_then(|fat| fat.geometry.as_ref()).map(|geometry| {
                    let half = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
                    (half(geometry.heads.value), half(geometry.sectors.value))
                });
                Spec::Fat(FatSpec {
                    output,
                    epoch,
                    layers,
                    size,
                    slack,
                    volume_id: own.unwrap_or_else(|| derived(name.as_str()).short()),
                    label,
                    bits: fat.and_then(|fat| fat.bits.as_ref()).map(|bits| bits.value),
                    sector_size: fat.map(|fat| small(fat.sector_size.number())).filter(|size| *size != 512),
                    cluster_size: fat.and_then(|fat| fat.cluster.as_ref()).map(|size| small(size.number())),
                    hidden_sectors: fat.map(|fat| fat.hidden_sectors).filter(|sectors| *sectors > 0),
                    geometry,
                })
            }
        };
        self.image(name.to_string(), &spec, inputs)
    }

    /// Adds the steps that make a disk, one for each format, the main one first: that one draws what lies where, too.
    pub(super) fn disk(&mut self, name: &Name, disk: &DiskImage) -> Vec<StepId> {
        let mut inputs = Vec::new();
        // Returns where a step finds the contents of something, if it has any.
        let mut place = |lowering: &mut Self,
                         as_name: String,
                         target: &Option<Spanned<TargetRef>>,
                         file: &Option<Spanned<ProjectPath>>| {
            let input = lowering.contents(target, file)?;
            inputs.push(Placement { path: format!("{INPUTS}/{as_name}"), input });
            Some(format!("in/{as_name}"))
        };
        let boot_code = disk.boot_code.as_ref().and_then(|code| {
            let file = place(self, "boot-code".to_owned(), &code.target, &code.file)?;
            Some(BootCodeSpec { file, length: code.length.as_ref().map(|length| length.value) })
        });
        let blobs = disk.blobs.iter().enumerate().filter_map(|(idx, blob)| {
            let file = place(self, format!("blobs/{idx}"), &blob.target, &blob.file)?;
            Some(BlobSpec { name: called(&blob.target, &blob.file), file, at: blob.at.number() })
        });
        let blobs: Vec<BlobSpec> = blobs.collect();
        let numbers = disk.numbers();
        let mut names = BTreeSet::new();
        let mut partitions = Vec::with_capacity(disk.partitions.len());
        for (partition, number) in disk.partitions.iter().zip(numbers) {
            let file = place(self, format!("partitions/{number}"), &partition.target, &partition.file);
            // Names may repeat, and so may no GUID.
            let mut what = format!("{name}/{}", partition.name.value);
            if !names.insert(&partition.name.value) {
                what += &format!("/{number}");
            }
            let guid = Uuid::derived(&self.stack.name, &what);
            partitions.push(partition_spec(disk.table, partition, number, guid, file));
        }
        let derived = Uuid::derived(&self.stack.name, name.as_str());
        let table = match disk.table {
            PartitionTable::Gpt => TableSpec::Gpt {
                guid: disk.guid.as_ref().map_or(&derived, |guid| &guid.value).to_string(),
                hybrid: disk
                    .hybrid
                    .iter()
                    .map(|entry| HybridSpec {
                        partition: entry.partition.value,
                        r#type: entry.r#type.0,
                        bootable: entry.bootable,
                    })
                    .collect(),
                protective: match disk.protective {
                    ProtectivePlace::First => ProtectiveSpec::First,
                    ProtectivePlace::Last => ProtectiveSpec::Last,
                },
            },
            PartitionTable::Mbr => TableSpec::Mbr {
                signature: disk
                    .signature
                    .as_ref()
                    .and_then(|number| u32::try_from(number.number()).ok())
                    .unwrap_or_else(|| derived.short()),
            },
        };
        let bytes = |size: &Option<Spanned<crate::Size>>| size.as_ref().map(|size| size.bytes());
        let plain = DiskSpec {
            output: String::new(),
            format: FormatSpec::Raw,
            map_output: None,
            sector_size: u32::try_from(disk.sector_size.number()).ok(),
            size: bytes(&disk.size),
            slack: bytes(&disk.slack),
            round: bytes(&disk.round),
            align: Some(disk.align.bytes()),
            first_lba: Some(disk.first_lba.into()),
            table,
            boot_code,
            blobs,
            partitions,
        };
        let mut steps = Vec::new();
        for format in disk.written() {
            let mut inputs = inputs.clone();
            let is_main = steps.is_empty();
            let spec = DiskSpec {
                output: format!("out/{}", format.file(name)),
                format: self.format(name, format, &mut inputs),
                map_output: is_main.then(|| format!("out/{name}.map.txt")),
                ..plain.clone()
            };
            let label = if is_main { name.to_string() } else { format!("{name}/{}", format.word()) };
            steps.push(self.image(label, &Spec::Disk(spec), inputs));
        }
        steps
    }

    /// Returns where the contents of something on a disk come from, if it has any.
    pub(super) fn contents(
        &mut self,
        target: &Option<Spanned<TargetRef>>,
        file: &Option<Spanned<ProjectPath>>,
    ) -> Option<Input> {
        match (target, file) {
            (Some(target), _) => Some(self.reference(target)),
            (None, Some(file)) => Some(self.project_file(file).0),
            (None, None) => None,
        }
    }
}

/// Returns what messages call something that comes from a target or a file.
fn called(target: &Option<Spanned<TargetRef>>, file: &Option<Spanned<ProjectPath>>) -> String {
    match (target, file) {
        (Some(target), _) => target.value.to_string(),
        (None, Some(file)) => file.as_str().to_owned(),
        (None, None) => String::new(),
    }
}

/// Where ChromeOS has the priority, the tries and the success among the attributes.
const PRIORITY: u8 = 48;
const TRIES: u8 = 52;
const SUCCESSFUL: u8 = 56;

fn partition_spec(
    table: PartitionTable,
    partition: &Partition,
    number: u32,
    derived: Uuid,
    file: Option<String>,
) -> PartitionSpec {
    let is_gpt = table == PartitionTable::Gpt;
    let mut attributes: BTreeSet<u8> = partition.attributes.iter().map(|attribute| attribute.0).collect();
    if let Some(chromeos) = &partition.chromeos {
        for (number, first) in [(chromeos.priority.value, PRIORITY), (chromeos.tries.value, TRIES)] {
            attributes.extend((0..4).filter(|bit| number >> bit & 1 == 1).map(|bit| first + bit));
        }
        attributes.extend(chromeos.successful.then_some(SUCCESSFUL));
    }
    let guid = partition.guid.as_ref().map_or(derived, |guid| guid.value);
    let kind = match table {
        PartitionTable::Gpt => partition.r#type.gpt.map(|guid| guid.to_string()),
        PartitionTable::Mbr => partition.r#type.mbr.map(|number| format!("0x{number:02x}")),
    };
    PartitionSpec {
        number: Some(number),
        name: partition.name.value.clone(),
        // A type that the table does not have was refused.
        r#type: kind.unwrap_or_default(),
        guid: is_gpt.then(|| guid.to_string()),
        attributes: attributes.into_iter().collect(),
        bootable: partition.bootable,
        size: match partition.size.value {
            PartitionSize::Min => PartitionSizeSpec::Min,
            PartitionSize::Grow => PartitionSizeSpec::Grow,
            PartitionSize::Fixed(size) => PartitionSizeSpec::Bytes(size.bytes()),
        },
        at: partition.at.as_ref().map(|at| at.number()),
        align: partition.align.as_ref().map(|align| align.bytes()),
        file,
    }
}
