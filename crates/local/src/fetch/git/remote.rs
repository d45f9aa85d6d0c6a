//! Repositories that a server has: what they are asked for, and what of it arrives.

use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::rc::Rc;

use gix_error::{ErrorExt as _, message};
use gix_hash::ObjectId;
use gix_protocol::command::Feature;
use gix_protocol::fetch::negotiate::{Action, Round, one_round};
use gix_protocol::fetch::{self, Arguments, Context, Negotiate, Response, Shallow, Tags};
use gix_protocol::handshake::Ref;
use gix_protocol::ls_refs::RefPrefixes;
use gix_protocol::{Handshake, LsRefsCommand};
use gix_transport::client::blocking_io::{Transport, http::connect_http};
use gix_transport::{Protocol, Service};
use gix_utils::progress::Discard;

use super::super::{FetchError, Fetcher, OnProgress, url};
use super::address::Place;
use super::error::described;
use super::pack::{self, PackError};
use super::rev::{self, Reference};
use super::watch::Watch;
use super::{Address, GitError, daemon, http};

/// A repository that a server has.
pub(super) struct Remote<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) address: &'a Address,
    pub(super) on_progress: &'a OnProgress<'a>,
}

/// How much history comes with commits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    /// None, if the server can do that.
    None,
    /// All of it.
    All,
}

/// Which references are asked for.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    /// What this tag or branch may be the name of.
    Named(&'a str),
    /// All tags and branches, and what the name may be the name of.
    All(&'a str),
}

/// A server that has introduced itself.
struct Session<'a> {
    watch: Rc<Watch<'a>>,
    transport: Box<dyn Transport + 'a>,
    handshake: Handshake,
}

impl<'a> Remote<'a> {
    /// Returns the references of the repository. Others than those that were asked for may be among them.
    pub(super) fn references(&self, which: Which<'_>) -> Result<Vec<Reference>, GitError> {
        self.with_attempts(|| {
            let mut session = self.open()?;
            let references = session.references(which);
            // Over a connection that stays, a server waits for what else is wanted.
            let _ = gix_protocol::indicate_end_of_interaction(&mut session.transport, false);
            references
        })
    }

    /// Fetches the objects that `wants` stand for into `directory`, which is made.
    ///
    /// What is there afterwards is an `objects` directory; that everything is in it is not certain.
    pub(super) fn fetch(
        &self,
        wants: &[ObjectId],
        history: History,
        directory: &Path,
    ) -> Result<(), GitError> {
        self.with_attempts(|| {
            // Of an attempt that failed, nothing is of use.
            let _ = fs::remove_dir_all(directory);
            let packs = directory.join("pack");
            fs::create_dir_all(&packs)
                .map_err(|error| FetchError::disk(format!("make `{}`", packs.display()), error))?;
            self.open()?.fetch(self.fetcher, wants, history, &packs)
        })
    }

    /// Tries again what may help, as often as for any download.
    fn with_attempts<T>(&self, mut attempt: impl FnMut() -> Result<T, GitError>) -> Result<T, GitError> {
        let outcome =
            self.fetcher.with_attempts(&self.address.key(), &Default::default(), || match attempt() {
                Ok(value) => Ok(Ok(value)),
                Err(GitError::Fetch(error)) => Err(error),
                Err(error) => Ok(Err(error)),
            });
        outcome?
    }

    fn open(&self) -> Result<Session<'a>, GitError> {
        let watch = Rc::new(Watch::new(self.address, self.on_progress));
        let mut transport: Box<dyn Transport + 'a> = match &self.address.place {
            // The library would refuse it, too, and without saying so.
            Place::Http { url } if url::has_open_password(url) => {
                return Err(GitError::Unsupported {
                    address: self.address.to_string(),
                    reason: "would be sent a password that everybody on the way can read",
                });
            }
            Place::Http { url } => {
                let parsed = gix_url::Url::try_from(url.as_str());
                let parsed =
                    parsed.map_err(|_| GitError::BadAddress { address: self.address.to_string() })?;
                let client = http::Client::new(self.fetcher, Rc::clone(&watch));
                Box::new(connect_http(client, parsed, Protocol::V2, false))
            }
            Place::Daemon { host, port, path } => {
                Box::new(daemon::connect(self.fetcher, &watch, host, *port, path)?)
            }
            Place::Directory(_) => return Err(GitError::BadAddress { address: self.address.to_string() }),
        };
        // Credentials are those of the address, or there are none.
        let nobody = |_| Ok(None);
        let handshake =
            gix_protocol::handshake(&mut transport, Service::UploadPack, nobody, Vec::new(), &mut Discard);
        let handshake = handshake.map_err(|error| told(&watch, &error))?;
        let format = handshake.capabilities.capability("object-format");
        if format.and_then(|format| format.value()).is_some_and(|format| format != "sha1") {
            return Err(GitError::Unsupported {
                address: self.address.to_string(),
                reason: "names its objects by SHA-256",
            });
        }
        Ok(Session { watch, transport, handshake })
    }
}

impl Session<'_> {
    fn references(&mut self, which: Which<'_>) -> Result<Vec<Reference>, GitError> {
        // The first versions of the protocol begin with them.
        let refs = match self.handshake.refs.take() {
            Some(refs) => refs,
            None => {
                let mut prefixes = RefPrefixes::new();
                let (Which::Named(rev) | Which::All(rev)) = which;
                prefixes.extend(rev::candidates(rev).into_iter().map(Into::into));
                if matches!(which, Which::All(_)) {
                    prefixes.extend(["HEAD", "refs/heads/", "refs/tags/"].map(Into::into));
                }
                let listing = LsRefsCommand::new(Some(prefixes), &self.handshake.capabilities, agent());
                let refs = listing.invoke_blocking(&mut self.transport, &mut Discard, false);
                refs.map_err(|error| told(&self.watch, &error))?
            }
        };
        Ok(refs.into_iter().filter_map(reference).collect())
    }

    fn fetch(
        mut self,
        fetcher: &Fetcher,
        wants: &[ObjectId],
        history: History,
        packs: &Path,
    ) -> Result<(), GitError> {
        let capabilities = &self.handshake.capabilities;
        let can_be_shallow = match self.handshake.server_protocol_version {
            Protocol::V2 => {
                capabilities.capability("fetch").and_then(|fetch| fetch.supports("shallow")).unwrap_or(false)
            }
            Protocol::V0 | Protocol::V1 => capabilities.contains("shallow"),
        };
        let shallow = match history {
            History::None if can_be_shallow => Shallow::DepthAtRemote(NonZeroU32::MIN),
            _ => Shallow::NoChange,
        };
        let options = fetch::Options {
            shallow_file: packs.join("shallow"),
            shallow: &shallow,
            tags: Tags::None,
            reject_shallow_remote: false,
        };
        let context = Context {
            handshake: &mut self.handshake,
            transport: &mut self.transport,
            user_agent: agent(),
            trace_packetlines: false,
        };
        let fetched = gix_protocol::fetch(
            &mut EverythingOf { wants, is_said: false },
            |reader, _, _| {
                // Until then the server may talk.
                reader.fill_buf().map_err(|error| error.and_raise(message("the pack did not begin")))?;
                self.watch.objects_come();
                let received = pack::receive(reader, packs, pack::ALWAYS_ALLOWED, &fetcher.cancel);
                received.map(|()| true).map_err(|error| match error {
                    PackError::Other(error) => error,
                    PackError::TooLarge => {
                        let reason =
                            "its objects come to far more than what was sent should become".to_owned();
                        let address = self.watch.address.to_string();
                        let error = self.watch.fail(GitError::Damaged { address, reason });
                        error.and_raise(message("the pack is too large"))
                    }
                })
            },
            Discard,
            &fetcher.cancel,
            context,
            options,
        );
        match fetched {
            Ok(_) => Ok(()),
            Err(_) if fetcher.is_cancelled() => Err(FetchError::Cancelled.into()),
            Err(error) => Err(told(&self.watch, &error)),
        }
    }
}

/// Says to the server that nothing is here yet, so that there is nothing to negotiate.
struct EverythingOf<'a> {
    wants: &'a [ObjectId],
    /// Whether the server knows all that there is to say.
    is_said: bool,
}

impl Negotiate for EverythingOf<'_> {
    fn mark_complete_and_common_ref(&mut self) -> gix_error::Result<Action> {
        Ok(Action::MustNegotiate { remote_ref_target_known: Vec::new() })
    }

    fn add_wants(&mut self, arguments: &mut Arguments, _remote_ref_target_known: &[bool]) -> bool {
        for id in self.wants {
            arguments.want(id);
        }
        !self.wants.is_empty()
    }

    fn one_round(
        &mut self,
        _state: &mut one_round::State,
        _arguments: &mut Arguments,
        _previous_response: Option<&Response>,
    ) -> gix_error::Result<(Round, bool)> {
        // Asked again, a server that has said nothing yet, or goes on saying that it has nothing, would have us ask forever.
        if std::mem::replace(&mut self.is_said, true) {
            return Err(gix_error::message("what was asked for did not come").corrupted_error());
        }
        let round = Round {
            haves_sent: 0,
            in_vain: 0,
            haves_to_send: 0,
            previous_response_had_at_least_one_in_common: false,
        };
        Ok((round, true))
    }
}

fn agent() -> Feature {
    ("agent", Some(gix_protocol::agent(concat!("bootwright-", env!("CARGO_PKG_VERSION")))))
}

/// Returns what a server says of a reference; one that is not UTF-8 cannot be asked for.
fn reference(found: Ref) -> Option<Reference> {
    let (name, id, peeled) = match found {
        Ref::Direct { full_ref_name, object } => (full_ref_name, object, None),
        Ref::Peeled { full_ref_name, tag, object } => (full_ref_name, tag, Some(object)),
        Ref::Symbolic { full_ref_name, tag: Some(tag), object, .. } => (full_ref_name, tag, Some(object)),
        Ref::Symbolic { full_ref_name, tag: None, object, .. } => (full_ref_name, object, None),
        Ref::Unborn { .. } => return None,
    };
    Some(Reference { name: String::from_utf8(name.into()).ok()?, id, peeled })
}

/// Returns the error that `error` comes from: what was noted when it happened, or what the library made of it.
fn told(watch: &Watch<'_>, error: &gix_error::Error) -> GitError {
    if let Some(trouble) = watch.trouble() {
        return trouble;
    }
    let address = watch.address.to_string();
    for cause in error.iter_errors() {
        if let Some(refusal) = cause.downcast_ref::<gix_transport::packetline::read::Error>() {
            return refused(address, refusal);
        }
        let Some(cause) = cause.downcast_ref::<io::Error>() else { continue };
        let inner = cause.get_ref().and_then(|inner| inner.downcast_ref());
        if let Some(refusal) = inner {
            return refused(address, refusal);
        }
        match cause.kind() {
            io::ErrorKind::UnexpectedEof => {
                return FetchError::Truncated { url: address, received: watch.n_received() }.into();
            }
            kind @ (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                return FetchError::disk("write what a git server sends".to_owned(), kind.into()).into();
            }
            _ => {}
        }
    }
    GitError::Damaged { address, reason: described(error) }
}

fn refused(address: String, refusal: &gix_transport::packetline::read::Error) -> GitError {
    GitError::Refused { address, message: refusal.to_string().trim().to_owned() }
}
