//! Kernels as steps: patch, configure, check, compile.

use std::collections::BTreeMap;
use std::sync::Arc;

use cas::Digest;
use engine::{Input, Kept, Placement, Requirements, Selection, Step, StepId};
use kernel::spec::{
    self, BuildSpec, ConfigSpec, ContractSpec, Date, EditSpec, Linux, Named, Part, PatchSpec, Rule,
};

use super::{INPUTS, KernelOutput, Lowering, Reuse, SOURCES, timeout};
use crate::kernel::{ConfigPart, Kernel, Symbol, SymbolValue, Toolchain};
use crate::scalar::Name;
use crate::{Place, Source, Spanned};

/// Where steps find the source: its path reaches what is compiled, so it has the same name in every project.
const SOURCE: &str = "linux";

impl Lowering<'_> {
    /// Returns the step that compiles a kernel.
    pub(super) fn kernel(&mut self, name: &Name, kernel: &Kernel) -> StepId {
        let source = self.kernel_source(name, kernel);
        let linux = Linux {
            source: format!("src/{SOURCE}").into(),
            arch: kernel.built_for(),
            toolchain: match kernel.toolchain {
                Toolchain::Gcc => spec::Toolchain::Gcc,
                Toolchain::Clang => spec::Toolchain::Clang,
            },
        };
        let source = Placement { path: format!("{SOURCES}/{SOURCE}"), input: source };
        let selected = self.selected(source.clone());

        let mut inputs = vec![selected.clone()];
        let mut parts = Vec::new();
        for part in &kernel.config {
            parts.push(match &part.value {
                ConfigPart::Target(target) => Part::Target(target.clone()),
                ConfigPart::Symbols(symbols) => Part::Lines(lines(symbols)),
                ConfigPart::Fragment(path) => {
                    let at = format!("fragments/{}", inputs.len());
                    let path = Spanned { value: path.clone(), place: part.place.clone() };
                    let (input, _) = self.project_file(&path);
                    inputs.push(Placement { path: format!("{INPUTS}/{at}"), input });
                    Part::Fragment(format!("in/{at}").into())
                }
            });
        }
        let spec = ConfigSpec { linux: linux.clone(), parts };
        let config = self.in_environment(
            kernel,
            format!("{name}/config"),
            "config",
            &spec,
            inputs,
            Requirements::default(),
        );
        let config_at = |path: &str, output: &str| {
            let input = Input::Output { step: config, path: output.to_owned() };
            Placement { path: format!("{INPUTS}/{path}"), input }
        };

        let edit = EditSpec { linux: linux.clone(), config: "in/config".into() };
        let inputs = vec![source.clone(), config_at("config", "")];
        let label = format!("config {name}");
        let edit = self.environment_step(kernel, label, "edit", &edit, inputs, Requirements::default());
        self.lowered.kernels.insert(name.clone(), KernelOutput { config, edit });

        let contract = ContractSpec {
            linux: linux.clone(),
            config: "in/config".into(),
            rules: rules(kernel),
            named: named(kernel),
        };
        let inputs = vec![
            selected,
            config_at("config", "config"),
            Placement { path: format!("{INPUTS}/contract.json"), input: self.json(&contract) },
        ];
        let arguments = ["kbuild", "contract", "in/contract.json"];
        let contract =
            self.tool_step(format!("{name}/contract"), &arguments, inputs, Requirements::default());

        let kept = self.kept(kernel);
        let spec = BuildSpec {
            linux,
            config: "in/config".into(),
            dtbs: kernel.dtbs,
            headers: kernel.headers,
            date: self.date(&kernel.source),
            kept,
        };
        let kept = Input::Output { step: contract, path: String::new() };
        let inputs = vec![
            source,
            config_at("config", ""),
            // Nothing is in it. Without it nothing is compiled.
            Placement { path: format!("{INPUTS}/contract"), input: kept },
        ];
        let mut requirements = timeout(kernel.timeout.map(|timeout| timeout.duration()));
        if let Some(kept) = &spec.kept {
            requirements.kept.push(Kept { name: format!("{name}+objects"), at: spec::OBJECTS.to_owned() });
            if kept.ccache {
                requirements.kept.push(Kept { name: format!("{name}+ccache"), at: spec::CCACHE.to_owned() });
            }
        }
        self.in_environment(kernel, name.to_string(), "build", &spec, inputs, requirements)
    }

    /// Returns what of a source its configuration depends on: when anything else changes, the steps that read it are
    /// not run again.
    fn selected(&mut self, source: Placement) -> Placement {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let selection = Selection {
            whole: words(kernel::CONFIGURES_WHOLE),
            never: words(kernel::CONFIGURES_NEVER),
            without: words(kernel::CONFIGURES_WITHOUT),
        };
        Placement {
            path: source.path,
            input: Input::Merged(self.lowered.graph.add_selection(source.input, selection)),
        }
    }

    /// Returns what is used again of the last build, if anything shall be.
    fn kept(&self, kernel: &Kernel) -> Option<spec::Kept> {
        if self.reuse == Reuse::Nothing {
            return None;
        }
        let pins = self.pins(&format!("env.{}", kernel.env.as_str()));
        let compilers: Vec<&str> = pins.iter().map(|pin| pin.sha256.as_str()).collect();
        Some(spec::Kept {
            made_for: Digest::of(compilers.join("\n").as_bytes()).hex(),
            ccache: pins.iter().any(|pin| pin.name == "ccache"),
        })
    }

    /// Returns as what time something is built from a source.
    fn date(&self, source: &Name) -> Date {
        match (self.needs.sources.get(source).map(|source| &source.value), self.resolved.dates.get(source)) {
            (Some(Source::Debian(_)), _) => Date::Changelog,
            (_, Some(date)) => Date::Seconds(*date),
            // What was read as a number of the recipe is none that large.
            (_, None) => Date::Seconds(i64::try_from(self.stack.epoch).unwrap_or(i64::MAX)),
        }
    }

    /// Returns the source of a kernel with its patches.
    fn kernel_source(&mut self, name: &Name, kernel: &Kernel) -> Input {
        let source = self.source(&kernel.source);
        let Some(patches) = &kernel.patches else { return source };
        let spec = PatchSpec {
            source: format!("src/{SOURCE}").into(),
            patches: "in/patches".into(),
            fuzz: kernel.fuzz as usize,
        };
        let patches = self.project_directory(patches);
        let inputs = vec![
            Placement { path: format!("{SOURCES}/{SOURCE}"), input: source.clone() },
            Placement { path: format!("{INPUTS}/patches"), input: patches },
            Placement { path: format!("{INPUTS}/patch.json"), input: self.json(&spec) },
        ];
        let arguments = ["kbuild", "patch", "in/patch.json"];
        let step = self.tool_step(format!("{name}/patch"), &arguments, inputs, Requirements::default());
        let patched = Input::Output { step, path: "tree".to_owned() };
        let parts = [source, patched].map(|input| Placement { path: String::new(), input });
        Input::Merged(self.lowered.graph.add_merge(parts.into()))
    }

    /// Adds a step that runs `kbuild` in the environment of a kernel.
    fn in_environment(
        &mut self,
        kernel: &Kernel,
        label: String,
        command: &str,
        spec: &impl serde::Serialize,
        inputs: Vec<Placement>,
        requirements: Requirements,
    ) -> StepId {
        let step = self.environment_step(kernel, label, command, spec, inputs, requirements);
        self.step(step)
    }

    fn environment_step(
        &mut self,
        kernel: &Kernel,
        label: String,
        command: &str,
        spec: &impl serde::Serialize,
        inputs: Vec<Placement>,
        requirements: Requirements,
    ) -> Step {
        let environment = self.lowered.environments[kernel.env.as_str()];
        let mut all =
            vec![Placement { path: String::new(), input: Input::Merged(environment) }, self.tool("kbuild")];
        all.extend(inputs);
        all.push(Placement { path: format!("{INPUTS}/{command}.json"), input: self.json(spec) });
        let arguments = ["tools/kbuild".to_owned(), command.to_owned(), format!("in/{command}.json")];
        // A kernel is as old as its source, whatever the project is.
        let mut environment = BTreeMap::clone(&self.environment);
        environment.remove("SOURCE_DATE_EPOCH");
        Step {
            label,
            arguments: arguments.into(),
            environment: Arc::new(environment),
            inputs: all,
            requirements,
        }
    }
}

/// Returns the symbols as a `.config` has them.
fn lines(symbols: &BTreeMap<Symbol, Spanned<SymbolValue>>) -> Vec<String> {
    let line = |(symbol, value): (&Symbol, &Spanned<SymbolValue>)| match value.as_config() {
        "n" => format!("# CONFIG_{} is not set", symbol.as_str()),
        value => format!("CONFIG_{}={value}", symbol.as_str()),
    };
    symbols.iter().map(line).collect()
}

/// Returns the symbols that the recipe itself sets.
fn named(kernel: &Kernel) -> Vec<Named> {
    let tables = kernel.config.iter().filter_map(|part| match &part.value {
        ConfigPart::Symbols(symbols) => Some(symbols),
        _ => None,
    });
    let named = |(symbol, value): (&Symbol, &Spanned<SymbolValue>)| Named {
        symbol: symbol.as_str().to_owned(),
        place: shown(&value.place),
    };
    tables.flatten().map(named).collect()
}

fn shown(place: &Place) -> String {
    format!("{}:{}", place.file().name, place.line_and_column().0)
}

/// Returns what must hold of the configuration.
fn rules(kernel: &Kernel) -> Vec<Rule> {
    let rule = |symbol: &Symbol, value: &str, place: &Place| Rule {
        symbol: symbol.as_str().to_owned(),
        value: value.to_owned(),
        place: shown(place),
    };
    let required = kernel.require.iter().map(|(symbol, value)| rule(symbol, value.as_config(), &value.place));
    let modules = kernel.modules.iter().map(|symbol| rule(symbol, "m", &symbol.place));
    let forbidden = kernel.forbid.iter().map(|symbol| rule(symbol, "n", &symbol.place));
    required.chain(modules).chain(forbidden).collect()
}
