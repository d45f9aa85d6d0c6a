//! Every kind of wrong input, with the whole text that people see.

use recipe::{Settings, parse};

#[track_caller]
fn check(recipe: &str, expected: &str) {
    let (stack, problems) = parse(recipe, &Settings::default());
    let rendered: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(rendered.join("\n\n"), expected.trim());
    assert_eq!(stack.is_some(), problems.is_empty(), "there is a stack when there is no problem");
}

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
  = help: known keys: `path`
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

[target.disk]
kind = "filesystem"

[target.tool]
env = "x"
"#,
        r#"
error: `target.disk` has no `rootfs`
 --> bootwright.toml:4:9
  |
4 | [target.disk]
  |         ^^^^

error: `target.tool` has no `kind`: it is `command`, `rootfs`, `initramfs`, `filesystem`, `kernel` or `extract`
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

#[test]
fn unknown_references() {
    check(
        r#"[stack]
name = "demo"
default = ["dsk"]

[env.tools]
distro = "debian:bookworm"

[target.disk]
kind   = "filesystem"
rootfs = "rootfz"

[target.rootfs]
kind = "rootfs"

[target.tool]
kind    = "command"
env     = "tool"
sources = ["linux"]
inputs  = { x = "disk/disk.ext5" }
run     = "true"

[test.boots]
machine = "vm"
"#,
        r#"
error: unknown target `dsk`
 --> bootwright.toml:3:12
  |
3 | default = ["dsk"]
  |            ^^^^^
  |
  = help: did you mean `disk`?

error: unknown target `rootfz`
  --> bootwright.toml:10:10
   |
10 | rootfs = "rootfz"
   |          ^^^^^^^^
   |
   = help: did you mean `rootfs`?

error: unknown environment `tool`
  --> bootwright.toml:17:11
   |
17 | env     = "tool"
   |           ^^^^^^
   |
   = help: did you mean `tools`?

error: unknown source `linux`
  --> bootwright.toml:18:12
   |
18 | sources = ["linux"]
   |            ^^^^^^^
   |
   = help: the project has no sources

error: target `disk` leaves no `disk.ext5`
  --> bootwright.toml:19:17
   |
19 | inputs  = { x = "disk/disk.ext5" }
   |                 ^^^^^^^^^^^^^^^^
   |
   = help: did you mean `disk.ext4`?

error: unknown machine `vm`
  --> bootwright.toml:23:11
   |
23 | machine = "vm"
   |           ^^^^
   |
   = help: the project has no machines
"#,
    );
}

#[test]
fn a_reference_is_checked_even_where_other_keys_are_wrong() {
    check(
        r#"[stack]
name = "demo"

[target.tool]
kind = "command"
env  = "nowhere"
run  = []
"#,
        r#"
error: unknown environment `nowhere`
 --> bootwright.toml:6:8
  |
6 | env  = "nowhere"
  |        ^^^^^^^^^
  |
  = help: the project has no environments

error: `run` is empty
 --> bootwright.toml:7:8
  |
7 | run  = []
  |        ^^
  |
  = help: write a script, or a program and its arguments
"#,
    );
}

#[test]
fn a_target_of_another_kind() {
    check(
        r#"[stack]
name = "demo"

[env.tools]
distro = "debian:bookworm"

[target.tree]
kind = "command"
env  = "tools"
run  = "true"

[target.disk]
kind   = "filesystem"
rootfs = "tree"
"#,
        r#"
error: target `tree` is not a rootfs
  --> bootwright.toml:14:10
   |
 7 | [target.tree]
   |         ---- it is of kind `command`
...
14 | rootfs = "tree"
   |          ^^^^^^
   |
   = help: the project has no targets of that kind
"#,
    );
}

#[test]
fn targets_that_need_each_other_are_drawn_as_a_chain() {
    check(
        r#"[stack]
name = "demo"

[env.tools]
distro = "debian:bookworm"

[target.a]
kind   = "command"
env    = "tools"
inputs = { b = "b" }
run    = "true"

[target.b]
kind   = "command"
env    = "tools"
inputs = { c = "c" }
run    = "true"

[target.c]
kind   = "command"
env    = "tools"
inputs = { a = "a" }
run    = "true"
"#,
        r#"
error: targets need each other: `a` → `b` → `c` → `a`
  --> bootwright.toml:22:16
   |
10 | inputs = { b = "b" }
   |                --- `a` needs `b` here
...
16 | inputs = { c = "c" }
   |                --- `b` needs `c` here
...
22 | inputs = { a = "a" }
   |                ^^^
   |
   = help: one of these references has to go
"#,
    );
}

#[test]
fn a_target_that_needs_itself() {
    check(
        r#"[stack]
name = "demo"

[target.a]
kind   = "rootfs"
layers = ["a"]
"#,
        r#"
error: target `a` needs itself
 --> bootwright.toml:6:11
  |
6 | layers = ["a"]
  |           ^^^
  |
  = help: one of these references has to go
"#,
    );
}

#[test]
fn environments_that_extend_each_other() {
    check(
        r#"[stack]
name = "demo"

[env.a]
extends = "b"

[env.b]
extends = "a"
"#,
        r#"
error: environments extend each other: `a` → `b` → `a`
 --> bootwright.toml:8:11
  |
5 | extends = "b"
  |           --- `a` extends `b` here
...
8 | extends = "a"
  |           ^^^
  |
  = help: one of these references has to go
"#,
    );
}

#[test]
fn an_environment_without_distribution() {
    check(
        r#"[stack]
name = "demo"

[env.a]
packages = ["gcc"]

[env.b]
extends = "a"
"#,
        r#"
error: environment `a` has no `distro`
 --> bootwright.toml:4:6
  |
4 | [env.a]
  |      ^
  |
  = help: name the distribution, as in `distro = "debian:bookworm"`

error: environment `b` has no `distro`
 --> bootwright.toml:7:6
  |
7 | [env.b]
  |      ^
  |
  = help: name the distribution, as in `distro = "debian:bookworm"`
"#,
    );
}

#[test]
fn unknown_distribution() {
    check(
        r#"[stack]
name = "demo"

[env.a]
distro = "debain:bookworm"

[env.b]
distro = "debian"

[env.c]
distro = "plan9:4"
"#,
        r#"
error: unknown distribution `debain`
 --> bootwright.toml:5:10
  |
5 | distro = "debain:bookworm"
  |          ^^^^^^^^^^^^^^^^^
  |
  = help: did you mean `debian`?

error: `debian` does not name a release
 --> bootwright.toml:8:10
  |
8 | distro = "debian"
  |          ^^^^^^^^
  |
  = help: write the code name too, as in `debian:bookworm`

error: unknown distribution `plan9`
  --> bootwright.toml:11:10
   |
11 | distro = "plan9:4"
   |          ^^^^^^^^^
   |
   = help: known distributions: `debian`
"#,
    );
}

#[test]
fn sources_have_exactly_one_origin() {
    check(
        r#"[stack]
name = "demo"

[source.a]
sha256 = "00"

[source.b]
url = "https://example.org/b.tar.gz"
git = "https://example.org/b"

[source.c]
url = "example.org/c.tar.gz"
rev = "v1"
"#,
        r#"
error: `source.a` has no `url`, `git`, `path` or `debian-source`: one of them says what it is
 --> bootwright.toml:4:9
  |
4 | [source.a]
  |         ^

error: `url` and `git` exclude each other
 --> bootwright.toml:9:1
  |
8 | url = "https://example.org/b.tar.gz"
  | --- given here
9 | git = "https://example.org/b"
  | ^^^
  |
  = help: keep one of them

error: `example.org/c.tar.gz` is not an address to fetch from
  --> bootwright.toml:12:7
   |
12 | url = "example.org/c.tar.gz"
   |       ^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write `https://…`; what lies in the project is a `path`

error: unknown key `rev` in `source.c`
  --> bootwright.toml:13:1
   |
13 | rev = "v1"
   | ^^^
   |
   = help: known keys: `url`, `sha256`, `unpack`
"#,
    );
}

#[test]
fn duplicate_outputs() {
    check(
        r#"[stack]
name = "demo"

[env.tools]
distro = "debian:bookworm"

[target.tool]
kind    = "command"
env     = "tools"
run     = "make"
outputs = ["bin/tool", "doc", "bin/tool", "doc/index.html", "../up", "/abs"]
"#,
        r#"
error: output `bin/tool` is listed twice
  --> bootwright.toml:11:31
   |
11 | outputs = ["bin/tool", "doc", "bin/tool", "doc/index.html", "../up", "/abs"]
   |            ----------         ^^^^^^^^^^
   |            |
   |            first listed here

error: outputs `doc` and `doc/index.html` lie in each other
  --> bootwright.toml:11:43
   |
11 | outputs = ["bin/tool", "doc", "bin/tool", "doc/index.html", "../up", "/abs"]
   |                        -----              ^^^^^^^^^^^^^^^^
   |                        |
   |                        first listed here

error: invalid path `../up`
  --> bootwright.toml:11:61
   |
11 | outputs = ["bin/tool", "doc", "bin/tool", "doc/index.html", "../up", "/abs"]
   |                                                             ^^^^^^^
   |
   = help: a path cannot lead out with `..`

error: invalid path `/abs`
  --> bootwright.toml:11:70
   |
11 | outputs = ["bin/tool", "doc", "bin/tool", "doc/index.html", "../up", "/abs"]
   |                                                                      ^^^^^^
   |
   = help: write it relative, without a leading slash
"#,
    );
}

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

#[test]
fn root_file_system_paths() {
    check(
        r#"[stack]
name = "demo"

[target.rootfs]
kind        = "rootfs"
packages    = ["hello", "hello"]
files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
symlinks    = { "/x" = "y" }
directories = { "/srv/../etc" = {} }
hostname    = "no_underscores"
"#,
        r#"
error: packages without a distribution
 --> bootwright.toml:4:9
  |
4 | [target.rootfs]
  |         ^^^^^^
  |
  = help: name it, as in `distro = "debian:bookworm"`

error: package `hello` is listed twice
 --> bootwright.toml:6:25
  |
6 | packages    = ["hello", "hello"]
  |                -------  ^^^^^^^
  |                |
  |                first listed here

error: invalid path `etc/motd`
 --> bootwright.toml:7:17
  |
7 | files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
  |                 ^^^^^^^^^^
  |
  = help: write it absolute: `/etc/motd`

error: `content` and `file` exclude each other
 --> bootwright.toml:7:64
  |
7 | files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
  |                                                 -------        ^^^^
  |                                                 |
  |                                                 given here
  |
  = help: keep one of them

error: `target.rootfs.files."/etc/b"` has no `content`, `file` or `target`: one of them says what it is
 --> bootwright.toml:7:89
  |
7 | files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
  |                                                                                         ^^^^^^^^^^^^^^^

error: `rw` is not a file mode
 --> bootwright.toml:7:98
  |
7 | files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
  |                                                                                                  ^^^^
  |
  = help: write three or four octal digits in quotes, as in `"0644"`

error: `/x` is a file and a symbolic link
 --> bootwright.toml:8:24
  |
7 | files       = { "etc/motd" = "hi", "/etc/a" = { content = "a", file = "a" }, "/etc/b" = { mode = "rw" }, "/x" = "" }
  |                                                                                                                 -- first written here
8 | symlinks    = { "/x" = "y" }
  |                        ^^^

error: invalid path `/srv/../etc`
 --> bootwright.toml:9:17
  |
9 | directories = { "/srv/../etc" = {} }
  |                 ^^^^^^^^^^^^^
  |
  = help: a path cannot lead out with `..`

error: invalid host name `no_underscores`
  --> bootwright.toml:10:15
   |
10 | hostname    = "no_underscores"
   |               ^^^^^^^^^^^^^^^^
   |
   = help: a host name has letters, digits, `-` and `.`
"#,
    );
}

#[test]
fn users_and_groups() {
    check(
        r#"[stack]
name = "demo"

[target.rootfs]
kind   = "rootfs"
groups = { wheel = { gid = 1000 } }

[target.rootfs.users]
alice = { uid = 1000 }
bob   = { uid = 1000, password = "a:b" }
carol = { uid = -1 }
dave  = {}
"#,
        r#"
error: groups `bob` and `wheel` have the same number 1000
 --> bootwright.toml:6:20
  |
6 | groups = { wheel = { gid = 1000 } }
  |                    ^^^^^^^^^^^^^^

error: user `bob`: `a:b` has a colon or a line break
  --> bootwright.toml:10:9
   |
10 | bob   = { uid = 1000, password = "a:b" }
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: users `alice` and `bob` have the same number 1000
  --> bootwright.toml:10:9
   |
10 | bob   = { uid = 1000, password = "a:b" }
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: -1 is out of range
  --> bootwright.toml:11:17
   |
11 | carol = { uid = -1 }
   |                 ^^
   |
   = help: the range is 0 to 4294967295

error: `target.rootfs.users.dave` has no `uid`
  --> bootwright.toml:12:9
   |
12 | dave  = {}
   |         ^^
"#,
    );
}

#[test]
fn machines() {
    check(
        r#"[stack]
name = "demo"

[env.qemu]
distro = "debian:bookworm"

[target.kernel]
kind    = "kernel"
distro  = "debian:bookworm"
package = "linux-image-arm64"
arch    = "arm64"

[target.tool]
kind = "command"
env  = "qemu"
run  = "true"

[machine.a]
env    = "qemu"
cpus   = 0
memory = "512"
kernel = "kernel"
disks  = [{ target = "tool" }, { target = "tool/x", format = "vdi" }]

[machine.b]
env     = "qemu"
memory  = "100K"
initrd  = "tool/x"
cmdline = "quiet"
"#,
        r#"
error: machine `a` has no processor
  --> bootwright.toml:20:10
   |
20 | cpus   = 0
   |          ^

error: `512` is not a size
  --> bootwright.toml:21:10
   |
21 | memory = "512"
   |          ^^^^^
   |
   = help: write a whole number and a unit, as in `64K`, `512M` or `2G`

error: machine `a` is amd64 and its kernel arm64
  --> bootwright.toml:22:10
   |
11 | arch    = "arm64"
   |           ------- of the kernel
...
22 | kernel = "kernel"
   |          ^^^^^^^^

error: a disk image is one file, and target `tool` leaves several or undeclared ones
  --> bootwright.toml:23:22
   |
23 | disks  = [{ target = "tool" }, { target = "tool/x", format = "vdi" }]
   |                      ^^^^^^
   |
   = help: say which: `tool/…`, and list it in the target's `outputs`

error: unknown disk format `vdi`
  --> bootwright.toml:23:62
   |
23 | disks  = [{ target = "tool" }, { target = "tool/x", format = "vdi" }]
   |                                                              ^^^^^
   |
   = help: known disk formats: `raw`, `qcow2`

error: a kernel command line without a kernel
  --> bootwright.toml:25:10
   |
25 | [machine.b]
   |          ^
   |
   = help: give the machine a `kernel`, too

error: memory comes in whole MiB
  --> bootwright.toml:27:11
   |
27 | memory  = "100K"
   |           ^^^^^^
   |
   = help: write it as in `512M` or `2G`

error: an initrd without a kernel
  --> bootwright.toml:28:11
   |
28 | initrd  = "tool/x"
   |           ^^^^^^^^
   |
   = help: give the machine a `kernel`, too
"#,
    );
}

#[test]
fn tests() {
    check(
        r#"[stack]
name = "demo"

[env.qemu]
distro = "debian:bookworm"

[machine.vm]
env = "qemu"

[test.boots]
machine = "vm"
expect  = ["", { sned = "x" }, 3]
timeout = "5 minutes"
end     = "poweroff"
"#,
        r#"
error: `test.boots.expect` has no `send`
  --> bootwright.toml:12:16
   |
12 | expect  = ["", { sned = "x" }, 3]
   |                ^^^^^^^^^^^^^^

error: unknown key `sned` in `test.boots.expect`
  --> bootwright.toml:12:18
   |
12 | expect  = ["", { sned = "x" }, 3]
   |                  ^^^^
   |
   = help: did you mean `send`?

error: an entry of `expect` must be a string or `{ send = … }`, not an integer
  --> bootwright.toml:12:32
   |
12 | expect  = ["", { sned = "x" }, 3]
   |                                ^

error: `5 minutes` is not a time span
  --> bootwright.toml:13:11
   |
13 | timeout = "5 minutes"
   |           ^^^^^^^^^^^
   |
   = help: write a whole number and a unit, as in `30s`, `5m` or `1h`

error: unknown end `poweroff`
  --> bootwright.toml:14:11
   |
14 | end     = "poweroff"
   |           ^^^^^^^^^^
   |
   = help: it is called `power-off` here
"#,
    );
}

#[test]
fn modules_of_another_architecture() {
    check(
        r#"[stack]
name = "demo"

[target.kernel]
kind    = "kernel"
distro  = "debian:bookworm"
package = "linux-image-amd64"

[target.initrd]
kind    = "initramfs"
arch    = "arm64"
modules = { kernel = "kernel", names = ["ext4"] }
init    = { file = "init.sh" }
"#,
        r#"
error: modules of a kernel for amd64
  --> bootwright.toml:12:22
   |
12 | modules = { kernel = "kernel", names = ["ext4"] }
   |                      ^^^^^^^^
   |
   = help: the initramfs is for arm64
"#,
    );
}

#[test]
fn values_that_are_not_what_they_should_be() {
    check(
        r#"[stack]
name   = "demo"
epoch  = -1
format = 2

[target.disk]
kind   = "filesystem"
rootfs = "rootfs"
size   = "1 gig"
uuid   = "1234"
label  = "a label that is too long"
type   = "btrfs"

[target.rootfs]
kind     = "rootfs"
distro   = "debian:bookworm"
packages = ["Hello", "hello=1:2.10-3", "hello:arm64"]
"#,
        r#"
error: `epoch` is before 1970
 --> bootwright.toml:3:10
  |
3 | epoch  = -1
  |          ^^

error: unknown recipe format 2
 --> bootwright.toml:4:10
  |
4 | format = 2
  |          ^
  |
  = help: this program knows format 1; a newer one may know more

error: `1 gig` is not a size
 --> bootwright.toml:9:10
  |
9 | size   = "1 gig"
  |          ^^^^^^^
  |
  = help: write a whole number and a unit, as in `64K`, `512M` or `2G`

error: `1234` is not a UUID
  --> bootwright.toml:10:10
   |
10 | uuid   = "1234"
   |          ^^^^^^
   |
   = help: write it as in `ad6871ee-31f9-4cf3-9e09-6f7a25c30050`

error: unknown file system `btrfs`
  --> bootwright.toml:12:10
   |
12 | type   = "btrfs"
   |          ^^^^^^^
   |
   = help: known file systems: `ext4`

error: invalid package name `Hello`
  --> bootwright.toml:17:13
   |
17 | packages = ["Hello", "hello=1:2.10-3", "hello:arm64"]
   |             ^^^^^^^
   |
   = help: write `name`, or with an architecture or version `name:arm64`, `name=1.2-3`
"#,
    );
}

#[test]
fn unicode_and_tabs_do_not_move_the_caret() {
    check(
        r#"[stack]
name = "demo"

[source."größe"]
	path = "/größe"	colour = 1
"#,
        r#"
error: invalid name `größe`
 --> bootwright.toml:4:9
  |
4 | [source."größe"]
  |         ^^^^^^^
  |
  = help: a name has lower-case letters, digits, `.`, `_` and `-`, and starts with a letter or digit

error: not valid TOML: unexpected key or value, expected newline, `#`
 --> bootwright.toml:5:18
  |
5 |     path = "/größe"    colour = 1
  |                        ^
"#,
    );
}
