//! What firmware starts, as steps of `mkimg`.

use engine::{Input, Placement, Requirements, Step, StepId};
use mkimg::spec::{
    EfiVariablesSpec, GrubFormat, GrubSpec, SignSpec, Spec, UkiSpec, UkiText, VerityHash, VeritySpec,
};

use super::{INPUTS, Lowering};
use crate::Spanned;
use crate::boot::{self, EfiVariables, Grub, GrubFirmware, Signed, Uki, Verity};
use crate::scalar::{Arch, Name, Uuid};
use crate::target::{ArchiveFile, Content, FileEntry};

/// The inputs of a step, and where it finds them.
#[derive(Default)]
struct Inputs(Vec<Placement>);

impl Inputs {
    fn add(&mut self, name: &str, input: Input) -> String {
        self.0.push(Placement { path: format!("{INPUTS}/{name}"), input });
        format!("in/{name}")
    }
}

impl Lowering<'_> {
    /// Adds the step that makes a unified kernel image.
    pub(super) fn uki(&mut self, name: &Name, uki: &Uki) -> StepId {
        let mut inputs = Inputs::default();
        let mut place = |lowering: &mut Self, name: &str, file: &Spanned<ArchiveFile>| {
            let input = lowering.file(file);
            inputs.add(name, input)
        };
        let stub = place(self, "stub", &uki.stub);
        let linux = place(self, "linux", &uki.kernel);
        let initrds = uki.initrds.iter().enumerate();
        let initrds = initrds.map(|(idx, initrd)| place(self, &format!("initrds/{idx}"), initrd)).collect();
        let devicetree = uki.devicetree.as_ref().map(|file| place(self, "devicetree", file));
        let splash = uki.splash.as_ref().map(|file| place(self, "splash", file));
        let root_hash = uki.root_hash.as_ref().map(|of| {
            let input =
                Input::Output { step: self.output(&of.target), path: format!("{}.roothash", of.target) };
            inputs.add("roothash", input)
        });
        let spec = Spec::Uki(UkiSpec {
            output: format!("out/{name}.efi"),
            text_output: format!("out/{name}.txt"),
            stub,
            linux,
            initrds,
            cmdline: uki.cmdline.as_ref().map(|text| UkiText::Text(text.value.clone())),
            root_hash,
            os_release: uki.os_release.as_ref().map(|text| self.text(text, "os-release", &mut inputs)),
            uname: uki.uname.as_ref().map(|text| text.value.clone()),
            devicetree,
            splash,
            sbat: uki.sbat.iter().map(|line| line.value.clone()).collect(),
        });
        self.image(name.to_string(), &spec, inputs.0)
    }

    /// Returns a text of the recipe, or the file that has it.
    fn text(&mut self, text: &FileEntry, name: &str, inputs: &mut Inputs) -> UkiText {
        match &text.content {
            Content::Text(text) => UkiText::Text(text.clone()),
            Content::File(_) | Content::Target(_) => {
                let (input, _) = self.content(text);
                UkiText::File(inputs.add(name, input))
            }
        }
    }

    /// Adds the step that signs a program.
    pub(super) fn signed(&mut self, name: &Name, signed: &Signed) -> StepId {
        let mut inputs = Inputs::default();
        let mut place = |name: &str, file: &Spanned<ArchiveFile>| {
            let input = self.file(file);
            inputs.add(name, input)
        };
        let spec = Spec::Sign(SignSpec {
            output: format!("out/{name}.efi"),
            input: place("program", &signed.program),
            key: place("key", &signed.key),
            certificate: place("certificate", &signed.certificate),
            intermediates: signed
                .intermediates
                .iter()
                .enumerate()
                .map(|(idx, file)| place(&format!("intermediates/{idx}"), file))
                .collect(),
        });
        self.image(name.to_string(), &spec, inputs.0)
    }

    /// Adds the step that makes a hash tree.
    pub(super) fn verity(&mut self, name: &Name, verity: &Verity) -> StepId {
        let mut inputs = Inputs::default();
        let input = self.file(&verity.image);
        let derived = |what: &str| Uuid::derived(&self.stack.name, what);
        // As long as those that `veritysetup` makes.
        let salt = || {
            let halves = ["salt", "salt/2"].map(|half| derived(&format!("{name}/{half}")).to_string());
            halves.concat().replace('-', "")
        };
        let [output, root_hash] = verity.leaves(name).map(|file| format!("out/{file}"));
        let spec = Spec::Verity(VeritySpec {
            input: inputs.add("image", input),
            output,
            appended: verity.append,
            root_hash_output: root_hash,
            hash: match verity.hash {
                boot::VerityHash::Sha256 => VerityHash::Sha256,
                boot::VerityHash::Sha512 => VerityHash::Sha512,
            },
            data_block_size: Some(verity.data_block_size.value),
            hash_block_size: Some(verity.hash_block_size.value),
            salt: verity.salt.as_ref().map_or_else(salt, |salt| salt.as_str().to_owned()),
            uuid: verity.uuid.as_ref().map_or_else(|| derived(name.as_str()), |uuid| uuid.value).to_string(),
        });
        self.image(name.to_string(), &spec, inputs.0)
    }

    /// Adds the step that puts keys into the variables of a firmware.
    pub(super) fn efi_variables(&mut self, name: &Name, variables: &EfiVariables) -> StepId {
        let mut inputs = Inputs::default();
        let mut place = |name: &str, file: &Spanned<ArchiveFile>| {
            let input = self.file(file);
            inputs.add(name, input)
        };
        let template = place("template", &variables.template);
        let platform_key = place("platform-key", &variables.platform_key);
        let mut all = |what: &str, files: &[Spanned<ArchiveFile>]| -> Vec<String> {
            files.iter().enumerate().map(|(idx, file)| place(&format!("{what}/{idx}"), file)).collect()
        };
        let mut exchange_keys = all("exchange-keys", &variables.exchange_keys);
        let allowed = all("allowed", &variables.allowed);
        if exchange_keys.is_empty() {
            exchange_keys.push(platform_key.clone());
        }
        let spec = Spec::EfiVariables(EfiVariablesSpec {
            output: format!("out/{name}.fd"),
            template,
            platform_key,
            exchange_keys,
            allowed,
            owner: Uuid::derived(&self.stack.name, &format!("{name}/owner")).to_string(),
        });
        self.image(name.to_string(), &spec, inputs.0)
    }

    /// Adds the step that makes GRUB, by programs of its environment.
    pub(super) fn grub(&mut self, name: &Name, grub: &Grub) -> StepId {
        let environment = self.lowered.environments[grub.env.as_str()];
        let mut inputs = Inputs(vec![
            Placement { path: String::new(), input: Input::Merged(environment) },
            self.tool("mkimg"),
        ]);
        let config = grub.config.as_ref().map(|config| {
            let (input, _) = self.content(config);
            inputs.add("config", input)
        });
        let sbat = (!grub.sbat.is_empty()).then(|| {
            let lines: String = grub.sbat.iter().map(|line| format!("{}\n", line.value)).collect();
            let header = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n";
            let input = self.blob(format!("{header}{lines}").into_bytes());
            inputs.add("sbat.csv", input)
        });
        let spec = Spec::Grub(GrubSpec {
            outputs: grub.leaves().iter().map(|file| format!("out/{file}")).collect(),
            format: match (grub.firmware.value, grub.arch.value) {
                (GrubFirmware::Efi, Arch::Amd64) => GrubFormat::X86_64Efi,
                (GrubFirmware::Efi, Arch::Arm64) => GrubFormat::Arm64Efi,
                (GrubFirmware::Efi, Arch::Riscv64) => GrubFormat::Riscv64Efi,
                (GrubFirmware::Bios, _) => GrubFormat::I386Pc,
                (GrubFirmware::Eltorito, _) => GrubFormat::I386PcEltorito,
            },
            modules: grub.modules.iter().map(|module| module.value.clone()).collect(),
            config,
            prefix: grub.prefix.clone(),
            sbat,
            at: grub.at.as_ref().map(|at| at.number()),
        });
        inputs.add("spec.json", self.json(&spec));
        self.step(Step {
            label: name.to_string(),
            arguments: ["tools/mkimg", "in/spec.json"].map(str::to_owned).to_vec(),
            environment: self.environment.clone(),
            inputs: inputs.0,
            requirements: Requirements::default(),
        })
    }
}
