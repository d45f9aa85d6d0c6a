//! The protocol of `git daemon`: a TCP connection, nothing encrypted, nobody authenticated.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use gix_transport::Protocol;
use gix_transport::client::git::ConnectMode;
use gix_transport::client::git::blocking_io::Connection;

use super::super::{FetchError, Fetcher, TICK};
use super::address::PORT;
use super::watch::Watch;

/// Connects to the daemon that has the repository.
pub(super) fn connect<'a>(
    fetcher: &'a Fetcher,
    watch: &Rc<Watch<'a>>,
    host: &str,
    port: Option<u16>,
    path: &str,
) -> Result<Connection<Stream<'a>, Stream<'a>>, FetchError> {
    let unreachable = |error: io::Error| FetchError::Unreachable {
        url: watch.address.to_string(),
        source: Arc::new(error),
    };
    let tcp = dial(fetcher, host, port.unwrap_or(PORT)).map_err(|error| match error {
        Some(error) => unreachable(error),
        None => FetchError::Cancelled,
    })?;
    // A short wait at a time, so that it is noticed when nobody wants to wait any more.
    let configured = tcp.set_read_timeout(Some(TICK)).and_then(|()| tcp.set_write_timeout(Some(TICK)));
    configured.map_err(unreachable)?;
    let second = tcp.try_clone().map_err(unreachable)?;
    let stream = |tcp| Stream { tcp, fetcher, watch: Rc::clone(watch) };
    let virtual_host = Some((host, port));
    Ok(Connection::new(
        stream(tcp),
        stream(second),
        Protocol::V2,
        path,
        virtual_host,
        ConnectMode::Daemon,
        false,
    ))
}

/// Looks the name up and connects, on a thread that is left alone when it takes too long. `None` if nobody
/// wants it any more.
fn dial(fetcher: &Fetcher, host: &str, port: u16) -> Result<TcpStream, Option<io::Error>> {
    let patience = fetcher.options.patience;
    let (sender, receiver) = channel();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let dialling = move || {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in (host.as_str(), port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(tcp) => return Ok(tcp),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    let spawned = thread::Builder::new().name("download".to_owned()).spawn(move || {
        let _ = sender.send(dialling());
    });
    spawned.map_err(Some)?;
    let mut waited = Duration::ZERO;
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(result) => return result.map_err(Some),
            Err(RecvTimeoutError::Timeout) if fetcher.is_cancelled() => return Err(None),
            Err(RecvTimeoutError::Timeout) if waited < patience => waited += TICK,
            Err(_) => return Err(Some(io::ErrorKind::TimedOut.into())),
        }
    }
}

/// One direction of the connection.
pub(super) struct Stream<'a> {
    tcp: TcpStream,
    fetcher: &'a Fetcher,
    watch: Rc<Watch<'a>>,
}

impl Stream<'_> {
    /// Does something until it is done, nobody wants it any more, or nothing happened for too long.
    fn patiently(
        &mut self,
        mut attempt: impl FnMut(&mut TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut waited = Duration::ZERO;
        loop {
            if self.fetcher.is_cancelled() {
                return Err(self.watch.fail(FetchError::Cancelled));
            }
            let url = || self.watch.address.to_string();
            match attempt(&mut self.tcp) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    waited += TICK;
                    if waited >= self.fetcher.options.patience {
                        return Err(self.watch.fail(FetchError::Stalled { url: url(), waited }));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(self.watch.fail(FetchError::Network { url: url(), source: error.into() }));
                }
                result => return result,
            }
        }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.patiently(|tcp| tcp.read(buffer))?;
        self.watch.received(n_bytes)?;
        Ok(n_bytes)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|tcp| tcp.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}
