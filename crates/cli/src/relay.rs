//! Connections from this machine's network into a sandbox, which has none.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::{fs, thread};

use crate::failure::{Failure, io as failed};

/// Returns a socket at which whoever connects to `network` arrives, until this process ends.
///
/// To hand in `network` itself would be to hand in the network: a socket stays where it was made, and can be disconnected and
/// connected to anything else there. One of this family cannot. `directory` is a place for its name.
pub(crate) fn relay(network: TcpListener, directory: &Path) -> Result<UnixListener, Failure> {
    let doing = || format!("make a socket in `{}`", directory.display());
    let scratch = tempfile::tempdir_in(directory).map_err(failed(doing()))?;
    // Names of sockets must be short, and those of directories need not be.
    let open = fs::File::open(scratch.path()).map_err(failed(doing()))?;
    let name = format!("/proc/self/fd/{}/socket", open.as_raw_fd());
    let inner = UnixListener::bind(&name).map_err(failed(doing()))?;
    thread::spawn(move || {
        // Both are needed as long as somebody may come.
        let _kept = (open, scratch);
        for stream in network.incoming() {
            // Who has gone again has.
            let _gone = stream.and_then(|outer| pass_on(outer, UnixStream::connect(&name)?));
        }
    });
    Ok(inner)
}

/// Passes on what both sides say, until they end.
fn pass_on(outer: TcpStream, inner: UnixStream) -> io::Result<()> {
    outer.set_nodelay(true)?;
    let (outer_too, inner_too) = (outer.try_clone()?, inner.try_clone()?);
    thread::spawn(move || {
        let _ended = io::copy(&mut &outer, &mut &inner);
        let _gone = inner.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let _ended = io::copy(&mut &inner_too, &mut &outer_too);
        let _gone = outer_too.shutdown(Shutdown::Write);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use rustix::io::Errno;
    use rustix::net::SocketAddrAny;

    use super::*;

    #[test]
    fn what_both_say_arrives_and_the_socket_leads_nowhere_else() {
        let directory = tempfile::tempdir().unwrap();
        let network = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = network.local_addr().unwrap();
        let inner = relay(network, directory.path()).unwrap();
        for _ in 0..2 {
            let mut outer = TcpStream::connect(address).unwrap();
            let (mut accepted, _) = inner.accept().unwrap();
            outer.write_all(b"question").unwrap();
            outer.shutdown(Shutdown::Write).unwrap();
            let mut heard = String::new();
            accepted.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "question");
            accepted.write_all(b"answer").unwrap();
            let elsewhere = SocketAddrAny::from(address);
            assert!(rustix::net::connect(&accepted, &elsewhere).is_err());
            assert_eq!(rustix::net::connect_unspec(&accepted), Err(Errno::INVAL));
            drop(accepted);
            heard.clear();
            outer.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "answer");
        }
        assert_eq!(rustix::net::connect_unspec(&inner), Err(Errno::INVAL));
    }
}
