//! What refers to something that is not there, or to itself.

use crate::check;

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
