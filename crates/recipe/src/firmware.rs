//! What starts first in a machine.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Spanned;
use crate::reader::{Read, Reader, Wrong, table};
use crate::scalar::TargetRef;
use crate::value::{Kind, Value};

table! {
    /// UEFI firmware of one's own, or with variables of one's own. What is not given is that of the machine's environment,
    /// which needs the package `ovmf` (amd64), `qemu-efi-aarch64` or `qemu-efi-riscv64`.
    pub struct FirmwareFiles {
        /// The chip with the code.
        code: Option<Spanned<TargetRef>>,
        /// The chip with the variables as they are at the start of every boot.
        variables: Option<Spanned<TargetRef>>,
        /// Whether the firmware checks signatures (amd64, arm64), and on amd64 only its own protected code writes
        /// variables. What keys it knows is in its variables; without any, it starts everything.
        secure_boot: bool = false,
    }
}

/// What starts first in a machine, and starts what is on the disks: `"uefi"`, or a table.
#[derive(Clone, Debug)]
pub enum Firmware {
    /// UEFI, out of the machine's environment.
    Uefi,
    /// UEFI with something of one's own.
    Files(FirmwareFiles),
}

impl Firmware {
    /// Returns the files that targets have.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Spanned<TargetRef>> {
        let files = match self {
            Firmware::Uefi => None,
            Firmware::Files(files) => Some(files),
        };
        files.into_iter().flat_map(|files| files.code.iter().chain(&files.variables))
    }
}

impl Read for Firmware {
    fn read(value: &Value, reader: &mut Reader) -> Option<Firmware> {
        match &value.kind {
            Kind::String(text) | Kind::Knob { text, .. } if text == "uefi" => Some(Firmware::Uefi),
            Kind::String(text) | Kind::Knob { text, .. } => {
                let message = format!("unknown firmware `{}`", text.escape_debug());
                let help = "it is `\"uefi\"`, or a table; without it there is what QEMU has";
                reader.report_wrong(Wrong::new(message, help), &value.place);
                None
            }
            Kind::Table(_) => FirmwareFiles::read(value, reader).map(Firmware::Files),
            _ => {
                reader.wrong_type(value, "`\"uefi\"` or a table");
                None
            }
        }
    }
}

impl JsonSchema for Firmware {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Firmware".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let files = generator.subschema_for::<FirmwareFiles>();
        json_schema!({ "anyOf": [{ "const": "uefi" }, files] })
    }
}
