//! `run`: boots a machine with this terminal as its console.

use engine::Step;
use local::Interactive;
use recipe::Goal;
use serde_json::json;

use crate::args::Global;
use crate::failure::{Blame, Failure};
use crate::goals;
use crate::session::Session;
use crate::ui::Ui;

/// Builds what the machine needs, then runs it until it powers itself off or the user leaves.
pub(crate) fn run(global: &Global, ui: &Ui, name: Option<&str>, dry_run: bool) -> Result<(), Failure> {
    let session = Session::open(global, ui)?;
    let name = goals::machine(&session.stack, name)?;
    let mut prepared = session.prepare(&[Goal::Machine(name.clone())])?;
    let machine = prepared.lowered.machines[&name].clone();
    if dry_run {
        let program = vm::qemu::program(machine.machine.arch);
        let console = vm::qemu::Console::Terminal { qmp_socket: None };
        let arguments = vm::qemu::arguments(&machine.machine, vm::qemu::Engine::Tcg, &console);
        if global.json {
            ui.print_json(&json!({ "version": 1, "program": program, "arguments": arguments }));
        } else {
            ui.print(&format!(
                "{program} {}\n",
                arguments.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
            ));
        }
        return Ok(());
    }
    let step = prepared.lowered.graph.add_step(Step {
        label: format!("run {name}"),
        arguments: machine.arguments,
        environment: machine.environment,
        inputs: machine.inputs,
        requirements: machine.requirements,
    });
    let code = session.enter(&prepared, step, Interactive::Command)?;
    if code == 0 {
        Ok(())
    } else {
        Err(Failure::new(Blame::Build, format!("the machine ended with exit code {code}")))
    }
}

/// Returns a word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+.,/:@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
