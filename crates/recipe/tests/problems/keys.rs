//! Keys, types and words that are not known.

use crate::check;

#[test]
fn misspelt_key_gets_a_suggestion() {
    check(
        r#"[stack]
name = "demo"

[env.tools]
distro  = "debian:bookworm"
pakages = ["gcc"]
"#,
        r#"
error: unknown key `pakages` in `env.tools`
 --> bootwright.toml:6:1
  |
6 | pakages = ["gcc"]
  | ^^^^^^^
  |
  = help: did you mean `packages`?
"#,
    );
}

#[test]
fn unknown_key_without_a_near_one_lists_what_there_is() {
    check(
        r#"[stack]
name = "demo"

[source.linux]
path = "linux"
colour = "red"
"#,
        r#"
error: unknown key `colour` in `source.linux`
 --> bootwright.toml:6:1
  |
6 | colour = "red"
  | ^^^^^^
  |
  = help: known keys: `path`, `ignore`
"#,
    );
}

#[test]
fn misspelt_section() {
    check(
        r#"[stack]
name = "demo"

[targets.disk]
kind = "filesystem"
"#,
        r#"
error: unknown key `targets`
 --> bootwright.toml:4:2
  |
4 | [targets.disk]
  |  ^^^^^^^
  |
  = help: did you mean `target`?
"#,
    );
}

#[test]
fn wrong_types_are_named_with_what_was_found() {
    check(
        r#"[stack]
name = "demo"

[env.tools]
distro     = "debian:bookworm"
recommends = "yes"
packages   = "gcc"
suites     = [1, "bookworm"]

[machine.vm]
env  = "tools"
cpus = 1.5
"#,
        r#"
error: `recommends` must be a boolean, not a string
 --> bootwright.toml:6:14
  |
6 | recommends = "yes"
  |              ^^^^^

error: `packages` must be a list, not a string
 --> bootwright.toml:7:14
  |
7 | packages   = "gcc"
  |              ^^^^^

error: an entry of `suites` must be a string, not an integer
 --> bootwright.toml:8:15
  |
8 | suites     = [1, "bookworm"]
  |               ^

error: `cpus` must be an integer, not a float
  --> bootwright.toml:12:8
   |
12 | cpus = 1.5
   |        ^^^
"#,
    );
}

#[test]
fn a_table_where_a_string_belongs() {
    check(
        r#"[stack]
name = "demo"

[env.tools.distro]
name = "debian"
"#,
        r#"
error: `distro` must be a string, not a table
 --> bootwright.toml:4:12
  |
4 | [env.tools.distro]
  |            ^^^^^^
"#,
    );
}

#[test]
fn missing_keys_point_at_their_table() {
    check(
        r#"[stack]
name = "demo"

[machine.vm]
cpus = 2

[target.tool]
env = "x"
"#,
        r#"
error: `machine.vm` has no `env`
 --> bootwright.toml:4:10
  |
4 | [machine.vm]
  |          ^^

error: `target.tool` has no `kind`: it is `command`, `cargo`, `make`, `xbuild`, `rootfs`, `initramfs`, `filesystem`, `disk`, `convert`, `kernel`, `kernel-package`, `extract`, `dtb`, `uki`, `igvm`, `signed`, `verity`, `grub` or `efi-variables`
 --> bootwright.toml:7:9
  |
7 | [target.tool]
  |         ^^^^
"#,
    );
}

#[test]
fn empty_file() {
    check(
        r#""#,
        r#"
error: the recipe has no `stack`
 --> bootwright.toml:1:1
  |
1 |
  | ^
"#,
    );
}

#[test]
fn unknown_kind() {
    check(
        r#"[stack]
name = "demo"

[target.tool]
kind = "comand"
"#,
        r#"
error: unknown kind `comand`
 --> bootwright.toml:5:8
  |
5 | kind = "comand"
  |        ^^^^^^^^
  |
  = help: did you mean `command`?
"#,
    );
}

#[test]
fn unknown_architecture_says_what_it_is_called_here() {
    check(
        r#"[stack]
name = "demo"

[machine.a]
arch = "x86_64"
env  = "e"

[machine.b]
arch = "arm65"
env  = "e"

[machine.c]
arch = "sparc"
env  = "e"

[env.e]
distro = "debian:bookworm"
"#,
        r#"
error: unknown architecture `x86_64`
 --> bootwright.toml:5:8
  |
5 | arch = "x86_64"
  |        ^^^^^^^^
  |
  = help: it is called `amd64` here

error: unknown architecture `arm65`
 --> bootwright.toml:9:8
  |
9 | arch = "arm65"
  |        ^^^^^^^
  |
  = help: did you mean `arm64`?

error: unknown architecture `sparc`
  --> bootwright.toml:13:8
   |
13 | arch = "sparc"
   |        ^^^^^^^
   |
   = help: known architectures: `amd64`, `arm64`, `riscv64`
"#,
    );
}
