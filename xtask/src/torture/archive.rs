//! An archive on loopback: a proxy that gets each file once, keeps it, and serves it well or badly.
//!
//! Programs are sent to it by `http_proxy`, so that nothing of theirs reaches the network past it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the archive does to a request instead of answering it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Half of the answer, then nothing any more.
    Stall,
    /// Half of the answer, then the connection is reset.
    Reset,
    /// A length that is larger than what comes.
    LongLength,
    /// A length that is smaller than the file.
    ShortLength,
    /// The right length, one byte altered.
    Altered,
    /// More than was asked for, with a length to match.
    Oversized,
    /// A redirection to itself.
    Circle,
    /// 500 at first, then what was asked for.
    Recovers,
    /// 500 always.
    Broken,
    /// 404.
    Gone,
    /// An answer in pieces that say to be endless.
    Endless,
    /// Nothing that is HTTP.
    Rubbish,
}

impl Fault {
    /// All faults, with whether a build can succeed in spite of them.
    pub(crate) const ALL: [(Fault, bool); 12] = [
        (Fault::Stall, false),
        (Fault::Reset, false),
        (Fault::LongLength, false),
        (Fault::ShortLength, false),
        (Fault::Altered, false),
        (Fault::Oversized, false),
        (Fault::Circle, false),
        (Fault::Recovers, true),
        (Fault::Broken, false),
        (Fault::Gone, false),
        (Fault::Endless, false),
        (Fault::Rubbish, false),
    ];
}

/// The running archive.
#[derive(Clone)]
pub(crate) struct Archive {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    files: PathBuf,
    /// The fault, and how many requests still suffer from it.
    fault: Mutex<Option<(Fault, usize)>>,
    n_requests: AtomicUsize,
    /// One at a time goes out to the real archive.
    upstream: Mutex<()>,
}

impl Archive {
    /// Starts an archive that keeps its files in `directory`.
    pub(crate) fn start(directory: &Path) -> Result<Archive, String> {
        fs::create_dir_all(directory).map_err(|error| format!("could not make the archive: {error}"))?;
        let listener =
            TcpListener::bind("127.0.0.1:0").map_err(|error| format!("could not listen: {error}"))?;
        let port = listener.local_addr().map_err(|error| format!("could not listen: {error}"))?.port();
        let shared = Arc::new(Shared {
            files: directory.to_owned(),
            fault: Mutex::new(None),
            n_requests: AtomicUsize::new(0),
            upstream: Mutex::new(()),
        });
        let archive = Archive { port, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // Whoever is killed while it is served leaves a broken connection, as it should.
                    let _ = serve(&stream, &shared);
                });
            }
        });
        Ok(archive)
    }

    /// Returns what `http_proxy` has to be.
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes the next `n_requests` requests suffer, or with `None` none.
    pub(crate) fn set_fault(&self, fault: Option<(Fault, usize)>) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Returns how many requests came so far.
    pub(crate) fn n_requests(&self) -> usize {
        self.shared.n_requests.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn take_fault(&self) -> Option<Fault> {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let (kind, left) = (*fault)?;
        *fault = left.checked_sub(1).filter(|left| *left > 0).map(|left| (kind, left));
        Some(kind)
    }
}

struct Request {
    url: String,
    offset: usize,
}

fn read_request(lines: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut first = String::new();
    if lines.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
    let url = first.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let range = headers.get("range").and_then(|range| range.strip_prefix("bytes="));
    let offset = range.and_then(|range| range.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    Ok(Some(Request { url, offset }))
}

fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream);
    while let Some(request) = read_request(&mut lines)? {
        shared.n_requests.fetch_add(1, Ordering::Relaxed);
        let Some(bytes) = file(&request.url, shared) else {
            respond(stream, 404, &[], b"not here\n")?;
            continue;
        };
        match shared.take_fault() {
            None => {
                let offset = request.offset.min(bytes.len());
                let range =
                    format!("Content-Range: bytes {offset}-{}/{}", bytes.len().max(1) - 1, bytes.len());
                match offset {
                    0 => respond(stream, 200, &[], &bytes)?,
                    _ => respond(stream, 206, &[&range], &bytes[offset..])?,
                }
            }
            Some(fault) => {
                if !suffer(stream, fault, &request, &bytes)? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn respond(mut stream: &TcpStream, status: u16, headers: &[&str], body: &[u8]) -> std::io::Result<()> {
    let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n{more}\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

/// Answers badly; returns whether the connection goes on.
fn suffer(mut stream: &TcpStream, fault: Fault, request: &Request, bytes: &[u8]) -> std::io::Result<bool> {
    let head = |length: usize| format!("HTTP/1.1 200 Whatever\r\nContent-Length: {length}\r\n\r\n");
    let half = &bytes[..bytes.len() / 2];
    match fault {
        Fault::Stall => {
            stream.write_all(head(bytes.len()).as_bytes())?;
            stream.write_all(half)?;
            std::thread::sleep(Duration::from_secs(600));
        }
        Fault::Reset => {
            stream.write_all(head(bytes.len()).as_bytes())?;
            stream.write_all(half)?;
        }
        Fault::LongLength => {
            stream.write_all(head(bytes.len() + 1000).as_bytes())?;
            stream.write_all(bytes)?;
        }
        Fault::ShortLength => {
            stream.write_all(head(half.len()).as_bytes())?;
            stream.write_all(half)?;
        }
        Fault::Altered => {
            let mut altered = bytes.to_vec();
            if let Some(byte) = altered.get_mut(bytes.len() / 2) {
                *byte ^= 1;
            }
            respond(stream, 200, &[], &altered)?;
            return Ok(true);
        }
        Fault::Oversized => {
            respond(stream, 200, &[], &[bytes, b"and more"].concat())?;
            return Ok(true);
        }
        Fault::Circle => {
            respond(stream, 302, &[&format!("Location: {}", request.url)], b"")?;
            return Ok(true);
        }
        Fault::Recovers | Fault::Broken => {
            respond(stream, 500, &[], b"no luck\n")?;
            return Ok(true);
        }
        Fault::Gone => {
            respond(stream, 404, &[], b"not here\n")?;
            return Ok(true);
        }
        Fault::Endless => {
            stream.write_all(b"HTTP/1.1 200 Whatever\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            // More than anything that is asked for; whoever takes it all is wrong.
            for _ in 0..100_000 {
                stream.write_all(b"1000\r\n")?;
                stream.write_all(&[b'x'; 0x1000])?;
                stream.write_all(b"\r\n")?;
            }
        }
        Fault::Rubbish => stream.write_all(b"220 mail.example ESMTP\r\n")?,
    }
    Ok(false)
}

/// Returns the file at `url`, from the real archive if it is not kept yet.
fn file(url: &str, shared: &Shared) -> Option<Vec<u8>> {
    let name: String =
        url.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '!' }).collect();
    let path = shared.files.join(name);
    if let Ok(bytes) = fs::read(&path) {
        return Some(bytes);
    }
    let _one = shared.upstream.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(bytes) = fs::read(&path) {
        return Some(bytes);
    }
    let bytes = get(url)?;
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, &bytes).ok()?;
    fs::rename(&unfinished, &path).ok()?;
    Some(bytes)
}

/// Gets a file from a server, in the simplest way that HTTP allows.
fn get(url: &str) -> Option<Vec<u8>> {
    let rest = url.strip_prefix("http://")?;
    let (host, path) = rest.split_once('/')?;
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bootwright-torture\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let body = answer.split_off(end + 4);
    // An answer in pieces would have to be put together; no archive sends files so.
    let is_whole = length == Some(body.len());
    (head.split_whitespace().nth(1) == Some("200") && is_whole).then_some(body)
}
