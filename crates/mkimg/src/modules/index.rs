//! Which modules a kernel has, where they are and what they say of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use layer::{EntryPath, NodeKind, Tree};

use super::Error;
use super::elf;
use crate::xz_decoder;

/// A module's name as the kernel has it: `-` and `_` are the same.
pub(super) fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// A module that was read.
pub(super) struct Module {
    pub(super) name: String,
    /// Where it goes, without the suffix of its compression.
    pub(super) uncompressed: EntryPath,
    pub(super) bytes: Vec<u8>,
    /// `depends=`: names of modules.
    pub(super) depends: Vec<String>,
    /// `softdep=pre:`: names or aliases.
    pub(super) recommends: Vec<String>,
    /// Those of `depends` that are modules and not built in.
    pub(super) needs: BTreeSet<String>,
}

pub(super) struct Index<'a> {
    tree: &'a Tree,
    /// The directory of the kernel's modules, and its last component.
    directory: EntryPath,
    release: String,
    modules: BTreeMap<String, EntryPath>,
    built_in: BTreeSet<String>,
    built_in_aliases: BTreeSet<String>,
    /// Aliases of modules, once somebody asked for one.
    aliases: Option<BTreeMap<String, Vec<String>>>,
}

/// Where `/lib` is a link to `/usr/lib`, and where it is a directory.
const PLACES: [&str; 2] = ["usr/lib/modules/", "lib/modules/"];

/// Aliases that other modules ask for by `softdep` are those of algorithms.
const ALIAS_PLACES: [&str; 3] = ["kernel/crypto/", "kernel/arch/", "kernel/lib/"];

/// No kernel module is nearly as large.
const MAX_MODULE: u64 = 256 << 20;
/// How many bytes of modules, decompressed, are looked through for aliases: several times those of all modules together.
const MAX_FOR_ALIASES: u64 = 4 << 30;

impl<'a> Index<'a> {
    /// Finds the modules of the kernel `wanted`, or of the only one that there is.
    pub(super) fn new(tree: &'a Tree, wanted: Option<&str>) -> Result<Index<'a>, Error> {
        let mut kernels: BTreeMap<EntryPath, BTreeMap<String, EntryPath>> = BTreeMap::new();
        for item in tree.items() {
            let Some(text) = item.path.as_str() else { continue };
            let Some(place) = PLACES.iter().find(|place| text.starts_with(**place)) else { continue };
            let Some((release, _)) = text[place.len()..].split_once('/') else { continue };
            let Some((name, _)) = module_name(item.path) else { continue };
            let directory = EntryPath::new(format!("{place}{release}"));
            if let (Ok(directory), NodeKind::File(_)) = (directory, &item.node.kind) {
                kernels.entry(directory).or_default().insert(name, item.path.clone());
            }
        }
        let release_of = |directory: &EntryPath| String::from_utf8_lossy(directory.file_name()).into_owned();
        let releases: Vec<String> = kernels.keys().map(release_of).collect();
        if let Some(wanted) = wanted {
            kernels.retain(|directory, _| directory.file_name() == wanted.as_bytes());
        }
        let (Some((directory, modules)), others) = (kernels.pop_first(), kernels.len()) else {
            return Err(match wanted {
                Some(wanted) if !releases.is_empty() => {
                    Error::OtherKernel { wanted: wanted.to_owned(), releases }
                }
                _ => Error::NoKernel,
            });
        };
        if others > 0 {
            return Err(Error::SeveralKernels { releases });
        }
        let release = release_of(&directory);
        let mut index = Index {
            tree,
            directory,
            release,
            modules,
            built_in: BTreeSet::new(),
            built_in_aliases: BTreeSet::new(),
            aliases: None,
        };
        index.read_built_in()?;
        Ok(index)
    }

    fn read_built_in(&mut self) -> Result<(), Error> {
        if let Some(list) = self.read_text("modules.builtin")? {
            let paths = list.lines().filter_map(|line| EntryPath::new(line.trim()).ok());
            self.built_in = paths.filter_map(|path| module_name(&path).map(|(name, _)| name)).collect();
        }
        if let Some(list) = self.read_text("modules.builtin.modinfo")? {
            // Each string is `<module>.<key>=<value>`.
            let strings = list.split('\0').filter_map(|string| string.split_once(".alias="));
            self.built_in_aliases = strings.map(|(_, alias)| normal(alias)).collect();
        }
        Ok(())
    }

    fn read_text(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.file(name);
        let Some(item) = self.tree.get(path.as_bytes()) else { return Ok(None) };
        let NodeKind::File(extent) = item.node.kind else { return Ok(None) };
        match self.tree.read_content(extent) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    pub(super) fn release(&self) -> &str {
        &self.release
    }

    /// Returns the path of a file beside the modules.
    pub(super) fn file(&self, name: &str) -> EntryPath {
        self.directory.join(name.as_bytes()).expect("a short name below a directory that was found")
    }

    /// Returns a module's path as `modules.dep` has it.
    pub(super) fn relative(&self, path: &EntryPath) -> String {
        String::from_utf8_lossy(&path.as_bytes()[self.directory.as_bytes().len() + 1..]).into_owned()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.modules.keys().map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.modules.contains_key(name)
    }

    pub(super) fn is_built_in(&self, name: &str) -> bool {
        self.built_in.contains(name) || self.is_built_in_alias(name)
    }

    pub(super) fn is_built_in_alias(&self, name: &str) -> bool {
        self.built_in_aliases.contains(&normal(name))
    }

    /// Returns the modules that have `alias`, which is an algorithm's, in the order of their names.
    pub(super) fn providers(&mut self, alias: &str) -> Result<Vec<String>, Error> {
        let aliases = match self.aliases.take() {
            Some(aliases) => aliases,
            None => self.read_aliases()?,
        };
        let providers = aliases.get(&normal(alias)).cloned().unwrap_or_default();
        self.aliases = Some(aliases);
        Ok(providers)
    }

    fn read_aliases(&self) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut n_read = 0;
        for (name, path) in &self.modules {
            let relative = self.relative(path);
            let may_be_asked_for = ALIAS_PLACES.iter().any(|place| relative.starts_with(place));
            if may_be_asked_for {
                let bytes = self.load(path)?;
                n_read += bytes.len() as u64;
                if n_read > MAX_FOR_ALIASES {
                    return Err(Error::TooLarge { name: name.clone(), most: MAX_FOR_ALIASES });
                }
                for (key, value) in modinfo(&bytes, path)? {
                    if key == "alias" {
                        aliases.entry(normal(&value)).or_default().push(name.clone());
                    }
                }
            }
        }
        Ok(aliases)
    }

    /// Reads the module called `name`, which must be there.
    pub(super) fn read(&self, name: &str) -> Result<Module, Error> {
        let path = &self.modules[name];
        let bytes = self.load(path)?;
        let (mut depends, mut recommends) = (Vec::new(), Vec::new());
        for (key, value) in modinfo(&bytes, path)? {
            match &key[..] {
                "depends" => depends.extend(value.split(',').filter(|name| !name.is_empty()).map(normal)),
                "softdep" => recommends.extend(pre(&value).map(str::to_owned)),
                _ => {}
            }
        }
        let (_, suffix) = module_name(path).expect("only modules are in the index");
        let stem = path.as_bytes().strip_suffix(suffix.as_bytes()).expect("the name ends with its suffix");
        let uncompressed = EntryPath::new(stem).expect("a path without its suffix is a path");
        let needs = BTreeSet::new();
        Ok(Module { name: name.to_owned(), uncompressed, bytes, depends, recommends, needs })
    }

    /// Returns the module's bytes, decompressed.
    fn load(&self, path: &EntryPath) -> Result<Vec<u8>, Error> {
        let item = self.tree.get(path.as_bytes()).expect("the index was made from the tree");
        let NodeKind::File(extent) = item.node.kind else {
            return Err(Error::NotModule { path: path.clone(), problem: "it is not a file" });
        };
        let reader = io::BufReader::with_capacity(64 * 1024, self.tree.open_content(extent));
        let (_, suffix) = module_name(path).expect("only modules are in the index");
        let mut bytes = Vec::new();
        let result = match suffix {
            ".xz" => xz_decoder(reader, false)
                .and_then(|decoder| decoder.take(MAX_MODULE + 1).read_to_end(&mut bytes)),
            ".gz" => flate2::bufread::GzDecoder::new(reader).take(MAX_MODULE + 1).read_to_end(&mut bytes),
            ".zst" => zstd::stream::read::Decoder::with_buffer(reader)
                .and_then(|decoder| decoder.take(MAX_MODULE + 1).read_to_end(&mut bytes)),
            _ => reader.take(MAX_MODULE + 1).read_to_end(&mut bytes),
        };
        match result {
            Ok(_) if bytes.len() as u64 > MAX_MODULE => {
                Err(Error::NotModule { path: path.clone(), problem: "it is larger than 256 MiB" })
            }
            Ok(_) => Ok(bytes),
            Err(source) => Err(Error::Read { path: path.clone(), source }),
        }
    }
}

/// Returns the name of the module at `path` and the suffix of its compression, if it is one.
fn module_name(path: &EntryPath) -> Option<(String, &'static str)> {
    let name = std::str::from_utf8(path.file_name()).ok()?;
    let (stem, suffix) = ["", ".xz", ".zst", ".gz"]
        .into_iter()
        .find_map(|suffix| Some((name.strip_suffix(suffix)?.strip_suffix(".ko")?, suffix)))?;
    Some((normal(stem), suffix))
}

/// Returns the strings of a module's `.modinfo`: `key=value`, each ended by NUL.
fn modinfo(module: &[u8], path: &EntryPath) -> Result<Vec<(String, String)>, Error> {
    let section = elf::modinfo(module).map_err(|problem| Error::NotModule { path: path.clone(), problem })?;
    let strings = section.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    Ok(strings.filter_map(|text| text.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))).collect())
}

/// Returns what a `softdep` wants to be there before: `pre: a b post: c`.
fn pre(softdep: &str) -> impl Iterator<Item = &str> {
    let mut is_before = false;
    softdep.split_whitespace().filter(move |word| {
        match *word {
            "pre:" => is_before = true,
            "post:" => is_before = false,
            _ => return is_before,
        }
        false
    })
}
