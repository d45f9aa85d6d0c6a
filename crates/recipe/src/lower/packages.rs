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
    /// By architecture, and the packages of each stage.
    configured: BTreeMap<(String, Vec<Vec<Digest>>), Configured>,
    /// By the step that configured: the one that has its files as plain files, for environments.
    named: BTreeMap<StepId, StepId>,
}

/// The user as whom steps run. It is of no distribution, so it is named where they run and nowhere else.
const BUILD_USER: &str = "build";
const BUILD_UID: u32 = 1000;

/// Packages that were configured, in one stage or in several on top of each other.
#[derive(Clone)]
pub(super) struct Configured {
    /// The layers, bottom first: of each stage its packages, then what their scripts made of them.
    pub(super) layers: Vec<Layer>,
    /// The plain files before the last stage was configured.
    unpacked: MergeId,
    /// The last stage.
    step: StepId,
    /// How many of the layers are packages, stage by stage.
    n_packages: Vec<usize>,
    /// Those of the layers that are changes.
    changes: Vec<Layer>,
}

impl Configured {
    /// The plain files of what the last stage changed.
    fn tree(&self) -> Placement {
        let input = Input::Output { step: self.step, path: "tree".to_owned() };
        Placement { path: String::new(), input }
    }
}

/// A stage is closed when it has so many packages. Each takes a moment of its own, and what comes in the last one is
/// configured again when a package is added.
const STAGE_SIZE: usize = 16;

/// Divides the packages of a set into stages, each of which is configured on top of those before it: what is essential,
/// which all others have, too; the rest of the base; then what was asked for, in order. Where a stage ends depends on nothing after it, so one
/// more package at the end of a recipe's list leaves all stages but the last as they were.
///
/// Every script may use what is essential without saying so. Where that is not the base, but among what was asked for,
/// there is only one stage.
fn stages<'a>(pins: &[&'a Pin]) -> Vec<Vec<&'a Pin>> {
    if pins.first().is_some_and(|first| first.with.is_some()) {
        return vec![pins.to_vec()];
    }
    let mut stages: Vec<Vec<&Pin>> = Vec::new();
    for pin in pins {
        match stages.last_mut() {
            Some(stage) if !ends_before(stage, pin) => stage.push(pin),
            _ => stages.push(vec![pin]),
        }
    }
    stages
}

fn ends_before(stage: &[&Pin], next: &Pin) -> bool {
    let last = &stage[stage.len() - 1].with;
    // Packages that need each other may come with the same one that was asked for, and stay together.
    *last != next.with && (last.is_none() || stage.len() >= STAGE_SIZE)
}

/// What a stage is about, for people; nothing for what is essential.
fn stage_title(stage: &[&Pin]) -> String {
    let mut titles: Vec<&str> = stage.iter().filter_map(|pin| pin.with.as_deref()).collect();
    titles.dedup();
    match titles[..] {
        [] => String::new(),
        [one] => format!(" {one}"),
        [first, ref others @ ..] => format!(" {first} + {}", others.len()),
    }
}

/// Returns the layer of what a stage changed.
fn changes_of(step: StepId) -> Input {
    Input::Output { step, path: "layer.tar".to_owned() }
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
    fn configured_layer(&mut self, pin: &Pin) -> Layer {
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
        let mut stages = stages(pins);
        if stages.is_empty() {
            // Without packages there is nobody who could configure them, which the step says.
            stages.push(Vec::new());
        }
        let mut key = (arch.to_owned(), Vec::new());
        let mut configured: Option<Configured> = None;
        for stage in &stages {
            key.1.push(stage.iter().filter_map(|pin| pin.digest()).collect());
            let known = self.packages.configured.get(&key).cloned();
            let next = known.unwrap_or_else(|| {
                let n_pins = key.1.iter().flatten().count();
                self.stage(label, arch, &pins[..n_pins], configured.as_ref(), stage)
            });
            self.packages.configured.insert(key.clone(), next.clone());
            configured = Some(next);
        }
        configured.expect("there is at least one stage")
    }

    /// Adds the step that configures the packages of `stage` on top of those `below`; `all` are both.
    fn stage(
        &mut self,
        label: &str,
        arch: &str,
        all: &[&Pin],
        below: Option<&Configured>,
        stage: &[&Pin],
    ) -> Configured {
        let mut trees = Vec::new();
        if let Some(below) = below {
            trees.push(Placement { path: String::new(), input: Input::Merged(below.unpacked) });
            trees.push(below.tree());
        }
        trees.extend(stage.iter().map(|pin| {
            let input = Input::Output { step: self.unpack(pin, WITH_TREE), path: "tree".to_owned() };
            Placement { path: String::new(), input }
        }));
        let unpacked = self.lowered.graph.add_merge(trees);
        let mut layers = below.map(|below| below.layers.clone()).unwrap_or_default();
        layers.extend(stage.iter().map(|pin| self.configured_layer(pin)));
        let (mut inputs, paths) = place_layers("layers", &layers);
        let mut paths = &paths[..];
        let mut n_packages = below.map(|below| below.n_packages.clone()).unwrap_or_default();
        let mut changes = below.map(|below| below.changes.clone()).unwrap_or_default();
        let below = n_packages.iter().map(|&n| {
            let (stage, rest) = paths.split_at(n + 1);
            paths = rest;
            json!({ "packages": stage[..n], "changes": stage[n] })
        });
        let below: Vec<_> = below.collect();
        let mut foreign: Vec<&str> = all
            .iter()
            .map(|pin| pin.arch.as_str())
            .filter(|other| *other != arch && *other != "all")
            .collect();
        foreign.sort_unstable();
        foreign.dedup();
        // The shape is that of `distro::configure::Spec`, which belongs to the tool that reads it.
        let spec = json!({
            "root": "in/root",
            "below": below,
            "layers": paths,
            "architecture": arch,
            "foreign_architectures": foreign,
        });
        inputs.push(Placement { path: format!("{INPUTS}/root"), input: Input::Merged(unpacked) });
        inputs.push(Placement { path: format!("{INPUTS}/configure.json"), input: self.json(&spec) });
        let requirements = Requirements { root: true, ..Requirements::default() };
        let label = format!("{label}/configure{}", stage_title(stage));
        let step =
            self.tool_step(label, &["pkgroot", "configure", "in/configure.json"], inputs, requirements);
        let changed = Layer { name: "configured".to_owned(), input: changes_of(step) };
        layers.push(changed.clone());
        changes.push(changed);
        n_packages.push(stage.len());
        Configured { layers, unpacked, step, n_packages, changes }
    }

    /// Returns the step that has what the stage `configured` changed as plain files, with a name for who runs steps.
    fn named(&mut self, label: &str, configured: &Configured) -> StepId {
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
        // Whichever stage changed the account files last has them.
        let (changes, _) = configured.changes.split_at(configured.changes.len() - 1);
        let (mut inputs, paths) = place_layers("below", changes);
        let spec = Spec::Tree(TreeSpec {
            layer: "in/layer.tar".to_owned(),
            output: "out".to_owned(),
            users: vec![user],
            below: paths,
        });
        inputs.extend([
            Placement { path: format!("{INPUTS}/layer.tar"), input: changes_of(configured.step) },
            Placement { path: format!("{INPUTS}/tree.json"), input: self.json(&spec) },
        ]);
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
        let named = Input::Output { step: self.named(&set, &configured), path: String::new() };
        self.lowered.graph.add_merge(vec![
            Placement { path: String::new(), input: Input::Merged(configured.unpacked) },
            Placement { path: String::new(), input: named },
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pin for each word: `name`, or `name<with`.
    #[track_caller]
    fn check(words: &str, expected: &str) {
        let pin = |word: &str| {
            let (name, with) = word.split_once('<').unwrap_or((word, ""));
            Pin {
                name: name.to_owned(),
                version: "1".to_owned(),
                arch: "amd64".to_owned(),
                suite: String::new(),
                filename: String::new(),
                size: 1,
                sha256: String::new(),
                with: (!with.is_empty()).then(|| with.to_owned()),
            }
        };
        let pins: Vec<Pin> = words.split_whitespace().map(pin).collect();
        let pins: Vec<&Pin> = pins.iter().collect();
        let shown = |stage: &Vec<&Pin>| format!("{}{}", stage.len(), stage_title(stage));
        assert_eq!(stages(&pins).iter().map(shown).collect::<Vec<_>>().join(", "), expected);
    }

    #[test]
    fn stages_depend_only_on_what_comes_before() {
        let many = |n: usize, wanted: &str| (0..n).map(|idx| format!("p{idx}<{wanted} ")).collect::<String>();
        check("", "");
        check("a b c", "3");
        check("a<a b<c c<c", "3 a + 1");
        check(&format!("{}{}", many(20, "gcc"), many(20, "make")), "40 gcc + 1");
        let base = "a b c ";
        check(&format!("{base}{}", many(40, "gcc")), "3, 40 gcc");
        let more = format!("{base}{}{}{}", many(10, "gcc"), many(10, "make"), many(2, "bc"));
        check(&more, "3, 20 gcc + 1, 2 bc");
        check(&format!("{more}{}", many(5, "flex")), "3, 20 gcc + 1, 7 bc + 1");
        check(
            &format!("{more}{}{}", many(30, "flex"), many(1, "bison")),
            "3, 20 gcc + 1, 32 bc + 1, 1 bison",
        );
    }
}
