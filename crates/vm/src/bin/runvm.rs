//! The tool `runvm`: boots a machine and checks what its guest says, or gives its console to a person.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a tool talks on its standard streams")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde::de::DeserializeOwned;
use vm::boot::{self, BootError};
use vm::device_tree::DeviceTreeError;
use vm::host::Host;
use vm::qemu::{self, Console, Engine};
use vm::{accelerator, device_tree, layout, spec, terminal};

/// Where the machine's owner may have put a file for what is found out about KVM, relative to where steps start.
const NOTE: &str = "host/kvm";

const USAGE: &str = "usage: runvm boot SPEC.json LOGS    boot, hold the conversation, leave logs in LOGS
       runvm console SPEC.json [FD] boot with this terminal as the serial console; Ctrl-a x leaves. The guest
                                    waits for a debugger that connects to the socket FD
       runvm console SPEC.json --agent FD
                                    the same; whoever has the other end of the socket FD talks to the guest's agent
       runvm arguments SPEC.json    print the QEMU command line
       runvm map SPEC.json DIR      write the address map to DIR/map.json and, as a drawing, DIR/map.txt
       runvm dumpdtb SPEC.json FILE write the device tree of the machine
       runvm probe                  print what executes guests of this machine's own architecture";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["boot", spec, logs] => read(spec).and_then(|boot| run(&boot, Path::new(logs))),
        ["console", spec] => read_machine(spec).and_then(|machine| console(&machine)),
        ["console", spec, "--agent", fd] => read_machine(spec).and_then(|machine| with_agent(machine, fd)),
        ["console", spec, fd] => read_machine(spec).and_then(|machine| debug(machine, fd)),
        ["arguments", spec] => read_machine(spec).and_then(|machine| print_arguments(&machine)),
        ["map", spec, directory] => {
            read_machine(spec).and_then(|machine| write_map(&machine, Path::new(directory)))
        }
        ["dumpdtb", spec, file] => read_machine(spec).and_then(|machine| dump(&machine, Path::new(file))),
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
    parse(path, &read_text(path)?, "boot")
}

/// Reads a machine, or that of a boot.
fn read_machine(path: &str) -> Result<spec::Machine, Failed> {
    let text = read_text(path)?;
    let value: serde_json::Value = parse(path, &text, "machine")?;
    if value.get("machine").is_some() {
        return parse(path, &text, "boot").map(|boot: spec::Boot| boot.machine);
    }
    parse(path, &text, "machine")
}

fn read_text(path: &str) -> Result<String, Failed> {
    fs::read_to_string(path).map_err(|error| (1, format!("could not read `{path}`: {error}").into()))
}

fn parse<T: DeserializeOwned>(path: &str, text: &str, what: &str) -> Result<T, Failed> {
    serde_json::from_str(text).map_err(|error| (1, format!("`{path}` is not a {what}: {error}").into()))
}

fn run(boot: &spec::Boot, logs: &Path) -> Result<(), Failed> {
    let done = boot::run(boot, &Host::new(Path::new(NOTE)), logs, &mut |text| eprintln!("note: {text}"));
    match done {
        Ok(_) => Ok(()),
        Err(error @ (BootError::Unexpected(_) | BootError::Layout(_) | BootError::NoIgvm { .. })) => {
            Err((1, error.into()))
        }
        Err(error) => Err((3, error.into())),
    }
}

fn console(machine: &spec::Machine) -> Result<(), Failed> {
    eprintln!("note: Ctrl-a x leaves, Ctrl-a c is QEMU's monitor, Ctrl-a a types Ctrl-a");
    let ended = terminal::run(machine, &Host::new(Path::new(NOTE)), &mut |text| eprintln!("note: {text}"));
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err((1, format!("QEMU failed: {status}").into())),
        Err(error @ (BootError::Layout(_) | BootError::NoIgvm { .. })) => Err((1, error.into())),
        Err(error) => Err((3, error.into())),
    }
}

/// Does the same with a debugger that comes over an inherited socket.
fn debug(machine: spec::Machine, fd: &str) -> Result<(), Failed> {
    let fd = fd.parse().map_err(|_| (1, format!("`{fd}` is not the number of a socket").into()))?;
    let gdb = spec::Gdb { listen: spec::Listen::Inherited(fd), wait: true };
    console(&spec::Machine { gdb: Some(gdb), ..machine })
}

/// Does the same with somebody who talks to the guest's agent over an inherited socket.
fn with_agent(machine: spec::Machine, fd: &str) -> Result<(), Failed> {
    let fd = fd.parse().map_err(|_| (1, format!("`{fd}` is not the number of a socket").into()))?;
    console(&spec::Machine { agent: Some(spec::Agent::Inherited(fd)), ..machine })
}

fn print_arguments(machine: &spec::Machine) -> Result<(), Failed> {
    let map = layout::load(machine).map_err(|error| (1, error.into()))?;
    println!("{}", qemu::program(machine));
    let console = Console::Terminal { qmp_socket: None };
    for argument in qemu::arguments_with_map(machine, &map, qemu::BARE_KERNEL, Engine::Tcg, &console) {
        println!("{argument}");
    }
    if qemu::needs_bare_kernel(machine, &map) {
        eprintln!("note: `{}` is an empty ELF file, which `boot` and `console` make", qemu::BARE_KERNEL);
    }
    Ok(())
}

fn write_map(machine: &spec::Machine, directory: &Path) -> Result<(), Failed> {
    let map = layout::load(machine).map_err(|error| (1, error.into()))?;
    fs::create_dir_all(directory)
        .map_err(|error| (3, format!("could not make `{}`: {error}", directory.display()).into()))?;
    for (name, text) in [("map.json", map.to_json()), ("map.txt", map.draw())] {
        let path = directory.join(name);
        fs::write(&path, text)
            .map_err(|error| (3, format!("could not write `{}`: {error}", path.display()).into()))?;
    }
    Ok(())
}

fn dump(machine: &spec::Machine, file: &Path) -> Result<(), Failed> {
    device_tree::dump(machine, file).map_err(|error| match error {
        DeviceTreeError::None | DeviceTreeError::Failed { .. } => (1, error.into()),
        DeviceTreeError::Start(_) | DeviceTreeError::Io { .. } => (3, error.into()),
    })
}

fn probe() {
    let arch = match std::env::consts::ARCH {
        "aarch64" => spec::Arch::Arm64,
        "riscv64" => spec::Arch::Riscv64,
        _ => spec::Arch::X86_64,
    };
    let machine = spec::Machine { arch, ..spec::Machine::default() };
    println!("{}", accelerator::kvm(&machine, &Host::new(Path::new(NOTE))));
}
