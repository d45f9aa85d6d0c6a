//! Overlays: what they do to a tree, and which do not fit it.

use fdt::{Labels, Node, Part, Property, Tree};

use crate::{build, cells, chain, set, string};

/// What a board is built of: a bus with a serial port, both with labels.
fn base() -> Tree {
    build(&[
        set("/soc/uart@1", "reg", &[cells(&[1])]),
        set("/soc/uart@1", "status", &[string("disabled")]),
        set("/soc/uart@1", "phandle", &[cells(&[7])]),
        set("/soc", "x", &[]),
        set("/__symbols__", "uart", &[string("/soc/uart@1")]),
        set("/__symbols__", "soc", &[string("/soc")]),
    ])
}

/// An overlay that turns the port on and puts a clock beside it, which the port refers to.
fn overlay() -> Vec<fdt::Edit> {
    let content = "/fragment@0/__overlay__";
    vec![
        set("/fragment@0", "target", &[cells(&[u32::MAX])]),
        set(content, "status", &[string("okay")]),
        set(content, "clocks", &[cells(&[9, 1])]),
        set("/fragment@1", "target-path", &[string("/soc")]),
        set("/fragment@1/__overlay__/clock", "phandle", &[cells(&[1])]),
        set("/fragment@1/__overlay__/clock", "users", &[cells(&[0xffff, u32::MAX])]),
        set("/__symbols__", "clk", &[string("/fragment@1/__overlay__/clock")]),
        set(
            "/__fixups__",
            "uart",
            &[string("/fragment@0:target:0"), string("/fragment@1/__overlay__/clock:users:4")],
        ),
        set("/__local_fixups__/fragment@0/__overlay__", "clocks", &[cells(&[4])]),
    ]
}

/// Lays an overlay that differs in some properties over the board, and compares the source of the result, or the error
/// with its help.
#[track_caller]
fn check(changes: &[fdt::Edit], expected: &str) {
    let overlay = Tree::default().edited(&[&overlay()[..], changes].concat(), &Labels::new()).unwrap();
    compare(base(), overlay, expected);
}

#[track_caller]
fn compare(base: Tree, overlay: Tree, expected: &str) {
    let outcome = match base.overlaid(overlay) {
        Ok(tree) => tree.to_dts().split_whitespace().skip(1).collect::<Vec<_>>().join(" "),
        Err(error) => format!("{} ({})", chain(&error), error.help().unwrap_or_default()),
    };
    assert_eq!(outcome, expected);
}

#[test]
fn fragments_are_laid_over_their_targets() {
    check(
        &[],
        "/ { soc { x; uart@1 { reg = <0x01>; status = \"okay\"; phandle = <0x07>; clocks = <0x09 0x08>; }; \
         clock { phandle = <0x08>; users = <0xffff 0x07>; }; }; \
         __symbols__ { uart = \"/soc/uart@1\"; soc = \"/soc\"; clk = \"/soc/clock\"; }; };",
    );
}

#[test]
fn nodes_of_the_base_keep_their_numbers() {
    // The overlay has a label of its own on the port, and refers to it by that.
    check(
        &[
            set("/fragment@0/__overlay__", "phandle", &[cells(&[2])]),
            set("/fragment@1/__overlay__", "serial", &[cells(&[2])]),
            set("/__local_fixups__/fragment@1/__overlay__", "serial", &[cells(&[0])]),
        ],
        "/ { soc { x; serial = <0x07>; uart@1 { reg = <0x01>; status = \"okay\"; phandle = <0x07>; clocks = <0x09 0x08>; }; \
         clock { phandle = <0x08>; users = <0xffff 0x07>; }; }; \
         __symbols__ { uart = \"/soc/uart@1\"; soc = \"/soc\"; clk = \"/soc/clock\"; }; };",
    );
}

#[test]
fn labels_of_what_is_nowhere_in_the_tree_are_forgotten() {
    for nowhere in ["/fragment@1", "/fragment@1/__dormant__/clock", "/fragment@1/__overlay__x/clock"] {
        check(
            &[set("/__symbols__", "clk", &[string(nowhere)])],
            "/ { soc { x; uart@1 { reg = <0x01>; status = \"okay\"; phandle = <0x07>; clocks = <0x09 0x08>; }; \
             clock { phandle = <0x08>; users = <0xffff 0x07>; }; }; \
             __symbols__ { uart = \"/soc/uart@1\"; soc = \"/soc\"; }; };",
        );
    }
}

#[test]
fn what_has_no_number_gets_one() {
    let overlay = build(&[
        set("/fragment@0", "target", &[cells(&[u32::MAX])]),
        set("/fragment@0/__overlay__", "y", &[]),
        set("/__fixups__", "soc", &[string("/fragment@0:target:0")]),
    ]);
    compare(
        base(),
        overlay,
        "/ { soc { x; phandle = <0x08>; y; uart@1 { reg = <0x01>; status = \"disabled\"; phandle = <0x07>; }; }; \
         __symbols__ { uart = \"/soc/uart@1\"; soc = \"/soc\"; }; };",
    );
}

#[test]
fn overlays_that_do_not_fit_say_why() {
    let label = |label: &str| set("/__fixups__", label, &[string("/fragment@0:target:0")]);
    check(&[label("uart2")], "it refers to `&uart2`, which the tree below it has not (did you mean `uart`?)");
    check(
        &[label("spi")],
        "it refers to `&spi`, which the tree below it has not (known labels: `soc`, `uart`)",
    );
    let no_symbols = build(&[set("/soc", "x", &[])]);
    compare(
        no_symbols.clone(),
        build(&overlay()),
        "it refers to `&uart`, and the tree below it tells no labels: it has no `__symbols__` (compile that tree by `dtc -@`, too)",
    );
    compare(
        base(),
        no_symbols,
        "it is not an overlay: no node of its root has `__overlay__` (an overlay is source with `/plugin/;`, compiled by `dtc -@`)",
    );
    check(
        &[set("/fragment@1", "target-path", &[string("/sok")])],
        "`/fragment@1` leads nowhere in the tree below it: there is no node `/sok` (did you mean `/soc`?)",
    );
    check(
        &[set("/fragment@2/__overlay__", "x", &[])],
        "its `fragment@2` says neither by `target` nor by `target-path` which node it changes ()",
    );
    check(
        &[set("/fragment@2/__overlay__", "x", &[]), set("/fragment@2", "target", &[cells(&[5])])],
        "its `/fragment@2/target` is damaged ()",
    );
    for damaged in
        ["/fragment@0:target", "/fragment@0:target:1", "/fragment@0:target:x", "/fragment@9:target:0", ""]
    {
        check(&[set("/__fixups__", "uart", &[string(damaged)])], "its `/__fixups__/uart` is damaged ()");
    }
    check(&[set("/__fixups__", "uart", &[Part::Bytes(vec![0xff])])], "its `/__fixups__/uart` is damaged ()");
    for damaged in ["clock", "/fragment@2/__overlay__/clock"] {
        check(&[set("/__symbols__", "clk", &[string(damaged)])], "its `/__symbols__/clk` is damaged ()");
    }
    check(
        &[set("/__local_fixups__/fragment@0/__overlay__", "clocks", &[cells(&[5])])],
        "its `/__local_fixups__/fragment@0/__overlay__/clocks` is damaged ()",
    );
    check(
        &[set("/__local_fixups__/fragment@7", "x", &[])],
        "its `/__local_fixups__/fragment@7` is damaged ()",
    );
    check(
        &[set("/fragment@1/__overlay__/clock", "phandle", &[cells(&[u32::MAX - 7])])],
        "there are no free phandles ()",
    );
}

#[test]
fn thousands_of_fragments_are_no_work_for_each_other() {
    const MANY: usize = 4000;
    let property = |name: String, value: String| Property { name, value: format!("{value}\0").into_bytes() };
    let node = |name: String, children| Node { name, properties: Vec::new(), children };
    let with = |name: &str, properties| Node { properties, ..node(name.to_owned(), Vec::new()) };
    let names = || (0..MANY).map(|number| format!("n{number}"));
    let mut base = Tree::default();
    base.root.children = names().map(|name| node(name, Vec::new())).collect();
    base.root
        .children
        .push(with("__symbols__", names().map(|name| property(name.clone(), format!("/{name}"))).collect()));
    let mut overlay = Tree::default();
    overlay.root.children = names()
        .map(|name| Node {
            properties: vec![Property { name: "target".to_owned(), value: vec![0; 4] }],
            ..node(
                format!("to-{name}"),
                vec![node("__overlay__".to_owned(), vec![node("new".to_owned(), Vec::new())])],
            )
        })
        .collect();
    let fixups = names().map(|name| property(name.clone(), format!("/to-{name}:target:0"))).collect();
    overlay.root.children.push(with("__fixups__", fixups));
    let labels =
        names().map(|name| property(format!("new-{name}"), format!("/to-{name}/__overlay__/new"))).collect();
    overlay.root.children.push(with("__symbols__", labels));
    let result = base.overlaid(overlay).unwrap();
    let last = result.node(&format!("/n{}", MANY - 1)).unwrap();
    assert_eq!((last.phandle(), last.children.len()), (Some(MANY as u32), 1));
    assert_eq!(result.symbols()["new-n7"], "/n7/new");
}
