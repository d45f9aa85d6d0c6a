//! The tool `runvm`: boots a machine and checks what its guest says, or gives its console to a person.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a tool talks on its standard streams")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use vm::boot::{self, BootError};
use vm::host::Host;
use vm::qemu::{self, Console, Engine};
use vm::{accelerator, spec, terminal};

/// Where the machine's owner may have put a file for what is found out about KVM, relative to where steps start.
const NOTE: &str = "host/kvm";

const USAGE: &str = "usage: runvm boot SPEC.json LOGS    boot, hold the conversation, leave logs in LOGS
       runvm console SPEC.json      boot with this terminal as the serial console; Ctrl-a x leaves
       runvm arguments SPEC.json    print the QEMU command line
       runvm probe                  print what executes guests of this machine's own architecture";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["boot", spec, logs] => read(spec).and_then(|boot| run(&boot, Path::new(logs))),
        ["console", spec] => read(spec).and_then(|boot| console(&boot.machine)),
        ["arguments", spec] => read(spec).map(|boot| print_arguments(&boot.machine)),
        ["probe"] => {
            probe();
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  caused by: {error}");
                cause = error.source();
            }
            ExitCode::from(code)
        }
    }
}

/// An exit code (1 the guest or the input, 3 this machine) and the reason.
type Failed = (u8, Box<dyn Error>);

fn read(path: &str) -> Result<spec::Boot, Failed> {
    let text =
        fs::read_to_string(path).map_err(|error| (1, format!("could not read `{path}`: {error}").into()))?;
    serde_json::from_str(&text).map_err(|error| (1, format!("`{path}` is not a boot: {error}").into()))
}

fn run(boot: &spec::Boot, logs: &Path) -> Result<(), Failed> {
    let done = boot::run(boot, &Host::new(Path::new(NOTE)), logs, &mut |text| eprintln!("note: {text}"));
    match done {
        Ok(_) => Ok(()),
        Err(error @ BootError::Unexpected(_)) => Err((1, error.into())),
        Err(error) => Err((3, error.into())),
    }
}

fn console(machine: &spec::Machine) -> Result<(), Failed> {
    eprintln!("note: Ctrl-a x leaves, Ctrl-a c is QEMU's monitor, Ctrl-a a types Ctrl-a");
    let ended = terminal::run(machine, &Host::new(Path::new(NOTE)), &mut |text| eprintln!("note: {text}"));
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err((1, format!("QEMU failed: {status}").into())),
        Err(error) => Err((3, error.into())),
    }
}

fn print_arguments(machine: &spec::Machine) {
    println!("{}", qemu::program(machine.arch));
    let console = Console::Terminal { qmp_socket: None };
    for argument in qemu::arguments(machine, Engine::Tcg, &console) {
        println!("{argument}");
    }
}

fn probe() {
    let arch = match std::env::consts::ARCH {
        "aarch64" => spec::Arch::Arm64,
        "riscv64" => spec::Arch::Riscv64,
        _ => spec::Arch::X86_64,
    };
    println!("{}", accelerator::kvm(arch, &Host::new(Path::new(NOTE))));
}
