//! As in older trees: the module is written here, too.

use std::fs;
use std::process::Command;

fn main() {
    let described = Command::new("git").args(["describe", "--always", "--dirty=+"]).output().ok();
    let described = described.filter(|output| output.status.success()).map(|output| output.stdout);
    let text = String::from_utf8(described.unwrap_or_default()).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let version = line.strip_prefix('v').unwrap_or(line);
    fs::write("src/git_version.rs", format!("pub const GIT_VERSION: &str = {version:?};\n")).unwrap();
}
