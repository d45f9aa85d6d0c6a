//! What is built by cargo or make: a part of the kernel, or a module of the file system.

use std::collections::BTreeMap;

use super::Reading;
use crate::value::{Entry, Value};
use crate::{Problem, Spanned, suggest};

/// Something that is built, and then copied by `objcopy`.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its name: that of the package or the program, and of the file that it is copied to.
    pub name: Spanned<String>,
    /// How it is built.
    pub how: How,
    /// The manifest of its package, relative to the tree.
    pub manifest: Option<String>,
    /// The features that the recipe asks for.
    pub features: Vec<String>,
    /// Whether it is built without its default features.
    pub no_default_features: bool,
    /// Whether `name` is a program, and not a package.
    pub binary: bool,
    /// The format that `objcopy` makes of it.
    pub objcopy: String,
    /// The path of a module in the file system, without slashes in front.
    pub path: Option<Spanned<String>>,
    /// Environment variables of the command that builds it.
    pub env: BTreeMap<String, String>,
}

/// How something is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// By `cargo build`.
    Cargo,
    /// By `cargo test --no-run`: what is built is the test program.
    Test {
        /// The toolchain, as rustup knows it.
        toolchain: Option<String>,
    },
    /// By `make`.
    Make {
        /// What `make` is asked for, and leaves, relative to the tree.
        output_file: String,
    },
}

const ATTRIBUTES: [&str; 10] = [
    "type",
    "output_file",
    "manifest",
    "features",
    "no_default_features",
    "binary",
    "objcopy",
    "path",
    "toolchain",
    "env",
];
const TYPES: [&str; 3] = ["cargo", "make", "test"];
/// The format of a component that does not say otherwise.
const OBJCOPY: &str = "elf64-x86-64";

impl Component {
    /// Returns the path of a module in the file system.
    pub fn packed_as(&self) -> &str {
        self.path.as_ref().map_or(self.name.as_str(), |path| path.as_str())
    }
}

impl Reading<'_> {
    /// Reads components by their names.
    pub(super) fn components(&mut self, value: &Value) -> Option<Vec<Component>> {
        let Some(table) = value.as_table() else {
            self.reader.wrong_type(value, "an object");
            return None;
        };
        // One that could not be read was reported; the others are still looked over.
        Some(table.entries.iter().filter_map(|entry| self.component(entry)).collect())
    }

    fn component(&mut self, entry: &Entry) -> Option<Component> {
        let subject = format!("`{}`", entry.key.escape_debug());
        let table = self.table(&entry.value, &subject, &ATTRIBUTES)?;
        let name = Spanned { value: entry.key.clone(), place: entry.key_place.clone() };
        if !is_file_name(&entry.key) {
            let problem = format!("`{}` cannot be the name of a file", entry.key.escape_debug());
            self.reader.problems.push(Problem::at(&entry.key_place, problem));
        }
        let how = self.text(table, "type");
        let output_file = self.text(table, "output_file");
        let toolchain = self.text(table, "toolchain");
        let manifest = self.text(table, "manifest");
        let features = self.text(table, "features");
        let no_default_features = self.flag(table, "no_default_features");
        let binary = self.flag(table, "binary");
        let objcopy = self.text(table, "objcopy");
        let path = self.text(table, "path").and_then(|path| self.module_path(path));
        let env = self.reader.field(&entry.value, table, "env", None);
        let (how, output_file, toolchain) = (how?, output_file?, toolchain?);
        let how = self.how(&name, how.as_ref(), output_file.as_ref(), toolchain)?;
        for file in output_file.iter() {
            self.stays_inside(file);
        }
        let manifest = manifest?;
        manifest.iter().for_each(|manifest| self.stays_inside(manifest));
        let features = features?.map(|features| features.value).unwrap_or_default();
        let features = features.split(',').map(str::trim).filter(|feature| !feature.is_empty());
        Some(Component {
            name,
            how,
            manifest: manifest.map(|manifest| manifest.value),
            features: features.map(str::to_owned).collect(),
            no_default_features: no_default_features?,
            binary: binary?,
            objcopy: objcopy?.map_or_else(|| OBJCOPY.to_owned(), |objcopy| objcopy.value),
            path: path?,
            env: env?,
        })
    }

    fn how(
        &mut self,
        name: &Spanned<String>,
        how: Option<&Spanned<String>>,
        output_file: Option<&Spanned<String>>,
        toolchain: Option<Spanned<String>>,
    ) -> Option<How> {
        let word = how.map_or("cargo", |how| how.as_str());
        if let (Some(toolchain), "cargo" | "make") = (&toolchain, word) {
            let problem =
                Problem::at(&toolchain.place, "`toolchain` is for components of the type `test` only");
            self.reader.problems.push(problem.help("the toolchain of all others is that of the tree"));
        }
        if let (Some(file), "cargo" | "test") = (output_file, word) {
            let problem =
                Problem::at(&file.place, "`output_file` is what `make` leaves, and this is built by cargo");
            self.lenient.push(problem.help("the type is missing: `\"type\": \"make\"`"));
        }
        match (word, output_file) {
            ("cargo", _) => Some(How::Cargo),
            ("test", _) => Some(How::Test { toolchain: toolchain.map(|toolchain| toolchain.value) }),
            ("make", Some(file)) => Some(How::Make { output_file: file.value.clone() }),
            ("make", None) => {
                let problem = format!("`{}` is built by `make`, and has no `output_file`", name.as_str());
                let problem = Problem::at(&name.place, problem);
                self.reader.problems.push(problem.help("name what `make` is asked for and leaves"));
                None
            }
            (word, _) => {
                let place = how.map_or(&name.place, |how| &how.place);
                let problem = format!("unknown type `{}`", word.escape_debug());
                self.reader
                    .problems
                    .push(Problem::at(place, problem).help(suggest::help(word, "types", TYPES)));
                None
            }
        }
    }

    /// Returns the path of a module without slashes in front. It leads to a file, and not out of the file system.
    fn module_path(&mut self, path: Option<Spanned<String>>) -> Option<Option<Spanned<String>>> {
        let Some(Spanned { value, place }) = path else { return Some(None) };
        let relative = value.trim_start_matches('/');
        if relative.is_empty() || !relative.split('/').all(is_file_name) {
            let problem = format!("`{}` is no path of a file in a file system", value.escape_debug());
            self.reader
                .problems
                .push(Problem::at(&place, problem).help("write it as in `/init`, without `..`"));
            return None;
        }
        if relative.len() > usize::from(u16::MAX) {
            self.reader.problems.push(Problem::at(&place, "the path is too long for the file system"));
            return None;
        }
        Some(Some(Spanned { value: relative.to_owned(), place }))
    }

    /// Reports a path that leads out of the tree.
    pub(super) fn stays_inside(&mut self, path: &Spanned<String>) {
        if path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..") {
            let problem = format!("`{}` leads out of the tree", path.escape_debug());
            let problem = Problem::at(&path.place, problem);
            self.reader.problems.push(problem.help("write a path from the root of the tree"));
        }
    }
}

fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']) && !name.starts_with('-')
}
