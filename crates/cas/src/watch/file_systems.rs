//! Which file systems tell of every change.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::fstatfs;

use super::WatchError;

/// What `statfs` calls the file systems whose changes are all made on this machine, by its kernel (statfs(2)). Of others,
/// such as NFS, somebody else changes the files.
const LOCAL: &[u32] = &[
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0xca45_1a4e, // bcachefs
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs, as in containers
    0x3153_464a, // JFS
    0x3434,      // NILFS
    0x4d44,      // FAT
    0x2011_bab0, // exFAT
    0x7366_746e, // NTFS
    0x5265_4973, // ReiserFS
];

/// Fails if not every change of what is opened comes to our ears.
pub(super) fn refused(directory: impl AsFd, path: &Path) -> Result<(), WatchError> {
    let about = fstatfs(directory).map_err(|errno| WatchError::of(errno, path))?;
    // It is signed on some machines, and its upper half is nothing.
    let kind = about.f_type as u32;
    if LOCAL.contains(&kind) {
        return Ok(());
    }
    Err(WatchError::FileSystem { path: path.to_owned(), name: name(kind) })
}

fn name(kind: u32) -> String {
    let known = match kind {
        0x6969 => "NFS",
        0x517b | 0xfe53_4d42 => "SMB",
        0xff53_4d42 => "CIFS",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9P",
        0x00c3_6400 => "Ceph",
        0x5346_414f => "AFS",
        0x9fa0 => "proc",
        0x6265_6572 => "sysfs",
        _ => return format!("the type 0x{kind:x}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_others_change_is_not_watched() {
        let error = refused(File::open("/proc").unwrap(), Path::new("/proc")).unwrap_err();
        assert_eq!(error.to_string(), "changes of `/proc` are not all told: its file system is proc");
        refused(tempfile::tempfile().unwrap(), Path::new("scratch")).unwrap();
    }
}
