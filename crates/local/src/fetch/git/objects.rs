//! The objects of a repository, by their names.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use gix_hash::{ObjectId, oid};
use gix_object::{Find as _, Kind, TagRefIter};
use gix_odb::find::Header;
use gix_odb::store::init::Options;
use gix_odb::{HandleArc, Header as _, Store};
use gix_pack::cache::lru::StaticLinkedList;

use super::super::most_unpacked;
use super::error::described;
use super::{Address, FetchError, GitError};

/// Where objects are looked up. Each thread has its own.
#[derive(Clone)]
pub(super) struct Objects {
    handle: HandleArc,
    address: String,
    trust: Trust,
    /// How many bytes the files of a commit may come to.
    most: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Their names were computed when they came.
    Indexed,
    /// Whoever wrote them computed their names; disks forget.
    Unverified,
}

/// The largest object that is read. What a foreign pack only claims to hold must not fill the memory.
pub(super) const MAX_OBJECT: usize = 1 << 30;
/// How many objects are kept, for each thread, that others are made of, and how many bytes of them.
const CACHED: usize = 64;
const CACHE: usize = 64 << 20;
/// Of how many others one after the other an object may be made; `git` does not pack it otherwise (git-pack-objects(1),
/// `--depth`).
const MAX_DELTAS: u32 = 4095;
/// How often a tag may stand for another tag.
const MAX_TAGS: usize = 16;

impl Objects {
    /// Opens the directory into which a pack from `address` was received and indexed.
    pub(super) fn received(directory: &Path, address: &Address) -> Result<Objects, GitError> {
        let size = size_of_packs(directory).map_err(|error| {
            FetchError::disk(format!("look at the packs in `{}`", directory.display()), error)
        })?;
        Objects::within(directory, address, most_unpacked(size))
    }

    /// Does the same, with a bound of what the files of a commit may come to, in bytes.
    pub(super) fn within(directory: &Path, address: &Address, most: u64) -> Result<Objects, GitError> {
        Objects::open(directory, address, Trust::Indexed, most)
    }

    /// Opens the `objects` directory of a repository of this machine, and of those that it borrows from.
    pub(super) fn of_repository(directory: &Path, address: &Address) -> Result<Objects, GitError> {
        Objects::open(directory, address, Trust::Unverified, u64::MAX)
    }

    fn open(directory: &Path, address: &Address, trust: Trust, most: u64) -> Result<Objects, GitError> {
        let options = Options { alloc_limit_bytes: Some(MAX_OBJECT), ..Options::default() };
        let store =
            Store::at_opts(directory.to_owned(), gix_hash::Kind::Sha1, &mut std::iter::empty(), options);
        let store = store.map_err(|error| GitError::NotARepository {
            address: address.to_string(),
            reason: format!("its objects cannot be opened: {error}"),
        })?;
        let mut handle = Arc::new(store).to_cache_arc();
        handle.set_pack_cache(|| Box::new(StaticLinkedList::<CACHED>::new(CACHE)));
        Ok(Objects { handle, address: address.to_string(), trust, most })
    }

    /// Fails if the files of a commit, of `n_bytes` so far, come to more than they may.
    pub(super) fn check_size(&self, n_bytes: u64) -> Result<(), GitError> {
        if n_bytes <= self.most {
            return Ok(());
        }
        Err(self.damaged(format!(
            "its files come to more than {} bytes, which is far more than what was sent should become",
            self.most
        )))
    }

    /// Returns an object, which is what its name says, or `None` when it is not here.
    pub(super) fn find<'b>(
        &self,
        id: &oid,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<(Kind, &'b [u8])>, GitError> {
        let header = self.handle.try_header(id);
        let header = header.map_err(|error| self.damaged(format!("object {id}: {}", described(&error))))?;
        if let Some(Header::Packed(header)) = header
            && header.num_deltas > MAX_DELTAS
        {
            let n_deltas = header.num_deltas;
            return Err(
                self.damaged(format!("object {id} is made of {n_deltas} others, one after the other"))
            );
        }
        let found = self.handle.try_find(id, buffer);
        let found = found.map_err(|error| self.damaged(format!("object {id}: {}", described(&error))))?;
        let Some(data) = found else { return Ok(None) };
        if self.trust == Trust::Unverified {
            data.verify_checksum(id)
                .map_err(|error| self.damaged(format!("object {id}: {}", described(&error))))?;
        }
        Ok(Some((data.kind, data.data)))
    }

    /// Returns an object that must be here and of that kind.
    pub(super) fn get<'b>(
        &self,
        id: &oid,
        kind: Kind,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], GitError> {
        match self.find(id, buffer)? {
            Some((found, data)) if found == kind => Ok(data),
            Some((found, _)) => Err(self.damaged(format!("object {id} is a {found} instead of a {kind}"))),
            None => Err(self.damaged(format!("object {id} is missing"))),
        }
    }

    /// Returns what an object stands for in the end, and its kind: of a tag, what it is a tag of.
    pub(super) fn peel(&self, id: ObjectId) -> Result<(Kind, ObjectId), GitError> {
        let mut here = id;
        for _ in 0..MAX_TAGS {
            let mut buffer = Vec::new();
            match self.find(&here, &mut buffer)? {
                None => return Err(self.damaged(format!("object {here} is missing"))),
                Some((Kind::Tag, data)) => {
                    let target = TagRefIter::from_bytes(data, gix_hash::Kind::Sha1).target_id();
                    here = target.map_err(|error| {
                        self.damaged(format!("tag {here} makes no sense: {}", described(&error)))
                    })?;
                }
                Some((kind, _)) => return Ok((kind, here)),
            }
        }
        Err(self.damaged(format!("tag {id} is a tag of a tag, too many times")))
    }

    pub(super) fn damaged(&self, reason: String) -> GitError {
        GitError::Damaged { address: self.address.clone(), reason }
    }
}

/// Returns how many bytes the packs in an `objects` directory have.
fn size_of_packs(directory: &Path) -> io::Result<u64> {
    let packs = fs::read_dir(directory.join("pack"))?;
    packs.map(|pack| Ok(pack?.metadata()?.len())).sum()
}
