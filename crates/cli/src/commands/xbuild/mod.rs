//! `xbuild`: builds what recipes of COCONUT-SVSM say, in its tree.

mod host;
mod leave;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cas::{Digest, Ignore, ImportMode, LocalStore, Node, Store as _, StoreError, Watcher};
use engine::{End, Graph, Input, MergeId, Outcome, Placement, Requirements, StepId};
use local::{HostExecutor, HostOptions};
use recipe::xbuild::{
    self, Firmwares, Here, ImagePlatform, Lowered, LoweredImage, Options, Plan, Product, Recipe, Strictness,
};
use recipe::{Goal, Problem, SourceFile, crates, suggest};
use serde_json::{Value, json};

use super::measure::{self, Origin};
use crate::args::{Global, Measure, Xbuild};
use crate::builder::{Builder, actions};
use crate::environment::{self, Clock};
use crate::failure::{Blame, Failure, io};
use crate::project_state::ProjectState;
use crate::session::Session;
use crate::ui::{Ui, bytes, seconds};
use crate::workspace::{Caches, tell};
use crate::{signals, sources, tools};

/// What of a tree is no source.
const IGNORED: [&str; 4] = [".git", "/target/", "/bin/", "/out/"];
/// Where the logs of what failed are, in the tree.
const LOGS: &str = "target/bootwright";
/// The directory of the module that says of which commit a kernel is.
const RELEASE: &str = "release/src";
/// The lock of measurements beside the recipes.
const LOCK: &str = "measurements.lock";

/// Builds everything that the recipes need, then measures their images.
pub(crate) fn run(global: &Global, ui: &Ui, arguments: &Xbuild) -> Result<(), Failure> {
    let clock = Clock::start();
    let root = root(global)?;
    let recipes = read(ui, &root, arguments)?;
    if arguments.print_config {
        for recipe in &recipes {
            ui.print(&format!("{}: {recipe:#?}\n", recipe.name));
        }
    }
    let options = Options {
        release: arguments.release,
        all_features: arguments.all_features,
        features: arguments.features.clone(),
        // A sandbox has no network.
        offline: arguments.is_offline || global.offline || arguments.env.is_some(),
        verbose: arguments.verbose,
        locked_crates: arguments.env.is_some(),
        build_std: None,
    };
    let firmwares = firmwares(ui, &root, &recipes)?;
    let plan = xbuild::plan(&recipes, &options, &firmwares);
    unused(ui, &plan, arguments.compat)?;
    let version = note_commit(&root)?;

    let made = match &arguments.env {
        None => on_host(global, ui, &root, &plan, &firmwares, (&bundle(&root, arguments), version))?,
        Some(name) => in_environment(global, ui, &root, &plan, &firmwares, (name, version))?,
    };
    let Made { lowered, outcome, wall, .. } = &made;
    let counts = outcome.counts();
    let (mut values, mut measured) = (Vec::new(), Ok(()));
    for image in &lowered.images {
        if outcome.result(image.step).is_some() {
            // All are told, and the first that is not as it should be is what this ends with.
            match measure(global, ui, &root, &made, image) {
                Ok(value) => values.push(value),
                Err(failure) => measured = measured.and(Err(failure)),
            }
        }
    }
    if global.json {
        ui.print_json(&json!({
            "version": 1,
            "files": lowered.files.keys().collect::<Vec<_>>(),
            "images": values,
            "steps": { "ran": counts.ran, "remembered": counts.hits, "failed": counts.failed, "skipped": counts.skipped },
            "seconds": wall.as_secs_f64(),
        }));
    }
    ui.note(&match (counts.failed, counts.ran) {
        (0, 0) => {
            format!("nothing to do: all {} steps are remembered, {}", counts.hits, seconds(clock.elapsed()))
        }
        (0, _) => format!("{} ran, {} remembered, {}", counts.ran, counts.hits, seconds(*wall)),
        _ => format!(
            "{} failed, {} skipped, {} ran, {} remembered",
            counts.failed, counts.skipped, counts.ran, counts.hits
        ),
    });
    if counts.failed > 0 { Err(Failure::told(Blame::Build)) } else { measured }
}

/// Returns the root of the tree.
fn root(global: &Global) -> Result<PathBuf, Failure> {
    let given = global.directory.as_deref().unwrap_or(Path::new("."));
    let root = given.canonicalize().map_err(|source| Failure {
        blame: Blame::Project,
        ..io(format!("find the tree `{}`", given.display()))(source)
    })?;
    if root.join("Cargo.toml").is_file() {
        return Ok(root);
    }
    Err(Failure::project(format!(
        "`{}` is no tree of COCONUT-SVSM: there is no `Cargo.toml`",
        root.display()
    ))
    .help("run this at the root of its repository, or name that with -C DIR"))
}

/// Reads the recipes, and tells all that is wrong with any of them.
fn read(ui: &Ui, root: &Path, arguments: &Xbuild) -> Result<Vec<Recipe>, Failure> {
    let strictness = if arguments.compat { Strictness::Upstream } else { Strictness::Strict };
    let (mut recipes, mut problems) = (Vec::new(), Vec::new());
    for path in &arguments.recipes {
        let full = root.join(path);
        let bytes = fs::read(&full).map_err(|source| Failure {
            blame: Blame::Project,
            ..io(format!("read the recipe `{}`", full.display()))(source)
        })?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let parsed =
            xbuild::parse(&Arc::new(SourceFile { name: path.display().to_string(), text }), strictness);
        for warning in &parsed.warnings {
            let place = warning.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
            ui.note(&format!("{place}{}", warning.message));
        }
        problems.extend(parsed.problems);
        recipes.extend(parsed.recipe);
    }
    if !problems.is_empty() {
        ui.problems(&problems);
        return Err(Failure::project(match problems.len() {
            1 => "the recipes have 1 problem".to_owned(),
            n_problems => format!("the recipes have {n_problems} problems"),
        }));
    }
    Ok(recipes)
}

/// Reports features of components that no recipe has.
fn unused(ui: &Ui, plan: &Plan, is_lenient: bool) -> Result<(), Failure> {
    for feature in &plan.unused {
        let text =
            format!("the feature `{}` is for `{}`, which no recipe has", feature.feature, feature.component);
        if !is_lenient {
            let components = plan.parts.iter().map(|part| part.name.as_str());
            return Err(Failure::project(text).help(suggest::help(
                &feature.component,
                "components",
                components,
            )));
        }
        ui.note(&text);
    }
    Ok(())
}

/// Runs what builds firmware, each command once, and returns the firmware of each recipe.
fn firmwares(ui: &Ui, root: &Path, recipes: &[Recipe]) -> Result<Firmwares, Failure> {
    let mut ran: Vec<&Vec<String>> = Vec::new();
    let variables = environment::variables();
    let mut firmwares = Firmwares::new();
    for (idx, recipe) in recipes.iter().enumerate() {
        let firmware = &recipe.firmware;
        if let Some(command) = &firmware.command
            && !ran.contains(&command)
        {
            run_command(ui, root, command)?;
            ran.push(command);
        }
        // A file counts more than a variable.
        let (path, named, place) = match (&firmware.file, &firmware.env) {
            (Some(file), _) => (file.value.clone(), String::new(), &file.place),
            (None, Some(env)) => match variables.get(env.as_str()) {
                Some(path) => (path.clone(), format!(" that `{}` names", env.as_str()), &env.place),
                None => continue,
            },
            (None, None) => continue,
        };
        let full = root.join(&path);
        if !full.is_file() {
            let problem = Problem::at(place, format!("there is no firmware `{path}`{named}"));
            return Err(tell(&[problem.help("build it first, or name another file")], ui));
        }
        firmwares.insert(idx, full);
    }
    Ok(firmwares)
}

fn run_command(ui: &Ui, root: &Path, command: &[String]) -> Result<(), Failure> {
    let [program, arguments @ ..] = command else { return Ok(()) };
    let shown = command.join(" ");
    ui.note(&format!("firmware: {shown}"));
    ui.clear();
    let status = Command::new(program).args(arguments).current_dir(root).status();
    let status = status.map_err(|source| Failure {
        blame: Blame::Build,
        ..io(format!("run `{shown}`, which makes the firmware"))(source)
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(Blame::Build, format!("`{shown}`, which makes the firmware, ended with {status}")))
}

/// Writes of which commit the tree is, for the kernel to tell; only if that is another one than before. Returns its name,
/// if there is such a kernel.
fn note_commit(root: &Path) -> Result<Option<String>, Failure> {
    let directory = root.join(RELEASE);
    if !directory.is_dir() {
        return Ok(None);
    }
    let describe = ["describe", "--always", "--dirty=+"];
    let described = Command::new("git").args(describe).current_dir(root).output().ok();
    let described = described.filter(|output| output.status.success()).map(|output| output.stdout);
    let text = String::from_utf8(described.unwrap_or_default()).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim();
    let version = line.strip_prefix('v').unwrap_or(line);
    let text = xbuild::version_module(version);
    let told = Some(version.to_owned());
    let path = directory.join("git_version.rs");
    if fs::read(&path).is_ok_and(|found| states(&found, version)) {
        return Ok(told);
    }
    fs::write(&path, text).map_err(io(format!("write `{}`", path.display())))?;
    Ok(told)
}

/// Says whether the text of a module says `version`, whoever wrote it.
fn states(text: &[u8], version: &str) -> bool {
    let line = format!("pub const GIT_VERSION: &str = {version:?};");
    text.split(|byte| *byte == b'\n').any(|found| found == line.as_bytes())
}

/// Returns what of the tree no part is built from: what is built or written there.
fn ignored(plan: &Plan) -> Ignore {
    let products = plan.parts.iter().filter_map(|part| match &part.product {
        Product::File(path) => Some(format!("/{path}")),
        Product::Test(_) => None,
    });
    // Which commit it is, is told beside it: the build writes that file once more, in words of its own.
    let written: Vec<String> = products.chain([format!("/{}", xbuild::VERSION_MODULE)]).collect();
    Ignore::new(IGNORED.into_iter().chain(written.iter().map(String::as_str)))
}

/// What came of a build, and with what it was made.
struct Made {
    caches: Caches,
    state: ProjectState,
    graph: Graph,
    lowered: Lowered,
    outcome: Outcome,
    wall: Duration,
}

/// Returns the name of what a build asked for, to find it at once the next time.
fn bundle(root: &Path, arguments: &Xbuild) -> String {
    format!("xbuild {} {arguments:?}", root.display()).replace('\n', " ")
}

/// Builds with the tools of this machine, in the tree itself.
fn on_host(
    global: &Global,
    ui: &Ui,
    root: &Path,
    plan: &Plan,
    firmwares: &Firmwares,
    (bundle, version): (&str, Option<String>),
) -> Result<Made, Failure> {
    let cancel = signals::cancel_flag()?;
    let caches = Caches::open_until(global, Arc::clone(&cancel))?;
    let state = ProjectState::open(&caches.root, root)?;
    caches.store.open_bundle(bundle).map_err(Failure::machine)?;
    // Recipes take for granted that cargo leaves things there.
    let target = ("CARGO_TARGET_DIR".to_owned(), "target".to_owned());
    let mut environment =
        BTreeMap::from([("BOOTWRIGHT_HOST".to_owned(), host::identity(root, &plan.toolchains())), target]);
    environment.extend(version.map(|version| ("BOOTWRIGHT_VERSION".to_owned(), version)));
    let mut graph = Graph::default();
    let run_in = RunIn { environment: None, crates: None, version: None, variables: environment };
    let lowered = lower(root, &caches.store, &state, plan, firmwares, run_in, &mut graph)?;
    let logs = root.join(LOGS);
    let builder = Builder {
        global,
        ui,
        caches: &caches,
        state: &state,
        cancel: &cancel,
        is_told_later: true,
        logs: Some(&logs),
    };
    let host = HostOptions {
        places: BTreeMap::from([(xbuild::TREE.to_owned(), root.to_owned())]),
        environment: environment::all(),
        n_jobs: builder.jobs(),
    };
    let look_again = |root: &Path| import(root, &caches.store, &state, plan);
    let executor = HostExecutor::new(&caches.store, host, &look_again).map_err(Failure::machine)?;
    let cache = caches.action_cache();
    let (outcome, wall) = builder.run_by(&executor, &graph, &wanted(&lowered), &cache)?;
    leave::files(&caches.store, root, &graph, &lowered, &outcome, &mut state.exported_stats())?;
    if outcome.end == End::Done {
        cache.save_bundle(bundle, actions(&outcome)).map_err(Failure::machine)?;
    }
    Ok(Made { lowered, outcome, wall, graph, caches, state })
}

/// Builds in an environment of the project that the tree is, each part in a sandbox of its own.
fn in_environment(
    global: &Global,
    ui: &Ui,
    root: &Path,
    plan: &Plan,
    firmwares: &Firmwares,
    (name, version): (&str, Option<String>),
) -> Result<Made, Failure> {
    let session = Session::open(global, ui)?;
    let known = session.stack.environments.keys();
    let Some(name) = known.clone().find(|known| known.as_str() == name) else {
        let help = suggest::help(name, "environments", known.map(|known| known.as_str()));
        return Err(Failure::project(format!("the project has no environment `{name}`")).help(help));
    };
    let mut prepared = session.prepare(&[Goal::Environment(name.clone())])?;
    let environment = prepared.lowered.environments.get(name).copied();
    let mut graph = std::mem::take(&mut prepared.lowered.graph);
    let (store, state) = (&session.caches.store, &session.state);
    let crates = locked_crates(&session, root)?;
    let run_in = RunIn { environment, crates, version, variables: BTreeMap::new() };
    let lowered = lower(root, store, state, plan, firmwares, run_in, &mut graph)?;
    prepared.lowered.graph = graph;
    let built = session.build(&prepared, &wanted(&lowered))?;
    leave::files(
        store,
        root,
        &prepared.lowered.graph,
        &lowered,
        &built.outcome,
        &mut state.exported_stats(),
    )?;
    session.keep(&prepared, &built)?;
    let (wall, outcome) = (built.wall, built.outcome);
    let Session { caches, state, .. } = session;
    Ok(Made { lowered, wall, outcome, graph: prepared.lowered.graph, caches, state })
}

fn wanted(lowered: &Lowered) -> Vec<StepId> {
    lowered.files.values().map(|(step, _)| *step).collect()
}

/// Where parts are built.
struct RunIn {
    /// The environment, if it is not this machine.
    environment: Option<MergeId>,
    /// The tree of the crates that `Cargo.lock` names, if they are not cargo's own business.
    crates: Option<Digest>,
    /// The name of the commit that the tree is at, where nobody can ask git.
    version: Option<String>,
    /// Environment variables.
    variables: BTreeMap<String, String>,
}

/// Returns the tree of the crates that the tree's `Cargo.lock` names, after they were fetched.
fn locked_crates(session: &Session<'_>, root: &Path) -> Result<Option<Digest>, Failure> {
    let path = root.join("Cargo.lock");
    let Ok(text) = fs::read_to_string(&path) else {
        return Err(Failure::project(format!("there is no `{}`", path.display()))
            .help("write it with `cargo generate-lockfile`: what is built with other crates each time is not the same each time"));
    };
    sources::crates::tree(session, "Cargo.lock", None, (Digest::of(text.as_bytes()), &text)).map(Some)
}

/// Puts the tree into the store.
fn import(root: &Path, store: &LocalStore, state: &ProjectState, plan: &Plan) -> Result<Digest, StoreError> {
    let mut stats = state.stats();
    let tree = store.import_source(root, &ignored(plan), &mut stats, &Watcher::nobody())?.digest;
    stats.save()?;
    Ok(tree)
}

/// Puts the tree into the store and adds the actions to the graph.
fn lower(
    root: &Path,
    store: &LocalStore,
    state: &ProjectState,
    plan: &Plan,
    firmwares: &Firmwares,
    run_in: RunIn,
    graph: &mut Graph,
) -> Result<Lowered, Failure> {
    let tree = import(root, store, state, plan).map_err(Failure::store)?;
    let mut found = BTreeMap::new();
    for (idx, path) in firmwares {
        let node = store.put_file(path, ImportMode::Copy).map_err(Failure::store)?;
        if let Node::File { digest, .. } = node {
            found.insert(*idx, Input::File { digest, executable: false });
        }
    }
    let tools = tools::provide(&store.noted()).map_err(Failure::machine)?;
    let crates =
        run_in.crates.map(|digest| Placement { path: crates::TREE.to_owned(), input: Input::Tree(digest) });
    let here = Here {
        tree: Input::Tree(tree),
        beside: crates.into_iter().collect(),
        firmwares: found,
        mkimg: tools["mkimg"],
        root: run_in.environment,
        version: run_in.version,
        environment: run_in.variables,
        prefix: String::new(),
        requirements: Requirements::default(),
    };
    let lowered = xbuild::lower(plan, &here, graph);
    for blob in &lowered.blobs {
        let digest = store.write(blob).map_err(Failure::machine)?;
        store.noted().contains(&digest).map_err(Failure::machine)?;
    }
    Ok(lowered)
}

/// Measures an image, and tells it as upstream does: for SEV-SNP, if it is for that. Returns what programs are told of it.
fn measure(
    global: &Global,
    ui: &Ui,
    root: &Path,
    made: &Made,
    image: &LoweredImage,
) -> Result<Value, Failure> {
    let size = fs::metadata(root.join(&image.path)).map_or(0, |metadata| metadata.len());
    if !global.json {
        ui.print(&format!("{}  {}\n", image.path, bytes(size)));
    }
    let platforms = || image.image.platforms.iter().map(|platform| platform.value);
    if platforms().all(|platform| platform == ImagePlatform::Native) {
        ui.note(&format!("`{}` is for no platform that measures what it loads", image.path));
        return Ok(json!({ "file": image.path, "measurements": [] }));
    }
    let options = Measure {
        file: PathBuf::from(&image.path),
        check_kvm: image.image.check_kvm,
        native_zero: image.image.measure_native_zeroes,
        igvmmeasure: !global.json && platforms().any(|platform| platform == ImagePlatform::Snp),
        ..Measure::default()
    };
    let mut value = Value::Null;
    if global.json {
        value = measure::value(global, ui, &options)?;
    } else {
        measure::run(global, ui, &options)?;
    }
    if global.locked && root.join(LOCK).is_file() {
        let quiet = Measure { igvmmeasure: false, check_kvm: false, check: true, ..options };
        let Made { caches, state, graph, .. } = made;
        let origin = Origin { caches, state, graph, step: image.step, file: image.file.clone() };
        measure::check_only(global, ui, &quiet, &origin)?;
    }
    Ok(value)
}
