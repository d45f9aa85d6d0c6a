//! The command line of `measure`.

use std::path::PathBuf;

use clap::Args;

/// What `measure` does with a file.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Measure {
    /// The IGVM file
    #[arg(value_name = "FILE.igvm")]
    pub(crate) file: PathBuf,
    /// Measure for these platforms only [sev-snp, sev-es, sev, tdx, vsm]
    #[arg(short, long, value_name = "PLATFORM", value_delimiter = ',')]
    pub(crate) platform: Vec<launch::PlatformKind>,
    /// Fail if QEMU with KVM would have something else measured than the file says
    #[arg(long)]
    pub(crate) check_kvm: bool,
    /// Measure pages without contents as the platform's own pages of zeros, as some loaders load them
    #[arg(long)]
    pub(crate) native_zero: bool,
    /// Print nothing but the digest, in capitals
    #[arg(long, conflicts_with = "json")]
    pub(crate) bare: bool,
    /// Print what COCONUT's igvmmeasure prints
    #[arg(long, conflicts_with = "json")]
    pub(crate) igvmmeasure: bool,
    /// Measure a file whose ID block is wrong
    #[arg(long)]
    pub(crate) ignore_idblock: bool,
    /// Sign the launch digest of SEV-SNP with this key (ECDSA on P-384), and write the file with it
    #[arg(long, value_name = "KEY", requires = "output", conflicts_with_all = ["bare", "check", "update", "lock"])]
    pub(crate) sign: Option<PathBuf>,
    /// Sign the key of `--sign` with this one
    #[arg(long, value_name = "KEY", requires = "sign")]
    pub(crate) author_key: Option<PathBuf>,
    /// Where the signed file goes
    #[arg(long, value_name = "FILE", requires = "sign")]
    pub(crate) output: Option<PathBuf>,
    /// To what family the signed guest belongs: 32 hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "sign", value_parser = id)]
    pub(crate) family_id: Option<[u8; 16]>,
    /// Which image the signed guest is: 32 hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "sign", value_parser = id)]
    pub(crate) image_id: Option<[u8; 16]>,
    /// The security version of the signed guest
    #[arg(long, value_name = "N", requires = "sign")]
    pub(crate) guest_svn: Option<u32>,
    /// Write what is measured as a document for those who verify guests: an unsigned CoRIM
    #[arg(long, value_name = "FILE", requires = "svn", conflicts_with = "sign")]
    pub(crate) corim: Option<PathBuf>,
    /// Which security version a guest has that is measured so, by the CoRIM
    #[arg(long, value_name = "N", requires = "corim")]
    pub(crate) svn: Option<u64>,
    /// Fail if something else is measured than the lock expects, and say which pages changed
    #[arg(long)]
    pub(crate) check: bool,
    /// Write what is measured to the lock
    #[arg(long, conflicts_with = "check")]
    pub(crate) update: bool,
    /// The lock [default: measurements.lock]
    #[arg(long, value_name = "FILE")]
    pub(crate) lock: Option<PathBuf>,
}

fn id(text: &str) -> Result<[u8; 16], String> {
    let wrong = || "write it as 32 hexadecimal digits".to_owned();
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    u128::from_str_radix(text, 16).map(u128::to_be_bytes).map_err(|_| wrong())
}
