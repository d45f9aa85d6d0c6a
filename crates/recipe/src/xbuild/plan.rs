//! The commands that recipes come to: each once, whatever how many recipes need it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use super::component::{Component, How};
use super::image::Image;
use super::{ImageTarget, Recipe};
use crate::crates;

/// What is said beside recipes, for all of them.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether everything is built as a release.
    pub release: bool,
    /// Whether all features of all packages are built.
    pub all_features: bool,
    /// Further features.
    pub features: Vec<ExtraFeature>,
    /// Whether cargo asks nobody, and takes what `Cargo.lock` says.
    pub offline: bool,
    /// Whether commands tell more.
    pub verbose: bool,
    /// Whether crates are those of `Cargo.lock`, fetched before ([`crate::crates`]). With them are those that the standard
    /// library is compiled with, if somebody asks for that.
    pub locked_crates: bool,
    /// The option that has crates of the standard library compiled, for what has none.
    pub build_std: Option<String>,
}

/// A feature of a component that the recipe does not ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraFeature {
    /// The component; `svsm` if none was said.
    pub component: String,
    /// The feature.
    pub feature: String,
}

impl FromStr for ExtraFeature {
    type Err = String;

    /// Reads `FEATURE` or `COMPONENT:FEATURE`.
    fn from_str(text: &str) -> Result<ExtraFeature, String> {
        let (component, feature) = text.split_once(':').unwrap_or(("svsm", text));
        let (component, feature) = (component.trim(), feature.trim());
        if component.is_empty() || feature.is_empty() {
            return Err("write it as FEATURE or COMPONENT:FEATURE".to_owned());
        }
        Ok(ExtraFeature { component: component.to_owned(), feature: feature.to_owned() })
    }
}

/// What recipes come to.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is built: each once.
    pub parts: Vec<Part>,
    /// What is made of it, by recipe.
    pub recipes: Vec<Planned>,
    /// The further features that are of no component.
    pub unused: Vec<ExtraFeature>,
}

impl Plan {
    /// Returns the toolchains that parts name, as rustup knows them; all others are built with that of the tree.
    pub fn toolchains(&self) -> BTreeSet<&str> {
        self.parts.iter().filter_map(|part| part.command.get(1)?.strip_prefix('+')).collect()
    }
}

/// A command that builds something in the tree, at whose root it starts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// What it is, to people.
    pub label: String,
    /// The name of what it leaves.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its further environment variables.
    pub environment: BTreeMap<String, String>,
    /// What it leaves.
    pub product: Product,
}

/// What a command leaves in the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Product {
    /// This file.
    File(String),
    /// The test program of this package, which cargo names.
    Test(String),
}

/// What is made of a recipe.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The parts of the kernel.
    pub kernel: Vec<Copy>,
    /// The modules of the file system.
    pub modules: Vec<Packed>,
    /// The part that makes images.
    pub builder: usize,
    /// The images.
    pub images: Vec<Image>,
    /// How images are described to the builder.
    pub verbose: bool,
    /// The firmware of the guest, a file.
    pub firmware: Option<PathBuf>,
}

/// What `objcopy` makes of a part.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The part's place in [`Plan::parts`].
    pub part: usize,
    /// Its name.
    pub name: String,
    /// The format.
    pub format: String,
    /// What is left out.
    pub strip: &'static str,
}

/// A module in a file system.
#[derive(Clone, Debug)]
pub struct Packed {
    /// What is copied.
    pub copy: Copy,
    /// Its path in the file system.
    pub path: String,
}

/// The firmware of each recipe's guest, by its place among them.
pub type Firmwares = BTreeMap<usize, PathBuf>;

/// What the kernel and its modules are built for.
const BARE_METAL: &str = "x86_64-unknown-none";
/// What makes images of parts: a program of the tree, since how it lays them out is known to that tree only.
const BUILDER: &str = "igvmbuilder";

/// Where it is built: in a directory of its own, since cargo has others wait for one that is in use.
const BUILDER_TARGET: &str = "target/tools";

/// Returns the commands for `recipes`, of which each may have a firmware.
pub fn plan(recipes: &[Recipe], options: &Options, firmwares: &Firmwares) -> Plan {
    let mut planning = Planning { options, parts: BTreeMap::new(), components: BTreeSet::new() };
    let recipes = recipes.iter().enumerate();
    let recipes =
        recipes.map(|(idx, recipe)| planning.recipe(recipe, firmwares.get(&idx).cloned())).collect();
    let unused = options.features.iter().filter(|feature| !planning.components.contains(&feature.component));
    let unused = unused.cloned().collect();
    let mut parts: Vec<(usize, Part)> =
        planning.parts.into_iter().map(|(part, place)| (place, part)).collect();
    parts.sort_by_key(|(place, _)| *place);
    Plan { recipes, unused, parts: parts.into_iter().map(|(_, part)| part).collect() }
}

struct Planning<'a> {
    options: &'a Options,
    /// The parts with their places in [`Plan::parts`].
    parts: BTreeMap<Part, usize>,
    /// The names of all components.
    components: BTreeSet<String>,
}

impl Planning<'_> {
    fn recipe(&mut self, recipe: &Recipe, firmware: Option<PathBuf>) -> Planned {
        let kernel = recipe.kernel.iter().map(|component| self.copy(component)).collect();
        let modules = recipe.modules.iter().map(|component| {
            let path = component.packed_as().to_owned();
            Packed { copy: self.copy(component), path }
        });
        let modules = modules.collect();
        let builder = self.builder();
        let verbose = self.options.verbose;
        Planned { kernel, modules, builder, images: recipe.images.clone(), verbose, firmware }
    }

    fn copy(&mut self, component: &Component) -> Copy {
        let part = match &component.how {
            How::Cargo => self.cargo(component),
            How::Test { toolchain } => self.test(component, toolchain.as_deref()),
            How::Make { output_file } => self.make(component, output_file),
        };
        Copy {
            part: self.add(part),
            name: component.name.value.clone(),
            format: component.objcopy.clone(),
            strip: if self.options.release { "--strip-unneeded" } else { "--strip-debug" },
        }
    }

    /// Adds a part unless it is there.
    fn add(&mut self, part: Part) -> usize {
        let next = self.parts.len();
        *self.parts.entry(part).or_insert(next)
    }

    /// Returns all features of a component.
    fn features(&mut self, component: &Component) -> Vec<String> {
        let name = component.name.as_str();
        self.components.insert(name.to_owned());
        let extra = self.options.features.iter().filter(|extra| extra.component == name);
        component.features.iter().cloned().chain(extra.map(|extra| extra.feature.clone())).collect()
    }

    fn cargo(&mut self, component: &Component) -> Part {
        let name = component.name.as_str();
        let which = if component.binary { "--bin" } else { "--package" };
        let mut command = words(&["cargo", "build", which, name, "--target", BARE_METAL]);
        let label = self.add_features(&mut command, component);
        command.extend(self.options.build_std.clone());
        self.add_common(&mut command, component.manifest.as_deref());
        let command = self.with_library(command);
        let file = format!("target/{BARE_METAL}/{}/{name}", self.profile());
        Part {
            label,
            name: name.to_owned(),
            command,
            environment: component.env.clone(),
            product: Product::File(file),
        }
    }

    fn test(&mut self, component: &Component, toolchain: Option<&str>) -> Part {
        let name = component.name.as_str();
        let mut command = words(&["cargo"]);
        command.extend(toolchain.map(|toolchain| format!("+{toolchain}")));
        command.extend(words(&["test", "--no-run", "--message-format=json-render-diagnostics"]));
        command.extend(words(&["--package", name, "--target", BARE_METAL]));
        let label = format!("test of {}", self.add_features(&mut command, component));
        command.extend(self.options.build_std.clone());
        self.add_common(&mut command, component.manifest.as_deref());
        Part {
            label,
            name: name.to_owned(),
            command: self.with_library(command),
            environment: component.env.clone(),
            product: Product::Test(name.to_owned()),
        }
    }

    fn make(&mut self, component: &Component, output_file: &str) -> Part {
        let mut command = words(&["make", output_file]);
        command.extend(self.options.release.then(|| "RELEASE=1".to_owned()));
        command.extend(self.options.verbose.then(|| "V=2".to_owned()));
        let features = self.features(component).join(",");
        let mut environment = component.env.clone();
        // Whether it is a test is known to the Makefile alone, which reads the one or the other.
        environment.insert("FEATURES".to_owned(), features.clone());
        environment.insert("FEATURES_TEST".to_owned(), features.clone());
        // What make calls is cargo mostly, which takes options of its own from variables.
        if let Some(crates) = self.options.build_std.as_ref().and_then(|option| option.split_once('=')) {
            environment.insert("CARGO_UNSTABLE_BUILD_STD".to_owned(), crates.1.to_owned());
            command = self.with_library(command);
        }
        Part {
            label: labelled(&component.name, &features),
            name: component.name.value.clone(),
            command,
            environment,
            product: Product::File(output_file.to_owned()),
        }
    }

    /// Adds the program that makes images, which is built for the machine that builds.
    fn builder(&mut self) -> usize {
        let extra = self.options.features.iter().filter(|extra| extra.component == BUILDER);
        let features: Vec<&str> = extra.map(|extra| extra.feature.as_str()).collect();
        let features = features.join(",");
        self.components.insert(BUILDER.to_owned());
        let mut command = words(&["cargo", "build", "--package", BUILDER, "--target-dir", BUILDER_TARGET]);
        if self.options.all_features {
            command.push("--all-features".to_owned());
        } else if !features.is_empty() {
            command.extend(words(&["--features", &features]));
        }
        self.add_common(&mut command, None);
        let file = format!("{BUILDER_TARGET}/{}/{BUILDER}", self.profile());
        self.add(Part {
            label: labelled(BUILDER, &features),
            name: BUILDER.to_owned(),
            command,
            environment: BTreeMap::new(),
            product: Product::File(file),
        })
    }

    /// Adds which features are built, and returns how people call the component with them.
    fn add_features(&mut self, command: &mut Vec<String>, component: &Component) -> String {
        let features = self.features(component).join(",");
        if self.options.all_features {
            command.push("--all-features".to_owned());
            return labelled(&component.name, "all features");
        }
        if component.no_default_features {
            command.push("--no-default-features".to_owned());
        }
        if !features.is_empty() {
            command.extend(words(&["--features", &features]));
        }
        labelled(&component.name, &features)
    }

    fn add_common(&self, command: &mut Vec<String>, manifest: Option<&str>) {
        if let Some(manifest) = manifest {
            command.extend(words(&["--manifest-path", manifest]));
        }
        if self.options.release {
            command.push("--release".to_owned());
        }
        if self.options.offline {
            command.extend(words(&["--offline", "--locked"]));
        }
        if self.options.verbose {
            command.push("-vv".to_owned());
        }
    }

    fn with_library(&self, command: Vec<String>) -> Vec<String> {
        if self.options.locked_crates { crates::with_library(command) } else { command }
    }

    fn profile(&self) -> &'static str {
        if self.options.release { "release" } else { "debug" }
    }
}

impl Planned {
    /// Returns what the builder is told to make an image `output` of files at these places.
    pub(super) fn builder_arguments(&self, image: &Image, output: &str, places: &Places) -> Vec<String> {
        let mut arguments = words(&["--sort", "--output", output]);
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                arguments.extend(words(&[name, value]));
            }
        };
        add("--policy", image.policy.as_deref());
        let kernel = |name: &str| places.kernel.get(name).map(String::as_str);
        for (option, part) in
            [("--kernel", "svsm"), ("--tdx-stage1", "tdx-stage1"), ("--stage2", "stage2"), ("--bldr", "bldr")]
        {
            add(option, kernel(part));
        }
        add("--firmware", places.firmware.as_deref());
        add("--filesystem", places.filesystem.as_deref());
        add("--comport", image.comport.as_deref());
        arguments.extend(self.verbose.then(|| "--verbose".to_owned()));
        arguments.extend(image.no_vtom.then(|| "--no-vtom".to_owned()));
        arguments.extend(image.platforms.iter().map(|platform| format!("--{}", platform.value.as_str())));
        arguments.push(ImageTarget::as_str(image.target).to_owned());
        arguments
    }
}

/// Where the builder finds what an image is made of.
#[derive(Default)]
pub(super) struct Places {
    pub(super) kernel: BTreeMap<String, String>,
    pub(super) firmware: Option<String>,
    pub(super) filesystem: Option<String>,
}

fn labelled(name: &str, features: &str) -> String {
    if features.is_empty() { name.to_owned() } else { format!("{name} ({features})") }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
