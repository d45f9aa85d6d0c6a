//! File-system images and disks: what can be said of them before there are files.

use std::collections::BTreeMap;

use super::Checker;
use crate::disk::{Bytes, DiskBlob, DiskImage, Partition, PartitionSize, PartitionTable};
use crate::filesystem::{Ext4, Fat, Filesystem, FilesystemType, ImageSize, NoneOrSize};
use crate::scalar::Uuid;
use crate::{Place, Problem, Spanned, Target};

/// The most UTF-16 units of a partition's name.
const MOST_UNITS: usize = 36;
/// The most bytes of an ext4 label (`s_volume_name`), and of a FAT one.
const EXT4_LABEL: usize = 16;
const FAT_LABEL: usize = 11;

impl Checker<'_> {
    pub(super) fn filesystem(&mut self, target: &Spanned<Target>, filesystem: &Filesystem) {
        if let Some(rootfs) = &filesystem.rootfs {
            self.reference_to_kind(rootfs, "rootfs");
        } else if filesystem.files.is_empty() && filesystem.size.is_none() {
            self.report(
                Problem::at(&target.place, "there is nothing in this file system").help(
                    "name a root file system as `rootfs`, list `files`, or give an empty one its `size`",
                ),
            );
        }
        for file in filesystem.files.values() {
            self.content(file);
        }
        let label = filesystem.label.as_ref();
        match filesystem.r#type {
            FilesystemType::Ext4 => {
                if let Some(label) = label.filter(|label| label.len() > EXT4_LABEL) {
                    self.report(
                        Problem::at(&label.place, format!("label of {} bytes", label.len()))
                            .help(format!("an ext4 label has at most {EXT4_LABEL}")),
                    );
                }
            }
            FilesystemType::Fat => {
                let is_label = |label: &str| {
                    (1..=FAT_LABEL).contains(&label.len())
                        && label.bytes().all(|byte| matches!(byte, b' '..=b'~') && !byte.is_ascii_lowercase())
                };
                if let Some(label) = label.filter(|label| !is_label(label)) {
                    self.report(
                        Problem::at(&label.place, format!("`{}` cannot be a label", label.escape_debug()))
                            .help(
                                "a FAT label has up to 11 characters, all of them capitals, digits or signs",
                            ),
                    );
                }
                if let Some(uuid) = &filesystem.uuid {
                    self.report(Problem::at(&uuid.place, "FAT has no UUID").help("it has a `fat.volume-id`"));
                }
            }
            FilesystemType::Squashfs => self.nothing_but_files(filesystem),
            FilesystemType::Erofs => self.erofs_filesystem(filesystem),
            FilesystemType::Iso => self.iso_filesystem(filesystem),
        }
        let is = |r#type| filesystem.r#type == r#type;
        match &filesystem.ext4 {
            Some(ext4) if is(FilesystemType::Ext4) => self.ext4(ext4, filesystem.size.as_ref()),
            Some(ext4) => self.report(Problem::at(&ext4.place, "`ext4` is for file systems of that type")),
            None => {}
        }
        match &filesystem.fat {
            Some(fat) if is(FilesystemType::Fat) => self.fat(fat),
            Some(fat) => self.report(Problem::at(&fat.place, "`fat` is for file systems of that type")),
            None => {}
        }
        match &filesystem.squashfs {
            Some(squashfs) if is(FilesystemType::Squashfs) => self.squashfs(squashfs),
            Some(squashfs) => {
                self.report(Problem::at(&squashfs.place, "`squashfs` is for file systems of that type"));
            }
            None => {}
        }
        match &filesystem.erofs {
            Some(erofs) if is(FilesystemType::Erofs) => self.erofs(erofs),
            Some(erofs) => self.report(Problem::at(&erofs.place, "`erofs` is for file systems of that type")),
            None => {}
        }
        match &filesystem.iso {
            Some(iso) if is(FilesystemType::Iso) => self.iso(iso),
            Some(iso) => self.report(Problem::at(&iso.place, "`iso` is for file systems of that type")),
            None => {}
        }
    }

    fn ext4(&mut self, ext4: &Ext4, size: Option<&Spanned<ImageSize>>) {
        let block_size = ext4.block_size.as_ref();
        if let Some(size) = block_size.filter(|size| ![1024, 2048, 4096].contains(&size.bytes())) {
            self.report(
                Problem::at(&size.place, "no size of a block").help("blocks have `1K`, `2K` or `4K` bytes"),
            );
        }
        if let (Some(free), Some(size)) = (&ext4.free, size) {
            let problem = Problem::at(&free.place, "`free` and `size` exclude each other");
            self.report(problem.related(&size.place, "given here").help("keep one of them"));
        }
        if let Some(inodes) = &ext4.inodes {
            self.within(inodes, 11..=u32::MAX);
        }
        if let Some(reserved) = &ext4.reserved {
            self.within(reserved, 0..=50);
        }
        let block = block_size.map_or(4096, |size| size.bytes().max(1));
        if let Some(journal) = &ext4.journal
            && let NoneOrSize::Size(size) = journal.value
            && !(1024..=10_240_000).contains(&(size.bytes() / block))
        {
            self.report(
                Problem::at(&journal.place, "no size of a journal")
                    .help("a journal has 1024 to 10240000 blocks; `none` leaves it out"),
            );
        }
    }

    fn fat(&mut self, fat: &Fat) {
        if let Some(bits) = fat.bits.as_ref().filter(|bits| ![12, 16, 32].contains(&bits.value)) {
            self.report(
                Problem::at(&bits.place, format!("there is no FAT of {} bits", bits.value))
                    .help("there are 12, 16 and 32"),
            );
        }
        let sector_size = &fat.sector_size;
        if ![512, 1024, 2048, 4096].contains(&sector_size.number()) {
            self.report(
                Problem::at(&sector_size.place, "no size of a sector")
                    .help("sectors have 512, 1024, 2048 or 4096 bytes"),
            );
        }
        let is_cluster = |size: u64| size.is_power_of_two() && (512..=65536).contains(&size);
        if let Some(cluster) = fat.cluster.as_ref().filter(|cluster| !is_cluster(cluster.number())) {
            self.report(
                Problem::at(&cluster.place, "no size of a cluster")
                    .help("clusters have a power of two of bytes, up to `64K`"),
            );
        }
        if let Some(geometry) = &fat.geometry {
            for number in [&geometry.heads, &geometry.sectors] {
                self.within(number, 1..=65535);
            }
        }
    }

    pub(super) fn within(&mut self, number: &Spanned<u32>, range: std::ops::RangeInclusive<u32>) {
        if !range.contains(&number.value) {
            self.report(
                Problem::at(&number.place, format!("{} is out of range", number.value)).help(format!(
                    "the range is {} to {}",
                    range.start(),
                    range.end()
                )),
            );
        }
    }

    pub(super) fn disk(&mut self, target: &Spanned<Target>, disk: &DiskImage) {
        for Bytes { target, file } in disk.bytes() {
            if let Some(target) = target {
                self.one_file(target, "what is on a disk");
            }
            if let (Some(target), Some(file)) = (target, file) {
                let problem = Problem::at(&file.place, "`target` and `file` exclude each other");
                self.report(problem.related(&target.place, "given here").help("keep one of them"));
            }
        }
        let code = disk.boot_code.iter().map(|code| (&code.place, &code.target, &code.file));
        let blobs = disk.blobs.iter().map(|blob| (&blob.place, &blob.target, &blob.file));
        for (place, ..) in code.chain(blobs).filter(|(_, target, file)| target.is_none() && file.is_none()) {
            self.report(Problem::at(place, "there is nothing in it").help("name a `target` or a `file`"));
        }
        for blob in &disk.blobs {
            self.grub_core(blob);
        }
        if let Some(length) = disk.boot_code.as_ref().and_then(|code| code.length.as_ref()) {
            let most = if disk.table == PartitionTable::Gpt { 446 } else { 440 };
            self.within(length, 1..=most);
        }
        if ![512, 4096].contains(&disk.sector_size.number()) {
            self.report(
                Problem::at(&disk.sector_size.place, "no size of a sector")
                    .help("sectors have 512 or 4096 bytes"),
            );
        }
        if let Some(size) = &disk.size {
            for other in [&disk.slack, &disk.round].into_iter().flatten() {
                self.report(
                    Problem::at(&other.place, "a disk of a fixed size has no other")
                        .related(&size.place, "the size"),
                );
            }
        }
        if let Some(formats) = &disk.formats {
            self.formats(formats, &disk.written(), disk.sector_size.number());
        }
        self.of_table(disk);
        self.partitions(target, disk);
        self.hybrid(disk);
        self.disk_layout(target, disk);
    }

    /// Reports a core of GRUB that its boot sector would not find.
    fn grub_core(&mut self, blob: &DiskBlob) {
        let Some(reference) = &blob.target else { return };
        let Some(target) = self.recipe.target.get(&reference.target) else { return };
        let Target::Grub(grub) = &target.value else { return };
        let is_core = reference.path.as_deref().is_none_or(|path| path == "core.img");
        if let Some(at) = grub.core_at().filter(|at| is_core && *at != blob.at.number()) {
            let name = &reference.target;
            let message = format!("`boot.img` of `{name}` looks for this at {at:#x}");
            let place = grub.at.as_ref().map_or(&target.place, |at| &at.place);
            self.report(
                Problem::at(&blob.at.place, message)
                    .related(place, "it is made here")
                    .help(format!("give `{name}` the same `at = \"{:#x}\"`", blob.at.number())),
            );
        }
    }

    /// Reports what the kind of table does not have.
    fn of_table(&mut self, disk: &DiskImage) {
        let mut misplaced = |place: &Place, what: &str, kind: &str| {
            self.report(Problem::at(place, format!("{what} only in a table of kind `{kind}`")));
        };
        match disk.table {
            PartitionTable::Gpt => {
                if let Some(signature) = &disk.signature {
                    misplaced(&signature.place, "there is a number of the disk", "mbr");
                }
                for partition in disk.partitions.iter().filter(|partition| partition.bootable) {
                    misplaced(&partition.place, "a partition can be marked as bootable", "mbr");
                }
            }
            PartitionTable::Mbr => {
                if let Some(guid) = &disk.guid {
                    misplaced(&guid.place, "there is a GUID of the disk", "gpt");
                }
                for entry in disk.hybrid.iter().take(1) {
                    misplaced(&entry.place, "there are hybrid entries", "gpt");
                }
                for partition in &disk.partitions {
                    if let Some(guid) = &partition.guid {
                        misplaced(&guid.place, "a partition has a GUID", "gpt");
                    }
                    let attributes = partition.attributes.first().map(|attribute| &attribute.place);
                    let chromeos = partition.chromeos.as_ref().map(|chromeos| &chromeos.place);
                    if let Some(place) = attributes.or(chromeos) {
                        misplaced(place, "a partition has attributes", "gpt");
                    }
                }
            }
        }
        if let Some(signature) =
            disk.signature.as_ref().filter(|number| u32::try_from(number.number()).is_err())
        {
            self.report(Problem::at(&signature.place, "a disk's number has 32 bits"));
        }
    }

    fn partitions(&mut self, target: &Spanned<Target>, disk: &DiskImage) {
        let (limit, kind) = match disk.table {
            PartitionTable::Gpt => (128, "gpt"),
            PartitionTable::Mbr => (4, "mbr"),
        };
        if disk.partitions.len() > limit as usize {
            let message =
                format!("{} partitions, and a table of kind `{kind}` has {limit}", disk.partitions.len());
            self.report(Problem::at(&target.place, message));
        }
        let mut numbers: BTreeMap<u32, &Place> = BTreeMap::new();
        let mut guids: BTreeMap<&Uuid, &Place> = BTreeMap::new();
        if let Some(guid) = &disk.guid {
            guids.insert(&guid.value, &guid.place);
        }
        let mut grown: Option<&Place> = None;
        for partition in &disk.partitions {
            self.partition(disk.table, partition);
            self.sectors(disk, partition);
            if let Some(number) = &partition.number {
                self.within(number, 1..=limit);
                if let Some(first) = numbers.insert(number.value, &number.place) {
                    let problem =
                        Problem::at(&number.place, format!("two partitions of number {}", number.value));
                    self.report(problem.related(first, "the other"));
                }
            }
            if let Some(guid) = &partition.guid
                && let Some(first) = guids.insert(&guid.value, &guid.place)
            {
                let problem = Problem::at(&guid.place, "a GUID that is there already");
                self.report(problem.related(first, "given here"));
            }
            if partition.size.value == PartitionSize::Grow
                && let Some(first) = grown.replace(&partition.size.place)
            {
                let problem = Problem::at(&partition.size.place, "two partitions cannot both take the rest");
                self.report(problem.related(first, "the other"));
            }
        }
    }

    /// Reports a file system that no system mounts from the disk, whose sectors are larger than the parts that it counts in.
    fn sectors(&mut self, disk: &DiskImage, partition: &Spanned<Partition>) {
        let Some(reference) = &partition.target else { return };
        let Some(Target::Filesystem(filesystem)) =
            self.recipe.target.get(&reference.target).map(|target| &target.value)
        else {
            return;
        };
        let (what, counted, remedy) = match filesystem.r#type {
            FilesystemType::Fat => {
                let size = filesystem.fat.as_ref().map_or(512, |fat| fat.sector_size.number());
                ("sectors", size, "fat = { sector-size = \"4096\" }")
            }
            FilesystemType::Ext4 => {
                let ext4 = filesystem.ext4.as_ref();
                let size = ext4.and_then(|ext4| ext4.block_size.as_ref()).map_or(4096, |size| size.bytes());
                ("blocks", size, "ext4 = { block-size = \"4K\" }")
            }
            FilesystemType::Squashfs | FilesystemType::Erofs | FilesystemType::Iso => return,
        };
        let sector = disk.sector_size.number();
        if sector == 4096 && counted < sector {
            let name = &reference.target;
            let message =
                format!("`{name}` has {what} of {counted} bytes, and the disk has sectors of {sector}");
            self.report(
                Problem::at(&reference.place, message).related(&disk.sector_size.place, "given here").help(
                    format!("give `{name}` `{remedy}`: systems cannot mount what is smaller than a sector"),
                ),
            );
        }
    }

    fn partition(&mut self, table: PartitionTable, partition: &Spanned<Partition>) {
        let units = partition.name.encode_utf16().count();
        if units > MOST_UNITS {
            self.report(
                Problem::at(&partition.name.place, format!("a name of {units} UTF-16 units"))
                    .help(format!("a partition's name has at most {MOST_UNITS}")),
            );
        }
        let (is_known, table) = match table {
            PartitionTable::Gpt => (partition.r#type.gpt.is_some(), "gpt"),
            PartitionTable::Mbr => (partition.r#type.mbr.is_some(), "mbr"),
        };
        if !is_known {
            let kind = partition.r#type.as_str();
            let message = format!("a table of kind `{table}` has no type `{kind}`");
            self.report(Problem::at(&partition.r#type.place, message));
        }
        if let Some(chromeos) = &partition.chromeos {
            for number in [&chromeos.priority, &chromeos.tries] {
                self.within(number, 0..=15);
            }
        }
        if partition.size.value == PartitionSize::Min
            && partition.target.is_none()
            && partition.file.is_none()
        {
            self.report(
                Problem::at(&partition.place, "a partition without size and contents")
                    .help("give it a `size`, or a `target` or `file`"),
            );
        }
    }

    fn hybrid(&mut self, disk: &DiskImage) {
        if let Some(fourth) = disk.hybrid.get(3) {
            self.report(
                Problem::at(&fourth.place, "a hybrid table has room for three partitions")
                    .help("the fourth entry protects the rest"),
            );
        }
        let mut seen: BTreeMap<u32, &Place> = BTreeMap::new();
        for entry in &disk.hybrid {
            let number = &entry.partition;
            if let Some(first) = seen.insert(number.value, &number.place) {
                let problem =
                    Problem::at(&number.place, format!("partition {} is listed twice", number.value));
                self.report(problem.related(first, "first listed here"));
            }
            let is_there = disk.numbers().contains(&number.value);
            if !is_there {
                self.report(Problem::at(&number.place, format!("there is no partition {}", number.value)));
            }
        }
    }
}
