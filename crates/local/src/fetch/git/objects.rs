//! The objects of a repository, by their names.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use gix_hash::{ObjectId, oid};
use gix_object::{Data, Find as _, Kind, TagRefIter};
use gix_odb::find::Header;
use gix_odb::store::init::Options;
use gix_odb::{HandleArc, Header as _, Store};

use super::allowance::Allowance;
use super::cache::Cache;
use super::error::described;
use super::{Address, FetchError, GitError};

/// Where objects are looked up. Each thread has its own.
#[derive(Clone)]
pub(super) struct Objects {
    handle: HandleArc,
    address: String,
    trust: Trust,
    /// What they may come to, if somebody else sent them.
    allowance: Option<Allowance>,
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
/// Of how many others one after the other an object may be made; `git` does not pack it otherwise (git-pack-objects(1),
/// `--depth`).
const MAX_DELTAS: u32 = 4095;
/// How often a tag may stand for another tag.
const MAX_TAGS: usize = 16;

impl Objects {
    /// Opens the directory into which packs from `address` were received and indexed, which count as what came.
    pub(super) fn received(
        directory: &Path,
        address: &Address,
        allowance: &Allowance,
    ) -> Result<Objects, GitError> {
        let size = size_of_packs(directory).map_err(|error| {
            FetchError::disk(format!("look at the packs in `{}`", directory.display()), error)
        })?;
        allowance.came(size);
        Objects::open(directory, address, Trust::Indexed, Some(allowance.clone()))
    }

    /// Opens the `objects` directory of a repository of this machine, and of those that it borrows from.
    pub(super) fn of_repository(directory: &Path, address: &Address) -> Result<Objects, GitError> {
        Objects::open(directory, address, Trust::Unverified, None)
    }

    fn open(
        directory: &Path,
        address: &Address,
        trust: Trust,
        allowance: Option<Allowance>,
    ) -> Result<Objects, GitError> {
        let options = Options { alloc_limit_bytes: Some(MAX_OBJECT), ..Options::default() };
        let store =
            Store::at_opts(directory.to_owned(), gix_hash::Kind::Sha1, &mut std::iter::empty(), options);
        let store = store.map_err(|error| GitError::NotARepository {
            address: address.to_string(),
            reason: format!("its objects cannot be opened: {error}"),
        })?;
        let mut handle = Arc::new(store).to_cache_arc();
        handle.set_pack_cache(|| Box::new(Cache::default()));
        Ok(Objects { handle, address: address.to_string(), trust, allowance })
    }

    /// Counts files and links of the commit. Fails if with these it comes to more than it may.
    pub(super) fn keep(&self, n_bytes: u64) -> Result<(), GitError> {
        let kept = self.allowance.as_ref().map_or(Ok(()), |allowance| allowance.keep(n_bytes));
        kept.map_err(|most| {
            self.damaged(format!(
                "its files come to more than {most} bytes, which is far more than what was sent should become"
            ))
        })
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
            && header.num_deltas > 0
        {
            return self.find_made(id, header.num_deltas, buffer);
        }
        Ok(self.look_up(id, buffer)?.map(|data| (data.kind, data.data)))
    }

    /// Returns an object, whatever it is made of.
    fn look_up<'b>(&self, id: &oid, buffer: &'b mut Vec<u8>) -> Result<Option<Data<'b>>, GitError> {
        let damaged = |error: &gix_error::Error| self.damaged(format!("object {id}: {}", described(error)));
        let found = self.handle.try_find(id, buffer).map_err(|error| damaged(&error))?;
        if let Some(data) = &found
            && self.trust == Trust::Unverified
        {
            data.verify_checksum(id).map_err(|error| damaged(&error))?;
        }
        Ok(found)
    }

    /// Returns an object that a pack says is made of others. One that is small may be made of some that are large.
    fn find_made<'b>(
        &self,
        id: &oid,
        n_deltas: u32,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<(Kind, &'b [u8])>, GitError> {
        if n_deltas > MAX_DELTAS {
            return Err(
                self.damaged(format!("object {id} is made of {n_deltas} others, one after the other"))
            );
        }
        // What it has room for then is what was needed.
        *buffer = Vec::new();
        let Some(data) = self.look_up(id, buffer)? else { return Ok(None) };
        let (kind, length) = (data.kind, data.data.len());
        let taken =
            self.allowance.as_ref().map_or(Ok(()), |allowance| allowance.take(buffer.capacity() as u64));
        taken.map_err(|most| {
            self.damaged(format!("to make its objects of each other would take more than {most} bytes"))
        })?;
        Ok(Some((kind, &buffer[..length])))
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
