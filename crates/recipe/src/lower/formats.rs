//! Disks in other formats as steps of `mkimg`, one for each format.

use engine::{Input, Placement, StepId};
use mkimg::spec::{BackingSpec, ConvertSpec, FormatSpec, Spec};

use super::{INPUTS, Lowering};
use crate::formats::{Convert, Format, InputFormat, Qcow2Compression, VmdkAdapter, VmdkVariant};
use crate::scalar::{Name, Uuid};

impl Lowering<'_> {
    /// Adds the steps that convert a disk, the main one first.
    pub(super) fn convert(&mut self, name: &Name, convert: &Convert) -> Vec<StepId> {
        // That there is one was checked.
        let Some(disk) = self.contents(&convert.target, &convert.file) else { return Vec::new() };
        let from = convert.from.as_ref().map(|from| match from.value {
            InputFormat::Raw => mkimg::spec::InputFormat::Raw,
            InputFormat::Qcow2 => mkimg::spec::InputFormat::Qcow2,
            InputFormat::Vdi => mkimg::spec::InputFormat::Vdi,
            InputFormat::Vmdk => mkimg::spec::InputFormat::Vmdk,
            InputFormat::Vhd => mkimg::spec::InputFormat::Vhd,
            InputFormat::Vhdx => mkimg::spec::InputFormat::Vhdx,
            InputFormat::Parallels => mkimg::spec::InputFormat::Parallels,
            InputFormat::Gcp => mkimg::spec::InputFormat::Gcp,
        });
        let mut steps = Vec::new();
        for format in convert.written() {
            let mut inputs = vec![Placement { path: format!("{INPUTS}/disk"), input: disk.clone() }];
            let spec = Spec::Convert(ConvertSpec {
                input: "in/disk".to_owned(),
                from,
                output: format!("out/{}", format.file(name)),
                format: self.format(name, format, &mut inputs),
            });
            let label = if steps.is_empty() { name.to_string() } else { format!("{name}/{}", format.word()) };
            steps.push(self.image(label, &spec, inputs));
        }
        steps
    }

    /// Returns what `mkimg` is told of a format; what it reads for that is added to the inputs.
    pub(super) fn format(
        &mut self,
        name: &Name,
        format: Format<'_>,
        inputs: &mut Vec<Placement>,
    ) -> FormatSpec {
        let own = |uuid: &Option<crate::Spanned<Uuid>>| {
            let derived = || Uuid::derived(&self.stack.name, &format!("{name}/{}", format.word()));
            uuid.as_ref().map_or_else(derived, |uuid| uuid.value).to_string()
        };
        let epoch = self.stack.epoch;
        match format {
            Format::Raw => FormatSpec::Raw,
            Format::Gcp => FormatSpec::Gcp { epoch },
            Format::Vdi(vdi) => FormatSpec::Vdi { fixed: vdi.fixed, uuid: own(&vdi.uuid) },
            Format::Vhd(vhd) => FormatSpec::Vhd { fixed: vhd.fixed, uuid: own(&vhd.uuid), epoch },
            Format::Vhdx(vhdx) => FormatSpec::Vhdx {
                block_size: vhdx.block_size.as_ref().map(|size| size.bytes()),
                uuid: own(&vhdx.uuid),
            },
            Format::Parallels(parallels) => FormatSpec::Parallels { uuid: own(&parallels.uuid) },
            Format::Vmdk(vmdk) => FormatSpec::Vmdk {
                variant: match vmdk.variant {
                    VmdkVariant::MonolithicSparse => mkimg::spec::VmdkVariant::MonolithicSparse,
                    VmdkVariant::StreamOptimized => mkimg::spec::VmdkVariant::StreamOptimized,
                },
                adapter: match vmdk.adapter {
                    VmdkAdapter::Ide => mkimg::spec::VmdkAdapter::Ide,
                    VmdkAdapter::BusLogic => mkimg::spec::VmdkAdapter::BusLogic,
                    VmdkAdapter::LsiLogic => mkimg::spec::VmdkAdapter::LsiLogic,
                },
                uuid: own(&None),
            },
            Format::Qcow2(qcow2) => FormatSpec::Qcow2 {
                cluster_size: qcow2.cluster.as_ref().map(|cluster| cluster.number()),
                compression: match qcow2.compression {
                    Qcow2Compression::None => mkimg::spec::Qcow2Compression::None,
                    Qcow2Compression::Zlib => mkimg::spec::Qcow2Compression::Zlib,
                    Qcow2Compression::Zstd => mkimg::spec::Qcow2Compression::Zstd,
                },
                level: qcow2.level.as_ref().map(|level| level.value),
                preallocated: qcow2.preallocated,
                backing: qcow2.backing.as_ref().and_then(|backing| {
                    let input: Input = self.contents(&backing.target, &backing.file)?;
                    inputs.push(Placement { path: format!("{INPUTS}/below"), input });
                    Some(BackingSpec { file: "in/below".to_owned(), name: backing.name.value.clone() })
                }),
            },
        }
    }
}
