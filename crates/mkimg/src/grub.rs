//! Makes GRUB by its own `grub-mkimage`, a program of the environment that the step runs in.
//!
//! GRUB's image has its modules linked in, in an order of their dependencies, which is its own trade. What it makes
//! depends on its inputs alone: even the times in its headers are fixed.

mod place;

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, similar};
use crate::files::{Directory, create_above};
use crate::spec::{GrubFormat, GrubSpec};

pub use place::GrubError;
pub(crate) use place::{SECTOR, check};

/// Where packages of Debian have the modules.
const MODULES: &str = "/usr/lib/grub";
const PROGRAM: &str = "grub-mkimage";

struct Format {
    /// The name that `grub-mkimage` has for it.
    name: &'static str,
    /// The directory of its modules.
    directory: &'static str,
    /// The package of Debian that has them, which other architectures do not have in their archives.
    package: &'static str,
}

fn format(format: GrubFormat) -> Format {
    let (name, directory, package) = match format {
        GrubFormat::X86_64Efi => ("x86_64-efi", "x86_64-efi", "grub-efi-amd64-bin"),
        GrubFormat::Arm64Efi => ("arm64-efi", "arm64-efi", "grub-efi-arm64-bin:arm64"),
        GrubFormat::Riscv64Efi => ("riscv64-efi", "riscv64-efi", "grub-efi-riscv64-bin:riscv64"),
        GrubFormat::I386Pc => ("i386-pc", "i386-pc", "grub-pc-bin"),
        GrubFormat::I386PcEltorito => ("i386-pc-eltorito", "i386-pc", "grub-pc-bin"),
    };
    Format { name, directory, package }
}

/// Makes what `spec` describes, and returns what the program complains about.
pub(crate) fn write(spec: &GrubSpec, directory: &Directory<'_>) -> Result<Vec<String>, Error> {
    write_with(spec, directory, Path::new(MODULES))
}

fn write_with(spec: &GrubSpec, directory: &Directory<'_>, all: &Path) -> Result<Vec<String>, Error> {
    let format = format(spec.format);
    let modules = all.join(format.directory);
    check_modules(spec, &format, &modules)?;
    let Some((main, others)) = spec.outputs.split_first() else { return Ok(Vec::new()) };
    let output = directory.path(main);
    create_above(&output).map_err(|source| Error::Write { path: output.clone(), source })?;

    let mut command = Command::new(PROGRAM);
    command.arg("--directory").arg(&modules);
    command.args(["--format", format.name, "--prefix", &spec.prefix]).arg("--output").arg(&output);
    for (option, file) in [("--config", &spec.config), ("--sbat", &spec.sbat)] {
        if let Some(file) = file {
            command.arg(option).arg(directory.path(file));
        }
    }
    command.args(&spec.modules);
    let done = match command.output() {
        Ok(done) => done,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoProgram { program: PROGRAM.to_owned() });
        }
        Err(source) => return Err(Error::Start { program: PROGRAM.to_owned(), source }),
    };
    let said = String::from_utf8_lossy(&done.stderr);
    let said: Vec<String> = said.lines().map(str::to_owned).collect();
    if !done.status.success() {
        return Err(Error::Program { program: PROGRAM, said });
    }
    for other in others {
        // The boot sector is a file like the modules.
        let name = Path::new(other).file_name().unwrap_or_default();
        let mut boot = read(&modules.join(name))?;
        if let Some(at) = spec.at {
            let mut core = read(&output)?;
            place::tell(&mut boot, &mut core, at / SECTOR).map_err(Error::Grub)?;
            fs::write(&output, core).map_err(|source| Error::Write { path: output.clone(), source })?;
        }
        let path = directory.path(other);
        let written = create_above(&path).and_then(|()| fs::write(&path, boot));
        written.map_err(|source| Error::Write { path, source })?;
    }
    Ok(said)
}

/// Fails with a better reason than GRUB's if there is no such GRUB, or no such module.
fn check_modules(spec: &GrubSpec, format: &Format, modules: &Path) -> Result<(), Error> {
    let list = match fs::read_dir(modules) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoGrub {
                format: format.name,
                path: modules.to_owned(),
                package: format.package,
            });
        }
        Err(source) => return Err(Error::Read { path: modules.to_owned(), source }),
    };
    let names = list.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut known: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".mod").map(str::to_owned)).collect();
    known.sort_unstable();
    let missing = spec.modules.iter().find(|module| known.binary_search(module).is_err());
    missing.map_or(Ok(()), |module| {
        let similar = similar(module, known.iter().map(String::as_str));
        Err(Error::NoGrubModule { format: format.name, module: module.clone(), similar })
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(modules: &[&str]) -> GrubSpec {
        GrubSpec {
            outputs: vec!["out/BOOTX64.EFI".to_owned()],
            format: GrubFormat::X86_64Efi,
            modules: modules.iter().map(|module| (*module).to_owned()).collect(),
            config: None,
            prefix: "/EFI".to_owned(),
            sbat: None,
            at: None,
        }
    }

    #[track_caller]
    fn check(modules: &[&str], all: &Path, expected: [&str; 2]) {
        let scratch = tempfile::tempdir().unwrap();
        let error = write_with(&spec(modules), &Directory::new(scratch.path()), all).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected[0]), "{text}");
        assert!(error.help().unwrap_or_default().contains(expected[1]), "{:?}", error.help());
    }

    #[test]
    fn what_the_environment_does_not_have_is_named_with_its_package() {
        let scratch = tempfile::tempdir().unwrap();
        let expected = ["there is no GRUB for `x86_64-efi`", "`grub-efi-amd64-bin`"];
        check(&["fat"], scratch.path(), expected);
        fs::create_dir(scratch.path().join("x86_64-efi")).unwrap();
        for module in ["fat", "part_gpt", "part_msdos"] {
            fs::write(scratch.path().join(format!("x86_64-efi/{module}.mod")), "").unwrap();
        }
        check(&["fat", "part_gtp"], scratch.path(), ["has no module `part_gtp`", "there is `part_gpt`"]);
    }
}
