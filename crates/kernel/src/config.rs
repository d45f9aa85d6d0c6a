//! Makes the configuration of a kernel out of its parts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kconfig::Values;

use crate::Error;
use crate::fragment::{symbol, with_lines};
use crate::make::Make;
use crate::spec::{ConfigSpec, Linux, Part};

/// Configurations that the Makefile has for every architecture. Not `randconfig`: it is another one each time.
const TARGETS: &[&str] =
    &["allmodconfig", "allnoconfig", "allyesconfig", "alldefconfig", "defconfig", "tinyconfig"];

/// Puts the parts together in their order, lets the kernel complete them, and leaves `config` and `defconfig`, which
/// says only what is not the default, in the directory `out`. Says to `announce` what the kernel dropped of the lines
/// of files and of the recipe.
pub fn configure(spec: &ConfigSpec, out: &Path, announce: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let make = Make::new(&spec.linux)?;
    let config = make.object(".config");
    let mut asked = String::new();
    for part in &spec.parts {
        let lines = match part {
            Part::Target(target) => {
                check_target(&spec.linux, target)?;
                make.run(&[target], &[])?;
                continue;
            }
            Part::Fragment(path) => fs::read_to_string(path).map_err(Error::io("read", path))?,
            Part::Lines(lines) => lines.join("\n"),
        };
        let known = if config.exists() {
            fs::read_to_string(&config).map_err(Error::io("read", &config))?
        } else {
            String::new()
        };
        fs::write(&config, with_lines(&known, &lines)).map_err(Error::io("write", &config))?;
        asked = with_lines(&asked, &lines);
    }
    if !config.exists() {
        fs::write(&config, "").map_err(Error::io("write", &config))?;
    }
    make.run(&["olddefconfig"], &[])?;
    make.run(&["savedefconfig"], &[])?;
    let completed = fs::read_to_string(&config).map_err(Error::io("read", &config))?;
    for line in dropped(&asked, &Values::parse(&completed)) {
        announce(&line);
    }
    for (name, output) in [(".config", "config"), ("defconfig", "defconfig")] {
        let made = make.object(name);
        fs::copy(&made, out.join(output)).map_err(Error::io("copy", &made))?;
    }
    Ok(())
}

/// Says which of these lines do not hold, and what does.
fn dropped(asked: &str, completed: &Values) -> Vec<String> {
    let lines = asked.lines().filter_map(|line| {
        let symbol = symbol(line)?;
        let wanted = Values::parse(line.trim());
        let (wanted, found) = (wanted.get(symbol)?, completed.get(symbol).unwrap_or("n"));
        (wanted != found).then(|| format!("{symbol}={wanted} was asked for and is {found}"))
    });
    lines.collect()
}

/// Fails unless the source has that configuration for its architecture.
fn check_target(linux: &Linux, target: &str) -> Result<(), Error> {
    let arch = linux.source.join("arch").join(linux.arch.directory()).join("configs");
    let mut known: BTreeSet<String> = TARGETS.iter().map(|name| (*name).to_owned()).collect();
    for directory in [arch, linux.source.join("kernel/configs")] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with("_defconfig") || name.ends_with(".config") {
                known.insert(name);
            }
        }
    }
    if known.contains(target) {
        return Ok(());
    }
    let mut likely: Vec<(f64, String)> = known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&name, target), name))
        .filter(|(similarity, _)| *similarity > 0.8)
        .collect();
    likely.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
    let known = likely.into_iter().take(3).map(|(_, name)| name).collect();
    Err(Error::NoTarget { target: target.to_owned(), arch: linux.arch.linux(), known })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_told() {
        let completed = Values::parse("CONFIG_A=y\nCONFIG_N=8\n# CONFIG_D is not set\n");
        assert_eq!(
            dropped(
                "CONFIG_A=m\n# CONFIG_B is not set\nCONFIG_C=y\nCONFIG_N=8\n# CONFIG_D is not set\n",
                &completed
            ),
            ["A=m was asked for and is y", "C=y was asked for and is n"]
        );
    }

    #[track_caller]
    fn check_name(target: &str, expected: &str) {
        let scratch = tempfile::tempdir().unwrap();
        for name in [
            "arch/arm64/configs/virt_defconfig",
            "arch/x86/configs/kvm_guest_defconfig",
            "kernel/configs/kvm_guest.config",
        ] {
            let path = scratch.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let linux = Linux {
            source: scratch.path().to_owned(),
            arch: crate::spec::Arch::Arm64,
            toolchain: crate::spec::Toolchain::Gcc,
        };
        let found = match check_target(&linux, target) {
            Ok(()) => String::new(),
            Err(error) => format!("{error}; {}", error.help().unwrap_or_default()),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn an_unknown_configuration_gets_a_suggestion() {
        for known in ["virt_defconfig", "kvm_guest.config", "tinyconfig", "defconfig"] {
            check_name(known, "");
        }
        check_name(
            "vrit_defconfig",
            "the source has no configuration `vrit_defconfig` for `arm64`; did you mean `virt_defconfig`? A file of the \
             project is written with a slash, as in `./vrit_defconfig`",
        );
        check_name(
            "0123456789",
            "the source has no configuration `0123456789` for `arm64`; a file of the project is written with a slash, as \
             in `./0123456789`",
        );
    }
}
