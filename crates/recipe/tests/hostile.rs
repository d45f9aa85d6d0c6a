//! No input panics, and every problem can be shown.

use proptest::prelude::*;
use recipe::{Lock, Settings, fuzz};

const QUICKSTART: &str = include_str!("../../../examples/quickstart/bootwright.toml");

/// Pieces that make many different mistakes when put together at random.
const PIECES: [&str; 48] = [
    "[stack]\n",
    "name = \"demo\"\n",
    "[knob]\n",
    "A = 1\n",
    "B = { default = \"x\", values = [\"x\", \"y\"] }\n",
    "[env.e]\n",
    "[env.\"\u{1f600}\"]\n",
    "distro = \"debian:bookworm\"\n",
    "extends = \"e\"\n",
    "packages = [\"a\", 1, {}]\n",
    "[target.t]\n",
    "[target.u.when.\"A=1\"]\n",
    "[target.t.when.\"B!=x,A=2|3\"]\n",
    "kind = \"command\"\n",
    "kind = \"rootfs\"\n",
    "kind = \"initramfs\"\n",
    "kind = \"filesystem\"\n",
    "kind = \"kernel-package\"\n",
    "kind = \"extract\"\n",
    "run = \"${A} $$ ${ ${B}\"\n",
    "run = []\n",
    "layers = [\"t\", \"u\"]\n",
    "rootfs = \"t\"\n",
    "inputs = { a = \"t\", b = \"u/x\" }\n",
    "env = \"e\"\n",
    "init = \"x\"\n",
    "files = { \"/a\" = {}, \"b\" = \"\" }\n",
    "[machine.m]\n",
    "kernel = \"t\"\n",
    "disks = [{ target = \"t\" }]\n",
    "[test.t]\n",
    "machine = \"m\"\n",
    "expect = [\"\", { send = 1 }]\n",
    "include = [\"x\", \"../..\"]\n",
    "[[target]]\n",
    "[target]\n",
    "when = 1\n",
    "memory = \"1G\"\n",
    "cpus = \"${A}\"\n",
    "\"",
    "'''",
    "\t",
    "\r",
    "\u{feff}",
    "= [[[[",
    "a.b.c.d = 1\n",
    "\0",
    "}\n",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn any_text(text in any::<String>()) {
        fuzz(&text);
    }

    #[test]
    fn pieces_in_any_order(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24)) {
        fuzz(&pieces.concat());
    }

    #[test]
    fn a_good_recipe_with_a_piece_missing(start in 0..QUICKSTART.len(), length in 0..40_usize, piece in prop::sample::select(&PIECES[..])) {
        let end = (start + length).min(QUICKSTART.len());
        if QUICKSTART.is_char_boundary(start) && QUICKSTART.is_char_boundary(end) {
            fuzz(&format!("{}{piece}{}", &QUICKSTART[..start], &QUICKSTART[end..]));
        }
    }
}

#[test]
fn deep_and_long_input() {
    for text in [
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("[{}x]", "x.".repeat(100_000)),
        format!("{}x = 1", "x.".repeat(100_000)),
        format!("[stack]\nname = \"{}\"", "$".repeat(100_000)),
        (0..3000)
            .map(|n| format!("[target.t{n}]\nkind = \"rootfs\"\nlayers = [\"t{}\"]\n", (n + 1) % 3000))
            .collect(),
    ] {
        let (_, problems) = recipe::parse(&text, &Settings::default());
        assert!(!problems.is_empty());
        assert!(Lock::parse(&text).is_err());
        for problem in problems.iter().take(20) {
            assert!(!problem.render_styled().is_empty());
        }
    }
}
