//! Why a symbol is not what was asked for.

use kconfig::Values;

use crate::{load, tree};

/// Asks for `NAME=VALUE` of a tree of one file, in words separated by commas what `.config` has.
#[track_caller]
fn check(text: &str, config: &str, asked: &str, expected: &str) {
    let directory = tree(&[("Kconfig", text)]);
    let kconfig = load(directory.path()).unwrap();
    assert_eq!(kconfig.problems(), []);
    let config: String = config.split_whitespace().map(|line| format!("CONFIG_{line}\n")).collect();
    let (symbol, wanted) = asked.split_once('=').unwrap();
    let verdict = kconfig.explain(&Values::parse(&config), symbol, wanted).to_string();
    // All trees here have what is asked for in one place.
    let (verdict, place) = verdict.rsplit_once(" (Kconfig:").unwrap_or((&verdict, ")"));
    assert!(place.ends_with(')'), "{place}");
    assert_eq!(verdict, expected);
}

const DRIVERS: &str = r#"config MODULES
        bool "modules"
        modules
    config XSC
        tristate "xsc"
    config X86
        bool "x86"
    config ARM64
        bool "arm64"
    config PREEMPT_RT
        bool "rt"
    config LEVEL
        int "level"
        range 1 4 if X86
        range 1 XMAX
        depends on XSC
    config XMAX
        int
"#;

#[track_caller]
fn check_driver(depends: &str, config: &str, asked: &str, expected: &str) {
    let text = format!("{DRIVERS}config D\n\ttristate \"d\"\n\tdepends on {depends}\n");
    check(&text, config, asked, expected);
}

#[test]
fn what_it_depends_on() {
    check_driver("XSC", "D=y", "CONFIG_D=y", "holds");
    check_driver("XSC", "", "D=n", "holds");
    check_driver("XSC", "", "D=y", "depends on XSC, which is n");
    check_driver("XSC", "MODULES=y XSC=m D=m", "D=y", "depends on XSC, which is m");
    check_driver("X86 || ARM64", "", "D=y", "depends on X86 || ARM64, neither of which is set");
    check_driver("X86 || ARM64 || XSC", "", "D=y", "depends on X86 || ARM64 || XSC, none of which is set");
    check_driver("!PREEMPT_RT", "PREEMPT_RT=y", "D=y", "depends on !PREEMPT_RT, but PREEMPT_RT is y");
    check_driver("XSC && X86", "", "D=y", "depends on XSC, which is n, and on X86, which is n");
    check_driver("S390", "", "D=y", "depends on S390, which no file of the tree defines");
    check_driver("n", "", "D=y", "depends on n, which never holds");
    check_driver("LEVEL >= 3", "LEVEL=2", "D=y", "depends on LEVEL >= 3, but LEVEL is 2");
    check_driver(
        "LEVEL >= 3",
        "LEVEL=10",
        "D=y",
        "is n, but nothing in the tree prevents what was asked for",
    );
    check_driver("XSC = y", "MODULES=y XSC=m", "D=m", "depends on XSC = y, but XSC is m");
    check_driver(
        "X86 && (XSC || !XSC)",
        "MODULES=y X86=y XSC=m D=m",
        "D=y",
        "depends on XSC || !XSC, but XSC is m",
    );
    check_driver(
        "(X86 && !PREEMPT_RT) || (ARM64 && XSC)",
        "X86=y PREEMPT_RT=y ARM64=y",
        "D=y",
        "depends on (X86 && !PREEMPT_RT) || (ARM64 && XSC), but PREEMPT_RT is y and XSC is n",
    );
}

#[test]
fn what_only_a_command_can_tell_is_suspected_last() {
    let unknown = "$(shell,gcc -mx)";
    let suspect = "depends on $(shell,gcc -mx), which only a command can tell";
    check_driver(unknown, "", "D=y", suspect);
    check_driver(&format!("{unknown} && XSC"), "", "D=y", "depends on XSC, which is n");
    check_driver(&format!("{unknown} && XSC"), "XSC=y", "D=y", suspect);
    check_driver(
        &format!("X86 || {unknown}"),
        "X86=y",
        "D=y",
        "is n, but nothing in the tree prevents what was asked for",
    );
    check_driver(
        &format!("X86 || {unknown}"),
        "",
        "D=y",
        "depends on X86 || $(shell,gcc -mx), of which only a command can tell what $(shell,gcc -mx) is",
    );
}

#[test]
fn blocks_around_it_count() {
    let text = r#"menu "m"
            depends on A
            visible if V
        if B
        config D
            bool "d"
        endif
        endmenu
        config A
            bool "a"
        config B
            bool "b"
        config V
            bool "v"
    "#;
    check(text, "", "D=y", "depends on B, which is n, and on A, which is n");
    check(text, "A=y", "D=y", "depends on B, which is n");
    check(text, "A=y B=y", "D=y", "has a prompt only if V, which is n; it has no default");
}

#[test]
fn values_that_the_type_does_not_have() {
    check_driver("XSC", "XSC=y D=y", "D=m", "needs modules (MODULES is n)");
    check("config D\n\ttristate \"d\"\n", "", "D=m", "needs modules, which this tree does not have");
    check_driver("XSC", "X86=y", "X86=m", "is of type bool, which `m` is not");
    check_driver("XSC", "", "D=yes", "is of type tristate, which `yes` is not");
    check_driver("XSC", "XSC=y LEVEL=2", "LEVEL=high", "is of type int, which `high` is not");
    check_driver("XSC", "XSC=y X86=y LEVEL=4", "LEVEL=5", "cannot be 5: its range is 1 to 4");
    check_driver("XSC", "XSC=y XMAX=3 LEVEL=1", "LEVEL=5", "cannot be 5: its range is 1 to XMAX");
    check_driver(
        "XSC",
        "XSC=y X86=y LEVEL=4",
        "LEVEL=3",
        "is 4, but nothing in the tree prevents what was asked for",
    );
    check_driver("XSC", "X86=y", "LEVEL=3", "depends on XSC, which is n");
    check_driver("XSC", "LEVEL=03", "LEVEL=3", "holds");
    let strings = r#"config S
            string "s"
        config T
            string
            default "t"
        config H
            hex "h"
    "#;
    check(strings, "S=\"a\" H=0x1F", "S=\"a\"", "holds");
    check(strings, "S=\"a\" H=0x1F", "H=0x1f", "holds");
    check(strings, "S=\"a\" T=\"t\"", "T=u", "has no prompt and the default \"t\"");
    check(strings, "", "S=b", "is absent, but nothing in the tree prevents what was asked for");
}

#[test]
fn others_set_it() {
    let text = r#"config V
            bool
        config FOO
            bool "foo"
            select V
        config BAR
            bool "bar"
            select V if Z
        config Z
            bool "z"
        config W
            bool "w"
            depends on V
    "#;
    check(text, "", "V=y", "is only set by others: selected by BAR and FOO, neither of which is set");
    check(text, "BAR=y", "V=y", "is only set by others: selected by BAR if Z and FOO, of which BAR is y");
    check(text, "FOO=y V=y", "V=n", "is forced to y by FOO, which is y (select)");
    check(text, "FOO=y BAR=y Z=y V=y", "V=n", "is forced to y by BAR and FOO (select)");
    check(
        text,
        "",
        "W=y",
        "depends on V, which is n: V is only set by others: selected by BAR and FOO, neither of which is set",
    );
    let many: String = (0..9)
        .map(|number| format!("config F{number}\n\tbool \"f\"\n\tdepends on F6\n\tselect V\n"))
        .collect();
    let text = format!("config V\n\tbool\nconfig F6\n\tbool \"6\"\n\tselect V\n{many}");
    let expected = "is only set by others: selected by F6, F0, F1, F2 and 5 others, none of which is set";
    check(&text, "", "V=y", expected);
    let implied = r#"config V
            bool
        config I
            bool "i"
            imply V
    "#;
    check(implied, "", "V=y", "is only set by others: selected or implied by I, which is n");
    check(implied, "I=y V=y", "V=n", "is only set by others: selected or implied by I, which is y");
}

#[test]
fn it_has_no_prompt() {
    let text = |default: &str| {
        format!("config D\n\tbool\n{default}config A\n\tbool \"a\"\nconfig B\n\tbool \"b\"\n")
    };
    check(&text(""), "", "D=y", "has no prompt and no default");
    check(&text("\tdefault n\n"), "", "D=y", "has no prompt and the default n");
    check(&text("\tdefault y\n"), "D=y", "D=n", "has no prompt and the default y");
    let needs = "has no prompt and a default that needs";
    check(&text("\tdefault A && B\n"), "A=y", "D=y", &format!("{needs} B, which is n"));
    check(&text("\tdefault y if A\n\tdefault n\n"), "", "D=y", &format!("{needs} A, which is n"));
    check(
        &text("\tdefault y if A\n\tdefault B\n"),
        "",
        "D=y",
        &format!("{needs} A || B, neither of which is set"),
    );
    check(&text("\tdefault n if A\n\tdefault y\n"), "A=y", "D=y", "has no prompt and the default n");
    check(
        &text("\tprompt \"d\" if A\n\tdefault y\n"),
        "D=y",
        "D=n",
        "has a prompt only if A, which is n; it has the default y",
    );
    check(&text("\ttransitional\n"), "", "D=y", "is transitional: it is only read from old configurations");
}

#[test]
fn of_several_definitions_the_nearest_counts() {
    let text = r#"config D
            bool
            default y if Z
        config D
            bool "d"
            depends on A && B
        config D
            prompt "e"
            depends on C
        config A
            bool "a"
        config B
            bool "b"
        config C
            bool "c"
        config Z
            bool "z"
    "#;
    check(text, "", "D=y", "depends on C, which is n");
    check(text, "A=y B=y", "D=y", "is n, but nothing in the tree prevents what was asked for");
}

#[test]
fn members_of_a_choice() {
    let text = r#"choice
            prompt "c"
        config FOO
            bool "foo"
        config BAR
            bool "bar"
        config SUB
            bool "sub"
            depends on FOO
        endchoice
    "#;
    check(text, "FOO=y", "BAR=y", "is not what its choice is set to: FOO is");
    check(text, "FOO=y", "FOO=n", "is what its choice is set to: set BAR instead");
    check(text, "FOO=y", "SUB=y", "is n, but nothing in the tree prevents what was asked for");
    let optional = text.replace("\"c\"", "\"c\"\n\toptional");
    check(&optional, "FOO=y", "FOO=n", "is y, but nothing in the tree prevents what was asked for");
}

#[test]
fn unknown_symbols_get_suggestions() {
    let unknown = "is not defined by any file of the tree";
    check_driver("XSC", "", "PREMPT_RT=y", &format!("{unknown}: did you mean PREEMPT_RT?"));
    check_driver("XSC", "", "xs=y", &format!("{unknown}: did you mean XSC?"));
    check_driver("XSC", "", "MMX=y", unknown);
}

#[test]
fn old_trees_name_variables_in_options() {
    let text = r#"config ARCH
            string
            option env="ARCH"
        config M
            bool "m"
            option modules
        config D
            tristate "d"
            depends on ARCH = "x86_64"
        config E
            bool "e"
            depends on ARCH != "x86_64"
    "#;
    check(text, "", "D=y", "is n, but nothing in the tree prevents what was asked for");
    check(text, "", "D=m", "needs modules (M is n)");
    check(text, "", "E=y", "depends on ARCH != \"x86_64\", but ARCH is x86_64");
}
