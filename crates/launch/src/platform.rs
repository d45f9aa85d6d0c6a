//! The platforms that an IGVM file may be for.

use std::fmt;
use std::str::FromStr;

use igvm_defs::IgvmPlatformType;

/// What isolates a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlatformKind {
    /// Nothing does.
    Native,
    /// Hyper-V with virtualization-based security.
    Vsm,
    /// AMD SEV-SNP.
    SevSnp,
    /// Intel TDX.
    Tdx,
    /// AMD SEV.
    Sev,
    /// AMD SEV-ES.
    SevEs,
    /// Arm CCA.
    Cca,
}

impl PlatformKind {
    /// All of them, in the order of their numbers in a file.
    pub const ALL: [PlatformKind; 7] = [
        PlatformKind::Native,
        PlatformKind::Vsm,
        PlatformKind::SevSnp,
        PlatformKind::Tdx,
        PlatformKind::Sev,
        PlatformKind::SevEs,
        PlatformKind::Cca,
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            PlatformKind::Native => "native",
            PlatformKind::Vsm => "vsm",
            PlatformKind::SevSnp => "sev-snp",
            PlatformKind::Tdx => "tdx",
            PlatformKind::Sev => "sev",
            PlatformKind::SevEs => "sev-es",
            PlatformKind::Cca => "cca",
        }
    }

    /// Returns what its measurement is called, if it measures what is launched in a way that is known here.
    pub fn measurement(self) -> Option<&'static str> {
        match self {
            PlatformKind::Native | PlatformKind::Cca => None,
            PlatformKind::Vsm => Some("boot digest"),
            PlatformKind::SevSnp | PlatformKind::Sev | PlatformKind::SevEs => Some("launch digest"),
            PlatformKind::Tdx => Some("MRTD"),
        }
    }

    pub(crate) fn number(self) -> IgvmPlatformType {
        match self {
            PlatformKind::Native => IgvmPlatformType::NATIVE,
            PlatformKind::Vsm => IgvmPlatformType::VSM_ISOLATION,
            PlatformKind::SevSnp => IgvmPlatformType::SEV_SNP,
            PlatformKind::Tdx => IgvmPlatformType::TDX,
            PlatformKind::Sev => IgvmPlatformType::SEV,
            PlatformKind::SevEs => IgvmPlatformType::SEV_ES,
            PlatformKind::Cca => IgvmPlatformType::CCA,
        }
    }

    pub(crate) fn of(number: IgvmPlatformType) -> Option<PlatformKind> {
        PlatformKind::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

impl fmt::Display for PlatformKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PlatformKind {
    type Err = String;

    /// Takes the names, and those that COCONUT's recipes have.
    fn from_str(text: &str) -> Result<PlatformKind, String> {
        let kind = match text {
            "snp" => Some(PlatformKind::SevSnp),
            "tdp" => Some(PlatformKind::Tdx),
            "vbs" => Some(PlatformKind::Vsm),
            text => PlatformKind::ALL.into_iter().find(|kind| kind.name() == text),
        };
        kind.ok_or_else(|| {
            format!("`{text}` is no platform: {}", PlatformKind::ALL.map(PlatformKind::name).join(", "))
        })
    }
}

/// A platform that a file can be loaded on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// What isolates the guest.
    pub kind: PlatformKind,
    /// The one bit that headers for this platform have set.
    pub mask: u32,
    /// The highest virtual trust level that is used.
    pub highest_vtl: u8,
    /// From which address on memory is shared with the host; zero if the platform has other means.
    pub shared_gpa_boundary: u64,
}
