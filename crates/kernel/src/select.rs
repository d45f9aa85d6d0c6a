//! What of a source its configuration depends on: a change in anything else need not have it configured again.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::Error;
use crate::spec::SelectSpec;

/// Below these are the sources of programs that configuring needs, and scripts that it calls.
const WHOLE: &[&str] = &["scripts", "tools/include"];
/// Nothing of this is ever read.
const NEVER: &[&str] = &["tools/testing", "tools/perf"];
/// What is compiled or read by people, by the ends of names.
const LEFT_OUT: &[&str] =
    &["c", "cc", "dts", "dtsi", "dtso", "gif", "h", "json", "rs", "rst", "s", "S", "svg", "txt", "yaml"];

/// Copies what of a source its configuration depends on to `tree` in the directory `out`: Makefiles, Kconfig files,
/// configurations, scripts, and whatever else is not known to be something to compile or to read.
pub fn select(spec: &SelectSpec, out: &Path) -> Result<(), Error> {
    let tree = out.join("tree");
    fs::create_dir(&tree).map_err(Error::io("make", &tree))?;
    copy(&spec.source, "", &tree)
}

/// Copies what is selected of the directory at `path` of the source to `to`, which exists.
fn copy(directory: &Path, path: &str, to: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let entry = entry.map_err(Error::io("read", directory))?;
        let from = entry.path();
        let name = entry.file_name();
        let at = match path {
            "" => name.to_string_lossy().into_owned(),
            path => format!("{path}/{}", name.to_string_lossy()),
        };
        let to = to.join(&name);
        let kind = entry.file_type().map_err(Error::io("look at", &from))?;
        if kind.is_dir() && !NEVER.contains(&at.as_str()) {
            fs::create_dir(&to).map_err(Error::io("make", &to))?;
            copy(&from, &at, &to)?;
            // Directories that only had sources would be thousands.
            let _not_empty = fs::remove_dir(&to);
        } else if kind.is_symlink() {
            let target = fs::read_link(&from).map_err(Error::io("read", &from))?;
            symlink(target, &to).map_err(Error::io("make", &to))?;
        } else if kind.is_file() && is_selected(&at) {
            fs::copy(&from, &to).map_err(Error::io("copy", &from))?;
        }
    }
    Ok(())
}

fn is_selected(path: &str) -> bool {
    let is_below = |directory: &&str| path.strip_prefix(*directory).is_some_and(|rest| rest.starts_with('/'));
    if WHOLE.iter().any(is_below) {
        return true;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    !name.rsplit_once('.').is_some_and(|(stem, end)| !stem.is_empty() && LEFT_OUT.contains(&end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_read_by_kconfig_is_selected() {
        for path in [
            "Makefile",
            "Kconfig",
            "drivers/block/Kconfig.iosched",
            "arch/arm64/configs/defconfig",
            "arch/x86/tools/gen-insn-attr-x86.awk",
            "scripts/kconfig/conf.c",
            "tools/include/linux/types.h",
            "scripts/gcc-x86_64-has-stack-protector.sh",
        ] {
            assert!(is_selected(path), "{path}");
        }
        for path in
            ["init/main.c", "include/linux/fs.h", "arch/arm64/kernel/head.S", "Documentation/index.rst"]
        {
            assert!(!is_selected(path), "{path}");
        }
    }

    #[test]
    fn directories_without_anything_selected_are_left_out() {
        let scratch = tempfile::tempdir().unwrap();
        let source = scratch.path().join("source");
        for (path, content) in [("init/main.c", "int main;"), ("init/Kconfig", "config A"), ("mm/slab.c", "")]
        {
            let path = source.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        symlink("init/Kconfig", source.join("link")).unwrap();
        select(&SelectSpec { source }, scratch.path()).unwrap();
        let tree = scratch.path().join("tree");
        assert_eq!(fs::read_to_string(tree.join("link")).unwrap(), "config A");
        assert!(!tree.join("init/main.c").exists());
        assert!(!tree.join("mm").exists());
    }
}
