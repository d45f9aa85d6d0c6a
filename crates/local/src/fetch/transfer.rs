//! One attempt to get one file from one address: redirects, going on where it stopped, what is refused.

use cas::Digest;

use super::part::Part;
use super::wire::{Answer, Head, Request, Trouble};
use super::{FetchError, Fetcher, url};

/// What is known about a file before it is here.
pub(super) struct Wanted {
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) size: Option<u64>,
}

/// An answer with the file in it, or with the rest of it.
struct Opened<'a> {
    head: Head,
    answer: Answer<'a>,
}

/// How often an address may lead elsewhere.
pub(super) const MAX_REDIRECTS: usize = 5;

/// Completes `part` with what is at `url`, and returns its digest, which is the one that is wanted.
///
/// When it fails, what has arrived stays in `part` unless it is wrong.
pub(super) fn into_part(
    fetcher: &Fetcher,
    url: &str,
    wanted: &Wanted,
    part: &mut Part,
    arrived: &dyn Fn(u64, Option<u64>),
) -> Result<Digest, FetchError> {
    // Of known content any piece will do, of whichever version and from wherever: the digest decides in the
    // end. Of unknown content only the server can say whether it is still the same.
    let can_go_on = wanted.sha256.is_some() || part.validator().is_some();
    if part.n_bytes() > 0 && (!can_go_on || wanted.size.is_some_and(|size| part.n_bytes() > size)) {
        part.restart(None)?;
    }
    if part.n_bytes() > 0 && wanted.size == Some(part.n_bytes()) {
        return check(url, wanted, part);
    }
    let offset = part.n_bytes();
    let mut opened = open(fetcher, url, offset, part.validator())?;
    let head = &opened.head;
    if head.status == 206 {
        let fits = head.range.is_some_and(|(first, whole)| {
            first == offset && (whole.is_none() || wanted.size.is_none() || whole == wanted.size)
        });
        if !fits {
            part.restart(None)?;
            return Err(FetchError::WrongRange { url: url::shown(url) });
        }
    } else if head.status == 416 {
        part.restart(None)?;
        return Err(FetchError::WrongRange { url: url::shown(url) });
    } else {
        part.restart(head.version.as_deref())?;
    }

    let total = head.length.map(|length| part.n_bytes().saturating_add(length));
    if let (Some(found), Some(expected)) = (total, wanted.size)
        && found != expected
    {
        return Err(FetchError::WrongSize { url: url::shown(url), expected, found });
    }
    if wanted.sha256.is_none() && !head.has_end {
        return Err(FetchError::UnknownLength { url: url::shown(url) });
    }
    arrived(part.n_bytes(), total.or(wanted.size));
    while let Some(bytes) = opened.answer.bytes().map_err(|trouble| failed(trouble, url, part.n_bytes()))? {
        let found = part.n_bytes() + bytes.len() as u64;
        if let Some(expected) = wanted.size.filter(|size| found > *size) {
            part.restart(None)?;
            return Err(FetchError::WrongSize { url: url::shown(url), expected, found });
        }
        part.append(&bytes)?;
        arrived(part.n_bytes(), total.or(wanted.size));
    }
    if wanted.size.is_some_and(|size| part.n_bytes() < size) {
        return Err(FetchError::Truncated { url: url::shown(url), received: part.n_bytes() });
    }
    check(url, wanted, part)
}

/// Returns what is at `url`, at most `limit` bytes.
pub(super) fn into_memory(fetcher: &Fetcher, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
    let too_large = || FetchError::TooLarge { url: url::shown(url), limit };
    let mut opened = open(fetcher, url, 0, None)?;
    if opened.head.length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(more) =
        opened.answer.bytes().map_err(|trouble| failed(trouble, url, bytes.len() as u64))?
    {
        if (bytes.len() + more.len()) as u64 > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&more);
    }
    Ok(bytes)
}

/// Asks for what is at `url` from `offset` on, and follows where that leads. The status of the answer is 200,
/// or, if there is an offset, 206 or 416.
fn open<'a>(
    fetcher: &'a Fetcher,
    url: &str,
    offset: u64,
    version: Option<&str>,
) -> Result<Opened<'a>, FetchError> {
    let mut here = url.to_owned();
    for _ in 0..=MAX_REDIRECTS {
        let mut answer = fetcher
            .wire
            .send(&Request { url: &here, offset, version, ..Request::default() }, &fetcher.cancel);
        let head = answer.head().map_err(|trouble| failed(trouble, &here, offset))?;
        match head.status {
            200 => return Ok(Opened { head, answer }),
            206 | 416 if offset > 0 => return Ok(Opened { head, answer }),
            301 | 302 | 303 | 307 | 308 => here = redirected(&here, head.location.as_deref())?,
            404 | 410 => return Err(FetchError::NotFound { url: url::shown(&here) }),
            status => {
                let retry_after = head.retry_after;
                return Err(FetchError::Refused { url: url::shown(&here), status, retry_after });
            }
        }
    }
    Err(FetchError::redirect(url, &here, "which is one redirect too many"))
}

/// Returns where an answer with this `Location` leads, if that may be followed.
pub(super) fn redirected(from: &str, location: Option<&str>) -> Result<String, FetchError> {
    let location = location.unwrap_or_default();
    let to = url::join(from, location).filter(|_| !location.is_empty());
    let to = to.ok_or_else(|| FetchError::redirect(from, location, "which is no place to go to"))?;
    if url::scheme(from).as_deref() == Some("https") && url::scheme(&to).as_deref() != Some("https") {
        return Err(FetchError::redirect(from, &to, "which is not encrypted any more"));
    }
    Ok(to)
}

/// Returns the digest of what has arrived if it may be what was wanted, and forgets it otherwise.
fn check(url: &str, wanted: &Wanted, part: &mut Part) -> Result<Digest, FetchError> {
    let found = part.digest();
    match wanted.sha256 {
        Some(sha256) if sha256 != *found.hash() => {
            part.restart(None)?;
            let expected = Digest::from_parts(sha256, 0).hex();
            Err(FetchError::Mismatch { url: url::shown(url), expected, found: found.hex() })
        }
        _ => Ok(found),
    }
}

/// Returns the failure that `trouble` is, after `received` bytes from `url`.
pub(super) fn failed(trouble: Trouble, url: &str, received: u64) -> FetchError {
    let url = url::shown(url);
    match trouble {
        Trouble::Cancelled => FetchError::Cancelled,
        Trouble::Stalled(waited) => FetchError::Stalled { url, waited },
        Trouble::Unreachable(source) => FetchError::Unreachable { url, source },
        Trouble::Untrusted(source) => FetchError::Untrusted { url, source },
        Trouble::Broken(source) => FetchError::Network { url, source },
        Trouble::Ended => FetchError::Truncated { url, received },
        Trouble::Local(source) => FetchError::Unreadable { url, source },
        Trouble::NotAUrl => FetchError::BadUrl { url },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_encrypted() {
        let check = |from, to: &str| redirected(from, Some(to)).map_err(|error| error.to_string());
        assert_eq!(check("http://a.example/x", "https://b.example/y").as_deref(), Ok("https://b.example/y"));
        assert_eq!(check("https://a.example/x", "/y").as_deref(), Ok("https://a.example/y"));
        assert_eq!(
            check("https://a.example/x", "http://b.example/y").unwrap_err(),
            "`https://a.example/x` redirects to `http://b.example/y`, which is not encrypted any more"
        );
    }
}
