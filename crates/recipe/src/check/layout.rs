//! Where the parts of a disk lie, as far as the recipe says it: what cannot be is told before anything is built.
//!
//! The rules are those of `mkimg`, which looks the disk over once more when it knows how large everything is. Until then
//! a file of unknown size counts as small, and what is reported is wrong however large it is.

use mkimg::disk::{
    Blob, Disk, Guid, Hybrid, Identity, Part, Partition as Declared, PartitionSize as DeclaredSize,
    Problem as Found, Protective, Size, Table, resolve,
};

use super::Checker;
use crate::disk::{DiskImage, Partition, PartitionSize, PartitionTable};
use crate::filesystem::ImageSize;
use crate::scalar::{ProjectPath, TargetRef};
use crate::{Place, Problem, Spanned, Target};

/// What a disk's size is a multiple of unless it is said otherwise.
const MEBIBYTE: u64 = 1 << 20;

/// A partition as far as it is known.
struct Known {
    declared: Declared,
    /// Whether what is known of its size is all of it.
    is_exact: bool,
}

impl Checker<'_> {
    /// Reports what overlaps, does not fit or cannot be where it shall.
    pub(super) fn disk_layout(&mut self, target: &Spanned<Target>, disk: &DiskImage) {
        let known: Vec<Known> = disk
            .partitions
            .iter()
            .zip(disk.numbers())
            .map(|(partition, number)| self.known(disk.table, partition, number))
            .collect();
        let layout = Layout { target, disk, known: &known };
        let Err(problems) = resolve(layout.declared()) else { return };
        for (found, about) in problems.problems.iter().zip(&problems.about) {
            if layout.is_certain(found, about) {
                let problem = layout.problem(found, about);
                self.report(problem);
            }
        }
    }

    fn known(&self, table: PartitionTable, partition: &Partition, number: u32) -> Known {
        let content = self.content_size(&partition.target, &partition.file);
        let identity = match table {
            PartitionTable::Gpt => Identity::Gpt { kind: Guid::NIL, guid: Guid::NIL, attributes: 0 },
            PartitionTable::Mbr => Identity::Mbr { kind: 0, is_bootable: false },
        };
        let declared = Declared {
            number: Some(number),
            name: partition.name.value.clone(),
            identity,
            size: match partition.size.value {
                PartitionSize::Min => DeclaredSize::Min,
                PartitionSize::Grow => DeclaredSize::Grow,
                PartitionSize::Fixed(size) => DeclaredSize::Fixed(size.bytes()),
            },
            at: partition.at.as_ref().map(|at| at.number()),
            align: partition.align.as_ref().map(|align| align.bytes()),
            // Nothing is too large for a partition as long as nobody knows how large it is.
            content: content.as_ref().map(|content| (content.size.unwrap_or(1), content.what.clone())),
        };
        let is_sized = matches!(partition.size.value, PartitionSize::Fixed(_));
        Known { declared, is_exact: is_sized || content.is_none_or(|content| content.size.is_some()) }
    }

    /// Returns what is known of the contents of something on a disk, if it has any.
    fn content_size(
        &self,
        target: &Option<Spanned<TargetRef>>,
        file: &Option<Spanned<ProjectPath>>,
    ) -> Option<Content> {
        let Some(reference) = target else {
            return file.as_ref().map(|file| Content { what: format!("`{}`", file.as_str()), size: None });
        };
        let size = match self.recipe.target.get(&reference.target).map(|target| &target.value) {
            Some(Target::Filesystem(filesystem)) => match filesystem.size.as_ref().map(|size| size.value) {
                Some(ImageSize::Fixed(size)) => Some(size.bytes()),
                Some(ImageSize::Min) | None => None,
            },
            _ => None,
        };
        Some(Content { what: format!("`{}`", reference.value), size })
    }
}

/// What is on a disk or in a partition of it.
struct Content {
    /// What messages call it.
    what: String,
    /// How large it is, if the recipe says so.
    size: Option<u64>,
}

/// A disk as far as it is known.
struct Layout<'a> {
    target: &'a Spanned<Target>,
    disk: &'a DiskImage,
    known: &'a [Known],
}

impl Layout<'_> {
    fn declared(&self) -> Disk {
        let disk = self.disk;
        let blobs = disk.blobs.iter().map(|blob| {
            let target = blob.target.as_ref().map(|target| target.value.to_string());
            let file = blob.file.as_ref().map(|file| file.as_str().to_owned());
            Blob { name: target.or(file).unwrap_or_default(), at: blob.at.number(), size: 1 }
        });
        let bytes = |size: &Option<Spanned<crate::Size>>| size.as_ref().map(|size| size.bytes());
        Disk {
            sector_size: disk.sector_size.number(),
            size: match bytes(&disk.size) {
                Some(size) => Size::Fixed(size),
                None => Size::Fit {
                    slack: bytes(&disk.slack).unwrap_or(0),
                    round: bytes(&disk.round).unwrap_or(MEBIBYTE),
                },
            },
            align: disk.align.bytes(),
            first_lba: disk.first_lba.into(),
            table: match disk.table {
                PartitionTable::Gpt => Table::Gpt {
                    guid: Guid::NIL,
                    hybrid: disk
                        .hybrid
                        .iter()
                        .map(|entry| Hybrid {
                            partition: entry.partition.value,
                            kind: entry.r#type.0,
                            is_bootable: entry.bootable,
                        })
                        .collect(),
                    protective: Protective::First,
                },
                PartitionTable::Mbr => Table::Mbr { signature: 0 },
            },
            boot_code: 0,
            blobs: blobs.collect(),
            partitions: self.known.iter().map(|known| known.declared.clone()).collect(),
        }
    }

    /// Returns whether what was found holds whatever is not known yet, and is not told by the checks of single keys.
    fn is_certain(&self, found: &Found, about: &[Part]) -> bool {
        match found {
            // These only grow with what is not known.
            Found::DiskTooSmall { .. } | Found::TooSmall { .. } => true,
            Found::NotSectors { .. } | Found::Align { .. } | Found::Unaligned { .. } => true,
            Found::Overlap { .. } | Found::Beyond { .. } => about.iter().all(|part| self.is_placed(*part)),
            // One without contents has no size, which its own check says.
            Found::Empty { .. } => about.iter().any(|part| {
                matches!(part, Part::Partition(idx) if self.known[*idx].declared.size == DeclaredSize::Grow)
            }),
            _ => false,
        }
    }

    /// Returns whether the first sector of a part is known, and at least how many it has.
    fn is_placed(&self, part: Part) -> bool {
        let Part::Partition(idx) = part else { return true };
        let takes_rest = |known: &Known| known.declared.size == DeclaredSize::Grow;
        // What is left is known when everything else is.
        let is_all_exact = self.known.iter().all(|known| known.is_exact);
        let has_size = |known: &Known| if takes_rest(known) { is_all_exact } else { known.is_exact };
        let before = self.known[..idx].iter().rposition(|known| known.declared.at.is_some()).unwrap_or(0);
        let is_begin_known =
            self.known[idx].declared.at.is_some() || self.known[before..idx].iter().all(has_size);
        is_begin_known && (!takes_rest(&self.known[idx]) || is_all_exact)
    }

    fn problem(&self, found: &Found, about: &[Part]) -> Problem {
        // Where tables lie nobody says.
        let mut places: Vec<&Place> = about.iter().filter_map(|part| self.place(*part)).collect();
        if let (Found::TooSmall { .. }, [Part::Partition(idx)]) = (found, about) {
            places = vec![&self.disk.partitions[*idx].size.place];
        }
        let mut problem = Problem::at(places.pop().unwrap_or(&self.target.place), found.to_string());
        for place in places {
            problem = problem.related(place, "the other");
        }
        match found.help() {
            Some(help) => problem.help(help),
            None => problem,
        }
    }

    /// Returns what says where a part lies.
    fn place(&self, part: Part) -> Option<&Place> {
        match part {
            Part::Table => None,
            Part::Disk => self.disk.size.as_ref().map(|size| &size.place),
            Part::Blob(idx) => Some(&self.disk.blobs[idx].at.place),
            Part::Partition(idx) => {
                let partition = &self.disk.partitions[idx];
                Some(partition.at.as_ref().map_or(&partition.place, |at| &at.place))
            }
        }
    }
}
