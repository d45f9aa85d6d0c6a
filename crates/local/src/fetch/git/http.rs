//! The smart protocol over HTTP, with the client that makes all other downloads.

use std::cell::RefCell;
use std::io::{self, BufRead, Cursor, Read, Write};
use std::rc::Rc;

use gix_transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};

use super::super::transfer::{MAX_REDIRECTS, failed, redirected};
use super::super::wire::{Answer, Head, Request};
use super::super::{FetchError, Fetcher, url};
use super::GitError;
use super::watch::Watch;

/// Makes the requests of one exchange.
pub(super) struct Client<'a> {
    fetcher: &'a Fetcher,
    watch: Rc<Watch<'a>>,
    /// Where the repository is, after a redirect.
    base: Option<String>,
}

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const RESULT: &str = "application/x-git-upload-pack-result";

impl<'a> Client<'a> {
    pub(super) fn new(fetcher: &'a Fetcher, watch: Rc<Watch<'a>>) -> Client<'a> {
        Client { fetcher, watch, base: None }
    }

    fn find(&mut self, url: &str, tail: &str, headers: &[(String, String)]) -> Result<Body<'a>, GitError> {
        let mut here = url.to_owned();
        let mut headers = headers.to_vec();
        for _ in 0..=MAX_REDIRECTS {
            let request =
                Request { url: &here, headers: headers.clone(), may_trickle: true, ..Request::default() };
            let mut answer = self.fetcher.wire.send(&request, &self.fetcher.cancel);
            let head = answer.head().map_err(|trouble| failed(trouble, &here, 0))?;
            if matches!(head.status, 301 | 302 | 303 | 307 | 308) {
                let next = redirected(&here, head.location.as_deref())?;
                if !url::is_same_origin(&here, &next) {
                    headers.retain(|(name, _)| !is_secret(name));
                }
                here = next;
                continue;
            }
            check(&head, &here, &self.watch, ADVERTISEMENT)?;
            if here != url {
                let base = here.strip_suffix(tail).map(str::to_owned);
                self.base = Some(base.ok_or_else(|| {
                    FetchError::redirect(url, &here, "where the repository cannot be told from its parts")
                })?);
            }
            return Ok(Body::new(answer, Rc::clone(&self.watch), here));
        }
        Err(FetchError::redirect(url, &here, "which is one redirect too many").into())
    }
}

/// Returns whether what a header says is for the server alone that the address names.
fn is_secret(name: &str) -> bool {
    ["authorization", "cookie"].iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Checks that the answer is what a git server sends.
fn check(head: &Head, url: &str, watch: &Watch<'_>, content_type: &str) -> Result<(), GitError> {
    let address = watch.address.to_string();
    match head.status {
        200 => {}
        401 | 403 => return Err(GitError::Authentication { address }),
        404 | 410 => {
            return Err(GitError::NotARepository { address, reason: "the server has nothing there".into() });
        }
        status => {
            let retry_after = head.retry_after;
            return Err(FetchError::Refused { url: url::shown(url), status, retry_after }.into());
        }
    }
    let found = head.content_type.as_deref().unwrap_or("nothing that it gives a type");
    let found = found.split(';').next().unwrap_or(found).trim();
    if found.eq_ignore_ascii_case(content_type) {
        return Ok(());
    }
    let reason = format!("the server sent {found}, not what git sends");
    Err(GitError::NotARepository { address, reason })
}

impl<'a> Http for Client<'a> {
    type Headers = Headers<'a>;
    type ResponseBody = ResponseBody<'a>;
    type PostBody = PostBody<'a>;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix_error::Result<GetResponse<Headers<'a>, ResponseBody<'a>>> {
        let tail = url.strip_prefix(base_url).unwrap_or_default();
        let body = self.find(url, tail, &parsed(headers)).map_err(|error| told(self.watch.fail(error)))?;
        Ok(GetResponse {
            headers: Headers { post: None, text: header(ADVERTISEMENT) },
            body: ResponseBody { post: None, body: Some(body) },
        })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _kind: PostBodyDataKind,
    ) -> gix_error::Result<PostResponse<Headers<'a>, ResponseBody<'a>, PostBody<'a>>> {
        let post = Rc::new(Post {
            fetcher: self.fetcher,
            watch: Rc::clone(&self.watch),
            url: url.to_owned(),
            headers: parsed(headers),
            sent: RefCell::default(),
            answer: RefCell::default(),
        });
        Ok(PostResponse {
            post_body: PostBody { post: Rc::clone(&post) },
            headers: Headers { post: Some(Rc::clone(&post)), text: header(RESULT) },
            body: ResponseBody { post: Some(post), body: None },
        })
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> gix_error::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.base.clone()
    }
}

/// Returns the lines of a head as names and values. How the client is called, ours says itself.
fn parsed(headers: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<(String, String)> {
    let pairs = headers.into_iter().filter_map(|line| {
        let (name, value) = line.as_ref().split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    });
    pairs.filter(|(name, _)| !name.eq_ignore_ascii_case("user-agent")).collect()
}

fn header(content_type: &str) -> Cursor<Vec<u8>> {
    Cursor::new(format!("Content-Type: {content_type}\r\n").into_bytes())
}

fn told(error: io::Error) -> gix_error::Error {
    gix_error::Error::from_error(error)
}

/// A request that is sent as soon as its answer is asked for.
pub(super) struct Post<'a> {
    fetcher: &'a Fetcher,
    watch: Rc<Watch<'a>>,
    url: String,
    headers: Vec<(String, String)>,
    /// What is to be sent.
    sent: RefCell<Vec<u8>>,
    answer: RefCell<Option<Body<'a>>>,
}

impl<'a> Post<'a> {
    fn send(&self) -> io::Result<()> {
        if self.answer.borrow().is_some() {
            return Ok(());
        }
        let request = Request {
            url: &self.url,
            headers: self.headers.clone(),
            body: Some(self.sent.take()),
            may_trickle: true,
            ..Request::default()
        };
        let mut answer = self.fetcher.wire.send(&request, &self.fetcher.cancel);
        let head = answer.head().map_err(|trouble| self.watch.fail(failed(trouble, &self.url, 0)))?;
        check(&head, &self.url, &self.watch, RESULT).map_err(|error| self.watch.fail(error))?;
        let body = Body::new(answer, Rc::clone(&self.watch), self.url.clone());
        *self.answer.borrow_mut() = Some(body);
        Ok(())
    }
}

/// Takes what is to be sent.
pub(super) struct PostBody<'a> {
    post: Rc<Post<'a>>,
}

impl Write for PostBody<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.post.sent.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The head of an answer, in which only the type of the content matters: it is what was checked before.
pub(super) struct Headers<'a> {
    post: Option<Rc<Post<'a>>>,
    text: Cursor<Vec<u8>>,
}

impl Read for Headers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

impl BufRead for Headers<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(post) = self.post.take() {
            post.send()?;
        }
        self.text.fill_buf()
    }

    fn consume(&mut self, n_bytes: usize) {
        self.text.consume(n_bytes);
    }
}

/// What is in an answer.
pub(super) struct ResponseBody<'a> {
    /// What has to be sent first.
    post: Option<Rc<Post<'a>>>,
    body: Option<Body<'a>>,
}

impl Read for ResponseBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

impl BufRead for ResponseBody<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(post) = self.post.take() {
            post.send()?;
            self.body = post.answer.take();
        }
        match &mut self.body {
            Some(body) => body.fill(),
            None => Ok(&[]),
        }
    }

    fn consume(&mut self, n_bytes: usize) {
        if let Some(body) = &mut self.body {
            body.position += n_bytes;
        }
    }
}

struct Body<'a> {
    answer: Answer<'a>,
    watch: Rc<Watch<'a>>,
    url: String,
    piece: Vec<u8>,
    position: usize,
    has_begun: bool,
    has_ended: bool,
}

impl<'a> Body<'a> {
    fn new(answer: Answer<'a>, watch: Rc<Watch<'a>>, url: String) -> Body<'a> {
        Body { answer, watch, url, piece: Vec::new(), position: 0, has_begun: false, has_ended: false }
    }

    fn fill(&mut self) -> io::Result<&[u8]> {
        while self.position >= self.piece.len() && !self.has_ended {
            self.piece.clear();
            self.position = 0;
            self.more()?;
            if !self.has_begun {
                self.has_begun = true;
                self.check_refusal()?;
            }
        }
        Ok(&self.piece[self.position..])
    }

    fn more(&mut self) -> io::Result<()> {
        match self.answer.bytes() {
            Ok(Some(bytes)) => {
                self.watch.received(bytes.len())?;
                self.piece.extend_from_slice(&bytes);
            }
            Ok(None) => self.has_ended = true,
            Err(trouble) => {
                return Err(self.watch.fail(failed(trouble, &self.url, self.watch.n_received())));
            }
        }
        Ok(())
    }

    /// A line that begins with `ERR` instead of an answer is one; the library would take it for an answer that
    /// makes no sense.
    fn check_refusal(&mut self) -> io::Result<()> {
        const START: usize = 8;
        while self.piece.len() < START && !self.has_ended {
            self.more()?;
        }
        let is_refusal = self.piece.get(4..START) == Some(b"ERR ");
        if !is_refusal {
            return Ok(());
        }
        while self.piece.len() < 1 << 10 && !self.has_ended {
            self.more()?;
        }
        let message = String::from_utf8_lossy(&self.piece[START..]).trim().to_owned();
        Err(self.watch.fail(GitError::Refused { address: self.watch.address.to_string(), message }))
    }
}

fn read_buffered(reader: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let available = reader.fill_buf()?;
    let n_bytes = available.len().min(buffer.len());
    buffer[..n_bytes].copy_from_slice(&available[..n_bytes]);
    reader.consume(n_bytes);
    Ok(n_bytes)
}
