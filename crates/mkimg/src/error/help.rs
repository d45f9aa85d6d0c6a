//! Whom an error blames, and what to do about it.

use std::io;

use super::{Error, ExtractProblem};
use crate::device_tree::compile;
use crate::{squashfs, vdisk};

impl Error {
    /// Returns what the reader of the message can do about it, if we know.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Extract { source: ExtractProblem::NoMatch { similar }, .. } if !similar.is_empty() => {
                Some(format!("there is {}", quoted(similar)))
            }
            Error::Extract { source: ExtractProblem::Ambiguous { .. }, .. } => {
                Some("write a longer part of the name that is wanted".to_owned())
            }
            Error::Modules(error) => error.help(),
            Error::DeviceTreeEdit(error) => error.help(),
            Error::DeviceTreeOverlay { source, .. } => source.help(),
            Error::NoProgram { program } => Some(compile::help(program)),
            Error::Compile { said, .. } if said.iter().any(|line| line.contains("No such file")) => {
                Some("list the directory that has it in `includes`".to_owned())
            }
            Error::NotArchive { .. } => {
                Some("it begins with a cpio archive, or with one compressed by gzip, bzip2, xz, LZMA, LZO, LZ4 or zstd".to_owned())
            }
            Error::Accounts(error) => error.help(),
            Error::BlockSize { .. } => Some("ext4 has blocks of 1024, 2048 and 4096 bytes".to_owned()),
            Error::SquashfsBlockSize { .. } => {
                Some("squashfs has blocks of 4096 to 1048576 bytes, each a power of two".to_owned())
            }
            Error::ErofsClusterSize { .. } => {
                Some("EROFS has clusters of 4096 to 1048576 bytes, each a power of two".to_owned())
            }
            Error::Bcj { .. } => Some(format!(
                "there are {}",
                quoted(&squashfs::Bcj::ALL.map(|filter| filter.name().to_owned()))
            )),
            Error::BootCode { .. } => Some("say how many of its first bytes are meant".to_owned()),
            Error::FatBits { .. } => Some("FAT has 12, 16 or 32".to_owned()),
            Error::Fat { source, .. } => source.help(),
            Error::VirtualDisk { source, .. } => source.help(),
            Error::FormatSector { .. } => Some("`raw`, `qcow2`, `vhdx` and `gcp` can".to_owned()),
            Error::NotDiskImage { .. } => Some("if it is to be taken as it is, say that it is `raw`".to_owned()),
            Error::ReadVirtualDisk { source: vdisk::ReadError::NoBase { .. }, .. } => {
                Some("give the other disk, or make one of both with `qemu-img convert`".to_owned())
            }
            Error::Uki { source, .. } => source.help(),
            Error::Igvm { source, .. } => source.help(),
            Error::Key(error) | Error::Certificate { source: error, .. } => error.help(),
            Error::NoGrub { package, .. } => {
                Some(format!("add the package `{package}` to the environment, or name the one that has it there"))
            }
            Error::NoGrubModule { similar, .. } if !similar.is_empty() => {
                Some(format!("there is {}", quoted(similar)))
            }
            Error::Grub(error) => error.help(),
            Error::Budget(error) => error.help(),
            Error::Variables { source, .. } => source.help(),
            _ => None,
        }
    }

    /// Says whether this machine is to blame: a disk that is full or broken, too little memory.
    pub fn is_machine(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                use io::ErrorKind;
                return matches!(
                    error.kind(),
                    ErrorKind::StorageFull
                        | ErrorKind::QuotaExceeded
                        | ErrorKind::ReadOnlyFilesystem
                        | ErrorKind::PermissionDenied
                        | ErrorKind::OutOfMemory
                ) || error.raw_os_error().is_some_and(|code| {
                    use rustix::io::Errno;
                    [Errno::IO, Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error).contains(&code)
                });
            }
            cause = error.source();
        }
        false
    }
}

/// Returns the names in backticks with commas between them.
pub(crate) fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Returns the names most similar to `wanted`, at most three, the most similar first.
pub(crate) fn similar<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(score, _)| *score > 0.85)
        .collect();
    scored.sort_by(|(a, a_name), (b, b_name)| b.total_cmp(a).then(a_name.cmp(b_name)));
    // What is far behind the best is not what was meant.
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    let near = scored.into_iter().filter(|(score, _)| *score > best - 0.06);
    near.take(3).map(|(_, name)| name.to_owned()).collect()
}
