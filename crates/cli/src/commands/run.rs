//! `run`: boots a machine with this terminal as its console.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd as _;
use std::path::Path;

use engine::{Input, Step};
use local::Interactive;
use recipe::{Goal, Name, Target};
use serde_json::json;
use vm::qemu::{self, Console, Engine};
use vm::spec;

use crate::args::Global;
use crate::artifacts::OUT;
use crate::failure::{Blame, Failure, io};
use crate::prepared::Prepared;
use crate::relay::relay;
use crate::session::Session;
use crate::ui::Ui;
use crate::{artifacts, budgets, goals};

/// Where the files go, below `out/`, that QEMU needs and no target makes.
const EXTRAS: &str = ".run";

/// Builds what the machine needs, then runs it until it powers itself off or the user leaves. With `gdb`, a debugger
/// that connects to this port starts it.
pub(crate) fn run(global: &Global, ui: &Ui, name: Option<&str>, gdb: Option<u16>) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let name = goals::machine(&session.stack, name)?;
    let listener = gdb.map(listen).transpose()?;
    let mut prepared = session.prepare(&[Goal::Machine(name.clone())])?;
    check_budgets(&session, &prepared)?;
    let machine = prepared.lowered.machines[&name].clone();
    let mut arguments = machine.arguments;
    arguments.extend(gdb.map(|_| local::SOCKET.to_string()));
    let step = prepared.lowered.graph.add_step(Step {
        label: format!("run {name}"),
        arguments,
        environment: machine.environment,
        inputs: machine.inputs,
        requirements: machine.requirements,
    });
    if let Some(port) = gdb {
        let built = session.build(&prepared, &prepared.lowered.graph.producers(step))?;
        if built.outcome.counts().failed > 0 {
            return Err(Failure::told(Blame::Build));
        }
        ui.note(&format!("the guest waits for a debugger: {}", debugger(&session, &name, port)));
    }
    let relayed = listener.map(|listener| relay(listener, session.caches.store.scratch())).transpose()?;
    let socket = relayed.as_ref().map(|socket| socket.as_fd());
    let code = session.enter_with(&prepared, step, Interactive::Command, socket)?;
    if code == 0 {
        Ok(())
    } else {
        Err(Failure::new(Blame::Build, format!("the machine ended with exit code {code}")))
    }
}

/// Fails if something that is loaded is over its budget: it is not finished, though it may run.
fn check_budgets(session: &Session<'_>, prepared: &Prepared) -> Result<(), Failure> {
    let steps: Vec<_> = prepared.lowered.budgets.values().copied().collect();
    if steps.is_empty() {
        return Ok(());
    }
    let built = session.build(prepared, &steps)?;
    budgets::tell(session, prepared, &built)?;
    if built.outcome.counts().failed > 0 { Err(Failure::told(Blame::Build)) } else { Ok(()) }
}

fn listen(port: u16) -> Result<TcpListener, Failure> {
    let failed = |error| {
        let failure = io(format!("listen at port {port} of 127.0.0.1"))(error);
        failure.help("choose another one: `--gdb=PORT`")
    };
    // Whoever can connect owns the guest, so nobody from elsewhere can.
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)
}

/// Returns how to attach the debugger, with the symbols of a kernel that is built here.
fn debugger(session: &Session<'_>, name: &Name, port: u16) -> String {
    let machine = &session.stack.machines[name];
    let loaded = machine.regions.values().filter_map(|region| region.content.file());
    let mut targets = machine.kernel.iter().chain(loaded).map(|file| &file.target);
    let kernel = targets.find(|target| {
        matches!(session.stack.targets.get(*target).map(|t| &t.value), Some(Target::Kernel(_)))
    });
    let symbols = kernel.map(|kernel| format!("{OUT}/{kernel}/vmlinux ")).unwrap_or_default();
    let build = kernel.map(|kernel| format!(" (`bootwright build {kernel}` puts the symbols there)"));
    format!("gdb-multiarch {symbols}-ex 'target remote 127.0.0.1:{port}'{}", build.unwrap_or_default())
}

/// Builds what the machine needs, puts it into `out/`, and prints a QEMU command line that runs it outside of any
/// sandbox.
pub(crate) fn dry(global: &Global, ui: &Ui, name: Option<&str>, gdb: Option<u16>) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let name = goals::machine(&session.stack, name)?;
    let prepared = session.prepare(&[Goal::Machine(name.clone())])?;
    check_budgets(&session, &prepared)?;
    let machine = &prepared.lowered.machines[&name].machine;
    let files = export(&session, &prepared, &name)?;
    let mut machine = machine.with_files(|file| exported(&files, file));
    machine.gdb = gdb.map(|port| spec::Gdb { listen: spec::Listen::Tcp(port), wait: true });
    let engine = match machine.accelerator {
        spec::Accelerator::Kvm => Engine::Kvm,
        spec::Accelerator::Auto | spec::Accelerator::Tcg => Engine::Tcg,
    };
    let map = vm::layout::load(&machine).map_err(|error| Failure::new(Blame::Build, error))?;
    let program = qemu::program(&machine);
    let extras = session.root.join(OUT).join(EXTRAS).join(name.as_str());
    if qemu::needs_bare_kernel(&machine, &map) {
        fs::create_dir_all(&extras).map_err(io(format!("make `{}`", extras.display())))?;
    }
    let console = Console::Terminal { qmp_socket: None };
    let arguments = vm::layout::arguments(&machine, &map, &extras, engine, &console)
        .map_err(io(format!("write a file into `{}`", extras.display())))?;
    if global.json {
        ui.print_json(&json!({ "version": 1, "program": program, "arguments": arguments }));
    } else {
        ui.print(&format!("{}\n", qemu::shell_line(program, &arguments)));
    }
    Ok(())
}

/// Builds what the machine loads and puts it into `out/`. Returns where each file of its specification is.
fn export(
    session: &Session<'_>,
    prepared: &Prepared,
    name: &Name,
) -> Result<BTreeMap<String, String>, Failure> {
    let lowered = &prepared.lowered;
    let out = session.root.join(OUT);
    let targets: BTreeMap<_, _> = lowered
        .targets
        .iter()
        .flat_map(|(name, target)| target.steps.iter().map(move |step| (*step, name)))
        .collect();
    let mut files = Vec::new();
    for placement in &lowered.machines[name].inputs {
        // All that is there of a map is that there is one.
        if let Input::Output { step, path } = &placement.input
            && lowered.maps.get(name) != Some(step)
        {
            let in_spec = placement.path.strip_prefix("build/").unwrap_or(&placement.path);
            let (directory, steps) = match targets.get(step) {
                // What is put into `out/` is the whole target.
                Some(target) => (out.join(target.as_str()), lowered.targets[*target].steps.clone()),
                // What no target makes are blank disks.
                None => {
                    (out.join(EXTRAS).join(lowered.graph.step(*step).label.replace(' ', "-")), vec![*step])
                }
            };
            files.push((in_spec.to_owned(), directory, steps, path));
        }
    }
    let mut steps: BTreeSet<_> = files.iter().flat_map(|(_, _, steps, _)| steps.clone()).collect();
    steps.extend(lowered.maps.get(name));
    let steps: Vec<_> = steps.into_iter().collect();
    let built = session.build(prepared, &steps)?;
    session.keep(prepared, &built)?;
    if built.outcome.counts().failed > 0 {
        return Err(Failure::told(Blame::Build));
    }
    let mut stats = session.state.exported_stats();
    let mut places = BTreeMap::new();
    let mut exported = BTreeSet::new();
    for (in_spec, directory, steps, path) in files {
        if exported.insert(directory.clone())
            && let outputs = steps.iter().map(|step| Some(built.outcome.result(*step)?.output))
            && let Some(outputs) = outputs.collect::<Option<Vec<_>>>()
        {
            let is_tainted = steps.iter().any(|step| lowered.graph.is_tainted(*step));
            artifacts::export(&session.caches.store, &outputs, is_tainted, &directory, &mut stats)?;
        }
        places.insert(in_spec, place(&directory, path));
    }
    stats.save().map_err(Failure::machine)?;
    Ok(places)
}

/// Returns where a file of the specification is, or lies in a directory that is there.
fn exported(places: &BTreeMap<String, String>, file: &str) -> String {
    let within = |(at, place): (&String, &String)| {
        let rest = file.strip_prefix(at.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{place}{rest}"))
    };
    places.iter().find_map(within).unwrap_or_else(|| file.to_owned())
}

/// Returns where a file of that directory is, or the directory itself if there is no path.
fn place(directory: &Path, path: &str) -> String {
    let path = if path.is_empty() { directory.to_owned() } else { directory.join(path) };
    path.to_string_lossy().into_owned()
}
