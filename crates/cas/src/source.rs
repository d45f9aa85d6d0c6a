//! Local sources into the store, without reading again what has not changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use prost::Message as _;

use crate::files::in_parallel;
use crate::glance::{Glance, Seen, glance, glance_again, identity};
use crate::local::{ImportMode, Imported, LocalStore, Record, Reference, read_link, utf8_name};
use crate::stat_cache::{QUIET, StatCache};
use crate::store::Doing as _;
use crate::watch::{Changed, ChangedDirectory, Token, Watcher};
use crate::{Digest, Directory, Ignore, Node, Store as _, StoreError, proto};

/// Up to this size a file in a directory that changed is read again, which takes less than to know all files.
const SMALL: u64 = 1 << 20;

/// The records of trees that were imported whole.
const SOURCES: &str = "sources";
/// The records of what directories looked like when they were imported, and what they came to.
const GLANCES: &str = "glances";

impl LocalStore {
    /// Keeps the tree in `directory` except what `ignore` says, and returns its digest.
    ///
    /// Every entry is looked at, except where `watcher` says that nothing changed since the last time. Of directories in
    /// which nothing looks otherwise than last time, and nothing had just changed then, nothing is read; of others all
    /// files are, except large ones that `cache` knows. The tree is here whole afterwards, and stays. Fails like
    /// [`LocalStore::import_tree`].
    pub fn import_source(
        &self,
        directory: &Path,
        ignore: &Ignore,
        cache: &mut StatCache,
        watcher: &Watcher,
    ) -> Result<Imported, StoreError> {
        let now = self.seconds_now()?;
        let key = Digest::of(format!("{}\n{ignore:?}", directory.display()).as_bytes());
        let before = self.record(GLANCES, &key)?.and_then(|record| Remembered::decode(&record.payload));
        // What was known of the tree is worth nothing once it was collected.
        let before = match before {
            Some(before) if self.record(SOURCES, &before.imported.digest)?.is_some() => Some(before),
            _ => None,
        };
        // Before anything is looked at: what changes from now on is told the next time.
        let since = before.as_ref().and_then(|before| before.token.as_ref());
        let answer = watcher.ask(directory, identity(directory)?, ignore, since);
        let changed = match answer.as_ref().map(|answer| &answer.changed) {
            Some(Changed::Directories(changed)) => Some(changed),
            Some(Changed::Anything) | None => None,
        };
        if let (Some(before), Some([])) = (&before, changed.map(Vec::as_slice))
            && !before.has_links
        {
            watcher.count_unchanged();
            return Ok(before.imported);
        }
        // To take it apart takes long for large trees, and is not needed where nothing changed.
        let known = || before.as_ref().and_then(Remembered::directories).unwrap_or_default();
        let partly = match changed.map(|changed| (changed, known())) {
            Some((changed, known)) if !known.is_empty() => {
                glance_again(directory, ignore, seen(&known), &with_links(changed, &known))?
            }
            _ => None,
        };
        let is_partly = partly.is_some();
        let glance = match partly {
            Some(glance) => {
                watcher.count_partly();
                glance
            }
            None => {
                watcher.count_looked();
                glance(directory, ignore)?
            }
        };
        let token = answer.map(|answer| answer.token);
        let whole = glance.digest();
        if let Some(before) = &before
            && before.whole == Some(whole)
            // Who has not been told since when to ask has to look at everything again.
            && (token.is_none() || token == before.token)
        {
            return Ok(before.imported);
        }
        let looked_at_before = before.as_ref().map_or(0, |before| before.now);
        let known = known().into_iter().filter(|(_, known)| {
            // What had just changed may have changed once more within the same tick of the clock. Where nobody has to
            // look, because the watcher says that nothing changed, that does not matter.
            known.latest + QUIET < looked_at_before || is_partly && !was_looked_at(&glance, known)
        });
        let known: BTreeMap<String, Known> = known.collect();
        let job = Job { store: self, directory, ignore, glance: &glance, now };
        let totals = job.run(&known, cache)?;
        let imported = totals[0];
        cache.forget_gone(directory);
        if self.record(SOURCES, &imported.digest)?.is_none() {
            let record = Record { references: vec![Reference::Tree(imported.digest)], payload: Vec::new() };
            self.put_record(SOURCES, &imported.digest, &record)?;
        }
        let payload = remember(&glance, whole, &totals, now, token);
        self.put_record(GLANCES, &key, &Record { references: Vec::new(), payload })?;
        Ok(imported)
    }

    /// Keeps a file and returns, with its digest, its attributes if they were the same before and after.
    fn read_source(
        &self,
        path: &Path,
        before: &fs::Metadata,
    ) -> Result<(Digest, Option<fs::Metadata>), StoreError> {
        let Node::File { digest, .. } = self.put_file(path, ImportMode::Copy)? else {
            unreachable!("`put_file` returns files");
        };
        let after =
            fs::symlink_metadata(path).doing(|| format!("read the attributes of `{}`", path.display()))?;
        Ok((digest, StatCache::is_same(before, &after).then_some(after)))
    }
}

/// What a directory looked like by itself, and what it came to with all below it.
struct Known {
    parts: Vec<String>,
    own: Digest,
    total: Imported,
    /// When a file in it last changed.
    latest: i64,
    has_links: bool,
}

/// What a source looked like, and what it came to.
struct Remembered {
    /// The digest of the whole glance, unless something had just changed.
    whole: Option<Digest>,
    imported: Imported,
    /// When it was looked at.
    now: i64,
    has_links: bool,
    /// What to ask its watcher by, if it had one.
    token: Option<Token>,
    directories: Vec<u8>,
}

impl Remembered {
    fn decode(payload: &[u8]) -> Option<Remembered> {
        let message = proto::Glance::decode(payload).ok()?;
        let whole = message.whole.and_then(|digest| digest.digest());
        let imported = imported(message.tree?, message.n_files, message.n_bytes)?;
        let token = Token { instance: message.instance, sequence: message.sequence };
        Some(Remembered {
            whole,
            imported,
            now: message.now,
            has_links: message.has_links,
            token: (!token.instance.is_empty()).then_some(token),
            directories: message.directories,
        })
    }

    /// Returns what is known of directories, by path.
    fn directories(&self) -> Option<BTreeMap<String, Known>> {
        let message = proto::GlanceDirectories::decode(&self.directories[..]).ok()?;
        let known = message.directories.into_iter().map(|directory| {
            let own = directory.own?.digest()?;
            let total = imported(directory.tree?, directory.n_files, directory.n_bytes)?;
            let parts =
                directory.path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            let (latest, has_links) = (directory.latest, directory.has_links);
            Some((directory.path, Known { parts, own, total, latest, has_links }))
        });
        known.collect()
    }
}

/// Returns what a glance at directories would see that are as they are known.
fn seen(known: &BTreeMap<String, Known>) -> Vec<Seen> {
    let seen = known.values().map(|known| Seen {
        parts: known.parts.clone(),
        digest: known.own,
        latest: (known.latest, 0),
        has_links: known.has_links,
        is_old: true,
        children: Vec::new(),
    });
    seen.collect()
}

/// Adds the directories with files that have other names: nobody is told when they change by these.
fn with_links(changed: &[ChangedDirectory], known: &BTreeMap<String, Known>) -> Vec<ChangedDirectory> {
    let is_told = |parts: &[String]| changed.iter().any(|changed| changed.parts == parts);
    let linked = known.values().filter(|known| known.has_links && !is_told(&known.parts));
    let linked = linked.map(|known| ChangedDirectory { parts: known.parts.clone(), below: false });
    changed.iter().cloned().chain(linked).collect()
}

fn was_looked_at(glance: &Glance, known: &Known) -> bool {
    let found = glance.directories.binary_search_by(|seen| seen.parts.cmp(&known.parts));
    found.is_ok_and(|idx| !glance.directories[idx].is_old)
}

fn imported(tree: crate::DigestMessage, n_files: u64, n_bytes: u64) -> Option<Imported> {
    Some(Imported { digest: tree.digest()?, n_files, n_bytes })
}

/// Encodes what a source looked like at `now`, and what its directories came to.
fn remember(glance: &Glance, whole: Digest, totals: &[Imported], now: i64, token: Option<Token>) -> Vec<u8> {
    let directories = glance.directories.iter().zip(totals).map(|(seen, total)| proto::GlanceDirectory {
        path: seen.parts.join("/"),
        own: Some((&seen.digest).into()),
        tree: Some((&total.digest).into()),
        n_files: total.n_files,
        n_bytes: total.n_bytes,
        latest: seen.latest.0,
        has_links: seen.has_links,
    });
    let directories = proto::GlanceDirectories { directories: directories.collect() };
    let is_settled = glance.directories.iter().all(|seen| seen.latest.0 + QUIET < now);
    let Token { instance, sequence } = token.unwrap_or(Token { instance: String::new(), sequence: 0 });
    let message = proto::Glance {
        whole: is_settled.then(|| (&whole).into()),
        tree: Some((&totals[0].digest).into()),
        n_files: totals[0].n_files,
        n_bytes: totals[0].n_bytes,
        now,
        has_links: glance.directories.iter().any(|seen| seen.has_links),
        instance,
        sequence,
        directories: directories.encode_to_vec(),
    };
    message.encode_to_vec()
}

/// Where the entries of a directory come from.
enum Plan {
    /// Nothing in it or below it changed.
    Known(Imported),
    /// Only something below it changed: its entries are those that it had.
    Below(Directory),
    /// It has to be read.
    Read,
}

/// One entry of a directory that is read.
enum Item {
    File(PathBuf, fs::Metadata),
    Directory,
    Symlink(String),
}

struct Job<'a> {
    store: &'a LocalStore,
    directory: &'a Path,
    ignore: &'a Ignore,
    glance: &'a Glance,
    now: i64,
}

impl Job<'_> {
    /// Returns what each directory of the glance comes to, after everything that was not in the store was put there.
    fn run(
        &self,
        known: &BTreeMap<String, Known>,
        cache: &mut StatCache,
    ) -> Result<Vec<Imported>, StoreError> {
        let parents = self.glance.parents();
        let mut plans = self.plan(known, &parents);
        let to_read: Vec<usize> = (0..plans.len()).filter(|idx| matches!(plans[*idx], Plan::Read)).collect();
        let listed =
            in_parallel(to_read.len(), |idx| self.list(&self.glance.directories[to_read[idx]].parts))?;

        let files: Vec<(&PathBuf, &fs::Metadata)> = listed
            .iter()
            .flatten()
            .filter_map(
                |(_, item)| if let Item::File(path, metadata) = item { Some((path, metadata)) } else { None },
            )
            .collect();
        let remembered: Vec<Option<Digest>> = files
            .iter()
            .map(|(path, metadata)| (metadata.len() > SMALL).then(|| cache.get(path, metadata)).flatten())
            .collect();
        let read = in_parallel(files.len(), |idx| match remembered[idx] {
            // What the cache knew may have been collected.
            Some(digest) if self.store.contains(&digest)? => Ok((digest, None)),
            _ => self.store.read_source(files[idx].0, files[idx].1),
        })?;
        for ((path, metadata), (digest, settled)) in files.iter().zip(&read) {
            if let Some(settled) = settled.as_ref().filter(|_| metadata.len() > SMALL) {
                cache.insert(path, settled, *digest, self.now);
            }
        }

        let mut digests = read.iter().map(|(digest, _)| *digest);
        for (idx, items) in to_read.iter().zip(&listed) {
            let mut directory = Directory::default();
            for (name, item) in items {
                let node = match item {
                    Item::File(_, metadata) => {
                        let digest = digests.next().expect("there is one for each file");
                        Node::File { digest, executable: metadata.mode() & 0o100 != 0 }
                    }
                    // Its digest comes from below.
                    Item::Directory => Node::Directory { digest: Digest::of(b"") },
                    Item::Symlink(target) => Node::Symlink { target: target.clone() },
                };
                directory.entries.insert(name.clone(), node);
            }
            plans[*idx] = Plan::Below(directory);
        }
        self.assemble(plans, &parents)
    }

    /// Decides for each directory where its entries come from.
    fn plan(&self, known: &BTreeMap<String, Known>, parents: &[usize]) -> Vec<Plan> {
        let directories = &self.glance.directories;
        let known: Vec<Option<&Known>> = directories
            .iter()
            .map(|seen| known.get(&seen.parts.join("/")).filter(|known| known.own == seen.digest))
            .collect();
        // Directories come in front of those below them.
        let mut is_whole = vec![true; directories.len()];
        for idx in (0..directories.len()).rev() {
            is_whole[idx] &= known[idx].is_some();
            if idx > 0 && !is_whole[idx] {
                is_whole[parents[idx]] = false;
            }
        }
        let plan = |idx: usize| match known[idx] {
            Some(known) if is_whole[idx] => Plan::Known(known.total),
            Some(known) => self.store.read_directory(&known.total.digest).map_or(Plan::Read, Plan::Below),
            None => Plan::Read,
        };
        (0..directories.len()).map(plan).collect()
    }

    /// Returns what is in a directory, by name. What came or went since the glance does so with the next one.
    fn list(&self, parts: &[String]) -> Result<Vec<(String, Item)>, StoreError> {
        let directory = parts.iter().fold(self.directory.to_owned(), |path, part| path.join(part));
        let doing = || format!("list `{}`", directory.display());
        let mut parts = parts.to_vec();
        let mut items = Vec::new();
        for entry in fs::read_dir(&directory).doing(doing)? {
            let entry = entry.doing(doing)?;
            let path = entry.path();
            let kind = entry.file_type().doing(|| format!("read the type of `{}`", path.display()))?;
            let name = utf8_name(&path, entry.file_name())?;
            parts.push(name.clone());
            let is_ignored = self.ignore.matches(&parts, kind.is_dir());
            parts.pop();
            if is_ignored {
                continue;
            }
            let item = if kind.is_dir() {
                Item::Directory
            } else if kind.is_symlink() {
                Item::Symlink(read_link(&path)?)
            } else {
                let metadata =
                    entry.metadata().doing(|| format!("read the attributes of `{}`", path.display()))?;
                Item::File(path, metadata)
            };
            items.push((name, item));
        }
        Ok(items)
    }

    /// Puts directories that changed into the store, those below others first, and returns what each comes to.
    fn assemble(&self, plans: Vec<Plan>, parents: &[usize]) -> Result<Vec<Imported>, StoreError> {
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); plans.len()];
        for (idx, parent) in parents.iter().enumerate().skip(1) {
            below[*parent].push(idx);
        }
        let mut totals: Vec<Option<Imported>> = vec![None; plans.len()];
        let mut encoded = Vec::new();
        for (idx, plan) in plans.into_iter().enumerate().rev() {
            let mut directory = match plan {
                Plan::Known(total) => {
                    totals[idx] = Some(total);
                    continue;
                }
                Plan::Below(directory) => directory,
                Plan::Read => unreachable!("what had to be read was"),
            };
            directory.entries.retain(|_, node| !matches!(node, Node::Directory { .. }));
            let (mut n_files, mut n_bytes) = (0, 0);
            for node in directory.entries.values() {
                if let Node::File { digest, .. } = node {
                    n_files += 1;
                    n_bytes += digest.size();
                }
            }
            for child in &below[idx] {
                let total = totals[*child].expect("what is below comes first");
                n_files += total.n_files;
                n_bytes += total.n_bytes;
                let name = self.glance.directories[*child].parts.last().cloned().unwrap_or_default();
                directory.entries.insert(name, Node::Directory { digest: total.digest });
            }
            let bytes = directory.encode();
            totals[idx] = Some(Imported { digest: Digest::of(&bytes), n_files, n_bytes });
            encoded.push(bytes);
        }
        in_parallel(encoded.len(), |idx| self.store.write(&encoded[idx]).map(drop))?;
        Ok(totals.into_iter().map(|total| total.expect("each was decided")).collect())
    }
}
