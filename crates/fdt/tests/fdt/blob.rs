//! The bytes: what they look like, that they stay the same, and that damaged ones are refused.

use fdt::{Node, Property, Region, Tree};
use proptest::prelude::*;

use crate::chain;

/// A blob, word by word.
#[rustfmt::skip]
const WORDS: [u32; 41] = [
    // Magic, total size, structure, strings, reservations, version, compatible with, processor, sizes.
    0xd00d_feed, 183, 72, 164, 40, 17, 16, 3, 19, 92,
    // One reservation, and the end of them.
    0, 0x1000, 0, 0x20, 0, 0, 0, 0,
    // The root and its model.
    1, 0, 3, 4, 0, u32::from_be_bytes(*b"toy\0"),
    // A node with `reg`, `phy-mode`, and `mode`, which is the end of the name before.
    1, u32::from_be_bytes(*b"eth@"), u32::from_be_bytes(*b"9\0\0\0"),
    3, 4, 6, 9, 3, 2, 10, 0x0102_0000, 3, 0, 14,
    // The ends of the nodes and of the structure.
    2, 2, 9,
];
const NAMES: &[u8] = b"model\0reg\0phy-mode\0";
const SOURCE: &str = "/dts-v1/;

/memreserve/\t0x0000000000001000 0x0000000000000020;
/ {
\tmodel = \"toy\";

\teth@9 {
\t\treg = <0x09>;
\t\tphy-mode = [01 02];
\t\tmode;
\t};
};
";

fn blob(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).chain(NAMES.iter().copied()).collect()
}

#[test]
fn the_bytes_never_change() {
    let tree = Tree::parse(&blob(&WORDS)).unwrap();
    assert_eq!(tree.boot_cpu, 3);
    assert_eq!(tree.reservations, [Region { address: 0x1000, size: 0x20 }]);
    assert_eq!(tree.to_dts(), SOURCE);
    assert_eq!(tree.write().unwrap(), blob(&WORDS));
    assert_eq!(tree.node("/eth").unwrap().property("reg"), Some(&[0, 0, 0, 9][..]));
}

/// Puts a word in place of another, and gives the first error.
#[track_caller]
fn check(changes: &[(usize, u32)], expected: &str) {
    let mut words = WORDS;
    changes.iter().for_each(|(index, word)| words[*index] = *word);
    assert_eq!(Tree::parse(&blob(&words)).map_err(|error| chain(&error)), Err(expected.to_owned()));
}

#[test]
fn damage_is_refused() {
    check(&[(0, 0)], "the blob does not begin with the magic number of a device tree");
    check(&[(1, 184)], "the blob ends after the 183 bytes that there are");
    check(&[(1, 39)], "the blob ends after the 39 bytes that there are");
    check(&[(1, 182)], "the strings block ends after the 182 bytes that there are");
    check(&[(5, 16)], "the blob has version 16, compatible with 16, and not 17");
    check(&[(6, 18)], "the blob has version 17, compatible with 18, and not 17");
    check(&[(2, 74)], "the structure block begins at byte 74, which is not a multiple of 4");
    check(&[(4, 44)], "the memory reservation block begins at byte 44, which is not a multiple of 8");
    check(&[(4, u32::MAX - 7)], "the memory reservation block ends after the 183 bytes that there are");
    check(&[(4, 88)], "the memory reservation block ends after the 183 bytes that there are");
    check(&[(4, 32), (12, 0), (13, 0)], "the header and the memory reservation block overlap");
    check(&[(3, 160)], "the structure block and the strings block overlap");
    check(&[(9, u32::MAX)], "the structure block ends after the 183 bytes that there are");
    check(&[(9, 88)], "the structure block ends after the 88 bytes that there are");
    check(&[(21, u32::MAX)], "the structure block ends after the 92 bytes that there are");
    check(&[(22, 18)], "there is a wrong name in `/`: `` is not the name of a property: it is empty");
    check(&[(22, 20)], "the name of a property ends after the 19 bytes that there are");
    check(&[(8, 18)], "the name of a property ends after the 18 bytes that there are");
    check(&[(33, 6)], "`/eth@9` has `reg` twice");
    check(&[(19, 0x6100_0000)], "the root is called `a`, but has no name");
    check(
        &[(25, 0xff61_6161)],
        "there is a wrong name in `/`: `\\xffaaa9` is not the name of a node: it has other characters than letters, digits and `,._+*#?-`",
    );
    check(
        &[(26, 0)],
        "there is a wrong name in `/`: `eth@` is not the name of a node: nothing follows its `@`",
    );
    check(&[(18, 9)], "the structure block has the token 0x9 at byte 0, which may not be there");
    check(&[(18, 2)], "the structure block has the token 0x2 at byte 0, which may not be there");
    check(&[(39, 9)], "the structure block has the token 0x9 at byte 84, which may not be there");
    check(&[(38, 2), (39, 3)], "the structure block has the token 0x3 at byte 84, which may not be there");
    check(&[(39, 2), (38, 2), (40, 4)], "the structure block ends after the 92 bytes that there are");
    check(&[(35, 2), (36, 2), (37, 9)], "the structure block goes on after its end, at byte 80");
}

#[test]
fn nothing_lies_too_deep() {
    let mut node = Node { name: "n".to_owned(), ..Node::default() };
    for _ in 0..62 {
        node = Node { name: "n".to_owned(), children: vec![node], ..Node::default() };
    }
    let tree = Tree { root: Node { children: vec![node.clone()], ..Node::default() }, ..Tree::default() };
    assert_eq!(Tree::parse(&tree.write().unwrap()), Ok(tree));
    let root = Node {
        children: vec![Node { children: vec![node], name: "x".to_owned(), ..Node::default() }],
        ..Node::default()
    };
    let error = Tree { root, ..Tree::default() }.write().unwrap_err();
    assert!(error.to_string().ends_with("/n`, which is too deep: 64 may lie inside each other"), "{error}");
}

#[test]
fn what_cannot_be_read_is_not_written() {
    let check = |root: Node, expected: &str| {
        assert_eq!(chain(&Tree { root, ..Tree::default() }.write().unwrap_err()), expected);
    };
    let property = |name: &str| Property { name: name.to_owned(), value: Vec::new() };
    let node = |properties: Vec<Property>| Node { properties, ..Node::default() };
    check(node(vec![property("a"), property("a")]), "`/` has `a` twice");
    check(
        node(vec![property("a@1")]),
        "there is a wrong name in `/`: `a@1` is not the name of a property: it has other characters than letters, digits and `,._+*#?-`",
    );
    check(
        node(vec![property(&"a".repeat(256))]),
        &format!(
            "there is a wrong name in `/`: `{}` is not the name of a property: it is longer than 255 bytes",
            "a".repeat(255)
        ),
    );
    check(Node { name: "a".to_owned(), ..Node::default() }, "the root is called `a`, but has no name");
    let reservations = vec![Region { address: 0, size: 0 }];
    let error = Tree { reservations, ..Tree::default() }.write().unwrap_err();
    assert_eq!(error.to_string(), "reservation 0 is empty and at address 0, which ends the list");
}

/// Values that look like strings, cells and bytes.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "([ -~\t\n\\\\\"]{0,5}\0){1,3}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..9),
    ]
}

pub(crate) fn trees() -> impl Strategy<Value = Tree> {
    let properties = || {
        prop::collection::btree_map("[a-d#,]{1,6}", value(), 0..4)
            .prop_map(|map| map.into_iter().map(|(name, value)| Property { name, value }).collect::<Vec<_>>())
    };
    let leaf = properties().prop_map(|properties| Node { properties, ..Node::default() });
    let node = leaf.prop_recursive(4, 24, 4, move |inner| {
        let children = prop::collection::btree_map("[a-d,]{1,3}(@[0-9a-f]{1,4})?", inner, 0..4);
        (properties(), children).prop_map(|(properties, children)| {
            let children = children.into_iter().map(|(name, child)| Node { name, ..child }).collect();
            Node { name: String::new(), properties, children }
        })
    });
    let region = (any::<u64>(), 1..u64::MAX).prop_map(|(address, size)| Region { address, size });
    (prop::collection::vec(region, 0..3), any::<u32>(), node)
        .prop_map(|(reservations, boot_cpu, root)| Tree { reservations, boot_cpu, root })
}

proptest! {
    #[test]
    fn what_is_written_is_read(tree in trees()) {
        let blob = tree.write().unwrap();
        prop_assert_eq!(Tree::parse(&blob), Ok(tree));
    }

    #[test]
    fn damaged_blobs_do_no_harm(
        tree in trees(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(),
    ) {
        let mut blob = tree.write().unwrap();
        for (at, byte) in damage {
            let at = at.index(blob.len());
            blob[at] = byte;
        }
        for blob in [&blob[..], &blob[..length.index(blob.len())]] {
            // Whatever is accepted can be written, and is the same then.
            if let Ok(tree) = Tree::parse(blob) {
                fdt::check(&tree);
                prop_assert_eq!(Tree::parse(&tree.write().unwrap()), Ok(tree));
            }
        }
    }

    #[test]
    fn random_bytes_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Tree::parse(&bytes);
        let header = blob(&WORDS[..10]);
        bytes.splice(..bytes.len().min(40), header[..40].iter().copied());
        bytes.resize(183, 0);
        let _ = Tree::parse(&bytes);
    }
}
