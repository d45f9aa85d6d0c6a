//! Packages as layers and trees, and the environments that stand on them.

use std::collections::BTreeMap;

use cas::Digest;
use engine::{Input, MergeId, Placement, Requirements, StepId};
use mkimg::spec::{Spec, TreeSpec, UserSpec};
use serde_json::json;

use super::{COMMAND_HOME, INPUTS, Layer, Lowering, place_layers};
use crate::lock::Pin;
use crate::scalar::Name;

/// The steps of packages, each shared by all that has the package.
#[derive(Default)]
pub(super) struct Packages {
    /// By package and options.
    unpack: BTreeMap<(Digest, &'static [&'static str]), StepId>,
    configured: BTreeMap<(String, Vec<Digest>), Configured>,
    /// By the step that configured: the one that has its files as plain files, for environments.
    named: BTreeMap<StepId, StepId>,
}

/// The user as whom steps run. It is of no distribution, so it is named where they run and nowhere else.
const BUILD_USER: &str = "build";
const BUILD_UID: u32 = 1000;

/// Packages that were configured together.
#[derive(Clone, Copy)]
pub(super) struct Configured {
    /// What the packages unpack to.
    unpacked: MergeId,
    /// What their scripts made of it.
    step: StepId,
}

impl Configured {
    /// The layer of what configuring changed.
    pub(super) fn layer(self) -> Layer {
        let input = Input::Output { step: self.step, path: "layer.tar".to_owned() };
        Layer { name: "configured".to_owned(), input }
    }
}

/// A package that is configured is needed as a layer and as plain files. Unpacking it once makes both; whoever wants
/// one of them is not rebuilt when only the other one changes. Those that are parts of images only, such as kernels,
/// have no use for plain files.
const WITH_TREE: &[&str] = &["--tree"];

fn package_layer(pin: &Pin, step: StepId) -> Layer {
    Layer { name: pin.name.clone(), input: Input::Output { step, path: "layer.tar".to_owned() } }
}

/// The name of a package for people: native packages of the usual architecture need not say so.
fn title(pin: &Pin) -> String {
    match pin.arch.as_str() {
        "amd64" | "all" => format!("{} {}", pin.name, pin.version),
        arch => format!("{}:{arch} {}", pin.name, pin.version),
    }
}

impl<'a> Lowering<'a> {
    /// Returns the pins of a set that are used, in an order in which they can be installed.
    pub(super) fn pins(&self, set: &str) -> Vec<&'a Pin> {
        let needed = &self.needs.packages[set];
        self.lock.packages[set].pins.iter().filter(|pin| needed.uses(pin)).collect()
    }

    /// Returns the layer of a package whose files nobody needs as plain ones.
    pub(super) fn package_layer(&mut self, pin: &Pin) -> Layer {
        package_layer(pin, self.unpack(pin, &[]))
    }

    /// Returns the layer of a package that is configured.
    pub(super) fn configured_layer(&mut self, pin: &Pin) -> Layer {
        package_layer(pin, self.unpack(pin, WITH_TREE))
    }

    /// Returns the step that unpacks a package.
    fn unpack(&mut self, pin: &Pin, options: &'static [&'static str]) -> StepId {
        let digest = pin.digest().expect("the lock was read, so its digests are well-formed");
        if let Some(step) = self.packages.unpack.get(&(digest, options)) {
            return *step;
        }
        let deb = Placement {
            path: format!("{INPUTS}/{}.deb", pin.name),
            input: Input::File { digest, executable: false },
        };
        let path = format!("in/{}.deb", pin.name);
        let arguments = [&["pkgroot", "unpack"], options, &[path.as_str()]].concat();
        let label = format!("unpack {}", title(pin));
        let step = self.tool_step(label, &arguments, vec![deb], Requirements::default());
        self.packages.unpack.insert((digest, options), step);
        step
    }

    /// Returns the packages after their maintainer scripts ran.
    pub(super) fn configured(&mut self, label: &str, arch: &str, pins: &[&Pin]) -> Configured {
        let digests = pins.iter().filter_map(|pin| pin.digest()).collect();
        let key = (arch.to_owned(), digests);
        if let Some(configured) = self.packages.configured.get(&key) {
            return *configured;
        }
        let trees = pins.iter().map(|pin| {
            let input = Input::Output { step: self.unpack(pin, WITH_TREE), path: "tree".to_owned() };
            Placement { path: String::new(), input }
        });
        let trees = trees.collect();
        let unpacked = self.lowered.graph.add_merge(trees);
        let layers: Vec<Layer> = pins.iter().map(|pin| self.configured_layer(pin)).collect();
        let (mut inputs, paths) = place_layers("layers", &layers);
        let mut foreign: Vec<&str> = pins
            .iter()
            .map(|pin| pin.arch.as_str())
            .filter(|other| *other != arch && *other != "all")
            .collect();
        foreign.sort_unstable();
        foreign.dedup();
        // The shape is that of `distro::configure::Spec`, which belongs to the tool that reads it.
        let spec = json!({
            "root": "in/root",
            "layers": paths,
            "architecture": arch,
            "foreign_architectures": foreign,
            "epoch": self.stack.epoch,
        });
        inputs.push(Placement { path: format!("{INPUTS}/root"), input: Input::Merged(unpacked) });
        inputs.push(Placement { path: format!("{INPUTS}/configure.json"), input: self.json(&spec) });
        let requirements = Requirements { root: true, ..Requirements::default() };
        let label = format!("{label}/configure");
        let step =
            self.tool_step(label, &["pkgroot", "configure", "in/configure.json"], inputs, requirements);
        let configured = Configured { unpacked, step };
        self.packages.configured.insert(key, configured);
        configured
    }

    /// Returns the step that has what configuring changed as plain files, with a name for who runs steps.
    fn named(&mut self, label: &str, configured: Configured) -> StepId {
        if let Some(step) = self.packages.named.get(&configured.step) {
            return *step;
        }
        let user = UserSpec {
            name: BUILD_USER.to_owned(),
            uid: BUILD_UID,
            home: COMMAND_HOME.to_owned(),
            shell: "/bin/sh".to_owned(),
            groups: Vec::new(),
            password: "*".to_owned(),
        };
        let spec = Spec::Tree(TreeSpec {
            layer: "in/layer.tar".to_owned(),
            output: "out".to_owned(),
            users: vec![user],
        });
        let inputs = vec![
            Placement { path: format!("{INPUTS}/layer.tar"), input: configured.layer().input },
            Placement { path: format!("{INPUTS}/tree.json"), input: self.json(&spec) },
        ];
        let label = format!("{label}/tree");
        let step = self.tool_step(label, &["mkimg", "in/tree.json"], inputs, Requirements::default());
        self.packages.named.insert(configured.step, step);
        step
    }

    /// Returns the root file system of an environment.
    pub(super) fn environment(&mut self, name: &Name) -> MergeId {
        let set = format!("env.{name}");
        let pins = self.pins(&set);
        let arch = &self.needs.packages[&set].request.arch;
        let configured = self.configured(&set, arch, &pins);
        let tree = Input::Output { step: self.named(&set, configured), path: String::new() };
        self.lowered.graph.add_merge(vec![
            Placement { path: String::new(), input: Input::Merged(configured.unpacked) },
            Placement { path: String::new(), input: tree },
        ])
    }
}
