//! Trees that are not what they should be.

use kconfig::Values;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{load, tree};

/// Loads a tree that has to be refused.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &str) {
    let directory = tree(files);
    std::os::unix::fs::symlink("/etc", directory.path().join("link")).unwrap();
    std::os::unix::fs::symlink("..", directory.path().join("up")).unwrap();
    let refused = load(directory.path()).unwrap_err().to_string();
    let own = directory.path().canonicalize().unwrap();
    assert_eq!(refused.replace(own.to_str().unwrap(), "TOP"), expected);
}

#[test]
fn nothing_outside_of_the_tree_is_read() {
    let outside = |path: &str| {
        format!("could not follow Kconfig:1, which sources `{path}`: it is outside of the source tree")
    };
    for path in ["/etc/passwd", "../x", "a/../../x", "", "."] {
        check(&[("Kconfig", &format!("source \"{path}\"\n"))], &outside(path));
    }
    for path in ["link/passwd", "up", "link/*"] {
        let named = path.trim_end_matches("/*");
        check(&[("Kconfig", &format!("source \"{path}\"\n"))], &outside(named));
    }
    check(
        &[("Kconfig", "source \"d/a\"\n"), ("d/a", "orsource \"../../x\"\n")],
        "could not follow d/a:1, which sources `../../x`: it is outside of the source tree",
    );
}

#[test]
fn files_that_cannot_be_read() {
    check(
        &[("Kconfig", "\nsource \"a\"\n")],
        "could not follow Kconfig:2, which sources `a`: there is no such file",
    );
    check(
        &[("Kconfig", "source \"d/*\"\n")],
        "could not follow Kconfig:1, which sources `d/*`: there is no such file",
    );
    check(&[("Kconfig", "source \"d\"\n"), ("d/a", "")], "could not read `TOP/d`");
    check(
        &[("Kconfig", "source \"$(shell,x)/a\"\n")],
        "could not follow Kconfig:1, which sources `\"$(shell,x)/a\"`: only a command can tell what it is",
    );
    check(&[("a", "")], "could not read `TOP/Kconfig`");
}

#[test]
fn endless_trees_end() {
    let cycle = [("Kconfig", "source \"a\"\n"), ("a", "rsource \"Kconfig\"\n")];
    check(&cycle, "could not follow a:1, which sources `Kconfig`: it is being read already");
    let nested: Vec<(String, String)> =
        (0..80).map(|number| (number.to_string(), format!("source \"{}\"\n", number + 1))).collect();
    let mut files: Vec<(&str, &str)> = vec![("Kconfig", "source \"0\"\n")];
    files.extend(nested.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    check(&files, "could not follow 62:1, which sources `63`: files are nested too deep");
    let blocks = "if A\n".repeat(100_000);
    check(&[("Kconfig", &blocks)], "`if` at Kconfig:65 is nested too deep");
    // Each file doubles the one before.
    let doubling: Vec<(String, String)> = (0..40)
        .map(|number| (number.to_string(), format!("source \"{0}\"\nsource \"{0}\"\n", number + 1)))
        .collect();
    let mut files: Vec<(&str, &str)> = vec![("Kconfig", "source \"0\"\n"), ("40", "")];
    files.extend(doubling.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let directory = tree(&files);
    assert!(load(directory.path()).unwrap_err().to_string().contains("there are too many files"));
}

#[test]
fn endless_expressions_and_macros_are_skipped() {
    let mut text = format!("config A\n\tdepends on {}B\n", "!".repeat(1_000_000));
    text += &format!("\tdepends on {}B{}\n", "(".repeat(1_000_000), ")".repeat(1_000_000));
    text += &format!("\tdepends on {}\n", "B && !C || ".repeat(100_000) + "D");
    text += &format!("x = {}y{}\nself = $(self)\na0 = aaaaaaaa\n", "$(".repeat(100_000), ")".repeat(100_000));
    text +=
        &(0..40).map(|number| format!("a{} = $(a{number})$(a{number})\n", number + 1)).collect::<String>();
    text += "config B\n\tbool \"b\"\n\tdepends on $(x) || $(self) || $(a40) || $(unterminated\n";
    let directory = tree(&[("Kconfig", &text)]);
    let kconfig = load(directory.path()).unwrap();
    assert_eq!(kconfig.problems().len(), 2);
    let verdict = kconfig.explain(&Values::parse(""), "B", "y").to_string();
    let expected = "depends on $(x) || $(self) || $(a40) || $(unterminated, \
                    of which only a command can tell what $(x) is (Kconfig:48)";
    assert_eq!(verdict, expected);
}

#[test]
fn a_symbol_of_many_choices_is_looked_at_once() {
    // Looking at all its definitions for each of them would be 400 million.
    let text = "choice\nconfig A\n\tbool \"a\"\n\tdepends on C\nconfig B\n\tbool \"b\"\n\tdepends on A && C\nendchoice\n";
    let directory = tree(&[("Kconfig", &text.repeat(20_000))]);
    let kconfig = load(directory.path()).unwrap();
    assert_eq!(kconfig.symbol("A").unwrap().definitions.len(), 20_000);
    let verdict = kconfig.explain(&Values::default(), "A", "y").to_string();
    assert_eq!(verdict, "depends on C, which no file of the tree defines (Kconfig:2)");
}

#[test]
fn only_the_best_definition_is_explained() {
    // With the causes of the causes of each, these would be eight billion.
    let define =
        |name: &str, needs: &str| format!("config {name}\n\tbool \"x\"\n\tdepends on {needs}\n").repeat(2000);
    let text = [define("A", "B"), define("B", "C"), define("C", "D"), "config D\n\tbool \"d\"\n".to_owned()]
        .concat();
    let directory = tree(&[("Kconfig", &text)]);
    let verdict = load(directory.path()).unwrap().explain(&Values::default(), "A", "y").to_string();
    let expected =
        "depends on B, which is n: B depends on C, which is n: C depends on D, which is n (Kconfig:1)";
    assert_eq!(verdict, expected);
}

#[test]
fn names_are_looked_at_up_to_a_bound() {
    let names: Vec<String> = (0..1000).map(|number| format!("d/{number}")).collect();
    let of = |text: &str| {
        let mut files: Vec<(&str, &str)> = vec![("Kconfig", text)];
        files.extend(names.iter().map(|name| (&name[..], "")));
        let directory = tree(&files);
        load(directory.path()).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(of(&"osource \"d/*x\"\n".repeat(190)), Ok(()));
    assert_eq!(
        of(&"osource \"d/*x\"\n".repeat(1000)).unwrap_err(),
        "could not follow Kconfig:200, which sources `d/*x`: too many names were looked at for it and those before it"
    );
    let long = "a/".repeat(2048) + "x";
    let refused = of(&format!("osource \"{long}\"\n")).unwrap_err();
    assert!(refused.ends_with("it is too long for a path"), "{refused}");
}

#[test]
fn text_that_macros_make_is_bounded() {
    // All of these would be 300 MB.
    let mut text = format!("a = {}\n", "x".repeat(16_000));
    text += &"config $(a)\n\tbool \"$(a)\"\n".repeat(10_000);
    let directory = tree(&[("Kconfig", &text)]);
    let kconfig = load(directory.path()).unwrap();
    let definitions = kconfig.symbols().flat_map(|symbol| &symbol.definitions);
    let texts = definitions.filter_map(|definition| Some(definition.prompt.as_ref()?.text.len()));
    let length = texts.sum::<usize>();
    assert!((1 << 20..16 << 20).contains(&length), "{length}");
}

#[test]
fn symbols_that_depend_on_each_other_are_explained() {
    let text =
        "config A\n\tbool \"a\"\n\tdepends on B\n\tselect A\nconfig B\n\tbool\n\tdepends on A\n\tdefault B\n";
    let directory = tree(&[("Kconfig", text)]);
    let verdict = load(directory.path()).unwrap().explain(&Values::default(), "A", "y").to_string();
    let expected =
        "depends on B, which is n: B depends on A, which is n: A depends on B, which is n (Kconfig:1)";
    assert_eq!(verdict, expected);
}

/// A line as there might be in a Kconfig file.
fn line() -> impl Strategy<Value = String> {
    let word = "(config|menuconfig|choice|endchoice|menu|endmenu|if|endif|comment|bool|tristate|int|hex|\
                string|default|def_bool|select|imply|range|prompt|depends on|visible if|help|---help---|\
                option|modules|A|B|C|y|m|n|5|\
                \"x\"|\"|'|&&|\\|\\||!|\\(|\\)|=|!=|<|:=|\\+=|\\$\\(|\\$\\(A,|\\)|\\$|\\\\|#|,|é|\t)";
    vec(word, 0..8).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lines_of_known_words_never_panic(
        lines in vec(line(), 0..30),
        config in "(CONFIG_[ABC]=[ymn5\"]\n){0,4}",
    ) {
        let directory = tree(&[("Kconfig", &lines.join("\n"))]);
        let values = Values::parse(&config);
        if let Ok(kconfig) = load(directory.path()) {
            for symbol in kconfig.symbols() {
                for wanted in ["y", "m", "n", "5", "\"", ""] {
                    let verdict = kconfig.explain(&values, &symbol.name, wanted).to_string();
                    prop_assert!(!verdict.is_empty());
                }
            }
        }
    }

    #[test]
    fn bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        let directory = tree(&[]);
        std::fs::write(directory.path().join("Kconfig"), &bytes).unwrap();
        let _ = load(directory.path());
        let _ = Values::parse(&String::from_utf8_lossy(&bytes));
    }
}
