//! IGVM files, as steps of `mkimg`.

use engine::{Placement, StepId};
use mkimg::spec::{
    IgvmDirectSpec, IgvmFirmwareSpec, IgvmFlatSpec, IgvmHashedSpec, IgvmSnpSpec, IgvmSpec, IgvmStart,
    IgvmTdxSpec, Spec,
};

use super::{INPUTS, Lowering};
use crate::Spanned;
use crate::igvm::{GuestPolicy, Igvm, IgvmPlatform, SnpCpu};
use crate::scalar::Name;
use crate::target::ArchiveFile;

impl Lowering<'_> {
    /// Adds the step that makes an IGVM file.
    pub(super) fn igvm(&mut self, name: &Name, igvm: &Igvm) -> StepId {
        let mut inputs = Vec::new();
        let mut place = |name: &str, file: &Spanned<ArchiveFile>| {
            let input = self.file(file);
            inputs.push(Placement { path: format!("{INPUTS}/{name}"), input });
            format!("in/{name}")
        };
        let firmware = igvm.firmware.as_ref().map(|file| place("firmware", file));
        let kernel = igvm.kernel.as_ref().map(|file| place("kernel", file));
        let initrd = igvm.initrd.as_ref().map(|file| place("initrd", file));
        let cmdline = igvm.cmdline.as_ref().map(|text| text.value.clone()).unwrap_or_default();
        let memory = igvm.memory.as_ref().map_or(0, |memory| memory.bytes());
        let start = match (firmware, kernel) {
            (None, kernel) => IgvmStart::Direct(IgvmDirectSpec {
                kernel: kernel.expect("a checked file has something to start"),
                flat: igvm.load_address.as_ref().map(|address| IgvmFlatSpec {
                    address: address.number(),
                    entry: igvm.entry.as_ref().unwrap_or(address).number(),
                }),
                initrd,
                cmdline,
                memory,
            }),
            (Some(image), kernel) => IgvmStart::Firmware(IgvmFirmwareSpec {
                image,
                native: igvm.platform(IgvmPlatform::Native).is_some(),
                snp: igvm.platform(IgvmPlatform::Snp).map(|_| IgvmSnpSpec {
                    policy: igvm.policy.as_ref().map_or(GuestPolicy::USUAL, |policy| policy.value).bits(),
                    processors: igvm
                        .cpus
                        .as_ref()
                        .map_or(1, |cpus| u16::try_from(cpus.value).expect("a checked number has 16 bits")),
                    signature: igvm.cpu.as_ref().map_or(SnpCpu::Epyc, |cpu| cpu.value).signature(),
                    kernel: kernel.map(|kernel| IgvmHashedSpec { kernel, initrd, cmdline }),
                }),
                tdx: igvm.platform(IgvmPlatform::Tdx).map(|_| IgvmTdxSpec { memory }),
            }),
        };
        let spec = Spec::Igvm(IgvmSpec {
            output: format!("out/{name}.igvm"),
            text_output: format!("out/{name}.txt"),
            start,
        });
        self.image(name.to_string(), &spec, inputs)
    }
}
