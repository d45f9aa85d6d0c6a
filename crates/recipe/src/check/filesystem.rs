//! Whether the keys of a file system belong to its type.

use super::Checker;
use crate::filesystem::{Filesystem, FilesystemType, SquashfsCompression};
use crate::scalar::Size;
use crate::{Place, Problem};

impl Checker<'_> {
    pub(super) fn filesystem(&mut self, filesystem: &Filesystem) {
        self.reference_to_kind(&filesystem.rootfs, "rootfs");
        let of_ext4 = [
            ("size", filesystem.size.as_ref().map(|size| &size.place)),
            ("label", filesystem.label.as_ref().map(|label| &label.place)),
            ("uuid", filesystem.uuid.as_ref().map(|uuid| &uuid.place)),
        ];
        let of_squashfs = [
            ("compression", filesystem.compression.as_ref().map(|compression| &compression.place)),
            ("level", filesystem.level.as_ref().map(|level| &level.place)),
            ("block-size", filesystem.block_size.as_ref().map(|size| &size.place)),
            ("bcj", filesystem.bcj.first().map(|filter| &filter.place)),
            ("fragments", filesystem.fragments.as_ref().map(|fragments| &fragments.place)),
        ];
        match filesystem.r#type {
            FilesystemType::Ext4 => {
                self.foreign_keys(&of_squashfs, "ext4", "it is a key of file systems of type `squashfs`");
                // ext4 superblock, s_volume_name.
                if let Some(label) = filesystem.label.as_ref().filter(|label| label.len() > 16) {
                    self.report(
                        Problem::at(&label.place, format!("label of {} bytes", label.len()))
                            .help("an ext4 label has at most 16"),
                    );
                }
            }
            FilesystemType::Squashfs => {
                let help = "squashfs is as large as what is in it, and has neither label nor UUID";
                self.foreign_keys(&of_ext4, "squashfs", help);
                self.squashfs(filesystem);
            }
        }
    }

    fn foreign_keys(&mut self, keys: &[(&str, Option<&Place>)], of: &str, help: &str) {
        for (key, place) in keys {
            if let Some(place) = place {
                self.report(Problem::at(place, format!("`{key}` is not for {of}")).help(help));
            }
        }
    }

    fn squashfs(&mut self, filesystem: &Filesystem) {
        let compression = filesystem
            .compression
            .as_ref()
            .map_or(SquashfsCompression::Gzip, |compression| compression.value);
        let name = compression.as_str();
        if let Some(filter) = filesystem.bcj.first().filter(|_| compression != SquashfsCompression::Xz) {
            self.report(
                Problem::at(&filter.place, format!("`bcj` is not for {name}"))
                    .help("only `compression = \"xz\"` has filters"),
            );
        }
        if let Some(level) = &filesystem.level {
            let most = match compression {
                SquashfsCompression::Gzip => Some(12),
                SquashfsCompression::Zstd => Some(22),
                _ => None,
            };
            let problem = match most {
                None => Some((
                    format!("`level` is not for {name}"),
                    "only `gzip` and `zstd` have levels".to_owned(),
                )),
                Some(most) if !(1..=most).contains(&level.value) => {
                    Some((format!("{name} has no level {}", level.value), format!("it has 1 to {most}")))
                }
                Some(_) => None,
            };
            if let Some((message, help)) = problem {
                self.report(Problem::at(&level.place, message).help(help));
            }
        }
        let is_possible =
            |size: Size| size.bytes().is_power_of_two() && (4 << 10..=1 << 20).contains(&size.bytes());
        if let Some(size) = filesystem.block_size.as_ref().filter(|size| !is_possible(size.value)) {
            self.report(
                Problem::at(&size.place, format!("a block of squashfs cannot have {} bytes", size.bytes()))
                    .help(
                        "write `4K`, `8K` and so on to `1M`, each twice the one before; the usual is `128K`",
                    ),
            );
        }
    }
}
