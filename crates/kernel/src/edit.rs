//! Has somebody change a configuration, and says what was changed.

use std::fs;
use std::path::Path;
use std::process::Command;

use kconfig::Values;

use crate::Error;
use crate::fragment::{changes, differences, with_lines};
use crate::make::Make;
use crate::needs;
use crate::spec::EditSpec;

/// Runs the kernel's `menuconfig`, or `command` in the directory that has `.config`, with this process's terminal.
/// Leaves in the directory `out` what came of it as `config`, and as `changes` the lines that lead there from the
/// configuration that it was.
///
/// The command finds `ARCH` and what else `make` needs in its environment, and the source as the link `source`.
/// Fails when it does, except that nothing which somebody saved in a menu is lost.
pub fn edit(spec: &EditSpec, command: &[String], out: &Path) -> Result<(), Error> {
    let make = Make::new(&spec.linux)?;
    if command.is_empty() {
        needs::check_menus()?;
    }
    let path = spec.config.join("config");
    let before = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let start = complete(&make, &before)?;

    let ended = match command.split_first() {
        None => make.run_in_terminal("menuconfig"),
        Some((program, arguments)) => {
            let mut child = Command::new(program);
            child.args(arguments).current_dir(make.object(""));
            make.environment(&mut child);
            let status = child.status().map_err(Error::io("run", Path::new(program)))?;
            match status.code().unwrap_or(255) {
                0 => Ok(()),
                code => Err(Error::Command { command: command.join(" "), code }),
            }
        }
    };
    let config = make.object(".config");
    let saved = fs::read_to_string(&config).map_err(Error::io("read", &config))?;
    if saved == start.config || !command.is_empty() {
        ended?;
    }
    let wanted = complete(&make, &saved)?;
    let (values_before, values) = (Values::parse(&before), Values::parse(&wanted.config));
    let mut lines = changes(&start.defconfig, &wanted.defconfig, &values);
    // Few lines are better to read, and all of them lead there in any case.
    let found = complete(&make, &with_lines(&before, &lines))?;
    if !kconfig::diff(&Values::parse(&found.config), &values).is_empty() {
        lines = differences(&values_before, &values);
    }
    for (name, text) in [("config", &wanted.config), ("changes", &lines)] {
        let path = out.join(name);
        fs::write(&path, text).map_err(Error::io("write", &path))?;
    }
    Ok(())
}

struct Complete {
    config: String,
    defconfig: String,
}

/// Has the kernel complete a configuration and say what in it is not the default.
fn complete(make: &Make<'_>, config: &str) -> Result<Complete, Error> {
    let path = make.object(".config");
    fs::write(&path, config).map_err(Error::io("write", &path))?;
    make.run_quietly(&["olddefconfig", "savedefconfig"])?;
    let read = |name: &str| {
        let path = make.object(name);
        fs::read_to_string(&path).map_err(Error::io("read", &path))
    };
    Ok(Complete { config: read(".config")?, defconfig: read("defconfig")? })
}
