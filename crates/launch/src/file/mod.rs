//! IGVM files: what is in them. Nothing is copied out of the bytes that are read.
//!
//! The format is described in the documentation of `igvm_defs`, whose structures are those of the file.

mod error;
mod headers;
mod parse;

use igvm_defs::{
    IGVM_VHS_CCA_POLICY, IGVM_VHS_PAGE_TABLE_RELOCATION, IGVM_VHS_RELOCATABLE_REGION, IGVM_VHS_SNP_ID_BLOCK,
    IGVM_VHS_VBS_MEASUREMENT, IgvmPageDataType, IgvmVariableHeaderType,
};

pub use error::{HeaderError, ReadError};
pub(crate) use parse::{PREFIX, RawHeader, raw_headers};

use crate::{Platform, PlatformKind};

/// How many bytes a page has.
pub const PAGE: u64 = 4096;
/// How many bytes a large page has.
pub(crate) const LARGE_PAGE: u64 = 2 << 20;
/// So many pages at most are loaded for a platform: 16 GiB, more than any firmware loads before a guest runs. A few bytes
/// can ask for more than can be measured in a lifetime.
pub(crate) const MOST_PAGES: u64 = 4 << 20;

/// A file that was read.
#[derive(Clone, Debug)]
pub struct File<'a> {
    /// The version of the format.
    pub revision: Revision,
    /// What it can be loaded on.
    pub platforms: Vec<Platform>,
    /// What a loader does first.
    pub initializations: Vec<Initialization<'a>>,
    /// What a loader does then, in this order.
    pub directives: Vec<Directive<'a>>,
}

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    /// The first, for x86-64.
    V1,
    /// The second.
    V2(Architecture),
}

/// A processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    X64,
    /// arm64.
    Aarch64,
}

impl Revision {
    /// Returns what processor the guest has.
    pub fn architecture(self) -> Architecture {
        match self {
            Revision::V1 => Architecture::X64,
            Revision::V2(architecture) => architecture,
        }
    }
}

/// Some bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Where in the file they are; nothing that is written looks at it.
    pub offset: u32,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl<'a> Data<'a> {
    /// Returns bytes that are in no file yet.
    pub fn new(bytes: &'a [u8]) -> Data<'a> {
        Data { offset: 0, bytes }
    }
}

/// What a loader does first.
#[derive(Clone, Debug)]
pub enum Initialization<'a> {
    /// What the owner of the guest allows the host.
    GuestPolicy {
        /// As the platform defines it.
        policy: u64,
        /// Of which platforms.
        mask: u32,
    },
    /// The same for Arm CCA.
    CcaPolicy(IGVM_VHS_CCA_POLICY),
    /// Memory that may be loaded elsewhere.
    RelocatableRegion(IGVM_VHS_RELOCATABLE_REGION),
    /// Memory with page tables that are changed when something is loaded elsewhere.
    PageTableRelocation(IGVM_VHS_PAGE_TABLE_RELOCATION),
    /// A CoRIM document, which says what is expected to be measured.
    Corim {
        /// Of which platforms.
        mask: u32,
        /// CBOR.
        data: Option<Data<'a>>,
    },
    /// Its signature.
    CorimSignature {
        /// Of which platforms.
        mask: u32,
        /// COSE.
        data: Option<Data<'a>>,
    },
    /// What its maker calls this version of the file.
    VersionString(&'a str),
    /// Something of an unknown type that says of itself that it may be ignored.
    Unknown(u32),
}

/// What a loader does.
#[derive(Clone, Debug)]
pub enum Directive<'a> {
    /// Loads a page.
    Page(Page<'a>),
    /// Allocates memory for parameters, which is inserted later.
    ParameterArea(ParameterArea<'a>),
    /// Writes a parameter to such memory.
    Parameter {
        /// Which.
        kind: ParameterKind,
        /// To which area.
        area: u32,
        /// Where in that.
        offset: u32,
    },
    /// Inserts memory with parameters into the guest's, unmeasured.
    ParameterInsert {
        /// Where to.
        gpa: u64,
        /// For which platforms.
        mask: u32,
        /// Which area.
        area: u32,
        /// How many bytes the area has.
        size: u64,
    },
    /// Sets the state of a processor.
    VpContext(VpContext<'a>),
    /// Expects memory.
    RequiredMemory {
        /// Where.
        gpa: u64,
        /// For which platforms.
        mask: u32,
        /// How many bytes.
        size: u32,
        /// Whether its higher privileges have to be able to protect it.
        vtl2_protectable: bool,
    },
    /// Leaves memory to errors that the guest tells the host.
    ErrorRange {
        /// Where.
        gpa: u64,
        /// For which platforms.
        mask: u32,
        /// How many bytes.
        size: u32,
    },
    /// Has SEV-SNP check the launch digest.
    IdBlock(Box<IGVM_VHS_SNP_ID_BLOCK>),
    /// Has VSM check the boot digest.
    VbsMeasurement(Box<IGVM_VHS_VBS_MEASUREMENT>),
    /// Something of an unknown type that says of itself that it may be ignored.
    Unknown(u32),
}

impl Directive<'_> {
    /// Returns for which platforms it is; what is for parameters is for all.
    pub fn mask(&self) -> u32 {
        match self {
            Directive::Page(page) => page.mask,
            Directive::ParameterInsert { mask, .. }
            | Directive::RequiredMemory { mask, .. }
            | Directive::ErrorRange { mask, .. } => *mask,
            Directive::VpContext(context) => context.mask,
            Directive::IdBlock(block) => block.compatibility_mask,
            Directive::VbsMeasurement(measurement) => measurement.compatibility_mask,
            Directive::ParameterArea(_) | Directive::Parameter { .. } | Directive::Unknown(_) => u32::MAX,
        }
    }
}

/// A page that is loaded, of 4 KiB or 2 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<'a> {
    /// Where to.
    pub gpa: u64,
    /// For which platforms.
    pub mask: u32,
    /// What is in it.
    pub kind: PageKind,
    /// How it is loaded.
    pub import: Import,
    /// How many bytes it has: [`PAGE`] or 2 MiB.
    pub size: u64,
    /// Its contents; zeros if there are none.
    pub data: Option<Data<'a>>,
}

impl<'a> Page<'a> {
    /// Returns the pages of 4 KiB that it is, each with its address and its contents.
    pub fn small(&self) -> impl Iterator<Item = (u64, Option<Data<'a>>)> + use<'a> {
        let Page { gpa, size, data, .. } = *self;
        (0..size / PAGE).map(move |number| {
            let data = data.and_then(|data| {
                let start = (number * PAGE) as usize;
                let bytes = data.bytes.get(start..start + PAGE as usize)?;
                Some(Data { offset: data.offset.wrapping_add(start as u32), bytes })
            });
            (gpa + number * PAGE, data)
        })
    }
}

/// What is in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageKind {
    /// Code and data.
    Normal,
    /// Secrets of the firmware of SEV-SNP for the guest.
    Secrets,
    /// What the guest may believe of the processor.
    CpuidData,
    /// The same for what XSAVE depends on.
    CpuidXf,
}

impl PageKind {
    pub(crate) fn number(self) -> IgvmPageDataType {
        match self {
            PageKind::Normal => IgvmPageDataType::NORMAL,
            PageKind::Secrets => IgvmPageDataType::SECRETS,
            PageKind::CpuidData => IgvmPageDataType::CPUID_DATA,
            PageKind::CpuidXf => IgvmPageDataType::CPUID_XF,
        }
    }
}

/// How a page is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Import {
    /// Private, with its contents measured.
    Measured,
    /// Private, and the guest must not believe what is in it.
    Unmeasured,
    /// Seen by the host, and measured in no way.
    Shared,
}

/// Memory for parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterArea<'a> {
    /// Its number.
    pub index: u32,
    /// How many bytes it has.
    pub size: u64,
    /// What is in it before parameters are written; zeros if there is nothing.
    pub data: Option<Data<'a>>,
}

/// What the loader tells the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParameterKind {
    /// How many processors there are.
    VpCount,
    /// Whether memory is shared at first.
    EnvironmentInfo,
    /// The ACPI table of affinities.
    Srat,
    /// The ACPI table of interrupt controllers.
    Madt,
    /// The ACPI table of distances.
    Slit,
    /// The ACPI table of the topology of processors.
    Pptt,
    /// Where devices are.
    MmioRanges,
    /// Where memory is.
    MemoryMap,
    /// The command line.
    CommandLine,
    /// A device tree.
    DeviceTree,
}

impl ParameterKind {
    pub(crate) const ALL: [ParameterKind; 10] = [
        ParameterKind::VpCount,
        ParameterKind::EnvironmentInfo,
        ParameterKind::Srat,
        ParameterKind::Madt,
        ParameterKind::Slit,
        ParameterKind::Pptt,
        ParameterKind::MmioRanges,
        ParameterKind::MemoryMap,
        ParameterKind::CommandLine,
        ParameterKind::DeviceTree,
    ];

    /// Returns what people call it.
    pub fn name(self) -> &'static str {
        match self {
            ParameterKind::VpCount => "number of processors",
            ParameterKind::EnvironmentInfo => "environment",
            ParameterKind::Srat => "SRAT",
            ParameterKind::Madt => "MADT",
            ParameterKind::Slit => "SLIT",
            ParameterKind::Pptt => "PPTT",
            ParameterKind::MmioRanges => "MMIO ranges",
            ParameterKind::MemoryMap => "memory map",
            ParameterKind::CommandLine => "command line",
            ParameterKind::DeviceTree => "device tree",
        }
    }

    pub(crate) fn header(self) -> IgvmVariableHeaderType {
        match self {
            ParameterKind::VpCount => IgvmVariableHeaderType::IGVM_VHT_VP_COUNT_PARAMETER,
            ParameterKind::EnvironmentInfo => IgvmVariableHeaderType::IGVM_VHT_ENVIRONMENT_INFO_PARAMETER,
            ParameterKind::Srat => IgvmVariableHeaderType::IGVM_VHT_SRAT,
            ParameterKind::Madt => IgvmVariableHeaderType::IGVM_VHT_MADT,
            ParameterKind::Slit => IgvmVariableHeaderType::IGVM_VHT_SLIT,
            ParameterKind::Pptt => IgvmVariableHeaderType::IGVM_VHT_PPTT,
            ParameterKind::MmioRanges => IgvmVariableHeaderType::IGVM_VHT_MMIO_RANGES,
            ParameterKind::MemoryMap => IgvmVariableHeaderType::IGVM_VHT_MEMORY_MAP,
            ParameterKind::CommandLine => IgvmVariableHeaderType::IGVM_VHT_COMMAND_LINE,
            ParameterKind::DeviceTree => IgvmVariableHeaderType::IGVM_VHT_DEVICE_TREE,
        }
    }
}

/// The state that a processor starts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VpContext<'a> {
    /// Where the platform wants it in the guest's memory.
    pub gpa: u64,
    /// For which platforms.
    pub mask: u32,
    /// Of which processor.
    pub vp_index: u16,
    /// How the state is written down.
    pub format: ContextFormat,
    /// The state.
    pub data: Data<'a>,
}

/// How the state of a processor is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextFormat {
    /// A save area of SEV-ES and SEV-SNP, a page.
    Vmsa,
    /// Registers of x86-64 one after the other, a page.
    Native,
    /// Registers of Hyper-V, each with its name.
    Vbs,
    /// What the realm manager of Arm CCA takes, a page.
    Cca,
}

impl ContextFormat {
    /// Returns how a platform has it, if a file may set it there.
    pub fn of(kind: PlatformKind) -> Option<ContextFormat> {
        match kind {
            PlatformKind::SevSnp | PlatformKind::SevEs => Some(ContextFormat::Vmsa),
            PlatformKind::Native | PlatformKind::Sev => Some(ContextFormat::Native),
            PlatformKind::Vsm => Some(ContextFormat::Vbs),
            PlatformKind::Cca => Some(ContextFormat::Cca),
            PlatformKind::Tdx => None,
        }
    }
}

impl<'a> File<'a> {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When the bytes are no IGVM file, or break a rule of the format: the first that is found.
    pub fn parse(bytes: &'a [u8]) -> Result<File<'a>, ReadError> {
        parse::parse(bytes)
    }

    /// Returns a platform of the file.
    pub fn platform(&self, kind: PlatformKind) -> Option<&Platform> {
        self.platforms.iter().find(|platform| platform.kind == kind)
    }

    /// Returns the directives for a platform, in their order.
    pub fn directives_for(&self, platform: &Platform) -> impl Iterator<Item = &Directive<'a>> {
        let mask = platform.mask;
        self.directives.iter().filter(move |directive| directive.mask() & mask != 0)
    }

    /// Returns what the owner of a guest on a platform allows the host.
    pub fn policy(&self, platform: &Platform) -> Option<u64> {
        self.initializations.iter().find_map(|header| match header {
            Initialization::GuestPolicy { policy, mask } if mask & platform.mask != 0 => Some(*policy),
            _ => None,
        })
    }

    /// Returns the names of the platforms with a bit in `mask`.
    pub fn names(&self, mask: u32) -> Vec<&'static str> {
        let platforms = self.platforms.iter().filter(|platform| platform.mask & mask != 0);
        platforms.map(|platform| platform.kind.name()).collect()
    }

    /// Returns how many pages are loaded for a platform.
    pub fn n_pages(&self, platform: &Platform) -> u64 {
        let pages = self.directives_for(platform).map(|directive| match directive {
            Directive::Page(page) => page.size / PAGE,
            Directive::ParameterInsert { size, .. } => size / PAGE,
            Directive::ErrorRange { size, .. } => u64::from(*size) / PAGE,
            Directive::VpContext(_) => 1,
            _ => 0,
        });
        pages.fold(0, u64::saturating_add)
    }
}
