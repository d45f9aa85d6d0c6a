//! One request and its answer.
//!
//! Each exchange has a thread of its own, which owns all that may block: looking up a name, connecting,
//! waiting. Who reads the answer waits for that thread and not for the network, so that it can go away at any
//! moment; a thread that nobody waits for any more ends by its own time limits.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, RequestBuilder, Timeout};

use super::{FetchError, Options, proxy, url};

/// Opens connections and keeps them for the next request.
pub(super) struct Wire {
    agent: Agent,
    patience: Duration,
}

/// What is asked for.
#[derive(Default)]
pub(super) struct Request<'a> {
    pub(super) url: &'a str,
    /// How many bytes of it are here already.
    pub(super) offset: u64,
    /// The version that they are of, in the words of the server.
    pub(super) version: Option<&'a str>,
    /// Further lines of the head, by name.
    pub(super) headers: Vec<(String, String)>,
    /// What is sent along, if anything is.
    pub(super) body: Option<Vec<u8>>,
    /// Whether a server that works on its answer may send as little as it likes meanwhile, if it sends anything.
    pub(super) may_trickle: bool,
}

/// The beginning of an answer.
#[derive(Default)]
pub(super) struct Head {
    pub(super) status: u16,
    /// How long the rest of the answer is.
    pub(super) length: Option<u64>,
    /// Whether the answer has an end that cannot be mistaken.
    pub(super) has_end: bool,
    /// Of a part: where it begins, and how long the whole is.
    pub(super) range: Option<(u64, Option<u64>)>,
    /// The version of the file, if the server says one that stands for exactly these bytes.
    pub(super) version: Option<String>,
    pub(super) location: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) retry_after: Option<Duration>,
}

/// Why an answer did not arrive whole.
pub(super) enum Trouble {
    Cancelled,
    Stalled(Duration),
    Unreachable(Arc<dyn Error + Send + Sync>),
    /// Who answered is not who was asked for.
    Untrusted(Box<dyn Error + Send + Sync>),
    Broken(Box<dyn Error + Send + Sync>),
    /// The other side closed the connection too early.
    Ended,
    /// A file of this machine cannot be read.
    Local(io::Error),
    NotAUrl,
}

enum Piece {
    Head(Head),
    Bytes(Vec<u8>),
    End,
    Trouble(Trouble),
}

/// An answer that is arriving.
pub(super) struct Answer<'a> {
    pieces: Receiver<Piece>,
    cancel: &'a AtomicBool,
    patience: Duration,
    /// How long it has been waited, and how little came meanwhile.
    waited: Duration,
    trickled: usize,
    /// How much has to come for a server not to count as stalled.
    trickle: usize,
}

/// What is read at once.
const PIECE: usize = 128 << 10;
/// How many pieces may wait to be written.
const AHEAD: usize = 4;
/// What has to come within the time of a stall, so that a trickle is not taken for a download.
const TRICKLE: usize = 1 << 10;
/// How often a waiting thread looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(25);

impl Wire {
    pub(super) fn new(options: &Options) -> Result<Wire, FetchError> {
        let patience = Some(options.patience);
        let config = Agent::config_builder()
            .user_agent(concat!("bootwright/", env!("CARGO_PKG_VERSION")))
            // What a server compresses on the way has another size and another digest.
            .accept_encoding("identity")
            .http_status_as_error(false)
            // Where a redirect leads is looked at before it is followed.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(2 * options.n_parallel.get())
            .max_idle_connections_per_host(options.n_parallel.get())
            .timeout_connect(patience)
            .timeout_send_request(patience)
            .timeout_recv_response(patience)
            .timeout_per_read(patience)
            .timeout_per_write(patience)
            .tls_config(TlsConfig::builder().root_certs(trusted()).build())
            // Those of `options`, not those of the environment.
            .proxy(None)
            .build();
        Ok(Wire { agent: proxy::agent(config, &options.proxies)?, patience: options.patience })
    }

    /// Sends the request. Everything that can go wrong is told by the answer.
    pub(super) fn send<'a>(&self, request: &Request<'_>, cancel: &'a AtomicBool) -> Answer<'a> {
        let (sender, pieces) = sync_channel(AHEAD);
        let name = thread::Builder::new().name("download".to_owned());
        let spawned = match url::scheme(request.url).as_deref() {
            Some("http" | "https") => {
                let (agent, sender) = (self.agent.clone(), sender.clone());
                let (url, headers) = (request.url.to_owned(), headers(request));
                let body = request.body.clone();
                name.spawn(move || {
                    let answer = match body {
                        None => with_headers(agent.get(url), headers).call(),
                        Some(body) => with_headers(agent.post(url), headers).send(body),
                    };
                    forward(&sender, answer.map_err(call_trouble).map(http_answer));
                })
                .map(drop)
            }
            _ => match url::file_path(request.url) {
                Some(path) => {
                    let (sender, offset) = (sender.clone(), request.offset);
                    name.spawn(move || forward(&sender, file_answer(path, offset))).map(drop)
                }
                None => {
                    let _ = sender.try_send(Piece::Trouble(Trouble::NotAUrl));
                    Ok(())
                }
            },
        };
        if let Err(error) = spawned {
            let _ = sender.try_send(Piece::Trouble(Trouble::Broken(error.into())));
        }
        let trickle = if request.may_trickle { 1 } else { TRICKLE };
        Answer { pieces, cancel, patience: self.patience, waited: Duration::ZERO, trickled: 0, trickle }
    }
}

impl Answer<'_> {
    pub(super) fn head(&mut self) -> Result<Head, Trouble> {
        match self.next_piece()? {
            Piece::Head(head) => Ok(head),
            Piece::Trouble(trouble) => Err(trouble),
            Piece::Bytes(_) | Piece::End => unreachable!("an answer begins with its head"),
        }
    }

    /// Returns the next bytes, `None` when that was all. Then the connection is ready for the next request.
    pub(super) fn bytes(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        match self.next_piece()? {
            Piece::Bytes(bytes) => Ok(Some(bytes)),
            Piece::End => Ok(None),
            Piece::Trouble(trouble) => Err(trouble),
            Piece::Head(_) => unreachable!("an answer has one head"),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "a server that sends nothing is found by the clock only")]
    fn next_piece(&mut self) -> Result<Piece, Trouble> {
        loop {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Trouble::Cancelled);
            }
            let start = Instant::now();
            let piece = self.pieces.recv_timeout(TICK);
            self.waited += start.elapsed();
            match piece {
                Ok(Piece::Bytes(bytes)) => {
                    self.trickled += bytes.len();
                    if self.trickled >= self.trickle {
                        (self.waited, self.trickled) = (Duration::ZERO, 0);
                    } else if self.waited >= self.patience {
                        return Err(Trouble::Stalled(self.waited));
                    }
                    return Ok(Piece::Bytes(bytes));
                }
                Ok(Piece::Trouble(Trouble::Stalled(_))) => return Err(Trouble::Stalled(self.waited)),
                Ok(piece) => return Ok(piece),
                Err(RecvTimeoutError::Timeout) if self.waited < self.patience => {}
                Err(RecvTimeoutError::Timeout) => return Err(Trouble::Stalled(self.waited)),
                // A panic in a library is told like a fault of the connection: it concerns one file only.
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Trouble::Broken("the thread of the connection died".into()));
                }
            }
        }
    }
}

/// Returns the authorities that this machine trusts, as its other programs do: an organisation's own mirror is
/// often certified by its own authority. Without such a list, Mozilla's.
fn trusted() -> RootCerts {
    /// Debian, Fedora and RHEL, openSUSE, Alpine.
    const LISTS: [&str; 4] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    let Some(list) = LISTS.iter().find_map(|path| fs::read(path).ok()) else { return RootCerts::WebPki };
    let certificates = parse_pem(&list).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() { RootCerts::WebPki } else { RootCerts::from(certificates) }
}

fn headers(request: &Request<'_>) -> Vec<(String, String)> {
    let mut headers = request.headers.clone();
    if request.offset > 0 {
        headers.push((header::RANGE.to_string(), format!("bytes={}-", request.offset)));
        if let Some(version) = request.version {
            headers.push((header::IF_RANGE.to_string(), version.to_owned()));
        }
    }
    headers
}

fn with_headers<B>(mut request: RequestBuilder<B>, headers: Vec<(String, String)>) -> RequestBuilder<B> {
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request
}

/// Sends an answer piece by piece, until nobody wants it any more.
fn forward(sender: &SyncSender<Piece>, answer: Result<(Head, Box<dyn Read>), Trouble>) {
    let (head, mut body) = match answer {
        Ok(answer) => answer,
        Err(trouble) => {
            let _ = sender.send(Piece::Trouble(trouble));
            return;
        }
    };
    let is_success = matches!(head.status, 200 | 206);
    let mut is_wanted = sender.send(Piece::Head(head)).is_ok();
    let mut buffer = vec![0; PIECE];
    // The text of an error is read only to keep the connection, which is not worth more than that.
    let mut patience = if is_success { u64::MAX } else { 64 << 10 };
    while (is_wanted || !is_success) && patience > 0 {
        let piece = match body.read(&mut buffer) {
            Ok(0) => Piece::End,
            Ok(n_bytes) => {
                patience = patience.saturating_sub(n_bytes as u64);
                Piece::Bytes(buffer[..n_bytes].to_vec())
            }
            Err(error) => Piece::Trouble(trouble(error.into())),
        };
        let is_last = !matches!(piece, Piece::Bytes(_));
        is_wanted = is_wanted && sender.send(piece).is_ok();
        if is_last {
            return;
        }
    }
}

fn http_answer(response: Response<Body>) -> (Head, Box<dyn Read>) {
    let (parts, body) = response.into_parts();
    let text = |name| text(&parts.headers, name);
    let length = text(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    let is_chunked = text(header::TRANSFER_ENCODING).is_some();
    let head = Head {
        status: parts.status.as_u16(),
        length: if is_chunked { None } else { length },
        has_end: is_chunked || length.is_some(),
        range: text(header::CONTENT_RANGE).and_then(parse_range),
        version: version(&parts.headers),
        location: text(header::LOCATION).map(str::to_owned),
        content_type: text(header::CONTENT_TYPE).map(str::to_owned),
        retry_after: text(header::RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs),
    };
    (head, Box::new(body.into_reader()))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Returns the strong validator of the answer (RFC 9110, section 13.1.5), if it has one.
///
/// A date is not one: it has a resolution of a second, and files are replaced faster than that.
fn version(headers: &HeaderMap) -> Option<String> {
    text(headers, header::ETAG).filter(|etag| etag.starts_with('"')).map(str::to_owned)
}

/// Returns where the part begins that `bytes 5-9/10` tells of, and how long the whole is.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (span, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let whole = if whole.trim() == "*" { None } else { Some(whole.trim().parse().ok()?) };
    (first <= last && whole.is_none_or(|whole| last < whole)).then_some((first, whole))
}

fn file_answer(path: PathBuf, offset: u64) -> Result<(Head, Box<dyn Read>), Trouble> {
    // Opening a named pipe would wait for its writer.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let mut file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((Head { status: 404, ..Head::default() }, Box::new(io::empty())));
        }
        Err(error) => return Err(Trouble::Local(error)),
    };
    let metadata = file.metadata().map_err(Trouble::Local)?;
    if !metadata.is_file() {
        return Err(Trouble::Local(io::Error::other("it is no regular file")));
    }
    let offset = offset.min(metadata.len());
    file.seek(io::SeekFrom::Start(offset)).map_err(Trouble::Local)?;
    let head = Head {
        status: if offset > 0 { 206 } else { 200 },
        length: Some(metadata.len() - offset),
        has_end: true,
        range: (offset > 0).then_some((offset, Some(metadata.len()))),
        ..Head::default()
    };
    Ok((head, Box::new(file)))
}

fn call_trouble(error: ureq::Error) -> Trouble {
    match error {
        // Before there is an answer, only the handshake can find something invalid.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            Trouble::Untrusted(error.into())
        }
        error @ (ureq::Error::Tls(_) | ureq::Error::Rustls(_)) => Trouble::Untrusted(error.into()),
        error => trouble(error),
    }
}

fn trouble(error: ureq::Error) -> Trouble {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => Trouble::NotAUrl,
        ureq::Error::Timeout(Timeout::Connect) => {
            Trouble::Unreachable(Arc::new(io::Error::from(io::ErrorKind::TimedOut)))
        }
        // How long it took is known to who waited.
        ureq::Error::Timeout(_) => Trouble::Stalled(Duration::ZERO),
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof => Trouble::Ended,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::InvalidData => Trouble::Broken(error.into()),
            // Only looking up and connecting can fail in other ways.
            _ => Trouble::Unreachable(Arc::new(error)),
        },
        error @ (ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_)) => Trouble::Unreachable(Arc::new(error)),
        error => Trouble::Broken(error.into()),
    }
}
