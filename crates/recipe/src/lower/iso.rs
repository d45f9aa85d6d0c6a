//! What is asked of an ISO, as `mkimg` is told it.

use engine::Placement;
use mkimg::spec::{
    IsoBootSpec, IsoHybridSpec, IsoImageSpec, IsoPatchSpec, IsoPlatformSpec, IsoSpec, IsoTableSpec,
};

use super::{INPUTS, Lowering};
use crate::Spanned;
use crate::disk::Bytes;
use crate::filesystem::Filesystem;
use crate::iso::{Iso, IsoLoader, IsoTable, StartsFrom};
use crate::scalar::{Name, Uuid};

/// The most bytes of a volume id.
const VOLUME_ID: usize = 32;

impl Lowering<'_> {
    /// Returns what is asked of an ISO, all of which was checked, and adds to `inputs` what it is made of besides
    /// layers.
    pub(super) fn iso_spec(
        &mut self,
        name: &Name,
        filesystem: &Filesystem,
        inputs: &mut Vec<Placement>,
        output: String,
        layers: Vec<String>,
    ) -> IsoSpec {
        let label = filesystem.label.as_ref().map(|label| label.value.clone());
        let spec = IsoSpec {
            output,
            epoch: self.stack.epoch,
            layers,
            volume_id: label.unwrap_or_else(|| volume_id(name)),
            ..IsoSpec::default()
        };
        let Some(iso) = filesystem.iso.as_ref().map(|iso| &iso.value) else { return spec };
        let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.value.clone());
        IsoSpec {
            uuid: iso.uuid.as_ref().map(|uuid| uuid.as_str().to_owned()),
            system: text(&iso.system),
            volume_set: text(&iso.volume_set),
            publisher: text(&iso.publisher),
            preparer: text(&iso.preparer),
            application: text(&iso.application),
            joliet: (!iso.joliet).then_some(false),
            boot: self.iso_boot(iso, inputs),
            hybrid: self.iso_hybrid(name, iso, inputs),
            ..spec
        }
    }

    fn iso_boot(&mut self, iso: &Iso, inputs: &mut Vec<Placement>) -> Vec<IsoBootSpec> {
        let mut boot = Vec::new();
        if let Some(bios) = &iso.bios {
            boot.extend(self.iso_image("bios", bios.starts_from(), inputs).map(|image| IsoBootSpec {
                platform: IsoPlatformSpec::Bios,
                image,
                load_units: bios.load_units.as_ref().and_then(|units| u16::try_from(units.value).ok()),
                info_table: bios.loader != IsoLoader::Other,
                grub2: bios.loader == IsoLoader::Grub,
            }));
        }
        if let Some(efi) = &iso.efi {
            boot.extend(self.iso_image("efi", efi.starts_from(), inputs).map(|image| IsoBootSpec {
                platform: IsoPlatformSpec::Efi,
                image,
                load_units: None,
                info_table: false,
                grub2: false,
            }));
        }
        boot
    }

    fn iso_hybrid(&mut self, name: &Name, iso: &Iso, inputs: &mut Vec<Placement>) -> Option<IsoHybridSpec> {
        let hybrid = iso.hybrid.as_ref()?;
        let derived = Uuid::derived(&self.stack.name, name.as_str());
        let bytes = Bytes { target: hybrid.target.as_ref(), file: hybrid.file.as_ref() };
        let code = self.iso_file("code", &bytes, inputs);
        let patch = match iso.bios.as_ref().map(|bios| bios.loader) {
            Some(IsoLoader::Grub) => Some(IsoPatchSpec::Grub2),
            Some(IsoLoader::Isolinux) => Some(IsoPatchSpec::Isolinux),
            Some(IsoLoader::Other) | None => None,
        };
        let table = match hybrid.table.value {
            IsoTable::Gpt => Some(IsoTableSpec::Gpt { guid: derived.to_string() }),
            IsoTable::Mbr => Some(IsoTableSpec::Mbr {
                signature: hybrid
                    .signature
                    .as_ref()
                    .and_then(|number| u32::try_from(number.number()).ok())
                    .unwrap_or_else(|| derived.short()),
            }),
            IsoTable::None => None,
        };
        let patch = patch.filter(|_| code.is_some());
        Some(IsoHybridSpec { code, patch, table })
    }

    fn iso_image(
        &mut self,
        as_name: &str,
        from: StartsFrom<'_>,
        inputs: &mut Vec<Placement>,
    ) -> Option<IsoImageSpec> {
        let StartsFrom { bytes, path } = from;
        match path {
            Some(path) => Some(IsoImageSpec::Path(path.as_str().to_owned())),
            None => self.iso_file(as_name, &bytes, inputs).map(IsoImageSpec::File),
        }
    }

    /// Returns where the step finds a file of a target or of the project.
    fn iso_file(&mut self, as_name: &str, bytes: &Bytes<'_>, inputs: &mut Vec<Placement>) -> Option<String> {
        let input = match (bytes.target, bytes.file) {
            (Some(target), _) => self.reference(target),
            (None, Some(file)) => self.project_file(file).0,
            (None, None) => return None,
        };
        inputs.push(Placement { path: format!("{INPUTS}/boot/{as_name}"), input });
        Some(format!("in/boot/{as_name}"))
    }
}

/// Returns the volume id of an ISO that has no label: its target's name in capitals.
fn volume_id(name: &Name) -> String {
    let capital = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' };
    name.as_str().chars().map(capital).take(VOLUME_ID).collect()
}
