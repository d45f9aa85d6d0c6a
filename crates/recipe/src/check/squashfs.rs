//! What squashfs cannot be told.

use super::Checker;
use crate::Problem;
use crate::filesystem::{Filesystem, Squashfs, SquashfsCompression};
use crate::scalar::Size;

impl Checker<'_> {
    pub(super) fn nothing_but_files(&mut self, filesystem: &Filesystem) {
        let keys = [
            ("size", filesystem.size.as_ref().map(|size| &size.place)),
            ("label", filesystem.label.as_ref().map(|label| &label.place)),
            ("uuid", filesystem.uuid.as_ref().map(|uuid| &uuid.place)),
        ];
        for (key, place) in keys {
            if let Some(place) = place {
                self.report(
                    Problem::at(place, format!("`{key}` is not for squashfs"))
                        .help("squashfs is as large as what is in it, and has neither label nor UUID"),
                );
            }
        }
    }

    pub(super) fn squashfs(&mut self, squashfs: &Squashfs) {
        let compression = squashfs.compression;
        let name = compression.as_str();
        if let Some(filter) = squashfs.bcj.first().filter(|_| compression != SquashfsCompression::Xz) {
            self.report(
                Problem::at(&filter.place, format!("`bcj` is not for {name}"))
                    .help("only `compression = \"xz\"` has filters"),
            );
        }
        if let Some(level) = &squashfs.level {
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
        if let Some(size) = squashfs.block_size.as_ref().filter(|size| !is_possible(size.value)) {
            self.report(
                Problem::at(&size.place, format!("a block of squashfs cannot have {} bytes", size.bytes()))
                    .help(
                        "write `4K`, `8K` and so on to `1M`, each twice the one before; the usual is `128K`",
                    ),
            );
        }
    }
}
