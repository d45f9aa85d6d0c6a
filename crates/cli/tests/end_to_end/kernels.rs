//! Kernels of other architectures, configured and checked; one is compiled by the stack for arm64. What is wrong with
//! them is said before anything is compiled.

use std::time::Duration;

use crate::harness::terminal::Terminal;
use crate::harness::{Project, unique};

/// The source and the packages are those of the stack for arm64, so that they are downloaded once.
const RECIPE: &str = r#"
[stack]
name = "kernels"

[source.linux]
debian-source = "linux=6.1.176-1"

[source.other]
path = "other"

[env.compilers]
distro   = "debian:bookworm"
packages = ["gcc", "gcc-riscv64-linux-gnu", "libc6-dev", "make", "flex", "bison", "bc", "perl"]

[env.menus]
distro   = "debian:bookworm"
packages = ["gcc", "libc6-dev", "make", "flex", "bison", "bc", "perl", "libncurses-dev"]

[target.pc]
kind    = "kernel"
source  = "linux"
env     = "compilers"
config  = ["tinyconfig", "./pc.config", { MODULES = true, LIBCRC32C = "m" }]
require = { "64BIT" = "y", PRINTK = "y" }
modules = ["LIBCRC32C"]
forbid  = ["MODULE_SIG"]

[target.board]
kind    = "kernel"
source  = "linux"
env     = "compilers"
arch    = "riscv64"
config  = ["tinyconfig", { "64BIT" = true, SOC_SIFIVE = true }]
require = { SOC_SIFIVE = "y" }
dtbs    = true

[target.chosen]
kind   = "kernel"
source = "linux"
env    = "menus"
config = ["tinyconfig", "./pc.config"]

[target.phone]
kind   = "kernel"
source = "other"
env    = "compilers"
arch   = "arm64"
"#;

const FRAGMENT: &str = "# What a PC needs.\nCONFIG_64BIT=y\nCONFIG_PRINTK=y\n";

fn project() -> Project {
    let project = Project::new(RECIPE);
    project.write("pc.config", FRAGMENT);
    for name in ["Kbuild", "Kconfig", "Makefile"] {
        project.write(&format!("other/{name}"), "");
    }
    project
}

#[test]
fn a_configuration_is_changed_compared_and_explained() {
    let project = project();

    // What is chosen goes into the file, and nothing else of it changes.
    let fragment = format!("# {}\n{FRAGMENT}", unique());
    project.write("pc.config", &fragment);
    let choose = ["config", "pc", "--", "source/scripts/config", "-e", "FUTEX", "-d", "PRINTK"];
    let ran = project.succeed(&choose);
    assert!(ran.stdout.contains("FUTEX: n -> y\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("PRINTK: y -> n\n"), "{}", ran.stdout);
    let changed = project.read("pc.config");
    let kept = fragment.replace("CONFIG_PRINTK=y\n", "# CONFIG_PRINTK is not set\n");
    assert!(changed.starts_with(&kept), "{changed}");
    assert!(changed.contains("\nCONFIG_FUTEX=y\n"), "{changed}");
    assert!(!ran.stderr.contains("as chosen"), "{}", ran.stderr);

    // Chosen once more, it is as it should be.
    let again = project.succeed(&choose);
    assert!(again.stderr.contains("nothing was changed"), "{}", again.stderr);
    assert_eq!(project.read("pc.config"), changed);

    // What stands behind the file in the recipe counts.
    let ran = project.succeed(&["config", "pc", "--", "source/scripts/config", "-d", "LIBCRC32C"]);
    assert!(ran.stderr.contains("LIBCRC32C is m and not n as chosen"), "{}", ran.stderr);

    // A command that fails changes nothing, and menus need their library.
    let before = project.read("pc.config");
    project.fail(&["config", "pc", "--", "sh", "-c", "echo CONFIG_NET=y >> .config; exit 7"], 1, &[]);
    project.fail(&["config", "pc"], 1, &["ncurses.h", "libncurses-dev"]);
    assert_eq!(project.read("pc.config"), before);

    // The line is named for which the configuration was made again.
    let explained = project.succeed(&["explain", "pc/config"]).stdout;
    assert!(explained.contains("+ # CONFIG_LIBCRC32C is not set"), "{explained}");

    let diff = project.succeed(&["config", "--diff", "pc", "board", "--json"]);
    assert!(diff.stdout.contains(r#"{"after":"y","before":null,"symbol":"SOC_SIFIVE"}"#), "{}", diff.stdout);

    // The contract names who made it impossible; a symbol that nobody knows is no symbol.
    project.fail(
        &["build", "pc"],
        1,
        &["the configuration is not what was asked for", "PRINTK=y: ", "bootwright.toml:24"],
    );
    project.write("bootwright.toml", &RECIPE.replace("SOC_SIFIVE = true", "SOC_SIFIV = true"));
    project.fail(
        &["build", "board"],
        1,
        &["SOC_SIFIV: is not defined by any file of the tree: did you mean SOC_SIFIVE", "bootwright.toml:33"],
    );
}

#[test]
fn what_is_chosen_in_the_menus_is_kept() {
    let project = project();
    let mut terminal = Terminal::start(&mut project.command(&["config", "chosen"]));
    terminal.wait_for("Kernel Configuration");
    terminal.press("/");
    terminal.wait_for("CONFIG_");
    terminal.press("FUTEX\r");
    terminal.wait_for("Symbol: FUTEX [=n]");
    // The first place in the menus that is found.
    terminal.press("1");
    terminal.wait_for("Enable futex support");
    terminal.press("y");
    terminal.wait_for("*");
    // Out of one menu after the other: how many there are is the kernel's affair.
    let is_asked = (0..30).any(|_| {
        terminal.press("\x1b\x1b");
        terminal.is_shown_within("save your new configuration", Duration::from_secs(3))
    });
    assert!(is_asked);
    terminal.press("\r");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("FUTEX: n -> y"), "{shown}");
    let fragment = project.read("pc.config");
    assert!(fragment.starts_with(FRAGMENT) && fragment.contains("\nCONFIG_FUTEX=y\n"), "{fragment}");
}

#[test]
fn what_is_missing_is_named_before_anything_is_compiled() {
    let project = project();
    project.fail(
        &["build", "phone"],
        1,
        &[
            "there is no `aarch64-linux-gnu-gcc` in the environment",
            "add the package `gcc-aarch64-linux-gnu`",
        ],
    );
    project.write("bootwright.toml", &RECIPE.replace("\"tinyconfig\", {", "\"tinconfig\", {"));
    project.fail(&["build", "board"], 1, &["no configuration `tinconfig`", "did you mean `tinyconfig`"]);
    project.fail(&["config", "baord"], 2, &["the project builds no kernel `baord`", "did you mean `board`?"]);
}
