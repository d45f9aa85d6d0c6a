//! IGVM files: what is loaded into a guest before it starts, on which platforms.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::reader::{FromText, Read, Reader, Wrong, table, words};
use crate::region::Address;
use crate::scalar::Size;
use crate::target::ArchiveFile;
use crate::value::{Kind, Value};
use crate::{Problem, Spanned};

table! {
    /// An IGVM file: all that a loader puts into a guest before it starts, so that what a confidential guest's platform
    /// measures is known when the file is made. Leaves `NAME.igvm`, and `NAME.txt` with what will be measured, and what lies
    /// where.
    ///
    /// A guest starts from `firmware`, or without it from a `kernel`. Files are targets, or `{ file = "…" }` of the project.
    pub struct Igvm {
        /// What it can be loaded on: `["native", "snp", "tdx"]`. Without firmware there is `native` only.
        platforms: IgvmPlatforms,
        /// Firmware that ends at 4 GiB: OVMF, which says in its metadata what SEV-SNP and TDX have to give it.
        firmware: Option<Spanned<ArchiveFile>>,
        /// A kernel. Without firmware it is loaded: an ELF file, Linux as `vmlinuz` is, or bytes at `load-address`. With
        /// firmware only its hashes are, for SEV-SNP: whoever starts the guest gives it to the firmware, which starts no other.
        kernel: Option<Spanned<ArchiveFile>>,
        /// An archive that the kernel starts from.
        initrd: Option<Spanned<ArchiveFile>>,
        /// What the kernel is told.
        cmdline: Option<Spanned<String>>,
        /// How much memory the guest has, for what has to be told: a kernel without firmware, and firmware on TDX.
        memory: Option<Spanned<Size>>,
        /// Where a kernel lies that is neither an ELF file nor Linux: `0x200000`.
        load_address: Option<Spanned<Address>>,
        /// The address at which such a kernel is entered. Without it, its first one.
        entry: Option<Spanned<Address>>,
        /// What the owner of a guest of SEV-SNP allows the host (SEV-SNP Firmware ABI, "Guest Policy"). Without it, `0x30000`:
        /// several threads of a core, no debugging, no migration.
        policy: Option<Spanned<GuestPolicy>>,
        /// How many processors a guest of SEV-SNP has: the state of each is measured. Without it, one, which is also as many as
        /// QEMU takes of a file.
        cpus: Option<Spanned<u32>>,
        /// The processor that QEMU shows to a guest of SEV-SNP, whose number is in the states that are measured. Without it,
        /// `EPYC`.
        cpu: Option<Spanned<SnpCpu>>,
    }
}

/// What a guest is loaded on: something.
#[derive(Clone, Debug)]
pub struct IgvmPlatforms(Vec<Spanned<IgvmPlatform>>);

impl IgvmPlatforms {
    /// Returns the platforms, each with where it is listed.
    pub fn as_slice(&self) -> &[Spanned<IgvmPlatform>] {
        &self.0
    }
}

impl Read for IgvmPlatforms {
    fn read(value: &Value, reader: &mut Reader) -> Option<IgvmPlatforms> {
        if let Kind::Array(platforms) = &value.kind
            && platforms.is_empty()
        {
            let problem = Problem::at(&value.place, "this file is for no platform");
            reader.problems.push(problem.help("list what it can be loaded on: `[\"snp\", \"native\"]`"));
            return None;
        }
        Vec::read(value, reader).map(IgvmPlatforms)
    }
}

impl JsonSchema for IgvmPlatforms {
    fn schema_name() -> Cow<'static, str> {
        "IgvmPlatforms".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": generator.subschema_for::<IgvmPlatform>(),
            "minItems": 1,
            "description": "What a guest is loaded on.",
        })
    }
}

words! {
    /// What a guest is loaded on.
    pub enum IgvmPlatform("platform") {
        /// A machine without isolation.
        Native = "native",
        /// AMD SEV-SNP.
        Snp = "snp" not "sev-snp",
        /// Intel TDX.
        Tdx = "tdx" not "tdp",
    }
}

words! {
    /// A processor, as QEMU calls it.
    pub enum SnpCpu("processor") {
        /// Naples, with whatever version: `EPYC-v4`.
        Epyc = "EPYC" not "EPYC-v1" not "EPYC-v2" not "EPYC-v3" not "EPYC-v4",
        /// Rome.
        Rome = "EPYC-Rome",
        /// Milan.
        Milan = "EPYC-Milan",
        /// Genoa.
        Genoa = "EPYC-Genoa",
        /// Turin.
        Turin = "EPYC-Turin",
    }
}

impl SnpCpu {
    /// Returns what CPUID says of its family, model and stepping (AMD64 Architecture Programmer's Manual, volume 3,
    /// "Function 0000_0001h").
    pub(crate) fn signature(self) -> u32 {
        let (family, model, stepping): (u32, u32, u32) = match self {
            SnpCpu::Epyc => (0x17, 0x01, 2),
            SnpCpu::Rome => (0x17, 0x31, 0),
            SnpCpu::Milan => (0x19, 0x01, 1),
            SnpCpu::Genoa => (0x19, 0x11, 0),
            SnpCpu::Turin => (0x1a, 0x00, 0),
        };
        (family - 0xf) << 20 | (model >> 4) << 16 | 0xf << 8 | (model & 0xf) << 4 | stepping
    }
}

impl Igvm {
    /// Returns every file of which it is made.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Spanned<ArchiveFile>> {
        self.firmware.iter().chain(&self.kernel).chain(&self.initrd)
    }

    /// Returns where it is said that it is for a platform.
    pub(crate) fn platform(&self, wanted: IgvmPlatform) -> Option<&Spanned<IgvmPlatform>> {
        self.platforms.0.iter().find(|platform| platform.value == wanted)
    }
}

/// What the owner of a guest of SEV-SNP allows the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestPolicy(u64);

impl GuestPolicy {
    /// What QEMU takes if nobody says anything.
    pub(crate) const USUAL: GuestPolicy = GuestPolicy(0x30000);

    /// Returns its bits.
    pub fn bits(self) -> u64 {
        self.0
    }
}

impl FromText for GuestPolicy {
    fn from_text(text: &str) -> Result<GuestPolicy, Wrong> {
        const ALWAYS_SET: u64 = 1 << 17;
        let digits =
            text.strip_prefix("0x").filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let Some(bits) = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) else {
            let message = format!("`{}` is not a policy", text.escape_debug());
            return Err(Wrong::new(message, "write its bits as in `0x30000`"));
        };
        if bits & ALWAYS_SET == 0 {
            let help = format!("bit 17 has to be set: `{:#x}`", bits | ALWAYS_SET);
            return Err(Wrong::new(format!("no guest starts with the policy `{text}`"), help));
        }
        Ok(GuestPolicy(bits))
    }
}

impl JsonSchema for GuestPolicy {
    fn schema_name() -> Cow<'static, str> {
        "GuestPolicy".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^0x[0-9a-fA-F]+$",
            "description": "The bits of a policy: `0x30000`.",
        })
    }
}
