//! What the caller and the sandbox's init say to each other, over one packet socket.
//!
//! The caller sends one packet: file descriptors, the first of them a file in memory that holds a
//! [`Request`] as JSON. Then the init sends [`Report`]s. The caller shuts its side down to have everything
//! killed; that it is gone has the same effect.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::Sandbox;

/// The argv[0] that makes a program the init of a sandbox.
pub(crate) const INIT_NAME: &str = "bootwright-sandbox-init";

/// How many file descriptors a packet can carry: what the kernel allows.
pub(crate) const MAX_FDS: usize = 253;

/// No packet is larger.
const MAX_PACKET: usize = 16 << 10;

/// What the caller wants.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) sandbox: Sandbox,
    pub(crate) world: World,
    /// What each descriptor of the packet becomes in the command, in their order. Without 0, 1 and 2 the
    /// command gets `/dev/null`, or the new terminal.
    pub(crate) targets: Vec<i32>,
    /// Standard input, output and error are a new terminal of the sandbox.
    pub(crate) terminal: bool,
}

/// Whose namespaces the command gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum World {
    /// All its own.
    Own,
    /// Those of the caller, who is root in them, but for mount and PID. Root is emulated.
    Emulated,
}

/// What the init says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The sandbox could not be set up.
    Failed { doing: String, errno: i32, privileged: bool },
    /// The command is about to be executed. Carries the terminal's controlling side, or the listener of the
    /// emulation, when there is one.
    Started,
    /// The program could not be executed.
    NotRun { errno: i32 },
    /// The command exited.
    Exited { code: i32 },
    /// The command was killed.
    Signalled { signal: i32 },
    /// Nothing is left of the sandbox. The last report.
    Ended { wall_us: u64, cpu_us: u64, peak_memory: u64 },
}

/// Sends a packet.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = vec![MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(fds).size()];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let pushed = ancillary.push(SendAncillaryMessage::ScmRights(fds));
        assert!(pushed, "the buffer was made for exactly this message");
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives a packet, or nothing when the other side closed its end.
pub(crate) fn receive(socket: impl AsFd) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; MAX_PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
            Err(rustix::io::Errno::INTR) => {}
            result => break result?,
        }
    };
    bytes.truncate(received.bytes);
    let fds = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    Ok((bytes, fds))
}

/// Sends `report`. That nobody listens any more is no error: then everything is about to be killed.
pub(crate) fn report(socket: impl AsFd, report: &Report, fds: &[BorrowedFd<'_>]) {
    let bytes = serde_json::to_vec(report).expect("reports have no maps and no failing types");
    let _nobody_listens = send(socket, &bytes, fds);
}
