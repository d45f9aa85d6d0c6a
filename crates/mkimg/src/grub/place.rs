//! Where on a disk GRUB lies, which a BIOS' GRUB has to be told: its boot sector has the sector of its core, and the
//! first sector of the core has that of the rest. `grub-install` writes both when it has looked; here they are declared.
//!
//! The places are those of GRUB's `include/grub/i386/pc/boot.h`, and sectors are those of a BIOS, of 512 bytes.

use crate::bytes::{get_u16, get_u64, put_u64};

/// The size of a sector as a BIOS counts them.
pub(crate) const SECTOR: u64 = 512;
/// `GRUB_BOOT_MACHINE_KERNEL_ADDRESS`: where the boot sector loads the core's first one to.
const KERNEL_ADDRESS: (usize, u16) = (0x5a, 0x8000);
/// `GRUB_BOOT_MACHINE_KERNEL_SECTOR`: the sector of the core.
const KERNEL_SECTOR: usize = 0x5c;
/// `GRUB_BOOT_MACHINE_DRIVE_CHECK`: a jump over what believes that the BIOS says which drive was started.
const DRIVE_CHECK: usize = 0x66;
/// Two instructions that do nothing. `grub-install` puts them there for disks, since there are BIOSes that are wrong.
const NOTHING: [u8; 2] = [0x90, 0x90];
/// The begin of the boot sector, and what it says when it cannot go on.
const BEGIN: [u8; 3] = [0xeb, 0x63, 0x90];
const NAME: (usize, &[u8]) = (0x180, b"GRUB \0");

/// The first entry of the list of blocks at the end of the core's first sector: start, length and segment.
const BLOCKS: usize = 500;
const BLOCKS_LENGTH: usize = 508;
const BLOCKS_SEGMENT: usize = 510;
/// `GRUB_BOOT_MACHINE_KERNEL_SEG`, and a sector.
const SEGMENT: u16 = 0x820;

/// Why GRUB would not find itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum GrubError {
    /// What should be told is not what Debian's GRUB has.
    #[error("this boot sector and core are not those of a GRUB for a BIOS")]
    Unknown,
    /// The boot sector looks where no core begins.
    #[error("the boot code is GRUB's, which looks for its core in sector {sector}, where none begins")]
    NoCore { sector: u64, core: Option<u64> },
    /// The core takes itself to be elsewhere.
    #[error("GRUB's core begins in sector {sector}, and looks for its rest in sector {rest}")]
    Rest { sector: u64, rest: u64 },
}

impl GrubError {
    /// Returns what the reader can do about it, if we know.
    pub fn help(&self) -> Option<String> {
        let at = |sector: &u64| {
            let offset = sector.saturating_mul(SECTOR);
            format!(
                "make it by a target of kind `grub` with `at = \"{offset:#x}\"`, which is where its core lies"
            )
        };
        match self {
            GrubError::Unknown => None,
            GrubError::NoCore { core: None, .. } => {
                Some("lay its `core.img` there as one of the `blobs`".to_owned())
            }
            GrubError::NoCore { core: Some(core), .. } => Some(at(core)),
            GrubError::Rest { sector, .. } => Some(at(sector)),
        }
    }
}

/// Tells a boot sector and a core that the core begins in the sector `sector`.
pub(super) fn tell(boot: &mut [u8], core: &mut [u8], sector: u64) -> Result<(), GrubError> {
    if sector_of_core(boot).is_none() || sector_of_rest(core).is_none() {
        return Err(GrubError::Unknown);
    }
    put_u64(boot, KERNEL_SECTOR, sector);
    boot[DRIVE_CHECK..][..NOTHING.len()].copy_from_slice(&NOTHING);
    put_u64(core, BLOCKS, sector.saturating_add(1));
    Ok(())
}

/// Returns the sector in which boot code looks for GRUB's core, if it is GRUB's.
pub(crate) fn sector_of_core(boot_code: &[u8]) -> Option<u64> {
    let has = |at: usize, bytes: &[u8]| boot_code.get(at..).is_some_and(|rest| rest.starts_with(bytes));
    let is_grub =
        has(0, &BEGIN) && has(KERNEL_ADDRESS.0, &KERNEL_ADDRESS.1.to_le_bytes()) && has(NAME.0, NAME.1);
    is_grub.then(|| get_u64(boot_code, KERNEL_SECTOR))
}

/// Returns the sector in which a core of GRUB looks for its rest, if it is one.
pub(crate) fn sector_of_rest(core: &[u8]) -> Option<u64> {
    let is_core = core.len() >= SECTOR as usize
        && get_u16(core, BLOCKS_SEGMENT) == SEGMENT
        && get_u16(core, BLOCKS_LENGTH) > 0;
    is_core.then(|| get_u64(core, BLOCKS))
}

/// Reports boot code of GRUB that would not find its core. `begins` has the sector of everything on the disk, and the
/// first bytes of that.
pub(crate) fn check(boot_code: &[u8], begins: &[(u64, Vec<u8>)]) -> Result<(), GrubError> {
    let Some(sector) = sector_of_core(boot_code) else { return Ok(()) };
    let core = |(sector, bytes): &(u64, Vec<u8>)| Some((*sector, sector_of_rest(bytes)?));
    let cores: Vec<(u64, u64)> = begins.iter().filter_map(core).collect();
    match cores.iter().find(|(begin, _)| *begin == sector) {
        None => Err(GrubError::NoCore { sector, core: cores.first().map(|(begin, _)| *begin) }),
        Some((_, rest)) if *rest != sector.saturating_add(1) => Err(GrubError::Rest { sector, rest: *rest }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grub() -> (Vec<u8>, Vec<u8>) {
        let (mut boot, mut core) = (vec![0; 512], vec![0; 2048]);
        boot[..3].copy_from_slice(&BEGIN);
        boot[0x5a..0x5e].copy_from_slice(&[0, 0x80, 1, 0]);
        boot[0x180..0x186].copy_from_slice(b"GRUB \0");
        core[500] = 2;
        core[508..512].copy_from_slice(&[3, 0, 0x20, 8]);
        (boot, core)
    }

    #[test]
    fn it_finds_itself_where_it_was_told() {
        let (mut boot, mut core) = grub();
        assert_eq!(check(&boot, &[(1, core.clone())]), Ok(()));
        tell(&mut boot, &mut core, 34).unwrap();
        assert_eq!(boot[0x5c..0x68], [34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x90, 0x90]);
        assert_eq!(core[500..], [&[35, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0x20, 8][..], &[0; 1536]].concat());
        assert_eq!(check(&boot, &[(0, vec![]), (34, core)]), Ok(()));
    }

    #[test]
    fn it_is_told_when_it_would_not() {
        let (mut boot, mut core) = grub();
        let moved = check(&boot, &[(34, core.clone())]).unwrap_err();
        assert_eq!(moved, GrubError::NoCore { sector: 1, core: Some(34) });
        assert!(moved.help().is_some_and(|help| help.contains("`at = \"0x4400\"`")));
        assert_eq!(check(&boot, &[(1, vec![0; 512])]), Err(GrubError::NoCore { sector: 1, core: None }));
        let untold = core.clone();
        tell(&mut boot, &mut core, 34).unwrap();
        assert_eq!(check(&boot, &[(34, untold)]), Err(GrubError::Rest { sector: 34, rest: 2 }));
    }

    #[test]
    fn what_is_not_grub_is_left_alone() {
        assert_eq!(check(&[0xeb, 0x63, 0x90], &[]), Ok(()));
        assert_eq!(check(&[0; 440], &[]), Ok(()));
        let (mut boot, mut core) = grub();
        assert_eq!(tell(&mut [0; 512], &mut core, 34), Err(GrubError::Unknown));
        assert_eq!(tell(&mut boot, &mut [0; 511], 34), Err(GrubError::Unknown));
    }
}
