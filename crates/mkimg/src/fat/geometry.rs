//! How a file system of some size is divided: which kind it is, how large its clusters are, where its parts lie.

use super::options::{Chs, Kind, Options};

/// Copies of the table.
pub(super) const N_TABLES: u64 = 2;
/// Bytes of a directory's entry.
pub(super) const ENTRY_LEN: u64 = 32;
/// How many entries the root of FAT12 and FAT16 has at least.
const ROOT_ENTRIES: u64 = 512;
/// The most that it can have: the field has 16 bits, and whole sectors of 4096 bytes have 128 each.
pub(super) const MOST_ROOT_ENTRIES: u64 = 0xff80;
/// The most sectors in a cluster: the field has 8 bits.
const MOST_PER_CLUSTER: u64 = 128;
/// Up to this many sectors, parts are not aligned to clusters: those are floppies, where each sector counts.
const MOST_UNALIGNED: u64 = 8192;
/// From this many bytes on, file systems are FAT32 unless it is said otherwise.
const FAT32_FROM: u64 = 512 << 20;
/// The most sectors that there can be.
pub(super) const MOST_SECTORS: u64 = u32::MAX as u64;

/// A kind of file system with a size of clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) kind: Kind,
    /// Sectors in a cluster.
    pub(super) per_cluster: u64,
}

/// Where everything is, in sectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) form: Form,
    pub(super) sector_size: u64,
    pub(super) sectors: u64,
    /// Before the first table.
    pub(super) reserved: u64,
    /// In one table.
    pub(super) table: u64,
    /// In the root directory of FAT12 and FAT16.
    pub(super) root: u64,
    pub(super) clusters: u64,
}

/// What a tree asks of the root directory, and the options of everything else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) options: &'a Options,
    /// How many entries the root has.
    pub(super) root_entries: u64,
}

/// Why no form suits a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    TooSmall,
    TooLarge,
}

impl Geometry {
    /// Returns how many bytes a cluster has.
    pub(super) fn cluster_len(&self) -> u64 {
        self.form.per_cluster * self.sector_size
    }

    /// Returns the first sector of the clusters.
    pub(super) fn data_start(&self) -> u64 {
        self.reserved + N_TABLES * self.table + self.root
    }

    /// Returns the offset of a cluster; the first has number 2.
    pub(super) fn cluster_offset(&self, cluster: u64) -> u64 {
        (self.data_start() + (cluster - 2) * self.form.per_cluster) * self.sector_size
    }

    /// Leaves so many clusters of those that there are sectors for. What is behind them is no part of the file system any more:
    /// readers count as many clusters as there are sectors for, and tell the kind by that.
    fn with_clusters(self, clusters: u64) -> Geometry {
        let end = self.data_start() + (clusters + 1) * self.form.per_cluster;
        let sectors = if self.sectors < end { self.sectors } else { end - self.form.per_cluster };
        Geometry { clusters, sectors, ..self }
    }
}

impl Request<'_> {
    fn sector_size(&self) -> u64 {
        self.options.sector_size.into()
    }

    /// Returns the parts in front of the clusters, as they are for so many clusters and sectors.
    fn front(&self, form: Form, sectors: u64, clusters: u64) -> Geometry {
        let align = if sectors > MOST_UNALIGNED { form.per_cluster } else { 1 };
        let sector_size = self.sector_size();
        let (reserved, root) = match form.kind {
            Kind::Fat32 => (32, 0),
            Kind::Fat12 | Kind::Fat16 => {
                (1, (self.root_entries.max(ROOT_ENTRIES) * ENTRY_LEN).div_ceil(sector_size))
            }
        };
        let table = form.kind.table_len(clusters).div_ceil(sector_size);
        Geometry {
            form,
            sector_size,
            sectors,
            reserved: u64::next_multiple_of(reserved, align),
            table: table.next_multiple_of(align),
            root: root.next_multiple_of(align),
            clusters,
        }
    }

    /// Returns the division of so many sectors that has the most clusters, whether the kind allows that many or not.
    fn fill(&self, form: Form, sectors: u64) -> Option<Geometry> {
        let fits = |clusters: &u64| {
            self.front(form, sectors, *clusters).data_start() + clusters * form.per_cluster <= sectors
        };
        let (mut low, mut high) = (0, sectors / form.per_cluster + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(&middle) { low = middle } else { high = middle }
        }
        (low > 0).then(|| self.front(form, sectors, low).with_clusters(low))
    }

    /// Returns the division of so many sectors into a form, if the form can be.
    fn divide(&self, form: Form, sectors: u64) -> Result<Geometry, Misfit> {
        let (fewest, most) = form.kind.clusters();
        match self.fill(form, sectors) {
            Some(geometry) if geometry.clusters > most => Err(Misfit::TooLarge),
            Some(geometry) if geometry.clusters >= fewest => Ok(geometry),
            _ => Err(Misfit::TooSmall),
        }
    }

    /// Returns the first size of clusters that `mkfs.fat` tries for a kind, in sectors.
    fn first_per_cluster(&self, kind: Kind, sectors: u64) -> u64 {
        let mebibytes = (sectors * self.sector_size()) >> 20;
        let bytes: u64 = match mebibytes {
            _ if kind != Kind::Fat32 => return 4,
            0..260 => 512,
            260..0x2000 => 4 << 10,
            0x2000..0x4000 => 8 << 10,
            0x4000..0x8000 => 16 << 10,
            _ => 32 << 10,
        };
        (bytes / self.sector_size()).max(1)
    }

    /// Returns the sizes of clusters that are tried for a kind, in sectors.
    fn cluster_sizes(&self, kind: Kind, sectors: u64) -> Vec<u64> {
        if let Some(size) = self.options.cluster_size {
            return vec![u64::from(size) / self.sector_size()];
        }
        let most = MOST_PER_CLUSTER.min((64 << 10) / self.sector_size());
        let first = self.first_per_cluster(kind, sectors);
        std::iter::successors(Some(first), |size| Some(size * 2)).take_while(|size| *size <= most).collect()
    }

    /// Returns the division of so many sectors into FAT12 or FAT16, whichever suits.
    fn divide_small(&self, sectors: u64) -> Result<Geometry, Misfit> {
        for per_cluster in self.cluster_sizes(Kind::Fat16, sectors) {
            match self.divide(Form { kind: Kind::Fat16, per_cluster }, sectors) {
                Ok(geometry) => return Ok(geometry),
                Err(Misfit::TooLarge) => {}
                Err(Misfit::TooSmall) => {
                    let form = Form { kind: Kind::Fat12, per_cluster };
                    let geometry = self.fill(form, sectors).ok_or(Misfit::TooSmall)?;
                    // Between the kinds there are sizes with a cluster too many for one, but too few for the other,
                    // whose table is larger.
                    let (_, most) = Kind::Fat12.clusters();
                    let clusters = geometry.clusters.min(most);
                    return Ok(geometry.with_clusters(clusters));
                }
            }
        }
        Err(Misfit::TooLarge)
    }

    fn divide_kind(&self, kind: Kind, sectors: u64) -> Result<Geometry, Misfit> {
        for per_cluster in self.cluster_sizes(kind, sectors) {
            match self.divide(Form { kind, per_cluster }, sectors) {
                Err(Misfit::TooLarge) => {}
                done => return done,
            }
        }
        Err(Misfit::TooLarge)
    }

    /// Returns the division of so many sectors: into the kind that was asked for, or the one that `mkfs.fat` takes.
    pub(super) fn choose(&self, sectors: u64) -> Result<Geometry, Misfit> {
        if sectors > MOST_SECTORS {
            return Err(Misfit::TooLarge);
        }
        match self.options.kind {
            Some(kind) => self.divide_kind(kind, sectors),
            // A size of clusters that was given can make either kind the only possible one.
            None if sectors * self.sector_size() >= FAT32_FROM => {
                match self.divide_kind(Kind::Fat32, sectors) {
                    Err(Misfit::TooSmall) => self.divide_small(sectors),
                    done => done,
                }
            }
            None => match self.divide_small(sectors) {
                Err(Misfit::TooLarge) => self.divide_kind(Kind::Fat32, sectors),
                done => done,
            },
        }
    }

    /// Returns the smallest division that has as many clusters as `needed` says for their size in bytes.
    ///
    /// Larger sizes have kinds with more bits, or larger clusters: so each form is the choice for one range of sizes.
    pub(super) fn smallest(&self, needed: impl Fn(Form) -> u64) -> Option<Geometry> {
        let rank = |form: Form| (form.kind, form.per_cluster);
        let kinds = [Kind::Fat12, Kind::Fat16, Kind::Fat32].into_iter();
        let kinds = kinds.filter(|kind| self.options.kind.is_none_or(|only| only == *kind));
        let forms = kinds.flat_map(|kind| {
            let sizes = std::iter::successors(Some(1), |size| Some(size * 2));
            sizes
                .take_while(|size| *size <= MOST_PER_CLUSTER)
                .map(move |per_cluster| Form { kind, per_cluster })
        });
        let candidates = forms.filter_map(|form| {
            let clusters = needed(form).max(form.kind.clusters().0);
            let end =
                |sectors: u64| self.front(form, sectors, clusters).data_start() + clusters * form.per_cluster;
            let unaligned = end(0);
            let least = if unaligned <= MOST_UNALIGNED { unaligned } else { end(unaligned) };
            // The first size for which this form, or one that comes after it, is chosen.
            let comes_before = |sectors: u64| match self.choose(sectors) {
                Ok(geometry) => rank(geometry.form) < rank(form),
                Err(misfit) => misfit == Misfit::TooSmall,
            };
            let (mut low, mut high) = (least.min(MOST_SECTORS), MOST_SECTORS);
            if comes_before(low) {
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    if comes_before(middle) { low = middle } else { high = middle }
                }
                low = high;
            }
            self.choose(low).ok().filter(|geometry| geometry.form == form && geometry.clusters >= clusters)
        });
        candidates.min_by_key(|geometry| geometry.sectors)
    }
}

/// Returns the geometry that is usual for so many sectors of 512 bytes: that of SD cards, as `mkfs.fat` has it.
pub(super) fn usual_chs(sectors: u64) -> Chs {
    let (heads, sectors) = match sectors {
        0..8192 => (2, 16),
        8192..=32_768 => (2, 32),
        32_769..=65_536 => (4, 32),
        65_537..=262_144 => (8, 32),
        262_145..=524_288 => (16, 32),
        524_289..=1_032_192 => (16, 63),
        1_032_193..=2_064_384 => (32, 63),
        2_064_385..=4_128_768 => (64, 63),
        4_128_769..=8_257_536 => (128, 63),
        _ => (255, 63),
    };
    Chs { heads, sectors }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fat::Size;

    fn options() -> Options {
        Options::new(Size::Fixed(0), 1, 0)
    }

    #[track_caller]
    fn check(options: &Options, kibibytes: u64, expected: &str) {
        let request = Request { options, root_entries: 0 };
        let told = match request.choose((kibibytes << 10) / u64::from(options.sector_size)) {
            Ok(found) => format!("{:?} {}", found.form.kind, found.cluster_len()),
            Err(misfit) => format!("{misfit:?}"),
        };
        assert_eq!(told, expected);
    }

    /// What `mkfs.fat` 4.2 says to these sizes.
    #[test]
    fn kinds_and_clusters_by_size() {
        let options = options();
        check(&options, 4, "TooSmall");
        check(&options, 1024, "Fat12 2048");
        check(&options, 8192, "Fat12 2048");
        check(&options, 8300, "Fat16 2048");
        check(&options, 36_864, "Fat16 2048");
        check(&options, 131_072, "Fat16 2048");
        check(&options, 135_000, "Fat16 4096");
        check(&options, 262_144, "Fat16 4096");
        check(&options, 520_000, "Fat16 8192");
        check(&options, 524_288, "Fat32 4096");
        check(&options, 8 << 20, "Fat32 8192");
        check(&options, 16 << 20, "Fat32 16384");
        check(&options, 32 << 20, "Fat32 32768");
    }

    #[test]
    fn kinds_that_are_given() {
        let fat32 = Options { kind: Some(Kind::Fat32), ..options() };
        check(&fat32, 33_792, "Fat32 512");
        check(&fat32, 30_000, "TooSmall");
        check(&fat32, 270_000, "Fat32 4096");
        check(&Options { kind: Some(Kind::Fat12), ..options() }, 40_000, "Fat12 16384");
        check(&Options { kind: Some(Kind::Fat12), ..options() }, 600_000, "TooLarge");
        check(&Options { kind: Some(Kind::Fat16), ..options() }, 1000, "TooSmall");
        check(&Options { kind: Some(Kind::Fat16), ..options() }, 600_000, "Fat16 16384");
    }

    #[test]
    fn clusters_that_are_given() {
        let clusters = |size| Options { cluster_size: Some(size), ..options() };
        check(&clusters(512), 1024, "Fat12 512");
        check(&clusters(512), 4096, "Fat16 512");
        check(&clusters(512), 100_000, "Fat32 512");
        check(&clusters(32 << 10), 600_000, "Fat16 32768");
        let large_sectors = Options { sector_size: 4096, ..options() };
        check(&large_sectors, 600_000, "Fat32 4096");
        check(&large_sectors, 9000, "Fat12 16384");
    }

    /// The size that [`Request::smallest`] finds has room for so many bytes, and none below has.
    #[test]
    fn readers_tell_the_kind_that_was_meant() {
        for (cluster_size, around) in [(None, 16_404), (Some(512), 4_146), (Some(1024), 8_232)] {
            let options = Options { cluster_size, ..options() };
            let request = Request { options: &options, root_entries: 40 };
            for sectors in around - 60..around + 60 {
                let geometry = request.choose(sectors).unwrap();
                let clusters = (geometry.sectors - geometry.data_start()) / geometry.form.per_cluster;
                // Those that there are sectors for, by "FAT Type Determination".
                let kind = if clusters < 4085 { Kind::Fat12 } else { Kind::Fat16 };
                assert_eq!((geometry.form.kind, geometry.clusters), (kind, clusters), "{sectors}");
                assert!(
                    geometry.sectors <= sectors && sectors - geometry.sectors < 16,
                    "{sectors} {geometry:?}"
                );
            }
        }
    }

    #[test]
    fn the_smallest_is_smallest() {
        let given = |kind, cluster_size| Options { kind, cluster_size, ..options() };
        let all = [
            given(None, None),
            given(Some(Kind::Fat32), None),
            given(None, Some(1024)),
            given(Some(Kind::Fat12), None),
        ];
        for options in &all {
            for bytes in
                [1, 100_000, 8_200_000, 8_400_000, 100_000_000, 134_000_000, 135_000_000, 536_000_000u64]
            {
                let request = Request { options, root_entries: 40 };
                let needed = |form: Form| bytes.div_ceil(form.per_cluster * 512);
                let suits = |sectors: u64| {
                    request.choose(sectors).is_ok_and(|geometry| geometry.clusters >= needed(geometry.form))
                };
                let Some(found) = request.smallest(needed) else {
                    assert!(options.kind == Some(Kind::Fat12) && bytes > 260_000_000, "{options:?} {bytes}");
                    continue;
                };
                assert!(suits(found.sectors), "{bytes} {found:?}");
                let below = (1..5000).map(|step| found.sectors.saturating_sub(step));
                let smaller = below
                    .chain((1..2000).map(|part| found.sectors * part / 2000))
                    .find(|sectors| suits(*sectors));
                assert_eq!(smaller, None, "{options:?} {bytes} {found:?}");
            }
        }
    }
}
