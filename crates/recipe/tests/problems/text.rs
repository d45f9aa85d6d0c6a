//! Names, knobs, conditions, syntax.

use crate::check;

#[test]
fn invalid_names() {
    check(
        r#"[stack]
name = "My Stack"

[knob]
arch = "arm64"

[env."../x"]
distro = "debian:bookworm"

[target.Disk]
kind = "rootfs"
"#,
        r#"
error: invalid name `My Stack`
 --> bootwright.toml:2:8
  |
2 | name = "My Stack"
  |        ^^^^^^^^^^
  |
  = help: a name has lower-case letters, digits, `.`, `_` and `-`, and starts with a letter or digit

error: invalid knob name `arch`
 --> bootwright.toml:5:1
  |
5 | arch = "arm64"
  | ^^^^
  |
  = help: a knob is named like an environment variable: `ARCH`, `WITH_TESTS`

error: invalid name `../x`
 --> bootwright.toml:7:6
  |
7 | [env."../x"]
  |      ^^^^^^
  |
  = help: a name has lower-case letters, digits, `.`, `_` and `-`, and starts with a letter or digit

error: invalid name `Disk`
  --> bootwright.toml:10:9
   |
10 | [target.Disk]
   |         ^^^^
   |
   = help: a name has lower-case letters, digits, `.`, `_` and `-`, and starts with a letter or digit
"#,
    );
}

#[test]
fn knob_defaults_must_fit() {
    check(
        r#"[stack]
name = "demo"

[knob]
ARCH  = { default = "arm65", values = ["arm64", "amd64"] }
COUNT = { default = "many", type = "int" }
NEEDED = { description = "has no default" }
BAD = []
"#,
        r#"
error: the default of knob `ARCH` is not one of its values
 --> bootwright.toml:5:21
  |
5 | ARCH  = { default = "arm65", values = ["arm64", "amd64"] }
  |                     ^^^^^^^
  |
  = help: it can be `arm64` or `amd64`

error: `many` is not of the type of knob `COUNT`
 --> bootwright.toml:6:21
  |
6 | COUNT = { default = "many", type = "int" }
  |                     ^^^^^^
  |
  = help: the type is `int`

error: knob `NEEDED` is not set and has no default
 --> bootwright.toml:7:10
  |
7 | NEEDED = { description = "has no default" }
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: set it with `--set NEEDED=…`, or give it a `default`

error: `BAD` must be a string, a boolean or an integer, not a list
 --> bootwright.toml:8:7
  |
8 | BAD = []
  |       ^^
"#,
    );
}

#[test]
fn interpolation_of_unknown_names() {
    check(
        r#"[stack]
name = "demo"

[knob]
ARCH = "arm64"

[env.tools]
distro = "debian:bookworm"

[target.tool]
kind = "command"
env  = "tools"
run  = "echo ${ARCJ} $HOME $$ ${PATH:-x} ${stack.nam} ${open"
"#,
        r#"
error: `${` without `}`
  --> bootwright.toml:13:14
   |
13 | run  = "echo ${ARCJ} $HOME $$ ${PATH:-x} ${stack.nam} ${open"
   |              ^^
   |
   = help: `$${` stands for `${` itself

error: `ARCJ` is not a knob
  --> bootwright.toml:13:14
   |
13 | run  = "echo ${ARCJ} $HOME $$ ${PATH:-x} ${stack.nam} ${open"
   |              ^^^^^^^
   |
   = help: did you mean `${ARCH}`? a variable of the shell is written `$${ARCJ}`

error: `PATH:-x` is not a knob
  --> bootwright.toml:13:31
   |
13 | run  = "echo ${ARCJ} $HOME $$ ${PATH:-x} ${stack.nam} ${open"
   |                               ^^^^^^^^^^
   |
   = help: a variable of the shell is written `$${PATH:-x}`

error: `stack.nam` is not a knob
  --> bootwright.toml:13:42
   |
13 | run  = "echo ${ARCJ} $HOME $$ ${PATH:-x} ${stack.nam} ${open"
   |                                          ^^^^^^^^^^^^
   |
   = help: did you mean `${stack.name}`? a variable of the shell is written `$${stack.nam}`
"#,
    );
}

#[test]
fn conditions_are_checked() {
    check(
        r#"[stack]
name = "demo"

[knob]
ARCH = { default = "arm64", values = ["arm64", "amd64"] }

[target.r.when."ARCH=arm65"]
hostname = "a"

[target.r.when."ARHC=arm64"]
hostname = "b"

[target.r.when."arm64"]
hostname = "c"

[target.r]
kind = "rootfs"
"#,
        r#"
error: knob `ARCH` is never `arm65`
 --> bootwright.toml:7:17
  |
7 | [target.r.when."ARCH=arm65"]
  |                 ^^^^^^^^^^
  |
  = help: did you mean `arm64`?

error: condition on unknown knob `ARHC`
  --> bootwright.toml:10:17
   |
10 | [target.r.when."ARHC=arm64"]
   |                 ^^^^^^^^^^
   |
   = help: did you mean `ARCH`?

error: `arm64` is not a condition
  --> bootwright.toml:13:17
   |
13 | [target.r.when."arm64"]
   |                 ^^^^^
   |
   = help: write it as in `ARCH=arm64` or `ARCH!=arm64`
"#,
    );
}

#[test]
fn overlays_not_in_force_are_checked() {
    check(
        r#"[stack]
name = "demo"

[knob]
ARCH = { default = "arm64", values = ["arm64", "amd64"] }

[env.tools]
distro   = "debian:bookworm"
packages = ["gcc"]

[env.tools.when."ARCH=amd64"]
packages = ["not a package"]
mirrors  = "x"

[target.disk]
kind   = "filesystem"
rootfs = "rootfs"
when."ARCH=amd64" = { rootfs = "small" }

[target.rootfs]
kind = "rootfs"
"#,
        r#"
error: invalid package name `not a package`
  --> bootwright.toml:12:13
   |
12 | packages = ["not a package"]
   |             ^^^^^^^^^^^^^^^
   |
   = help: write `name`, or with an architecture or version `name:arm64`, `name=1.2-3`

error: unknown key `mirrors` in `env.tools`
  --> bootwright.toml:13:1
   |
13 | mirrors  = "x"
   | ^^^^^^^
   |
   = help: did you mean `mirror`?

error: unknown target `small`
  --> bootwright.toml:18:32
   |
18 | when."ARCH=amd64" = { rootfs = "small" }
   |                                ^^^^^^^
   |
   = help: known targets: `disk`, `rootfs`
"#,
    );
}

#[test]
fn syntax_errors_come_with_the_rest() {
    check(
        r#"[stack
name = "demo"

[env.tools]
distro = debian
pakages = ["gcc"]
"#,
        r#"
error: not valid TOML: unclosed table, expected `]`
 --> bootwright.toml:1:7
  |
1 | [stack
  |       ^

error: not valid TOML: string values must be quoted, expected literal string
 --> bootwright.toml:5:10
  |
5 | distro = debian
  |          ^^^^^^

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
fn a_key_written_twice() {
    check(
        r#"[stack]
name = "demo"
name = "other"
"#,
        r#"
error: not valid TOML: duplicate key
 --> bootwright.toml:3:1
  |
3 | name = "other"
  | ^^^^
"#,
    );
}
