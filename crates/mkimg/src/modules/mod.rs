//! Finds kernel modules with everything that they need.
//!
//! What a module needs is read from the module itself (`depends=`, `softdep=pre:`), so that a kernel package
//! on which nobody ran `depmod` will do.

mod elf;
mod index;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use layer::{Content, Declaration, EntryPath, Metadata, Tree};

use crate::error::{quoted, similar};
use crate::spec::ModulesSpec;
use index::{Index, Module};

/// The list of modules in the order in which `insmod` wants them.
const LOAD_ORDER: &str = "etc/modules-load.order";

/// How many bytes of modules, decompressed, may go into one layer: more than twice what all modules of Debian's kernels come to.
const MOST_KEPT: u64 = 1 << 30;
/// How long `modules.dep` may be: a hundred times what it is of all modules of Debian's kernels.
const MOST_LISTED: usize = 64 << 20;
/// How many times one module may be found to be needed by another, directly or not, before these lists are given up.
const MOST_FOLLOWED: usize = 1 << 26;

/// How many modules may need each other in a row: many more than in any kernel, and so few that the stack has room.
const MOST: usize = 200;

/// The modules cannot be collected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No directory of modules.
    #[error("the layers have no kernel modules below `usr/lib/modules`")]
    NoKernel,
    /// Several kernels, and nobody said which.
    #[error("the layers have modules of several kernels: {}", quoted(.releases))]
    SeveralKernels {
        /// Their releases.
        releases: Vec<String>,
    },
    /// Another kernel than the one that was asked for.
    #[error("the layers have no modules of the kernel `{wanted}`")]
    OtherKernel {
        /// What was asked for.
        wanted: String,
        /// Which there are.
        releases: Vec<String>,
    },
    /// Neither a module nor built in nor an alias.
    #[error("the kernel `{release}` has no module `{name}`")]
    Unknown {
        /// The module.
        name: String,
        /// The kernel's release.
        release: String,
        /// Modules with similar names.
        similar: Vec<String>,
    },
    /// A module needs one that is not there.
    #[error("module `{needed_by}` needs `{name}`, which the kernel `{release}` does not have")]
    Missing {
        /// What is needed.
        name: String,
        /// By whom.
        needed_by: String,
        /// The kernel's release.
        release: String,
    },
    /// The module could not be read.
    #[error("could not read module `{path}`")]
    Read {
        /// Its path.
        path: EntryPath,
        /// What reading or decompressing said.
        source: io::Error,
    },
    /// A module needs one that needs one, and so on, without an end.
    #[error("module `{name}` is needed by one that is needed by another, {MOST} times over")]
    TooDeep {
        /// The module.
        name: String,
    },
    /// The modules are more than the memory of this machine should hold.
    #[error("the modules up to `{name}` come to more than {most} bytes")]
    TooLarge {
        /// The module.
        name: String,
        /// How many they may have.
        most: u64,
    },
    /// What the modules need is more than `modules.dep` should hold.
    #[error("the modules up to `{name}` need too many others to list them all")]
    TooManyNeeds {
        /// The module.
        name: String,
    },
    /// Two of the files would have the same path, or one would have to be in the other.
    #[error("two files of the layer would be at `{path}`, or below it")]
    Taken {
        /// The path.
        path: EntryPath,
    },
    /// The file is not a kernel module.
    #[error("`{path}` is no kernel module: {problem}")]
    NotModule {
        /// Its path.
        path: EntryPath,
        /// Why not.
        problem: &'static str,
    },
}

impl Error {
    /// Returns what can be done about it, if we know.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Unknown { similar, .. } if !similar.is_empty() => {
                Some(format!("did you mean {}?", quoted(similar)))
            }
            Error::SeveralKernels { .. } => Some("choose one with `release`".to_owned()),
            Error::OtherKernel { releases, .. } => Some(format!("there is {}", quoted(releases))),
            _ => None,
        }
    }
}

/// Declares the modules that `spec` names, those that they need, and the lists that say so.
///
/// The result has files only: modules where they are in `tree`, but for the suffix of their compression, and the lists
/// `modules.dep` beside them and `spec.order`, all of the time `mtime`, in seconds since 1970. Of `spec` only the names, the
/// release and the place of the order count. The same tree and these are always the same declarations.
///
/// # Errors
///
/// When `tree` has no modules of the kernel, or of several; when it does not have one of the modules, or one that they need;
/// when more than a few hundred need each other in a row; when they are larger than 1 GiB, or need so many of each other that no
/// list has room for them; when a file is no module; and when two of these files would have one
/// path, or one would be below the other.
pub fn collect(tree: &Tree, spec: &ModulesSpec, mtime: i64) -> Result<layer::Builder, Error> {
    collect_within(tree, spec, mtime, MOST_KEPT)
}

/// Does what [`collect`] does, with modules of `most` bytes together.
fn collect_within(tree: &Tree, spec: &ModulesSpec, mtime: i64, most: u64) -> Result<layer::Builder, Error> {
    let index = Index::new(tree, spec.release.as_deref())?;
    let mut resolver = Resolver { index, state: BTreeMap::new(), depth: 0, order: Vec::new(), most, kept: 0 };
    for name in &spec.names {
        resolver.want(name)?;
    }
    let Resolver { index, order, .. } = resolver;

    let mut builder = layer::Builder::default();
    let mut declare = |path: EntryPath, bytes: Vec<u8>| {
        let metadata = Metadata { mtime, ..Metadata::with_mode(0o644) };
        let declared = builder.declare(path.clone(), metadata, Declaration::File(Content::Bytes(bytes)));
        declared.map_err(|_| Error::Taken { path })
    };
    let load_order: String = order.iter().map(|module| format!("/{}\n", module.uncompressed)).collect();
    let dependencies = dependencies(&index, &order)?;
    let order_path = spec.order.clone();
    let order_path = order_path.unwrap_or_else(|| EntryPath::new(LOAD_ORDER).expect("it is a path"));
    let lists = [(index.file("modules.dep"), dependencies), (order_path, load_order)];
    let modules = order.iter().map(|module| &module.uncompressed);
    separate(modules.chain(lists.iter().map(|(path, _)| path)))?;
    for module in order {
        declare(module.uncompressed, module.bytes)?;
    }
    for (list, text) in lists {
        declare(list, text.into_bytes())?;
    }
    Ok(builder)
}

/// Fails when a file is below another one.
fn separate<'a>(paths: impl Iterator<Item = &'a EntryPath> + Clone) -> Result<(), Error> {
    let all: BTreeSet<&[u8]> = paths.clone().map(EntryPath::as_bytes).collect();
    match paths.flat_map(EntryPath::ancestors).find(|above| all.contains(above)) {
        Some(above) => Err(Error::Taken { path: EntryPath::new(above).expect("it is the path of a file") }),
        None => Ok(()),
    }
}

/// Returns the text of `modules.dep`: each module of `order` with all that it needs, directly or not.
fn dependencies(index: &Index<'_>, order: &[Module]) -> Result<String, Error> {
    let places: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(idx, module)| (&module.name[..], idx)).collect();
    let places_of =
        |names: &BTreeSet<String>| names.iter().filter_map(|name| places.get(&name[..]).copied()).collect();
    let needs: Vec<Vec<usize>> = order.iter().map(|module| places_of(&module.needs)).collect();
    let (mut text, mut n_followed) = (String::new(), 0);
    for (idx, module) in order.iter().enumerate() {
        let too_many = || Error::TooManyNeeds { name: module.name.clone() };
        let closure = closure_of(idx, &needs, &mut n_followed).ok_or_else(too_many)?;
        text.push_str(&index.relative(&module.uncompressed));
        text.push(':');
        // As by `depmod`: what must be loaded first comes last.
        for needed in closure.range(..idx).rev() {
            text.push(' ');
            text.push_str(&index.relative(&order[*needed].uncompressed));
            if text.len() > MOST_LISTED {
                return Err(too_many());
            }
        }
        text.push('\n');
    }
    Ok(text)
}

/// Returns all that the module at `start` needs; `None` when that is too much. All needs that were followed are counted.
fn closure_of(start: usize, needs: &[Vec<usize>], n_followed: &mut usize) -> Option<BTreeSet<usize>> {
    let mut closure = BTreeSet::new();
    let mut todo = vec![start];
    while let Some(module) = todo.pop() {
        *n_followed += needs[module].len();
        if *n_followed > MOST_FOLLOWED {
            return None;
        }
        todo.extend(needs[module].iter().copied().filter(|needed| closure.insert(*needed)));
    }
    Some(closure)
}

/// Where a module is on its way into the order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// What it needs is being looked at.
    Open,
    /// In the order.
    Done,
}

struct Resolver<'a> {
    index: Index<'a>,
    state: BTreeMap<String, State>,
    /// How many modules are open.
    depth: usize,
    order: Vec<Module>,
    /// How many bytes the modules may have, and those that were read do.
    most: u64,
    kept: u64,
}

impl Resolver<'_> {
    /// Puts the module or modules called `name` into the order.
    fn want(&mut self, name: &str) -> Result<(), Error> {
        let normal = index::normal(name);
        if self.index.has(&normal) {
            return self.add(&normal);
        }
        if self.index.is_built_in(&normal) {
            return Ok(());
        }
        let providers = self.index.providers(name)?;
        if providers.is_empty() && !self.index.is_built_in_alias(name) {
            let similar = similar(&normal, self.index.names());
            return Err(Error::Unknown {
                name: name.to_owned(),
                release: self.index.release().to_owned(),
                similar,
            });
        }
        providers.iter().try_for_each(|provider| self.add(provider))
    }

    fn add(&mut self, name: &str) -> Result<(), Error> {
        // Recommendations may go round in circles, requirements cannot; whoever is open comes later anyway.
        if self.state.contains_key(name) {
            return Ok(());
        }
        if self.depth == MOST {
            return Err(Error::TooDeep { name: name.to_owned() });
        }
        self.depth += 1;
        self.state.insert(name.to_owned(), State::Open);
        let mut module = self.index.read(name)?;
        self.kept += module.bytes.len() as u64;
        if self.kept > self.most {
            return Err(Error::TooLarge { name: name.to_owned(), most: self.most });
        }
        for recommended in std::mem::take(&mut module.recommends) {
            let normal = index::normal(&recommended);
            if self.index.has(&normal) {
                self.add(&normal)?;
            } else if !self.index.is_built_in(&normal) {
                // What provides it may be any of several drivers; which of them works, the machine knows.
                for provider in self.index.providers(&recommended)? {
                    self.add(&provider)?;
                }
            }
        }
        for needed in std::mem::take(&mut module.depends) {
            if self.index.has(&needed) {
                self.add(&needed)?;
                module.needs.insert(needed);
            } else if !self.index.is_built_in(&needed) {
                let release = self.index.release().to_owned();
                return Err(Error::Missing { name: needed, needed_by: name.to_owned(), release });
            }
        }
        self.depth -= 1;
        self.state.insert(name.to_owned(), State::Done);
        self.order.push(module);
        Ok(())
    }
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
