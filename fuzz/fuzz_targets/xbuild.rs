//! Recipes of COCONUT: any text is understood or told what is wrong with it, and what is understood has commands.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use recipe::SourceFile;
use recipe::xbuild::{Firmwares, Options, Strictness, parse, plan};

fuzz_target!(|text: &str| {
    let file = Arc::new(SourceFile { name: "recipe.json".to_owned(), text: text.to_owned() });
    for strictness in [Strictness::Strict, Strictness::Upstream] {
        let parsed = parse(&file, strictness);
        assert_eq!(parsed.recipe.is_some(), parsed.problems.is_empty());
        for problem in parsed.problems.iter().chain(&parsed.warnings) {
            let _ = problem.render_plain();
        }
        let Some(recipe) = parsed.recipe else { continue };
        let planned = plan(&[recipe], &Options::default(), &Firmwares::new());
        assert!(planned.parts.iter().all(|part| !part.command.is_empty()));
    }
});
