//! What is understood of Kconfig files.

use std::error::Error as _;

use kconfig::{Conditional, Kconfig, LoadError};

use crate::{load, tree};

/// Renders all symbols, and the lines that were skipped.
fn dump(kconfig: &Kconfig) -> String {
    let mut text = String::new();
    for symbol in kconfig.symbols() {
        for definition in &symbol.definitions {
            let kind = symbol.kind.map_or_else(|| "untyped".to_owned(), |kind| kind.to_string());
            text += &format!("{} {kind} {}", symbol.name, definition.at);
            let mut add = |what: &str, value: String, condition: Option<String>| {
                let condition = condition.map(|condition| format!(" if {condition}")).unwrap_or_default();
                text += &format!("; {what}{value}{condition}");
            };
            if let Some(prompt) = &definition.prompt {
                add("", format!("{:?}", prompt.text), prompt.condition.as_ref().map(ToString::to_string));
            }
            for dependency in kconfig.dependencies(definition) {
                add("on ", dependency.to_string(), None);
            }
            for Conditional { value, condition } in &definition.defaults {
                add("= ", value.to_string(), condition.as_ref().map(ToString::to_string));
            }
            for (what, set) in [("+ ", &definition.selects), ("~ ", &definition.implies)] {
                for Conditional { value, condition } in set {
                    add(what, value.clone(), condition.as_ref().map(ToString::to_string));
                }
            }
            for Conditional { value, condition } in &definition.ranges {
                let range = format!("{}..{}", value.low, value.high);
                add("", range, condition.as_ref().map(ToString::to_string));
            }
            text += "\n";
        }
    }
    kconfig.problems().iter().for_each(|problem| text += &format!("{problem}\n"));
    text
}

fn outcome(loaded: Result<Kconfig, LoadError>) -> String {
    match loaded {
        Ok(kconfig) => dump(&kconfig),
        Err(error) => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(outcome(load(tree(files).path())).trim_end(), expected.join("\n"));
}

#[test]
fn every_attribute_of_a_symbol() {
    check(
        &[(
            "Kconfig",
            r#"mainmenu "x"

                config A # note
                    tristate "a \"b\" # c" if B || \
                        !C && D
                    depends on E
                    depends on F = "x" && G!=n && (H < 5 || I)
                    default m if J
                    default K
                    select L if !(M || N)
                    imply O
                    modules
                menuconfig P
                    prompt 'p'
                    hex
                    range 0x1 0xf if Q
                    default 0x2
                config R
                    def_bool y
                    option allnoconfig_y
                    transitional
            "#,
        )],
        "A tristate Kconfig:3; \"a \\\"b\\\" # c\" if B || (!C && D); \
         on E; on F = \"x\" && G != n && (H < 5 || I); \
         = m if J; = K; + L if !(M || N); ~ O\n\
         P hex Kconfig:13; \"p\"; = 0x2; 0x1..0xf if Q\n\
         R bool Kconfig:18; = y\n",
    );
}

#[test]
fn blocks_add_what_they_depend_on_from_the_inside_out() {
    check(
        &[(
            "Kconfig",
            r#"menu "m"
                    depends on A
                    visible if V
                if B && C
                choice
                    prompt "c"
                    depends on D
                    default E
                config E
                    tristate "e"
                    depends on F
                if H
                config G
                    bool "g"
                endif
                endchoice
                endif
                comment "no"
                    depends on Z
                config I
                    bool
                endmenu
                config E
                    depends on J
            "#,
        )],
        r#"E tristate Kconfig:9; "e"; on F; on D; on B && C; on A
            E tristate Kconfig:23; on J
            G bool Kconfig:13; "g"; on H; on D; on B && C; on A
            I bool Kconfig:20; on A
        "#,
    );
}

#[test]
fn members_of_a_choice_get_its_type() {
    let members = r#"config A
            prompt "a"
        config B
            prompt "b"
        endchoice
    "#;
    let expected = "A bool Kconfig:3; \"a\"\nB bool Kconfig:5; \"b\"\n";
    check(&[("Kconfig", &format!("choice\n\tbool \"c\"\n{members}"))], expected);
}

#[test]
fn help_ends_where_the_indentation_does() {
    check(
        &[(
            "Kconfig",
            "config A\n\tbool\n\thelp\n\n\t  config X\n\n\t    $(shell \"\n\t  y\n\tdepends on B\nconfig C\n\
             \t---help---\n\t  if\n        depends on D\nconfig E\n\thelp\nconfig F\n\thelp\n  endif",
        )],
        r#"A bool Kconfig:1; on B
            C untyped Kconfig:10; on D
            E untyped Kconfig:14
            F untyped Kconfig:16
        "#,
    );
}

#[test]
fn macros_are_expanded_and_commands_are_unknown() {
    check(
        &[(
            "Kconfig",
            r#"comma := ,
                if-success = $(shell,{ $(1); } && echo "$(2)" || echo "$(3)")
                success = $(if-success,$(1),y,n)
                cc-option = $(success,$(CC) $(1))
                both = $(2)$(1)
                late = $(set)
                set := 1
                set += 2
                late += 3
                now := $(late)
                set := 4
                $(error-if,$(success,false),no)
                $(warning-if,y,$(CC))
                config $(both,B,A)
                    bool "$(ARCH)$(comma) $(late), $(now)"
                    depends on $(cc-option,-m("x"))
                    depends on ARCH = "$(ARCH)" || $(undefined) N
                    default "$(shell,uname "-r")" if $(both,,y)
            "#,
        )],
        "AB bool Kconfig:14; \"x86_64, 4 3, 1 2 3\"; on $(cc-option,-m(\"x\")); on ARCH = \"x86_64\" || N; \
         = \"$(shell,uname \"-r\")\" if y\n",
    );
}

#[test]
fn files_are_read_where_they_are_sourced() {
    let symbol = |name: &str| format!("config {name}\n");
    check(
        &[
            (
                "Kconfig",
                r#"if X
                    source "arch/$(SRCARCH)/Kconfig"
                    endif
                    source "arch/$SRCARCH/old"
                    osource "not/there"
                    osource "$(shell,pwd)/a"
                    source "d/*/K?"
                    source '$(srctree)/./d/../last'
                "#,
            ),
            ("arch/x86/Kconfig", "rsource \"../x86/old\"\norsource \"none\"\norsource \"sub/*.in\"\n"),
            ("arch/x86/old", &symbol("OLD")),
            ("arch/x86/sub/a.in", &symbol("SUB")),
            ("d/1/Kx", &symbol("ONE")),
            ("d/2/Ky", &symbol("TWO")),
            ("d/2/Kconfig", &symbol("NO")),
            ("last", &symbol("LAST")),
        ],
        "LAST untyped last:1\nOLD untyped arch/x86/old:1; on X\nOLD untyped arch/x86/old:1\n\
         ONE untyped d/1/Kx:1\nSUB untyped arch/x86/sub/a.in:1; on X\nTWO untyped d/2/Ky:1\n",
    );
}

#[test]
fn lines_that_are_not_understood_are_skipped_and_noted() {
    check(
        &[(
            "Kconfig",
            r#"bool
                config
                    bool
                config A
                    bool "a" unless B
                    depends B
                    depends on (C
                    depends on D E
                    frob
                    select "x"
                    default !
                if &&
                endif
                menu "m"
                    prompt "x"
                endmenu
                "text"
                source
            "#,
        )],
        r#"A bool Kconfig:4; on an expression that is not understood; on an expression that is not understood
            Kconfig:1: this is no statement that is known, and belongs to no entry
            Kconfig:2: expected the name of a symbol
            Kconfig:5: expected `if` or the end of the line
            Kconfig:6: expected `on` after `depends`
            Kconfig:7: a `)` is missing in the expression
            Kconfig:8: there is something after the expression
            Kconfig:9: this is nothing that a symbol has
            Kconfig:10: expected the name of a symbol
            Kconfig:11: expected a symbol or a value
            Kconfig:12: expected a symbol or a value
            Kconfig:15: this is nothing that a menu has
            Kconfig:17: this is no statement
            Kconfig:18: expected a path
        "#,
    );
}

#[test]
fn blocks_that_do_not_match_are_refused() {
    check(
        &[("Kconfig", "menu \"a\"\nendif\n")],
        "`endif` at Kconfig:2 does not end the innermost block of its file",
    );
    let unclosed = "`choice` at Kconfig:2 is not closed in its file";
    check(&[("Kconfig", "\nchoice\nif A\nendif\n")], unclosed);
    check(
        &[("Kconfig", "if A\nsource \"b\"\nendif\n"), ("b", "endif\n")],
        "`endif` at b:1 does not end the innermost block of its file",
    );
}
