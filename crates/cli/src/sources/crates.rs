//! The crates that a `Cargo.lock` names: fetched by checksum or commit, and put together to one tree.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use cas::{Digest, Directory, LocalStore, Node, Record, Reference, Store as _};
use recipe::crates::{
    self, CHECKSUM, CONFIG, CRATES, Crate, GitOrigin, GitReference, Lockfile, ManifestError, Origin, registry,
};
use recipe::{FileIn, Needs, Place, Problem};

use super::{git, texts};
use crate::download::{Downloader, Pinned};
use crate::environment;
use crate::failure::Failure;
use crate::session::Session;
use crate::unpack;
use crate::workspace::tell;

/// The kind of records that say what tree the crates of a `Cargo.lock` come to, by the digest of that file. Its number is
/// raised when that changes.
const RECORDS: &str = "crates-1";
/// The kind of records that say what directory a crate of a registry comes to, by its checksum.
const CRATE_RECORDS: &str = "crate-1";
/// The size of a registry's `config.json`.
const LARGEST_CONFIG: u64 = 1 << 16;
/// How many directories of a repository are looked through for a crate.
const MAX_DIRECTORIES: usize = 100_000;

/// Returns the tree of the crates that each `Cargo.lock` of `needs` names, after what is missing of them was fetched. A
/// lock that is not there is left out: lowering reports it with its place.
pub(crate) fn fetch(
    session: &Session<'_>,
    needs: &Needs,
    texts: &BTreeMap<FileIn, (Digest, String)>,
) -> Result<BTreeMap<FileIn, Digest>, Failure> {
    let mut trees = BTreeMap::new();
    for (file, place) in &needs.crates {
        let Some((digest, text)) = texts.get(file) else { continue };
        let shown = format!("{}/{}", file.source, file.path);
        trees.insert(file.clone(), tree(session, &shown, Some(place), (*digest, text))?);
    }
    Ok(trees)
}

/// Returns the tree of the crates that a `Cargo.lock` names, which has this digest and text, after what is missing of them
/// was fetched. People know it as `shown`, and from `place`.
pub(crate) fn tree(
    session: &Session<'_>,
    shown: &str,
    place: Option<&Place>,
    (digest, text): (Digest, &str),
) -> Result<Digest, Failure> {
    let store = &session.caches.store;
    let known = store.record(RECORDS, &digest).map_err(Failure::machine)?;
    if let Some([Reference::Tree(tree)]) = known.as_ref().map(|record| &record.references[..]) {
        return Ok(*tree);
    }
    let lock = crates::parse(text).map_err(|error| {
        let message = format!("`{shown}` does not say which crates there are: {error}");
        let problem = match place {
            Some(place) => Problem::at(place, message),
            None => Problem::nowhere(message),
        };
        tell(&[problem.help("write it anew with `cargo generate-lockfile`")], session.ui)
    })?;
    let tree = Fetching { session, of: shown }.tree(&lock)?;
    let record = Record { references: vec![Reference::Tree(tree)], payload: Vec::new() };
    store.sync().map_err(Failure::machine)?;
    store.put_record(RECORDS, &digest, &record).map_err(Failure::machine)?;
    Ok(tree)
}

/// The packages of a repository: by name, by version.
type Packages = BTreeMap<String, BTreeMap<Rc<str>, Found>>;

/// Where a package is.
struct Found {
    /// The path of its directory.
    path: String,
    /// Whether its manifest is not whole without its workspace's.
    inherits: bool,
}

/// The crates of one `Cargo.lock`.
struct Fetching<'a> {
    session: &'a Session<'a>,
    /// Whose crates they are, for people.
    of: &'a str,
}

impl Fetching<'_> {
    fn store(&self) -> &LocalStore {
        &self.session.caches.store
    }

    fn tree(&self, lock: &Lockfile) -> Result<Digest, Failure> {
        let packed = self.of_registries(lock)?;
        // A lock may name many crates of one commit.
        let mut commits = BTreeMap::new();
        let mut places = Directory::default();
        for (name, list) in lock.directories() {
            let mut place = Directory::default();
            for one in list {
                let digest = match &one.origin {
                    Origin::Registry { .. } => packed[&one.directory()],
                    Origin::Git(git) => self.of_repository(one, git, &mut commits)?,
                };
                place.entries.insert(one.directory(), Node::Directory { digest });
            }
            places.entries.insert(name, self.directory(&place)?);
        }
        let [directory, file] = CONFIG;
        let config = Directory { entries: [(file.to_owned(), self.file(&lock.config())?)].into() };
        let entries =
            [(directory.to_owned(), self.directory(&config)?), (CRATES.to_owned(), self.directory(&places)?)];
        self.store().write(&Directory { entries: entries.into() }.encode()).map_err(Failure::machine)
    }

    fn directory(&self, directory: &Directory) -> Result<Node, Failure> {
        let digest = self.store().write(&directory.encode()).map_err(Failure::machine)?;
        Ok(Node::Directory { digest })
    }

    fn file(&self, text: &str) -> Result<Node, Failure> {
        let digest = self.store().write(text.as_bytes()).map_err(Failure::machine)?;
        Ok(Node::File { digest, executable: false })
    }

    /// Returns the directories of the crates that are from registries, by their names.
    fn of_registries(&self, lock: &Lockfile) -> Result<BTreeMap<String, Digest>, Failure> {
        let (mut ready, mut missing) = (BTreeMap::new(), Vec::new());
        for one in &lock.crates {
            let Origin::Registry { registry, checksum } = &one.origin else { continue };
            let key = record_key(checksum);
            let known = self.store().record(CRATE_RECORDS, &key).map_err(Failure::machine)?;
            match known.as_ref().map(|record| &record.references[..]) {
                Some([Reference::Tree(tree)]) => _ = ready.insert(one.directory(), *tree),
                _ => missing.push((one, registry.as_deref(), checksum)),
            }
        }
        if missing.is_empty() {
            return Ok(ready);
        }
        if self.session.global.offline {
            let text = format!(
                "{} crates of `{}` are not here, and --offline forbids to download them",
                missing.len(),
                self.of
            );
            return Err(Failure::machine(text).help("run `bootwright fetch` where there is a network"));
        }
        let downloader = Downloader::new(self.session)?;
        let configuration = environment::cargo_configuration();
        let mut configs: BTreeMap<Option<&str>, Vec<u8>> = BTreeMap::new();
        let mut wanted = Vec::new();
        for (one, registry, checksum) in &missing {
            let index = registry::index(*registry, configuration.as_deref());
            if !configs.contains_key(registry) {
                let what = format!("the configuration of the registry `{index}`");
                let text = downloader.text(&what, &[format!("{index}config.json")], LARGEST_CONFIG)?;
                configs.insert(*registry, text);
            }
            let url = registry::archive(&configs[registry], &one.name, &one.version, checksum);
            let url = url.ok_or_else(|| {
                Failure::machine(format!("the registry `{index}` does not say where crates are"))
                    .help("its `config.json` has no `dl`: name another registry in cargo's configuration")
            })?;
            wanted.push(Pinned { name: one.directory(), sha256: checksum, url });
        }
        let digests = downloader.pinned(self.of, &wanted)?;
        let mut made = Vec::new();
        for ((one, _, checksum), digest) in missing.iter().zip(digests) {
            let unpacked = unpack::unremembered(self.store(), &digest, ".gz", &one.directory())?;
            let tree = self.with_checksum(&unpacked.tree, one)?;
            ready.insert(one.directory(), tree);
            made.push((record_key(checksum), tree));
        }
        // Once for all of them: it takes as long as unpacking dozens.
        self.store().sync().map_err(Failure::machine)?;
        for (key, tree) in made {
            let record = Record { references: vec![Reference::Tree(tree)], payload: Vec::new() };
            self.store().put_record(CRATE_RECORDS, &key, &record).map_err(Failure::machine)?;
        }
        Ok(ready)
    }

    /// Returns the tree with what cargo wants to see in the directory of a crate.
    fn with_checksum(&self, tree: &Digest, one: &Crate) -> Result<Digest, Failure> {
        let mut directory = self.store().read_directory(tree).map_err(Failure::store)?;
        directory.entries.insert(CHECKSUM.to_owned(), self.file(&one.checksum_file())?);
        self.store().write(&directory.encode()).map_err(Failure::machine)
    }

    /// Returns the directory of a crate that is from a repository. `commits` has the packages of the trees that were
    /// looked through already.
    fn of_repository(
        &self,
        one: &Crate,
        git: &GitOrigin,
        commits: &mut BTreeMap<Digest, Packages>,
    ) -> Result<Digest, Failure> {
        let rev = match &git.reference {
            GitReference::Default => git.commit.as_str(),
            GitReference::Branch(name) | GitReference::Tag(name) | GitReference::Rev(name) => name,
        };
        let root = git::commit(self.session, &one.name, &git.url, &git.commit, rev)?;
        let packages = match commits.entry(root) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(self.packages(&root)?),
        };
        let found = packages.get(&one.name).and_then(|versions| versions.get(&*one.version));
        let Some(Found { path, inherits }) = found else {
            let text =
                format!("the repository `{}` has no crate `{}` at {}", git.url, one.directory(), git.commit);
            return Err(Failure::project(text).help(format!(
                "`{}` is not of that repository: write it anew with `cargo update`",
                self.of
            )));
        };
        let Some(Node::Directory { digest }) = texts::node(self.store(), &root, path)? else {
            return Err(Failure::machine(format!("`{path}` of `{}` is no directory", git.url)));
        };
        let mut directory = self.store().read_directory(&digest).map_err(Failure::store)?;
        if *inherits {
            let manifest = self.manifest(&directory)?.unwrap_or_default();
            let workspace = self.workspace(&root, path)?.unwrap_or_default();
            let whole = crates::stand_alone(&manifest, &workspace)
                .map_err(|error| damaged(&git.url, path, &error))?;
            directory.entries.insert("Cargo.toml".to_owned(), self.file(&whole)?);
        }
        directory.entries.insert(CHECKSUM.to_owned(), self.file(&one.checksum_file())?);
        self.store().write(&directory.encode()).map_err(Failure::machine)
    }

    /// Returns the packages of a repository, with those that are found first where there are several of a version.
    fn packages(&self, root: &Digest) -> Result<Packages, Failure> {
        let mut packages = Packages::new();
        // With each directory the version that its workspace has.
        let mut waiting: Vec<(String, Digest, Option<Rc<str>>)> = vec![(String::new(), *root, None)];
        let mut n_seen = 0;
        while let Some((path, digest, mut version_above)) = waiting.pop() {
            n_seen += 1;
            if n_seen > MAX_DIRECTORIES {
                break;
            }
            let directory = self.store().read_directory(&digest).map_err(Failure::store)?;
            if let Some(text) = self.manifest(&directory)? {
                if crates::is_workspace(&text) {
                    version_above = crates::version_of_workspace(&text).map(Rc::from);
                }
                // Repositories have manifests that are made to be wrong, for their tests.
                if let Ok(Some(package)) = crates::package(&text) {
                    let version = package.version.map(Rc::from).or_else(|| version_above.clone());
                    let version = version.unwrap_or_else(|| Rc::from("0.0.0"));
                    let found = Found { path: path.clone(), inherits: package.inherits };
                    packages.entry(package.name).or_default().entry(version).or_insert(found);
                }
            }
            for (name, node) in directory.entries {
                if let Node::Directory { digest } = node {
                    let below = if path.is_empty() { name } else { format!("{path}/{name}") };
                    waiting.push((below, digest, version_above.clone()));
                }
            }
        }
        Ok(packages)
    }

    /// Returns the `Cargo.toml` of a directory, if it has one that is text.
    fn manifest(&self, directory: &Directory) -> Result<Option<String>, Failure> {
        let Some(Node::File { digest, .. }) = directory.entries.get("Cargo.toml") else { return Ok(None) };
        let text = self.store().read(digest).map_err(Failure::machine)?;
        Ok(String::from_utf8(text).ok())
    }

    /// Returns the manifest of the workspace that a directory of a repository is in.
    fn workspace(&self, root: &Digest, path: &str) -> Result<Option<String>, Failure> {
        let mut directory = path;
        loop {
            let file = format!("{directory}/Cargo.toml");
            if let Some(Node::File { digest, .. }) = texts::node(self.store(), root, &file)? {
                let text = self.store().read(&digest).map_err(Failure::machine)?;
                let text = String::from_utf8_lossy(&text).into_owned();
                if crates::is_workspace(&text) {
                    return Ok(Some(text));
                }
            }
            match directory.rsplit_once('/') {
                Some((above, _)) => directory = above,
                None if directory.is_empty() => return Ok(None),
                None => directory = "",
            }
        }
    }
}

/// Returns the key of what a crate comes to.
fn record_key(checksum: &str) -> Digest {
    Digest::of(format!("crate {checksum}\n").as_bytes())
}

fn damaged(url: &str, path: &str, error: &ManifestError) -> Failure {
    Failure::project(format!("the crate in `{path}` of `{url}` cannot be taken out of it: {error}"))
}
