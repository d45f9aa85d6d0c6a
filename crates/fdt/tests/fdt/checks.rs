//! What is found to be wrong, and what is not.

use fdt::{Edit, Node, Property, Tree};

use crate::{Part, build, cells, set, string, virtual_machine};

/// Lists the problems of a tree that has an interrupt controller `/gic` and what `edits` make.
#[track_caller]
fn check(edits: &[Edit], expected: &[&str]) {
    let gic = [
        set("/gic", "phandle", &[cells(&[1])]),
        set("/gic", "interrupt-controller", &[]),
        set("/gic", "#interrupt-cells", &[cells(&[3])]),
    ];
    let problems = fdt::check(&build(&[&gic, edits].concat()));
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn reg_fits_the_cells_above() {
    check(&[set("/a@1", "reg", &[cells(&[0, 1, 2])])], &[]);
    check(
        &[set("/a@1", "reg", &[cells(&[0, 1])])],
        &["`reg` of `/a@1` should be entries of 3 cells (2 + 1), but is 8 bytes"],
    );
    check(&[set("/a", "reg", &[])], &["`reg` of `/a` should be one entry or more, but is empty"]);
    let none = [set("/", "#address-cells", &[cells(&[0])]), set("/", "#size-cells", &[cells(&[0])])];
    check(
        &[&none[..], &[set("/a", "reg", &[cells(&[1])])]].concat(),
        &["`reg` of `/a` should be entries of 0 cells (0 + 0), but is 4 bytes"],
    );
    let huge = [set("/", "#address-cells", &[cells(&[u32::MAX])]), set("/a@1", "reg", &[cells(&[1])])];
    check(&huge, &["`reg` of `/a@1` should be entries of 4294967296 cells (4294967295 + 1), but is 4 bytes"]);
    let wrong = [set("/", "#size-cells", &[string("x")]), set("/a@1", "reg", &[cells(&[1])])];
    check(&wrong, &["`#size-cells` of `/` should be one cell, but is `\"x\"`"]);
}

#[test]
fn ranges_fit_the_cells_on_both_sides() {
    check(&[set("/a", "ranges", &[])], &[]);
    check(&[set("/a", "#address-cells", &[cells(&[3])]), set("/a", "ranges", &[cells(&[1; 12])])], &[]);
    check(
        &[set("/a", "dma-ranges", &[cells(&[1])])],
        &["`dma-ranges` of `/a` should be entries of 5 cells (2 + 2 + 1), but is 4 bytes"],
    );
}

#[test]
fn unit_addresses_are_the_first_address() {
    let at = |name: &str| [set(&format!("/{name}"), "reg", &[Part::U64(vec![0x1_0000_0002]), cells(&[1])])];
    for name in ["a@100000002", "a@0100000002", "a@1,2", "a@2", "a"] {
        check(&at(name), &[]);
    }
    for unit in ["3", "1,3", "x", "1,2,3"] {
        let expected =
            format!("`reg` of `/a@{unit}` should be at the unit address `{unit}`, but is at `<0x01 0x02>`");
        check(&at(&format!("a@{unit}")), &[&expected]);
    }
    let pci = |name: &str| {
        [
            set("/p", "device_type", &[string("pci")]),
            set("/p", "#address-cells", &[cells(&[3])]),
            set(&format!("/p/{name}"), "reg", &[cells(&[0x1100, 0, 0, 0])]),
        ]
    };
    check(&pci("a@2,1"), &[]);
    check(
        &pci("a@2"),
        &["`reg` of `/p/a@2` should be at the unit address `2`, but is at `<0x1100 0x00 0x00>`"],
    );
}

#[test]
fn interrupts_fit_their_parent() {
    let parent = set("/", "interrupt-parent", &[cells(&[1])]);
    let interrupts = |path: &str, n_cells: usize| set(path, "interrupts", &[Part::U32(vec![1; n_cells])]);
    check(&[parent.clone(), interrupts("/a/b", 6)], &[]);
    check(&[interrupts("/gic/a", 3)], &[]);
    check(
        &[parent, interrupts("/a/b", 4)],
        &["`interrupts` of `/a/b` should be entries of 3 cells (3 by `/gic`), but is 16 bytes"],
    );
    check(
        &[interrupts("/a", 3)],
        &[
            "`interrupts` of `/a` should be below a node with `interrupt-parent` or `interrupt-controller`, but is not",
        ],
    );
    check(
        &[interrupts("/a", 3), set("/a", "interrupt-parent", &[cells(&[9])])],
        &["`interrupt-parent` of `/a` should be the phandle of a node, but is `<0x09>`"],
    );
    let bare = [
        set("/a", "interrupt-parent", &[cells(&[7])]),
        set("/b", "phandle", &[cells(&[7])]),
        interrupts("/a", 1),
    ];
    check(
        &bare,
        &[
            "`interrupts` of `/a` should be for a node with `#interrupt-cells`, which `/b` has not, but is `<0x01>`",
        ],
    );
}

#[test]
fn phandles_are_numbers_of_their_own() {
    check(
        &[set("/a", "phandle", &[cells(&[1])])],
        &["`phandle` of `/a` should be a number of its own, but is `<0x01>` like that of `/gic`"],
    );
    check(
        &[set("/a", "phandle", &[cells(&[0])])],
        &["`phandle` of `/a` should be one cell between 1 and 0xfffffffe, but is `<0x00>`"],
    );
    check(&[set("/gic", "linux,phandle", &[cells(&[1])])], &[]);
}

#[test]
fn strings_end() {
    let list = "strings, each with a NUL at its end";
    let one = "one string with a NUL at its end";
    check(&[set("/a", "compatible", &[string("x"), string("y")]), set("/a", "bootargs", &[string("")])], &[]);
    for (property, value, expected, found) in [
        ("compatible", vec![string("x"), Part::Bytes(vec![b'y'])], list, "`[78 00 79]`"),
        ("compatible", vec![string("")], list, "`[00]`"),
        ("model", vec![string("a"), string("b")], one, "`\"a\", \"b\"`"),
        ("status", vec![string("on")], "`okay`, `disabled`, `reserved` or `fail`", "`\"on\"`"),
        ("status", vec![cells(&[1])], "`okay`, `disabled`, `reserved` or `fail`", "`<0x01>`"),
        ("enable-method", vec![cells(&[1])], list, "`<0x01>`"),
        ("clock-names", vec![cells(&[1])], list, "`<0x01>`"),
        ("clock-frequency", vec![string("24MHz")], "one or two cells", "`\"24MHz\"`"),
        ("dma-coherent", vec![cells(&[0])], "without a value", "`<0x00>`"),
        ("device_type", vec![cells(&[7])], one, "`<0x07>`"),
        ("bootargs", vec![], one, "empty"),
        ("model", vec![Part::Bytes(vec![b'x'])], one, "`[78]`"),
        (
            "stdout-path",
            vec![Part::Bytes(vec![0x80; 65])],
            one,
            &format!("`<{}…`", "0x80808080 ".repeat(16).trim_end().to_owned() + ">"),
        ),
    ] {
        let message = format!("`{property}` of `/a` should be {expected}, but is {found}");
        check(&[set("/a", property, &value)], &[&message]);
    }
}

#[test]
fn memory_and_processors_say_where_they_are() {
    let kind = |kind: &str| set("/a", "device_type", &[string(kind)]);
    for wrong in ["cpu", "memory"] {
        check(&[kind(wrong)], &["`reg` of `/a` should be in a node of this `device_type`, but is missing"]);
    }
    check(&[kind("pci")], &[]);
}

#[test]
fn phandles_lead_to_nodes_with_as_many_cells() {
    let clock = [set("/c", "#clock-cells", &[cells(&[2])]), set("/c", "phandle", &[cells(&[5])])];
    let with = |property: &str, value: &[u32], expected: &[&str]| {
        check(&[&clock[..], &[set("/a", property, &[Part::U32(value.to_vec())])]].concat(), expected);
    };
    with("clocks", &[5, 1, 2, 0, 5, 3, 4], &[]);
    with(
        "clocks",
        &[6],
        &["`clocks` of `/a` should be of phandles that nodes have, but is `0x06`, which no node has"],
    );
    with(
        "clocks",
        &[5, 1],
        &[
            "`clocks` of `/a` should be a phandle and 2 cells for `/c`, which has `#clock-cells`, but is `<0x05 0x01>`",
        ],
    );
    with(
        "resets",
        &[5],
        &["`resets` of `/a` should be of nodes with `#reset-cells`, which `/c` has not, but is `<0x05>`"],
    );
    with("interrupts-extended", &[1, 0, 16, 4], &[]);
    with(
        "interrupts-extended",
        &[1, 0, 16],
        &[
            "`interrupts-extended` of `/a` should be a phandle and 3 cells for `/gic`, which has `#interrupt-cells`, but is `<0x01 0x00 0x10>`",
        ],
    );
    // Who sends messages need not be told apart.
    with("msi-parent", &[5, 1], &[]);
    with(
        "reset-gpios",
        &[9],
        &["`reset-gpios` of `/a` should be of phandles that nodes have, but is `0x09`, which no node has"],
    );
    with(
        "memory-region",
        &[9],
        &["`memory-region` of `/a` should be of phandles that nodes have, but is `0x09`, which no node has"],
    );
    check(
        &[set("/a", "phy-handle", &[Part::Bytes(vec![1, 2])])],
        &["`phy-handle` of `/a` should be cells, but is 2 bytes"],
    );
    // A hog says of the controller above it which of its pins it takes.
    let hog = [set("/a", "gpio-hog", &[]), set("/a", "gpios", &[cells(&[77, 0])])];
    check(&hog, &[]);
}

#[test]
fn interrupt_maps_have_whole_entries() {
    let bus = [set("/p", "#address-cells", &[cells(&[1])]), set("/p", "#interrupt-cells", &[cells(&[1])])];
    let with = |value: &[u32], expected: &[&str]| {
        check(&[&bus[..], &[set("/p", "interrupt-map", &[Part::U32(value.to_vec())])]].concat(), expected);
    };
    with(&[0, 1, 1, 0, 16, 4, 0, 2, 1, 0, 17, 4], &[]);
    with(
        &[0, 1],
        &["`interrupt-map` of `/p` should be entries that begin with 2 cells and a phandle, but is 8 bytes"],
    );
    with(
        &[0, 1, 9, 0],
        &["`interrupt-map` of `/p` should be of phandles that nodes have, but is `0x09`, which no node has"],
    );
    with(
        &[0, 1, 1, 0],
        &["`interrupt-map` of `/p` should be entries with 0 + 3 cells for `/gic`, but is 16 bytes"],
    );
}

#[test]
fn paths_lead_to_nodes() {
    check(
        &[
            set("/aliases", "serial0", &[string("/gic")]),
            set("/chosen", "stdout-path", &[string("serial0:9600")]),
        ],
        &[],
    );
    check(
        &[set("/aliases", "serial0", &[string("/uart")])],
        &["`serial0` of `/aliases` should be the path of a node, but is `\"/uart\"`"],
    );
    check(
        &[set("/chosen", "stdout-path", &[string("serial0")])],
        &[
            "`stdout-path` of `/chosen` should be the path of a node or an alias, and perhaps `:` and options, but is `\"serial0\"`",
        ],
    );
}

#[test]
fn the_virtual_machine_is_right() {
    let tree = virtual_machine();
    assert_eq!(fdt::check(&tree), []);
    assert_eq!(tree.node("/cpus").unwrap().children.len(), 18);
    let expected = include_str!("virtual_machine.dts");
    // All processors look alike; one of the second cluster shows how they are numbered.
    let mut shown = tree;
    let cpus = shown.root.children.iter_mut().find(|node| node.name == "cpus").unwrap();
    cpus.children.retain(|cpu| ["cpu@f", "cpu@100"].contains(&cpu.name.as_str()));
    assert_eq!(shown.to_dts(), expected);
}

#[test]
fn a_node_of_thousands_is_no_work_for_each_of_them() {
    const MANY: usize = 20_000;
    let property = |name: String, value: &[u8]| Property { name, value: value.to_vec() };
    let node = |name: String, properties| Node { name, properties, children: Vec::new() };
    // What children ask for comes last.
    let mut of_bus: Vec<Property> = (0..MANY).map(|number| property(format!("p{number}"), &[])).collect();
    of_bus.push(property("#address-cells".to_owned(), &[0, 0, 0, 1]));
    of_bus.push(property("#size-cells".to_owned(), &[0, 0, 0, 0]));
    let reg = |number: usize| property("reg".to_owned(), &(number as u32).to_be_bytes());
    let on_bus = (0..MANY).map(|number| node(format!("on@{number:x}"), vec![reg(number)])).collect();
    let aliases =
        (0..MANY).map(|number| property(format!("a{number}"), format!("/bus/to@{number:x}\0").as_bytes()));
    let mut tree = Tree::default();
    tree.root.children = vec![
        node("aliases".to_owned(), aliases.chain([property("on".to_owned(), b"/bus/on@7\0")]).collect()),
        Node { children: on_bus, ..node("bus".to_owned(), of_bus) },
    ];
    let problems = fdt::check(&tree);
    assert_eq!(problems.len(), MANY);
    assert!(
        problems.iter().all(|problem| problem.node == "/aliases" && problem.expected == "the path of a node")
    );
}
