//! One attempt at one address.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::time::Duration;

use cas::{Digest, LocalStore, Store as _};
use ureq::http::{HeaderMap, header};

use super::part::Part;
use super::{Download, FetchError, Fetcher, OnProgress, Progress};

/// The bytes of an answer.
pub(crate) struct Body {
    pub(crate) reader: Box<dyn Read>,
    /// Where in the whole its first byte is.
    start: u64,
    /// How many bytes the whole has, if the server says.
    pub(crate) n_total: Option<u64>,
    /// A strong validator of this version.
    validator: Option<String>,
}

/// Downloads from `url` what is still missing of `download`, and makes it a blob.
pub(crate) fn into_store(
    fetcher: &Fetcher,
    url: &str,
    download: &Download,
    store: &LocalStore,
    on_progress: &OnProgress<'_>,
) -> Result<Digest, FetchError> {
    let mut part = Part::open(&fetcher.options.parts, &download.sha256)?;
    if let Some(size) = download.size {
        // Another process may have finished it while we waited.
        let digest = Digest::from_parts(download.sha256, size);
        if store.contains(&digest)? {
            part.discard()?;
            return Ok(digest);
        }
    }
    let resumed = part.n_bytes() > 0;
    receive(fetcher, url, download, &mut part, on_progress)?;
    let mut digest = part.digest();
    if digest.hash() != &download.sha256 && resumed {
        // What was there before may have been of another version, or from another server.
        part.restart(None)?;
        receive(fetcher, url, download, &mut part, on_progress)?;
        digest = part.digest();
    }
    if digest.hash() != &download.sha256 {
        part.discard()?;
        let expected = Digest::from_parts(download.sha256, 0).hex();
        return Err(FetchError::Mismatch { url: url.to_owned(), expected, found: digest.hex() });
    }
    part.finish(store, &digest)?;
    Ok(digest)
}

/// Adds to `part` what is missing.
fn receive(
    fetcher: &Fetcher,
    url: &str,
    download: &Download,
    part: &mut Part,
    on_progress: &OnProgress<'_>,
) -> Result<(), FetchError> {
    if download.size.is_some_and(|size| part.n_bytes() == size) {
        return Ok(());
    }
    if download.size.is_some_and(|size| part.n_bytes() > size) {
        part.restart(None)?;
    }
    let mut body = open(fetcher, url, part.n_bytes(), part.validator())?;
    if body.start != part.n_bytes() || body.start == 0 {
        part.restart(body.validator.as_deref())?;
    }
    let wrong_size =
        |found| download.size.map(|expected| FetchError::WrongSize { url: url.to_owned(), expected, found });
    if let (Some(expected), Some(found)) = (download.size, body.n_total)
        && expected != found
    {
        return Err(FetchError::WrongSize { url: url.to_owned(), expected, found });
    }
    let n_total = download.size.or(body.n_total);
    let mut buffer = vec![0; 128 << 10];
    loop {
        on_progress(Progress { url, n_received: part.n_bytes(), n_total });
        let n_bytes = match body.reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n_bytes) => n_bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(FetchError::network(url, error)),
        };
        let after = part.n_bytes() + n_bytes as u64;
        if n_total.is_some_and(|n_total| after > n_total) {
            part.restart(None)?;
            return Err(wrong_size(after).unwrap_or_else(|| longer_than_told(url)));
        }
        part.append(&buffer[..n_bytes])?;
        if fetcher.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
    }
    match n_total {
        // The connection was closed before the end, without the server having told where that is.
        Some(n_total) if part.n_bytes() < n_total && body.n_total.is_none() => {
            let found = part.n_bytes();
            part.restart(None)?;
            Err(FetchError::WrongSize { url: url.to_owned(), expected: n_total, found })
        }
        Some(n_total) if part.n_bytes() < n_total => {
            Err(FetchError::network(url, io::Error::from(io::ErrorKind::UnexpectedEof)))
        }
        _ => Ok(()),
    }
}

fn longer_than_told(url: &str) -> FetchError {
    FetchError::network(url, io::Error::new(io::ErrorKind::InvalidData, "more bytes than the server told of"))
}

/// Asks for what is at `url`, if possible from byte `start` on of the version of `validator`.
pub(crate) fn open(
    fetcher: &Fetcher,
    url: &str,
    start: u64,
    validator: Option<&str>,
) -> Result<Body, FetchError> {
    if let Some(path) = url.strip_prefix("file://") {
        return open_file(url, path, start);
    }
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(FetchError::BadUrl { url: url.to_owned() });
    }
    let mut request = fetcher.agent.get(url);
    // Without a validator the rest of another version could come; the digest would tell, but late.
    if let Some(validator) = validator.filter(|_| start > 0) {
        request = request.header(header::RANGE, format!("bytes={start}-"));
        request = request.header(header::IF_RANGE, validator);
    }
    let response = request.call().map_err(|error| call_error(url, error))?;
    let status = response.status().as_u16();
    let validator = strong_validator(response.headers());
    let length = length_of(response.headers());
    let (start, n_total) = match status {
        200 => (0, length),
        206 => {
            let Some((first, n_total)) = content_range(response.headers()) else {
                let what = "a part without `Content-Range`, or one that cannot be";
                return Err(FetchError::network(url, io::Error::new(io::ErrorKind::InvalidData, what)));
            };
            if first != start {
                let what = "another part than was asked for";
                return Err(FetchError::network(url, io::Error::new(io::ErrorKind::InvalidData, what)));
            }
            (first, n_total)
        }
        404 | 410 => return Err(FetchError::NotFound { url: url.to_owned() }),
        // What is here is longer than what is there: from the start, then.
        416 if start > 0 => return open(fetcher, url, 0, None),
        _ => {
            let retry_after = response.headers().get(header::RETRY_AFTER);
            let seconds = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
            let retry_after = seconds.map(Duration::from_secs);
            return Err(FetchError::Refused { url: url.to_owned(), status, retry_after });
        }
    };
    Ok(Body { reader: Box::new(response.into_body().into_reader()), start, n_total, validator })
}

fn open_file(url: &str, path: &str, start: u64) -> Result<Body, FetchError> {
    let bad = || FetchError::BadUrl { url: url.to_owned() };
    // `file://localhost/x` is the same as `file:///x`.
    let path = path.strip_prefix("localhost").unwrap_or(path);
    let path = decode_percent(path).filter(|path| path.starts_with('/')).ok_or_else(bad)?;
    let opened = File::open(&path).and_then(|mut file| {
        let metadata = file.metadata()?;
        file.seek(SeekFrom::Start(start.min(metadata.len())))?;
        Ok((file, metadata))
    });
    match opened {
        Ok((file, metadata)) if metadata.is_file() => {
            let n_total = Some(metadata.len());
            Ok(Body { reader: Box::new(file), start: start.min(metadata.len()), n_total, validator: None })
        }
        Ok(_) => Err(bad()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(FetchError::NotFound { url: url.to_owned() })
        }
        Err(error) => Err(FetchError::disk(format!("read `{path}`"), error)),
    }
}

fn decode_percent(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn call_error(url: &str, error: ureq::Error) -> FetchError {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => FetchError::BadUrl { url: url.to_owned() },
        ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => {
            // The same every time: not worth another attempt.
            FetchError::Refused { url: url.to_owned(), status: 310, retry_after: None }
        }
        error => FetchError::network(url, error),
    }
}

fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Returns the first byte and the size of the whole, `Content-Range: bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?;
    let (span, n_total) = range.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let n_total = if n_total.trim() == "*" { None } else { Some(n_total.trim().parse().ok()?) };
    (first <= last && n_total.is_none_or(|n_total| last < n_total)).then_some((first, n_total))
}

/// A weak `ETag` does not promise the same bytes; a date does as far as clocks go.
fn strong_validator(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(header::ETAG).and_then(|value| value.to_str().ok());
    let etag = etag.filter(|etag| etag.starts_with('"'));
    let date = || headers.get(header::LAST_MODIFIED).and_then(|value| value.to_str().ok());
    etag.or_else(date).map(str::to_owned)
}
