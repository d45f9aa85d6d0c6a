//! What formats of disks cannot be told.

use super::Checker;
use crate::formats::{Backing, Convert, DiskFormats, Format, Qcow2, Qcow2Compression};
use crate::scalar::{ProjectPath, TargetRef};
use crate::{Place, Problem, Spanned, Target};

const USUAL_SECTOR: u64 = 512;

impl Checker<'_> {
    pub(super) fn convert(&mut self, target: &Spanned<Target>, convert: &Convert) {
        self.one_disk(&target.place, &convert.target, &convert.file, "the disk to convert");
        self.formats(&convert.formats, &convert.written(), USUAL_SECTOR);
    }

    /// Reports what is wrong with formats of a disk, of which `written` are asked for.
    pub(super) fn formats(
        &mut self,
        formats: &Spanned<DiskFormats>,
        written: &[Format<'_>],
        sector_size: u64,
    ) {
        if written.is_empty() {
            self.report(
                Problem::at(&formats.place, "the disk is written in no format")
                    .help("name one, as in `formats = { qcow2 = {} }`"),
            );
        }
        if sector_size != USUAL_SECTOR {
            for (format, place) in [
                ("VDI", formats.vdi.as_ref().map(|format| &format.place)),
                ("VMDK", formats.vmdk.as_ref().map(|format| &format.place)),
                ("VHD", formats.vhd.as_ref().map(|format| &format.place)),
                ("Parallels", formats.parallels.as_ref().map(|format| &format.place)),
            ] {
                let Some(place) = place else { continue };
                let message = format!("a {format} disk cannot have sectors of {sector_size} bytes");
                self.report(Problem::at(place, message).help("`raw`, `qcow2`, `vhdx` and `gcp` can"));
            }
        }
        if let Some(qcow2) = &formats.qcow2 {
            self.qcow2(qcow2);
        }
        let is_possible = |bytes: u64| bytes.is_power_of_two() && (1 << 20..=256 << 20).contains(&bytes);
        let block_size = formats.vhdx.as_ref().and_then(|vhdx| vhdx.block_size.as_ref());
        if let Some(size) = block_size.filter(|size| !is_possible(size.bytes())) {
            self.report(
                Problem::at(&size.place, format!("a block of a VHDX cannot have {} bytes", size.bytes()))
                    .help("write `1M`, `2M` and so on to `256M`, each twice the one before"),
            );
        }
    }

    fn qcow2(&mut self, qcow2: &Spanned<Qcow2>) {
        let most = match qcow2.compression {
            Qcow2Compression::None => None,
            Qcow2Compression::Zlib => Some(9),
            Qcow2Compression::Zstd => Some(22),
        };
        if let Some(level) = &qcow2.level {
            match most {
                None => self.report(
                    Problem::at(&level.place, "`level` is for what is compressed")
                        .help("add `compression = \"zlib\"` or `compression = \"zstd\"`"),
                ),
                Some(most) if !(1..=most).contains(&level.value) => {
                    let name = qcow2.compression.as_str();
                    self.report(
                        Problem::at(&level.place, format!("{name} has no level {}", level.value))
                            .help(format!("it has 1 to {most}")),
                    );
                }
                Some(_) => {}
            }
        }
        let is_possible = |bytes: u64| bytes.is_power_of_two() && (512..=2 << 20).contains(&bytes);
        if let Some(cluster) = qcow2.cluster.as_ref().filter(|cluster| !is_possible(cluster.number())) {
            self.report(
                Problem::at(&cluster.place, "no size of a cluster")
                    .help("clusters have a power of two of bytes, from 512 to `2M`"),
            );
        }
        if qcow2.preallocated && (most.is_some() || qcow2.backing.is_some()) {
            self.report(
                Problem::at(&qcow2.place, "`preallocated` excludes `compression` and `backing`")
                    .help("keep one of them"),
            );
        }
        if let Some(backing) = &qcow2.backing {
            self.backing(backing);
        }
    }

    fn backing(&mut self, backing: &Spanned<Backing>) {
        self.one_disk(&backing.place, &backing.target, &backing.file, "the disk below");
        let length = backing.name.len();
        if !(1..=1023).contains(&length) {
            self.report(
                Problem::at(&backing.name.place, format!("a name of {length} bytes"))
                    .help("it has 1 to 1023"),
            );
        }
    }

    /// Reports a disk that is none, two, or many files.
    fn one_disk(
        &mut self,
        place: &Place,
        target: &Option<Spanned<TargetRef>>,
        file: &Option<Spanned<ProjectPath>>,
        what: &str,
    ) {
        match (target, file) {
            (Some(target), Some(file)) => {
                let problem = Problem::at(&file.place, "`target` and `file` exclude each other");
                self.report(problem.related(&target.place, "given here").help("keep one of them"));
            }
            (None, None) => {
                let problem = Problem::at(place, format!("{what} is not given"));
                self.report(problem.help("name a `target` or a `file`"));
            }
            _ => {}
        }
        if let Some(target) = target {
            self.one_file(target, what);
        }
    }
}
