//! What a configuration needs of the environment, so that nobody learns after an hour what is missing.

use std::path::Path;

use kconfig::Values;

use crate::Error;
use crate::make::is_in_path;

/// Symbols with the programs that the kernel's Makefiles run for them, and Debian's packages that have those.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("DEBUG_INFO_BTF", "pahole", "dwarves"),
    ("IKHEADERS", "cpio", "cpio"),
    ("KERNEL_BZIP2", "bzip2", "bzip2"),
    ("KERNEL_LZ4", "lz4", "lz4"),
    ("KERNEL_LZMA", "lzma", "xz-utils"),
    ("KERNEL_LZO", "lzop", "lzop"),
    ("KERNEL_XZ", "xz", "xz-utils"),
    ("KERNEL_ZSTD", "zstd", "zstd"),
    ("MODULES", "depmod", "kmod"),
    ("MODULE_COMPRESS_XZ", "xz", "xz-utils"),
    ("MODULE_COMPRESS_ZSTD", "zstd", "zstd"),
];

/// Symbols with the headers with which programs of the build are compiled for them.
const HEADERS: &[(&str, &str, &str)] = &[
    ("MODULE_SIG", "openssl/ssl.h", "libssl-dev"),
    ("OBJTOOL", "gelf.h", "libelf-dev"),
    ("SYSTEM_TRUSTED_KEYRING", "openssl/ssl.h", "libssl-dev"),
];

/// Where Debian has headers.
const INCLUDE: &str = "/usr/include";

/// Fails when something that building with this configuration needs is not there.
pub(crate) fn check(values: &Values) -> Result<(), Error> {
    check_with(values, is_in_path, |header| Path::new(INCLUDE).join(header).exists())
}

fn check_with(
    values: &Values,
    has_program: impl Fn(&str) -> bool,
    has_header: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let is_on = |symbol: &str| values.get(symbol) == Some("y");
    for &(symbol, program, package) in PROGRAMS {
        if is_on(symbol) && !has_program(program) {
            return Err(Error::NoProgram { program: program.to_owned(), package });
        }
    }
    for &(symbol, header, package) in HEADERS {
        if is_on(symbol) && !has_header(header) {
            return Err(Error::NoHeader { header, package });
        }
    }
    Ok(())
}

/// Fails when the kernel's menus cannot be compiled.
pub(crate) fn check_menus() -> Result<(), Error> {
    let header = "ncurses.h";
    if Path::new(INCLUDE).join(header).exists() {
        return Ok(());
    }
    Err(Error::NoHeader { header, package: "libncurses-dev" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(config: &str, there: &[&str], expected: &str) {
        let has = |name: &str| there.contains(&name);
        let found = match check_with(&Values::parse(config), has, has) {
            Ok(()) => String::new(),
            Err(error) => format!("{error}; {}", error.help().unwrap_or_default()),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let config =
            "CONFIG_MODULES=y\nCONFIG_KERNEL_XZ=y\nCONFIG_OBJTOOL=y\n# CONFIG_KERNEL_ZSTD is not set\n";
        check(config, &["depmod", "xz", "gelf.h"], "");
        check(
            config,
            &["depmod", "gelf.h"],
            "there is no `xz` in the environment, which building this kernel needs; add the package `xz-utils` to the \
             environment of the kernel",
        );
        check(
            config,
            &["depmod", "xz"],
            "there is no `gelf.h` in the environment, with which programs of the kernel are compiled; add the package \
             `libelf-dev` to the environment of the kernel",
        );
    }
}
