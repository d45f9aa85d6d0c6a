//! Answers the system calls of emulated roots.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, chownat, fstat, mknodat, openat};
use rustix::io::Errno;
use rustix::thread::UnshareFlags;

use super::notify::{Answer, Call, Listener};
use super::records::{Device, DeviceKind, Records};
use super::target::{View, XATTR_NAME_MAX, read_bytes, read_path, read_string, still_waits};
use crate::sys;

/// The largest value of an extended attribute (linux/limits.h).
const XATTR_SIZE_MAX: u64 = 65536;

/// What `chown` leaves alone.
const UNCHANGED: u32 = u32::MAX;

/// Answers until every process that `listener` is for is gone. Runs on a thread of its own, which leaves
/// its root and working directory to its callers' ones.
pub(super) fn run(listener: OwnedFd, records: &mut Records) -> io::Result<()> {
    sys::unshare(UnshareFlags::FS)?;
    // The masks of the callers count, not ours.
    rustix::process::umask(Mode::empty());
    let mut supervisor = Supervisor { listener: Listener::new(listener), view: View::new()?, records };
    loop {
        let mut fds = [PollFd::new(&supervisor.listener, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let events = fds[0].revents();
        if events.contains(PollFlags::IN) {
            supervisor.serve()?;
        } else if events.intersects(PollFlags::HUP | PollFlags::ERR) {
            return Ok(());
        }
    }
}

struct Supervisor<'a> {
    listener: Listener,
    view: View,
    records: &'a mut Records,
}

/// Which file a call is about.
enum Which {
    Descriptor(u64),
    Path { directory: u64, address: u64, flags: AtFlags },
}

impl Which {
    /// The file at a path relative to the working directory.
    fn following(address: u64) -> Self {
        Self::Path { directory: libc::AT_FDCWD as u64, address, flags: AtFlags::empty() }
    }

    /// The same, and a symbolic link is the file itself.
    fn link(address: u64) -> Self {
        Self::Path { directory: libc::AT_FDCWD as u64, address, flags: AtFlags::SYMLINK_NOFOLLOW }
    }
}

impl Supervisor<'_> {
    /// Takes a call and answers it.
    fn serve(&mut self) -> io::Result<()> {
        let Some(call) = self.listener.receive()? else { return Ok(()) };
        let answer = match self.decide(&call) {
            Ok(answer) => answer,
            Err(errno) => errno.into(),
        };
        self.listener.answer(&call, answer)
    }

    fn decide(&mut self, call: &Call) -> rustix::io::Result<Answer> {
        let [a, b, c, d, e, _] = call.arguments;
        match call.number {
            libc::SYS_fchown => self.chown(call, &Which::Descriptor(a), b, c),
            libc::SYS_fchownat => {
                let flags = AtFlags::from_bits(e as u32).ok_or(Errno::INVAL)?;
                self.chown(call, &Which::Path { directory: a, address: b, flags }, c, d)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown => self.chown(call, &Which::following(a), b, c),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown => self.chown(call, &Which::link(a), b, c),
            libc::SYS_mknodat => self.make_device(call, a, b, c, d),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mknod => self.make_device(call, libc::AT_FDCWD as u64, a, b, c),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rename => Ok(self.rename(call, &Which::link(a), &Which::link(b))),
            libc::SYS_renameat | libc::SYS_renameat2 => {
                let link =
                    |directory, address| Which::Path { directory, address, flags: AtFlags::SYMLINK_NOFOLLOW };
                Ok(self.rename(call, &link(a, b), &link(c, d)))
            }
            libc::SYS_setxattr => self.set_attribute(call, &Which::following(a)),
            libc::SYS_lsetxattr => self.set_attribute(call, &Which::link(a)),
            libc::SYS_fsetxattr => self.set_attribute(call, &Which::Descriptor(a)),
            libc::SYS_removexattr => self.remove_attribute(call, &Which::following(a)),
            libc::SYS_lremovexattr => self.remove_attribute(call, &Which::link(a)),
            libc::SYS_fremovexattr => self.remove_attribute(call, &Which::Descriptor(a)),
            _ => Ok(Answer::Continue),
        }
    }

    fn chown(&mut self, call: &Call, which: &Which, user: u64, group: u64) -> rustix::io::Result<Answer> {
        let inode = self.open(call, which)?;
        // The kernel does the rest of what a `chown` does: setuid bits and capabilities go, the time of change
        // is now, and an overlay has the file in its upper tree.
        match chownat(&inode, "", None, None, AtFlags::EMPTY_PATH) {
            Ok(()) => {}
            // Nothing of the image: a device of the host, a file in `/proc`. Real root would be allowed.
            Err(Errno::PERM | Errno::INVAL | Errno::OVERFLOW) => return Ok(Answer::Success),
            Err(Errno::ROFS)
                if FileType::from_raw_mode(fstat(&inode)?.st_mode) == FileType::CharacterDevice =>
            {
                return Ok(Answer::Success);
            }
            Err(errno) => return Err(errno),
        }
        let stat = fstat(&inode)?;
        let record = self.records.entry((stat.st_dev, stat.st_ino), inode);
        // A user is an `unsigned int`, whatever is in the register's upper half.
        for (number, recorded) in [(user as u32, &mut record.user), (group as u32, &mut record.group)] {
            if number != UNCHANGED {
                *recorded = Some(number);
            }
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            record.attributes.remove("security.capability");
        }
        Ok(Answer::Success)
    }

    /// Lets a file that replaces another inherit its owners where it was given to root explicitly.
    ///
    /// Programs replace a file by writing a new one, giving it the owners that `stat` has for the old one, and
    /// renaming it. On the disk everything is root's, so it is root to whom they give it.
    fn rename(&mut self, call: &Call, from: &Which, to: &Which) -> Answer {
        if self.records.is_empty() {
            return Answer::Continue;
        }
        let key = |which| {
            let stat = fstat(self.open(call, which)?)?;
            Ok::<_, Errno>((stat.st_dev, stat.st_ino))
        };
        // What is not there, or not two files, the kernel says.
        if let (Ok(from), Ok(to)) = (key(from), key(to))
            && from != to
            && let Some(replaced) = self.records.existing(to)
        {
            let (user, group) = (replaced.user, replaced.group);
            if let Some(record) = self.records.existing(from) {
                if record.user == Some(0) {
                    record.user = user.or(record.user);
                }
                if record.group == Some(0) {
                    record.group = group.or(record.group);
                }
            }
        }
        Answer::Continue
    }

    fn make_device(
        &mut self,
        call: &Call,
        directory: u64,
        address: u64,
        mode: u64,
        number: u64,
    ) -> rustix::io::Result<Answer> {
        let path = read_path(call, address)?;
        let umask = self.view.umask(call)?;
        let path = self.view.take_on(call, directory, path, &self.listener)?;
        let kind = match mode as u32 & libc::S_IFMT {
            libc::S_IFCHR => DeviceKind::Character,
            libc::S_IFBLK => DeviceKind::Block,
            _ => return Ok(Answer::Continue),
        };
        let permissions = Mode::from_raw_mode(mode as u32 & 0o7777 & !umask);
        mknodat(CWD, path.as_c_str(), FileType::RegularFile, permissions, 0)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inode = openat(CWD, path, flags, Mode::empty())?;
        let stat = fstat(&inode)?;
        // `mknod` takes 32 bits: 12 of the major number between 20 of the minor one.
        let number = u64::from(number as u32);
        let device = Device { kind, major: libc::major(number), minor: libc::minor(number) };
        self.records.entry((stat.st_dev, stat.st_ino), inode).device = Some(device);
        Ok(Answer::Success)
    }

    fn set_attribute(&mut self, call: &Call, which: &Which) -> rustix::io::Result<Answer> {
        let [_, name, value, size, flags, _] = call.arguments;
        let Some(name) = recorded_attribute(call, name)? else { return Ok(Answer::Continue) };
        if size > XATTR_SIZE_MAX {
            return Err(Errno::TOOBIG);
        }
        let value = read_bytes(call, value, size as usize)?;
        let inode = self.open(call, which)?;
        let key = self.bring_up(&inode)?;
        let exists = self.records.existing(key).is_some_and(|record| record.attributes.contains_key(&name));
        match flags as i32 {
            libc::XATTR_CREATE if exists => return Err(Errno::EXIST),
            libc::XATTR_REPLACE if !exists => return Err(Errno::NODATA),
            0 | libc::XATTR_CREATE | libc::XATTR_REPLACE => {}
            _ => return Err(Errno::INVAL),
        }
        if name == ACCESS_LIST {
            let list = AccessList::read(&value)?;
            let mode = fstat(&inode)?.st_mode & !0o777 | list.permissions;
            self.view.change_mode(&inode, Mode::from_raw_mode(mode & 0o7777))?;
            if list.is_minimal {
                // The mode says it all, and the kernel keeps nothing else.
                if let Some(record) = self.records.existing(key) {
                    record.attributes.remove(&name);
                }
                return Ok(Answer::Success);
            }
        }
        self.records.entry(key, inode).attributes.insert(name, value);
        Ok(Answer::Success)
    }

    fn remove_attribute(&mut self, call: &Call, which: &Which) -> rustix::io::Result<Answer> {
        let Some(name) = recorded_attribute(call, call.arguments[1])? else { return Ok(Answer::Continue) };
        let inode = self.open(call, which)?;
        let stat = fstat(&inode)?;
        let record = self.records.existing((stat.st_dev, stat.st_ino));
        match record.and_then(|record| record.attributes.remove(&name)) {
            Some(_) => Ok(Answer::Success),
            // That there is no list to remove is success.
            None if name.starts_with(LISTS) => Ok(Answer::Continue),
            None => Err(Errno::NODATA),
        }
    }

    fn open(&self, call: &Call, which: &Which) -> rustix::io::Result<OwnedFd> {
        match *which {
            Which::Descriptor(fd) => self.view.descriptor(call, fd, &self.listener),
            Which::Path { directory, address, flags } => {
                let path: CString = read_path(call, address)?;
                still_waits(call, &self.listener)?;
                self.view.path(call, directory, path, flags, &self.listener)
            }
        }
    }

    /// Has an overlay put `inode` into its upper tree, with which its number becomes its last, and returns it.
    fn bring_up(&self, inode: &OwnedFd) -> rustix::io::Result<(u64, u64)> {
        let stat = fstat(inode)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            // A link has no mode, and no setuid bits that this would remove.
            chownat(inode, "", None, None, AtFlags::EMPTY_PATH)?;
        } else {
            self.view.change_mode(inode, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        }
        let stat = fstat(inode)?;
        Ok((stat.st_dev, stat.st_ino))
    }
}

/// Access control lists name users and groups, of which the namespace knows but one.
const LISTS: &str = "system.posix_acl_";

/// The list that decides about the file itself, and not about what is made in a directory.
const ACCESS_LIST: &str = "system.posix_acl_access";

/// What an access control list means for the mode of its file (`struct posix_acl_xattr_header` and
/// `posix_acl_xattr_entry` of linux/posix_acl_xattr.h).
#[derive(Debug, PartialEq, Eq)]
struct AccessList {
    /// The lower nine bits of the mode.
    permissions: u32,
    /// It says no more than a mode can.
    is_minimal: bool,
}

impl AccessList {
    fn read(value: &[u8]) -> rustix::io::Result<Self> {
        const VERSION: [u8; 4] = 2_u32.to_le_bytes();
        const OWNER: u16 = 0x01;
        const GROUP: u16 = 0x04;
        const MASK: u16 = 0x10;
        const OTHERS: u16 = 0x20;
        let entries = value.strip_prefix(&VERSION).ok_or(Errno::OPNOTSUPP)?;
        let (entries, []) = entries.as_chunks::<8>() else { return Err(Errno::INVAL) };
        let permissions_of = |wanted: u16| {
            entries.iter().find_map(|&[tag_low, tag_high, low, high, ..]| {
                let tag = u16::from_le_bytes([tag_low, tag_high]);
                (tag == wanted).then(|| u32::from(u16::from_le_bytes([low, high])) & 0o7)
            })
        };
        let (Some(owner), Some(group), Some(others)) =
            (permissions_of(OWNER), permissions_of(GROUP), permissions_of(OTHERS))
        else {
            return Err(Errno::INVAL);
        };
        let group = permissions_of(MASK).unwrap_or(group);
        Ok(Self { permissions: owner << 6 | group << 3 | others, is_minimal: entries.len() == 3 })
    }
}

/// Reads the name of an extended attribute; `None` for such as anybody can set.
fn recorded_attribute(call: &Call, address: u64) -> rustix::io::Result<Option<String>> {
    let name = read_string(call, address, XATTR_NAME_MAX, Errno::RANGE)?;
    let Ok(name) = name.into_string() else { return Ok(None) };
    let recorded = ["security.", "trusted.", LISTS].iter().any(|prefix| name.starts_with(prefix));
    Ok(recorded.then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entries: &[(u16, u16)], expected: rustix::io::Result<AccessList>) {
        let mut value = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(u32::MAX.to_le_bytes());
        }
        assert_eq!(AccessList::read(&value), expected);
    }

    #[test]
    fn the_mask_of_a_list_is_the_groups_part_of_the_mode() {
        let minimal = AccessList { permissions: 0o750, is_minimal: true };
        check(&[(1, 7), (4, 5), (0x20, 0)], Ok(minimal));
        let extended = AccessList { permissions: 0o764, is_minimal: false };
        check(&[(1, 7), (4, 5), (8, 6), (0x10, 6), (0x20, 4)], Ok(extended));
        check(&[(1, 7), (4, 5)], Err(Errno::INVAL));
        assert_eq!(AccessList::read(&[1, 0, 0, 0]), Err(Errno::OPNOTSUPP));
        assert_eq!(AccessList::read(&[2, 0, 0, 0, 1]), Err(Errno::INVAL));
    }
}
