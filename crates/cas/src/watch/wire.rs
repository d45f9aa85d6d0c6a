//! Messages on the socket: each behind its length, and from nobody but the user that we are.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use prost::Message;
use rustix::fs::{CWD, Mode, OFlags, openat};

/// Which messages there are, and what they mean. Another one is not answered and not believed.
pub(super) const PROTOCOL: u32 = 1;

/// No message is longer.
const LONGEST: usize = 4 << 20;

pub(super) fn send(mut stream: &UnixStream, message: &impl Message) -> io::Result<()> {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(body);
    stream.write_all(&bytes)
}

pub(super) fn receive<M: Message + Default>(mut stream: &UnixStream) -> io::Result<M> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    M::decode(&body[..]).map_err(io::Error::other)
}

/// Returns whether the other end is a process of this user.
pub(super) fn is_ours(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream.as_fd())
        .is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

/// Calls `act` with a path of the socket that is short enough for one, 108 bytes, wherever it is.
pub(super) fn with_short_path<T>(socket: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    use std::os::fd::AsRawFd as _;
    let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let directory = openat(CWD, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    act(&Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name))
}
