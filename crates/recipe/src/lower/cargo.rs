//! What cargo and make build, as steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use cas::Digest;
use engine::{Input, Placement, Requirements, Step, StepId};

use super::{INPUTS, Imported, Lowering, SOURCES, timeout};
use crate::cargo::{Cargo, CargoWord, Make, Objcopy};
use crate::crates;
use crate::lock::LockedSource;
use crate::needs::FileIn;
use crate::scalar::{EnvRef, Name, SourceRef, TargetRef, TimeSpan};
use crate::{Problem, Spanned};

/// Where cargo leaves what it builds: not in the source, so that what it left there is not mistaken for it.
const CARGO_TARGET: &str = "/build/target";

/// Builds something at the root of the source, and leaves what comes of it: a line each with the name that it gets, a tab
/// and where it is.
const BUILD: &str = r#"source=$1 directory=$2 files=$3; shift 3
out=$PWD/out
cd "$source"
"$@"
cd "$directory"
printf '%s\n' "$files" | while IFS='	' read -r name path; do
  [ -e "$path" ] || { echo "error: it left no \`$path\`" >&2; exit 1; }
  case $name in */*) mkdir -p "$out/${name%/*}" ;; esac
  cp -R -- "$path" "$out/$name"
done
"#;

/// Copies each of the files.
const OBJCOPY: &str = r#"from=$1 format=$2 strip=$3; shift 3
for name; do
  case $name in */*) mkdir -p "out/${name%/*}" ;; esac
  objcopy -O "$format" $strip "$from/$name" "out/$name"
done
"#;

/// What builds, and what it leaves.
struct Build<'b> {
    env: &'b EnvRef,
    source: &'b Spanned<SourceRef>,
    /// Where the files are relative to, in the source.
    directory: &'b str,
    command: Vec<String>,
    /// What is left, and where it is then.
    files: Vec<(String, String)>,
    environment: BTreeMap<String, String>,
    inputs: Vec<Placement>,
    objcopy: Option<&'b Spanned<Objcopy>>,
    timeout: Option<&'b TimeSpan>,
}

impl Lowering<'_> {
    /// Adds the steps that build programs with cargo, and returns the last.
    pub(super) fn cargo(&mut self, name: &Name, cargo: &Cargo) -> StepId {
        let mut command = vec!["cargo".to_owned(), "build".to_owned()];
        let mut add = |option: &str, value: &str| command.extend([option.to_owned(), value.to_owned()]);
        add("--manifest-path", cargo.manifest.as_str());
        if let Some(package) = &cargo.package {
            add("--package", package.as_str());
        }
        cargo.bins.iter().for_each(|bin| add("--bin", bin.as_str()));
        if let Some(triple) = &cargo.triple {
            add("--target", triple.as_str());
        }
        let features: Vec<&str> = cargo.features.iter().map(|feature| feature.value.as_str()).collect();
        if !features.is_empty() {
            add("--features", &features.join(","));
        }
        add("--profile", cargo.profile.as_str());
        command.extend((!cargo.default_features).then(|| "--no-default-features".to_owned()));
        command.extend(["--locked", "--offline"].map(str::to_owned));
        if let Some(option) = build_std(&cargo.build_std) {
            command.push(option);
            command = crates::with_library(command);
        }

        let mut environment = variables(&cargo.environment);
        environment.insert("CARGO_TARGET_DIR".to_owned(), CARGO_TARGET.to_owned());
        if !cargo.build_std.is_empty() {
            environment.entry("RUSTC_BOOTSTRAP".to_owned()).or_insert_with(|| "1".to_owned());
        }
        let triple = cargo.triple.as_ref().map(|triple| format!("{}/", triple.as_str())).unwrap_or_default();
        // The one profile whose directory is not called like it (The Cargo Book, "Build Cache").
        let profile = if cargo.profile.as_str() == "dev" { "debug" } else { cargo.profile.as_str() };
        let file = |bin: &Spanned<CargoWord>| {
            (bin.as_str().to_owned(), format!("{CARGO_TARGET}/{triple}{profile}/{}", bin.as_str()))
        };
        let files = cargo.bins.iter().map(file).collect();
        let mut inputs = self.further_inputs(&cargo.inputs);
        inputs.extend(self.crates(&cargo.source, cargo.lockfile()));
        let build = Build {
            env: &cargo.env,
            source: &cargo.source,
            directory: ".",
            command,
            files,
            environment,
            inputs,
            objcopy: cargo.objcopy.as_ref(),
            timeout: cargo.timeout.as_ref(),
        };
        self.built(name, build)
    }

    /// Adds the steps that build something with make, and returns the last.
    pub(super) fn make(&mut self, name: &Name, make: &Make) -> StepId {
        let mut command = vec!["make".to_owned()];
        if make.directory.as_str() != "." {
            command.extend(["-C".to_owned(), make.directory.as_str().to_owned()]);
        }
        command.extend(make.variables.iter().map(|(name, value)| format!("{name}={}", value.value)));
        command.extend(make.goals.iter().map(|goal| goal.value.clone()));
        let files = make.files.iter();
        let files = files.map(|(name, path)| (name.as_str().to_owned(), path.as_str().to_owned())).collect();
        let mut inputs = self.further_inputs(&make.inputs);
        if let Some(lockfile) = &make.lockfile {
            inputs.extend(self.crates(&make.source, lockfile.as_str().to_owned()));
        }
        let build = Build {
            env: &make.env,
            source: &make.source,
            directory: make.directory.as_str(),
            command,
            files,
            environment: variables(&make.environment),
            inputs,
            objcopy: make.objcopy.as_ref(),
            timeout: make.timeout.as_ref(),
        };
        self.built(name, build)
    }

    fn built(&mut self, name: &Name, build: Build<'_>) -> StepId {
        let root = self.lowered.environments[build.env.as_str()];
        let root = Placement { path: String::new(), input: Input::Merged(root) };
        let place = format!("src/{}", build.source.as_str());
        let source = self.source(build.source);
        if let Input::File { .. } = source {
            let problem = format!("source `{}` is a file, and a tree is built", build.source.as_str());
            self.problems.push(Problem::at(&build.source.place, problem));
        }
        let mut inputs = vec![
            root.clone(),
            Placement { path: format!("{SOURCES}/{}", build.source.as_str()), input: source },
        ];
        inputs.extend(build.inputs);
        let lines: Vec<String> = build.files.iter().map(|(name, path)| format!("{name}\t{path}")).collect();
        let head = ["sh", "-euc", BUILD, "sh", &place, build.directory, &lines.join("\n")].map(str::to_owned);
        let mut environment = self.environment.clone();
        Arc::make_mut(&mut environment).extend(build.environment);
        let requirements = timeout(build.timeout.map(|timeout| timeout.duration()));
        let label = if build.objcopy.is_some() { format!("{name}/build") } else { name.to_string() };
        let arguments = head.into_iter().chain(build.command).collect();
        let step = self.step(Step { label, arguments, environment, inputs, requirements });
        let Some(objcopy) = build.objcopy else { return step };

        let strip = if objcopy.strip_debug { "--strip-debug" } else { "" };
        let head =
            ["sh", "-euc", OBJCOPY, "sh", "in/built", objcopy.format.as_str(), strip].map(str::to_owned);
        let arguments = head.into_iter().chain(build.files.into_iter().map(|(name, _)| name)).collect();
        let built = Input::Output { step, path: String::new() };
        let inputs = vec![root, Placement { path: format!("{INPUTS}/built"), input: built }];
        self.step(Step {
            label: name.to_string(),
            arguments,
            environment: self.environment.clone(),
            inputs,
            requirements: Requirements::default(),
        })
    }

    fn further_inputs(&mut self, inputs: &BTreeMap<Name, Spanned<TargetRef>>) -> Vec<Placement> {
        let mut placements = Vec::new();
        for (name, reference) in inputs {
            let input = self.reference(reference);
            placements.push(Placement { path: format!("{INPUTS}/{name}"), input });
        }
        placements
    }

    /// Returns the crates of a source, or reports that its lock is not there.
    pub(super) fn crates(&mut self, source: &Spanned<SourceRef>, lockfile: String) -> Option<Placement> {
        let file = FileIn { source: (*source.value).clone(), path: lockfile };
        if let Some(digest) = self.resolved.crates.get(&file) {
            return Some(Placement { path: crates::TREE.to_owned(), input: Input::Tree(*digest) });
        }
        let problem = format!("source `{}` has no `{}`", file.source, file.path);
        self.problems.push(Problem::at(&source.place, problem).help(
            "write it with `cargo generate-lockfile`, or say with `lockfile` where it is: what is built with other crates each \
             time is not the same each time",
        ));
        None
    }

    /// Returns the tree of a source that is not put together by a step.
    pub(super) fn source_tree(&mut self, source: &Spanned<SourceRef>) -> Option<Digest> {
        match self.resolved.sources.get(source.as_str()) {
            Some(Imported::Tree(digest)) => Some(*digest),
            _ => {
                let problem = format!("source `{}` is a file, and a tree is built", source.as_str());
                self.problems.push(Problem::at(&source.place, problem));
                None
            }
        }
    }

    /// Returns the name of the commit that was asked for, without a `v` in front: as people say versions.
    pub(super) fn version_of(&self, source: &SourceRef) -> String {
        let Some(LockedSource::Git { rev, .. }) = self.locked(source.as_str()) else {
            return String::new();
        };
        let is_commit = rev.len() == 40 && rev.bytes().all(|byte| byte.is_ascii_hexdigit());
        let version = if is_commit { &rev[..12] } else { rev.as_str() };
        version.strip_prefix('v').unwrap_or(version).to_owned()
    }
}

/// Returns the option that has crates of the standard library compiled.
pub(crate) fn build_std(crates: &[Spanned<CargoWord>]) -> Option<String> {
    let crates: Vec<&str> = crates.iter().map(|of| of.as_str()).collect();
    (!crates.is_empty()).then(|| format!("-Zbuild-std={}", crates.join(",")))
}

pub(super) fn variables(environment: &BTreeMap<String, Spanned<String>>) -> BTreeMap<String, String> {
    environment.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect()
}
