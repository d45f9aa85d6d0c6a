//! The build recipes of COCONUT-SVSM, as its own `xbuild` reads them: which parts are built, and what images they come to.
//!
//! The format is what upstream's code accepts (`xbuild/src/*.rs` of August 2026), which is more than its document
//! `BUILD_RECIPES.md` tells. What upstream passes over in silence is a [`Problem`] here, or with [`Strictness::Upstream`] a
//! warning.
//!
//! A recipe becomes commands in [`plan()`] and actions in [`lower()`].

mod component;
mod image;
mod lower;
mod plan;
mod target;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

pub use component::{Component, How};
pub use image::{Image, ImagePlatform, ImageTarget};
pub use lower::{Here, Lowered, LoweredImage, TREE, lower};
pub use plan::{Copy, ExtraFeature, Firmwares, Options, Packed, Part, Plan, Planned, Product, plan};
pub use target::Xbuild;

use crate::json;
use crate::reader::{Read as _, Reader};
use crate::value::{Table, Value};
use crate::{Problem, SourceFile, Spanned, problem, suggest};

/// A recipe.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The file.
    pub name: String,
    /// The parts of the kernel, in the recipe's order; `svsm` is among them.
    pub kernel: Vec<Component>,
    /// The modules of the file system, in the recipe's order.
    pub modules: Vec<Component>,
    /// Where the firmware of the guest comes from.
    pub firmware: Firmware,
    /// The images, in the recipe's order.
    pub images: Vec<Image>,
}

/// Where the firmware of a guest comes from; from nowhere if nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Firmware {
    /// What is run first: a program with its arguments, not empty.
    pub command: Option<Vec<String>>,
    /// The file. It counts more than `env`.
    pub file: Option<Spanned<String>>,
    /// The environment variable that names the file, if it is set.
    pub env: Option<Spanned<String>>,
}

/// What becomes of what upstream does not look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// It is a mistake.
    Strict,
    /// It is worth a warning.
    Upstream,
}

/// What came of reading a recipe.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The recipe, if there are no problems.
    pub recipe: Option<Recipe>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// What upstream would not have said.
    pub warnings: Vec<Problem>,
}

/// What a tree has whose kernel tells its version.
pub const RELEASE: &str = "release/Cargo.toml";
/// The module that says which it is, which is not part of the tree.
pub const VERSION_MODULE: &str = "release/src/git_version.rs";

/// Returns the text of [`VERSION_MODULE`].
pub fn version_module(version: &str) -> String {
    format!(
        "// Written by Bootwright, which overwrites any change.\n\npub const GIT_VERSION: &str = {version:?};\n"
    )
}

/// What kernels are made of: the loaders of two generations of the tree, and the kernel itself.
pub(crate) const KERNEL_PARTS: [&str; 4] = ["svsm", "bldr", "stage2", "tdx-stage1"];

/// Understands the text of a recipe.
pub fn parse(file: &Arc<SourceFile>, strictness: Strictness) -> Parsed {
    let (value, problems) = json::parse(file);
    let mut reader = Reader { problems, ..Reader::default() };
    let mut reading = Reading { reader: &mut reader, lenient: Vec::new() };
    let recipe = value.and_then(|value| reading.recipe(&value, &file.name));
    let lenient = std::mem::take(&mut reading.lenient);
    let (mut problems, mut warnings) = (reader.problems, Vec::new());
    match strictness {
        Strictness::Strict => problems.extend(lenient),
        Strictness::Upstream => warnings.extend(lenient),
    }
    problem::tidy(&mut problems);
    Parsed { recipe: recipe.filter(|_| problems.is_empty()), problems, warnings }
}

/// Reads a recipe.
struct Reading<'a> {
    reader: &'a mut Reader,
    /// What upstream does not look at.
    lenient: Vec<Problem>,
}

impl Reading<'_> {
    fn recipe(&mut self, value: &Value, name: &str) -> Option<Recipe> {
        let table = self.table(value, "the recipe", &["kernel", "igvm", "fs", "firmware"])?;
        let kernel = self.section(value, table, "kernel").and_then(|kernel| self.components(kernel));
        let modules = self.section(value, table, "fs").and_then(|fs| {
            let table = self.table(fs, "`fs`", &["modules"])?;
            self.section(fs, table, "modules").and_then(|modules| self.components(modules))
        });
        let images = self.section(value, table, "igvm").and_then(|igvm| self.images(igvm));
        let firmware = match table.get("firmware") {
            Some(entry) => self.firmware(&entry.value),
            None => Some(Firmware::default()),
        };
        let (kernel, modules, images) = (kernel?, modules?, images?);
        let names = table.get("kernel").and_then(|entry| entry.value.as_table());
        let names = names.into_iter().flat_map(|table| &table.entries).map(|entry| entry.key.as_str());
        self.kernel_is_whole(value, &names.collect::<Vec<_>>(), &kernel, &images);
        self.modules_are_apart(&modules);
        Some(Recipe { name: name.to_owned(), kernel, modules, firmware: firmware?, images })
    }

    /// Returns the table that `value` is, after a look at its keys.
    fn table<'v>(&mut self, value: &'v Value, subject: &str, known: &[&str]) -> Option<&'v Table> {
        let Some(table) = value.as_table() else {
            self.reader.inside(subject.to_owned(), |reader| reader.wrong_type(value, "an object"));
            return None;
        };
        for entry in &table.entries {
            if !known.contains(&entry.key.as_str()) {
                let help = suggest::help(&entry.key, "attributes", known.iter().copied());
                let problem = format!("unknown attribute `{}` in {subject}", entry.key.escape_debug());
                self.lenient.push(Problem::at(&entry.key_place, problem).help(help));
            }
        }
        Some(table)
    }

    /// Returns a value that must be there.
    fn section<'v>(&mut self, value: &Value, table: &'v Table, key: &str) -> Option<&'v Value> {
        let found = table.get(key).map(|entry| &entry.value);
        if found.is_none() {
            self.reader.missing(&value.place, table, &format!("`{key}`"));
        }
        found
    }

    /// Returns a text that need not be there. What reads like one and is a number is told how to become one.
    fn text(&mut self, table: &Table, key: &str) -> Option<Option<Spanned<String>>> {
        let Some(entry) = table.get(key) else { return Some(None) };
        if let crate::value::Kind::Integer(number) = entry.value.kind {
            let problem = format!("`{key}` must be a string, not an integer");
            let help = format!("write it in quotes: \"{number}\"");
            self.reader.problems.push(Problem::at(&entry.value.place, problem).help(help));
            return None;
        }
        self.reader.inside(format!("`{key}`"), |reader| Spanned::read(&entry.value, reader)).map(Some)
    }

    /// Returns a truth value, which is `false` if it is not there.
    fn flag(&mut self, table: &Table, key: &str) -> Option<bool> {
        let Some(entry) = table.get(key) else { return Some(false) };
        self.reader.inside(format!("`{key}`"), |reader| bool::read(&entry.value, reader))
    }

    fn firmware(&mut self, value: &Value) -> Option<Firmware> {
        let table = self.table(value, "`firmware`", &["command", "file", "env"])?;
        let command: Option<Option<Vec<String>>> = self.reader.field(value, table, "command", None);
        if let (Some(Some(command)), Some(entry)) = (&command, table.get("command"))
            && command.is_empty()
        {
            let problem = Problem::at(&entry.value.place, "`command` is empty");
            self.reader.problems.push(problem.help("write a program and its arguments, each a string"));
        }
        let (file, env) = (self.text(table, "file"), self.text(table, "env"));
        Some(Firmware { command: command?, file: file?, env: env? })
    }

    /// Reports parts of the kernel that are missing, or that nobody knows.
    fn kernel_is_whole(&mut self, value: &Value, names: &[&str], kernel: &[Component], images: &[Image]) {
        // Also of those that could not be read.
        let has = |name: &str| names.contains(&name);
        if !has("svsm") {
            let problem = Problem::at(&value.place, "`kernel` has no `svsm`, which is the kernel itself");
            self.reader.problems.push(problem);
        }
        for part in kernel {
            let name = part.name.as_str();
            if !KERNEL_PARTS.contains(&name) {
                let problem =
                    format!("unknown part `{}` of the kernel, which goes into no image", name.escape_debug());
                let help = suggest::help(name, "parts", KERNEL_PARTS);
                self.lenient.push(Problem::at(&part.name.place, problem).help(help));
            }
            if let Some(path) = &part.path {
                let problem = "`path` is where a module goes, and this is a part of the kernel";
                self.lenient.push(Problem::at(&path.place, problem));
            }
        }
        for image in images {
            let tdp = image.platforms.iter().find(|platform| platform.value == ImagePlatform::Tdp);
            if let Some(tdp) = tdp.filter(|_| !has("tdx-stage1")) {
                let problem = Problem::at(&tdp.place, "`tdp` needs the part `tdx-stage1` of the kernel");
                self.reader.problems.push(problem.help("add it to `kernel`, or take the platform out"));
            }
        }
    }

    /// Reports modules that go to the same place.
    fn modules_are_apart(&mut self, modules: &[Component]) {
        let mut firsts: BTreeMap<&str, &Component> = BTreeMap::new();
        for module in modules {
            match firsts.entry(module.packed_as()) {
                Entry::Vacant(vacant) => _ = vacant.insert(module),
                Entry::Occupied(first) => {
                    let problem = format!("two modules go to `{}`", module.packed_as());
                    let problem = Problem::at(&module.name.place, problem);
                    self.reader.problems.push(problem.related(&first.get().name.place, "the first one"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
