//! Makes the configuration of a kernel out of its parts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::Error;
use crate::make::Make;
use crate::spec::{ConfigSpec, Linux, Part};

/// Configurations that the Makefile has for every architecture. Not `randconfig`: it is another one each time.
const TARGETS: &[&str] =
    &["allmodconfig", "allnoconfig", "allyesconfig", "alldefconfig", "defconfig", "tinyconfig"];

/// Puts the parts together in their order, lets the kernel complete them, and leaves `config` and `defconfig`, which
/// says only what is not the default, in the directory `out`.
pub fn configure(spec: &ConfigSpec, out: &Path) -> Result<(), Error> {
    let make = Make::new(&spec.linux)?;
    let config = make.object(".config");
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
    }
    if !config.exists() {
        fs::write(&config, "").map_err(Error::io("write", &config))?;
    }
    make.run(&["olddefconfig"], &[])?;
    make.run(&["savedefconfig"], &[])?;
    for (name, output) in [(".config", "config"), ("defconfig", "defconfig")] {
        let made = make.object(name);
        fs::copy(&made, out.join(output)).map_err(Error::io("copy", &made))?;
    }
    Ok(())
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

/// Returns a configuration with `lines` instead of what it said of the same symbols.
fn with_lines(config: &str, lines: &str) -> String {
    let replaced: BTreeSet<&str> = lines.lines().filter_map(symbol).collect();
    let kept = config.lines().filter(|line| symbol(line).is_none_or(|symbol| !replaced.contains(symbol)));
    let mut text: String = kept.chain(lines.lines()).map(|line| format!("{line}\n")).collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
}

/// Returns the symbol of a line: `CONFIG_X=…` or `# CONFIG_X is not set`.
fn symbol(line: &str) -> Option<&str> {
    let line = line.trim();
    let (name, is_said) = match line.strip_prefix("# ") {
        Some(rest) => (rest.strip_suffix(" is not set")?, true),
        None => (line.split_once('=')?.0, line.contains('=')),
    };
    name.strip_prefix("CONFIG_").filter(|_| is_said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_several_say_the_last_counts() {
        let config = "# comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_AB=m\n";
        assert_eq!(
            with_lines(config, "CONFIG_B=y\n# CONFIG_A is not set\n"),
            "# comment\nCONFIG_AB=m\nCONFIG_B=y\n# CONFIG_A is not set\n"
        );
        assert_eq!(with_lines("", "CONFIG_CMDLINE=\"a=b\""), "CONFIG_CMDLINE=\"a=b\"\n");
    }
}
