//! What EROFS cannot be told.

use super::Checker;
use crate::Problem;
use crate::filesystem::{Erofs, ErofsCompression, Filesystem};
use crate::scalar::Size;

/// The longest label, in bytes.
const LABEL: usize = 15;

impl Checker<'_> {
    pub(super) fn erofs_filesystem(&mut self, filesystem: &Filesystem) {
        if let Some(size) = &filesystem.size {
            self.report(
                Problem::at(&size.place, "`size` is not for erofs")
                    .help("erofs is as large as what is in it"),
            );
        }
        if let Some(label) = filesystem.label.as_ref().filter(|label| label.len() > LABEL) {
            self.report(
                Problem::at(&label.place, format!("label of {} bytes", label.len()))
                    .help(format!("a label of erofs has at most {LABEL}")),
            );
        }
    }

    pub(super) fn erofs(&mut self, erofs: &Erofs) {
        let name = erofs.compression.as_str();
        if let Some(level) = &erofs.level {
            let most = match erofs.compression {
                ErofsCompression::Lz4hc => Some(12),
                ErofsCompression::Zstd => Some(22),
                ErofsCompression::None | ErofsCompression::Lz4 => None,
            };
            let problem = match most {
                None => Some((
                    format!("`level` is not for {name}"),
                    "only `lz4hc` and `zstd` have levels".to_owned(),
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
        if let Some(size) = &erofs.cluster_size {
            if erofs.compression == ErofsCompression::None {
                self.report(
                    Problem::at(&size.place, "`cluster-size` is not for none")
                        .help("clusters are what is compressed together"),
                );
            } else if !is_possible(size.value) {
                self.report(
                    Problem::at(
                        &size.place,
                        format!("a cluster of erofs cannot have {} bytes", size.bytes()),
                    )
                    .help(
                        "write `4K`, `8K` and so on to `1M`, each twice the one before; the usual is `64K`",
                    ),
                );
            }
        }
    }
}
