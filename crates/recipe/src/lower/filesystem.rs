//! File-system images as steps.

use engine::StepId;
use mkimg::spec::{self, Ext4Spec, Spec, SquashfsSpec};

use super::{Lowering, place_layers};
use crate::filesystem::{Filesystem, FilesystemType, SquashfsCompression, SquashfsFragments};
use crate::scalar::{Name, Uuid};

impl Lowering<'_> {
    pub(super) fn filesystem(&mut self, name: &Name, filesystem: &Filesystem) -> StepId {
        let layers = self.rootfs[filesystem.rootfs.as_str()].clone();
        let (inputs, layers) = place_layers("layers", &layers);
        let output = format!("out/{name}.{}", filesystem.r#type.as_str());
        let spec = match filesystem.r#type {
            FilesystemType::Ext4 => Spec::Ext4(self.ext4(name, filesystem, output, layers)),
            FilesystemType::Squashfs => Spec::Squashfs(self.squashfs(filesystem, output, layers)),
        };
        self.image(name.to_string(), &spec, inputs)
    }

    fn ext4(&self, name: &Name, filesystem: &Filesystem, output: String, layers: Vec<String>) -> Ext4Spec {
        let derived = |what: &str| Uuid::derived(&self.stack.name, what).to_string();
        let uuid =
            filesystem.uuid.as_ref().map_or_else(|| derived(name.as_str()), |uuid| uuid.value.to_string());
        Ext4Spec {
            output,
            epoch: self.stack.epoch,
            layers,
            size: filesystem.size.as_ref().map(|size| size.bytes()),
            label: filesystem.label.as_ref().map(|label| label.value.clone()),
            uuid,
            hash_seed: derived(&format!("{name}/hash-seed")),
            ..Ext4Spec::default()
        }
    }

    fn squashfs(&self, filesystem: &Filesystem, output: String, layers: Vec<String>) -> SquashfsSpec {
        let compression = filesystem.compression.as_ref().map(|compression| compression.value);
        let fragments = filesystem.fragments.as_ref().map(|fragments| fragments.value);
        let checked = "levels and block sizes were checked";
        SquashfsSpec {
            output,
            epoch: self.stack.epoch,
            layers,
            compression: match compression.unwrap_or(SquashfsCompression::Gzip) {
                SquashfsCompression::Gzip => spec::SquashfsCompression::Gzip,
                SquashfsCompression::Lz4 => spec::SquashfsCompression::Lz4,
                SquashfsCompression::Lz4hc => spec::SquashfsCompression::Lz4hc,
                SquashfsCompression::Xz => spec::SquashfsCompression::Xz,
                SquashfsCompression::Zstd => spec::SquashfsCompression::Zstd,
            },
            level: filesystem.level.as_ref().map(|level| u8::try_from(level.value).expect(checked)),
            block_size: filesystem
                .block_size
                .as_ref()
                .map(|size| u32::try_from(size.bytes()).expect(checked)),
            bcj: filesystem.bcj.iter().map(|filter| filter.value.as_str().to_owned()).collect(),
            fragments: match fragments.unwrap_or(SquashfsFragments::Small) {
                SquashfsFragments::None => spec::SquashfsFragments::None,
                SquashfsFragments::Small => spec::SquashfsFragments::Small,
                SquashfsFragments::All => spec::SquashfsFragments::All,
            },
            ..SquashfsSpec::default()
        }
    }
}
