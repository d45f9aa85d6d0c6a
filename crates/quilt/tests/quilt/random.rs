//! Random patches: those that describe a change make it, all others do no harm.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use quilt::{Options, Patch};

use crate::world::World;

/// One line of the old file, and what comes before it and becomes of it.
#[derive(Clone, Debug)]
struct Edit {
    line: String,
    inserted: Vec<String>,
    deleted: bool,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let line = || "[abc]{0,2}";
    let edit = (line(), vec(line(), 0..3), 0..6_u8, 0..3_u8).prop_map(|(line, inserted, insert, delete)| {
        Edit { line, inserted: if insert == 0 { inserted } else { Vec::new() }, deleted: delete == 0 }
    });
    vec(edit, 0..40)
}

/// Returns the old text, the new one and the patch with `context` lines around each change.
fn describe(edits: &[Edit], context: usize) -> (String, String, String) {
    let mut rows: Vec<(char, &str)> = Vec::new();
    for edit in edits {
        rows.extend(edit.inserted.iter().map(|line| ('+', line.as_str())));
        rows.push((if edit.deleted { '-' } else { ' ' }, edit.line.as_str()));
    }
    let side = |sign: char| -> String {
        let rows = rows.iter().filter(|(found, _)| *found != sign);
        rows.map(|(_, line)| format!("{line}\n")).collect()
    };
    let mut patch = String::from("--- a/f\n+++ b/f\n");
    let mut start = 0;
    while let Some(first) = rows[start..].iter().position(|(sign, _)| *sign != ' ') {
        let begin = (start + first).saturating_sub(context).max(start);
        let mut end = start + first;
        while let Some(next) = rows[end..].iter().position(|(sign, _)| *sign != ' ') {
            if next > 2 * context {
                break;
            }
            end += next + 1;
        }
        let end = (end + context).min(rows.len());
        let count =
            |rows: &[(char, &str)], sign: char| rows.iter().filter(|(found, _)| *found != sign).count();
        let [old, new] = ['+', '-'].map(|sign| {
            let (before, length) = (count(&rows[..begin], sign), count(&rows[begin..end], sign));
            format!("{},{length}", before + usize::from(length > 0))
        });
        writeln!(patch, "@@ -{old} +{new} @@").unwrap();
        rows[begin..end].iter().for_each(|(sign, line)| writeln!(patch, "{sign}{line}").unwrap());
        start = end;
    }
    (side('+'), side('-'), patch)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_described_change_is_made(edits in edits(), context in 0..4_usize) {
        let (old, new, patch) = describe(&edits, context);
        prop_assume!(old != new && !new.is_empty() && !old.is_empty());
        let world = World::new(&[("f", &old)]);
        world.apply(&patch, Options::default()).unwrap();
        prop_assert_eq!(std::fs::read_to_string(world.root().join("f")).unwrap(), new);
    }

    #[test]
    fn a_text_like_a_patch_does_no_harm(
        lines in vec(
            prop_oneof![
                "(---|\\+\\+\\+) (a/f|b/g|b/d/f|/dev/null|a/l/x)(\t1970-01-01 00:00:00)?",
                "@@ -[0-3](,[0-3])? \\+[0-3](,[0-3])? @@",
                "[ +-][ab]",
                "diff --git a/[fgl] b/[fgl]",
                "(old|new|new file|deleted file) mode (100644|100755|120000)",
                "(rename|copy) (from|to) [fg]",
                "index (0000000|e69de29|1234)\\.\\.(0000000|e69de29|1234)",
                "\\\\ No newline",
                "",
            ],
            0..14,
        ),
        fuzz in 0..3_usize,
    ) {
        let text = lines.join("\n");
        let world = World::new(&[("f", "a\nb\na"), ("d/f", "a\n"), ("l@", "d")]);
        let before = world.draw();
        if let Ok(patch) = Patch::parse(text.as_bytes(), 1)
            && world.tree().apply(&patch, Options { fuzz, remove_empty: true }, None).is_err()
        {
            prop_assert_eq!(world.draw(), before);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300), strip in 0..3_usize) {
        let _ = Patch::parse(&bytes, strip);
    }
}
