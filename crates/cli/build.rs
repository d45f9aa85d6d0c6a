//! Builds the tools that run inside sandboxes, as static executables, and hands them to `src/tools.rs`.
//!
//! They are separate programs so that a change of the command line or the engine leaves the images they
//! made valid; and they are embedded so that one `bootwright` is all that anybody installs. So are the projects
//! that `bootwright init` starts from, for `src/templates.rs`: those that tests build and boot.
#![allow(clippy::disallowed_methods, reason = "a build script is told everything through the environment")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Each tool and the package that has it.
const TOOLS: &[(&str, &str)] =
    &[("kbuild", "kernel"), ("mkimg", "mkimg"), ("pkgroot", "distro"), ("runvm", "vm")];
/// The crates whose change changes a tool.
const CRATES: &[&str] = &["distro", "fdt", "kconfig", "kernel", "layer", "mkimg", "quilt", "sandbox", "vm"];

/// Where projects are that others can start from.
const TEMPLATES: &[&str] = &["examples", "stacks"];
/// Projects that need what tests cannot reach: a repository, for which there is `examples/coconut` to start from, and a
/// release of Debian that moves.
const NO_TEMPLATES: &[&str] = &["stacks/coconut", "stacks/igvm-guest"];
/// What is in them and belongs to whoever worked there: results, also those of cargo and of COCONUT's `xbuild`, pins, and the
/// Linux that `guest-arm64` can build.
const PRIVATE: &[&str] = &["out", "bin", "target", "git_version.rs", "bootwright.lock", "linux"];

fn main() {
    let workspace = Path::new(&variable("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace exists");
    for name in CRATES {
        println!("cargo:rerun-if-changed={}", workspace.join("crates").join(name).display());
    }
    println!("cargo:rerun-if-changed={}", workspace.join("Cargo.toml").display());
    println!("cargo:rerun-if-changed={}", workspace.join("Cargo.lock").display());

    let out_dir = PathBuf::from(variable("OUT_DIR"));
    fs::write(out_dir.join("templates.rs"), templates(&workspace)).expect("OUT_DIR can be written");
    // OUT_DIR is <target>/<profile>/build/<package>/out. All profiles of `bootwright` share one build.
    let target_dir = out_dir.ancestors().nth(4).expect("OUT_DIR is below the target directory").join("tools");
    let target = variable("TARGET");

    let status = cargo(&workspace, &target, &target_dir).status().expect("cargo can be started");
    assert!(status.success(), "building the tools failed: {status}");

    let mut digests = String::new();
    for (tool, _) in TOOLS {
        let built = target_dir.join(&target).join("tool").join(tool);
        let bytes = fs::read(&built).unwrap_or_else(|error| panic!("{}: {error}", built.display()));
        digests.push_str(&format!("{}\n", cas::Digest::of(&bytes)));
        fs::write(out_dir.join(tool), bytes).expect("OUT_DIR can be written");
    }
    fs::write(out_dir.join("digests"), digests).expect("OUT_DIR can be written");
}

/// Returns the templates as an expression: of each the name, where it is, and its files.
fn templates(workspace: &Path) -> String {
    let mut text = String::from("&[\n");
    for parent in TEMPLATES {
        for (name, path) in entries(&workspace.join(parent)) {
            let is_none = NO_TEMPLATES.contains(&format!("{parent}/{name}").as_str());
            if !is_none && path.join("bootwright.toml").is_file() {
                text.push_str(&format!(
                    "Template {{ name: {name:?}, place: \"{parent}/{name}\", files: &[\n"
                ));
                files(&path, "", &mut text);
                text.push_str("] },\n");
            }
        }
    }
    text + "]\n"
}

/// Adds the files below `directory`, the executable ones marked.
fn files(directory: &Path, prefix: &str, text: &mut String) {
    println!("cargo:rerun-if-changed={}", directory.display());
    for (name, path) in entries(directory) {
        let metadata = path.symlink_metadata().expect("it was listed");
        if PRIVATE.contains(&name.as_str()) {
            continue;
        }
        if metadata.is_dir() {
            files(&path, &format!("{prefix}{name}/"), text);
        } else if metadata.is_file() {
            let is_executable = metadata.permissions().mode() & 0o100 != 0;
            text.push_str(&format!("(\"{prefix}{name}\", {is_executable}, include_bytes!({path:?})),\n"));
        }
    }
}

/// Returns what is in a directory by name, in the order of the names, without what is hidden but for what cargo reads.
fn entries(directory: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let entries = entries.map(|entry| entry.expect("it can be listed"));
    let named = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    named.filter(|(name, _)| !name.starts_with('.') || name == ".cargo").collect()
}

fn cargo(workspace: &Path, target: &str, target_dir: &Path) -> Command {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(workspace).args([
        "build",
        "--locked",
        "--quiet",
        "--profile",
        "tool",
        "--no-default-features",
    ]);
    cargo.arg("--target").arg(target).arg("--target-dir").arg(target_dir);
    for (tool, package) in TOOLS {
        cargo.args(["--package", package, "--bin", tool]);
    }
    // What the outer cargo set describes another build; under clippy the wrapper would not even link.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let describes_outer_build = text.starts_with("CARGO_")
            && !matches!(
                text.as_ref(),
                "CARGO_HOME" | "CARGO_MAKEFLAGS" | "CARGO_NET_OFFLINE" | "CARGO_HTTP_PROXY"
            );
        if describes_outer_build
            || matches!(text.as_ref(), "RUSTC" | "RUSTC_WRAPPER" | "RUSTC_WORKSPACE_WRAPPER" | "RUSTFLAGS")
        {
            cargo.env_remove(&name);
        }
    }
    // Static, and the same bytes from any checkout and any home directory: the tools are inputs of actions.
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.push(format!("--remap-path-prefix={}=/bootwright", workspace.display()));
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    if let Some(cargo_home) = cargo_home {
        flags.push(format!("--remap-path-prefix={}=/cargo", cargo_home.display()));
    }
    flags.push(format!("--remap-path-prefix={}=/target", target_dir.display()));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    // liblzma compares bytes one at a time unless it is told that the processor reads words from anywhere, and its
    // build through cargo asks nobody. It is an eighth of the time of xz; other libraries do not know the name.
    if target.starts_with("x86_64-") || target.starts_with("aarch64-") {
        cargo.env("CFLAGS", "-DTUKLIB_FAST_UNALIGNED_ACCESS=1");
    }
    cargo
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
