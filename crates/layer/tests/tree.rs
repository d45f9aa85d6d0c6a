//! Merging layers: whiteouts, replacing, hard links, and looking things up in the result.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fmt::Write as _;
use std::io::Read;
use std::sync::Arc;

use layer::{Builder, Content, Declaration, EntryPath, Layer, Metadata, NodeKind, Tree};

/// Makes a layer of lines: `dir NAME`, `file NAME TEXT`, `symlink NAME TARGET`, `link NAME TARGET`,
/// `fifo NAME`, `removed NAME`, `opaque NAME`; the mode of everything is the layer's number.
fn layer(number: usize, lines: &str) -> Layer {
    let mut builder = Builder::default();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let path = EntryPath::new(words[1]).unwrap();
        let what = match words[0] {
            "dir" => Declaration::Directory,
            "file" => Declaration::File(Content::Bytes(words[2].into())),
            "symlink" => Declaration::Symlink(words[2].into()),
            "link" => Declaration::HardLink(EntryPath::new(words[2]).unwrap()),
            "fifo" => Declaration::Fifo,
            "removed" => Declaration::Whiteout,
            "opaque" => {
                builder.declare_opaque(path);
                continue;
            }
            other => panic!("{other}"),
        };
        builder.declare(path, Metadata::with_mode(number as u32), what).unwrap();
    }
    Layer::new(format!("layer {number}"), Arc::new(builder.write(Vec::new()).unwrap()))
}

fn merge(layers: &[&str]) -> Result<Tree, layer::TreeError> {
    Tree::merge(layers.iter().enumerate().map(|(idx, lines)| layer(idx + 1, lines)).collect())
}

/// One line for each path: the inode's number, links, mode, path and contents.
fn render(tree: &Tree) -> String {
    let mut text = String::new();
    for item in tree.items() {
        let what = match &item.node.kind {
            NodeKind::Directory => "/".to_owned(),
            NodeKind::File(extent) => {
                format!(" {}", String::from_utf8(tree.read_content(*extent).unwrap()).unwrap())
            }
            NodeKind::Symlink { target } => format!(" -> {}", String::from_utf8_lossy(target)),
            other => format!(" {other:?}"),
        };
        let (id, links, mode) = (item.id.index(), item.node.links, item.node.metadata.mode);
        let first = if item.is_further_link() { format!(" = {}", item.first) } else { String::new() };
        writeln!(text, "{id} x{links} {mode:o} {}{what}{first}", item.path).unwrap();
    }
    text
}

#[track_caller]
fn check(layers: &[&str], expected: &str) {
    let expected: String = expected.lines().map(|line| line.trim().to_owned() + "\n").skip(1).collect();
    assert_eq!(render(&merge(layers).unwrap()), expected.trim_end_matches(' ').trim_end().to_owned() + "\n");
}

#[test]
fn directories_merge_and_take_the_later_metadata() {
    check(
        &["dir d\nfile d/a 1", "dir d\nfile d/b 2", "file d/c 3"],
        "
        0 x1 2 d/
        1 x1 1 d/a 1
        2 x1 2 d/b 2
        3 x1 3 d/c 3",
    );
}

#[test]
fn anything_else_replaces() {
    check(
        &["dir d\nfile d/a 1\nfile f 1\nsymlink s d\nfile d- x", "file d 2\ndir f\nfile f/x 2\nfile s 2"],
        "
        0 x1 2 d 2
        1 x1 1 d- x
        2 x1 2 f/
        3 x1 2 f/x 2
        4 x1 2 s 2",
    );
}

#[test]
fn a_symbolic_link_to_a_directory_is_not_followed() {
    check(
        &["dir usr\ndir usr/lib\nfile usr/lib/a 1\nsymlink lib usr/lib", "dir lib\nfile lib/b 2"],
        "
        0 x1 2 lib/
        1 x1 2 lib/b 2
        2 x1 1 usr/
        3 x1 1 usr/lib/
        4 x1 1 usr/lib/a 1",
    );
    let error = merge(&["dir usr\nsymlink lib usr", "file lib/b 2"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`lib/b` of layer `layer 2` lies below `lib`, which is a symbolic link in a layer below; \
         a layer that wants a directory there must say so"
    );
}

#[test]
fn whiteouts_remove_what_lower_layers_have() {
    check(
        &[
            "dir d\nfile d/a 1\nfile d/b 1\nfile e 1\ndir o\nfile o/a 1\nfile gone/x/y 1",
            "removed d/a\nremoved e\nremoved nowhere\nfile e 2\nopaque o\nfile o/b 2\nremoved gone",
        ],
        "
        0 x1 1 d/
        1 x1 1 d/b 1
        2 x1 2 e 2
        3 x1 1 o/
        4 x1 2 o/b 2",
    );
}

#[test]
fn a_whiteout_and_a_new_directory_hide_the_old_one() {
    check(
        &["dir d\nfile d/a 1", "removed d\ndir d\nfile d/b 2"],
        "
        0 x1 2 d/
        1 x1 2 d/b 2",
    );
}

#[test]
fn undeclared_parents_are_directories_of_root() {
    check(
        &["file a/b/c 1"],
        "
        0 x1 755 a/
        1 x1 755 a/b/
        2 x1 1 a/b/c 1",
    );
}

#[test]
fn hard_links_are_one_inode() {
    check(
        &["file a 1\nlink b a\nlink c b"],
        "
        0 x3 1 a 1
        0 x3 1 b 1 = a
        0 x3 1 c 1 = a",
    );
}

#[test]
fn a_hard_link_outlives_the_name_it_was_made_from() {
    check(
        &["file a 1\nlink b a\nlink c a\nfile x 1\nlink y x", "file a 2\nremoved x"],
        "
        0 x1 2 a 2
        1 x2 1 b 1
        1 x2 1 c 1 = b
        2 x1 1 y 1",
    );
}

#[test]
fn squashing_gives_one_layer_that_is_the_same_tree() {
    let tree =
        merge(&["dir d\nfile d/a 1\nlink b d/a\nsymlink s d\nfifo p", "file d/a 2\nremoved p\nfile q/r 2"])
            .unwrap();
    let squashed = layer::write_layer(&tree, Vec::new()).unwrap();
    let again = Tree::merge(vec![Layer::new("squashed", Arc::new(squashed.clone()))]).unwrap();
    assert_eq!(render(&again), render(&tree));
    assert_eq!(layer::write_layer(&again, Vec::new()).unwrap(), squashed);
}

#[test]
fn paths_are_resolved_inside_the_tree() {
    let tree = merge(&[
        "dir usr\ndir usr/bin\nfile usr/bin/tool 1\nsymlink bin usr/bin\nsymlink abs /usr/bin/tool\n\
         symlink usr/up ../../../bin/tool\nsymlink loop loop\nsymlink dangling nowhere",
    ])
    .unwrap();
    for path in ["usr/bin/tool", "/bin/tool", "abs", "usr/up", "./usr/../bin//tool"] {
        assert_eq!(tree.resolve(path.as_bytes()).unwrap().path.to_string(), "usr/bin/tool", "{path}");
    }
    let fails = |path: &str| tree.resolve(path.as_bytes()).err().unwrap().to_string();
    assert_eq!(fails("dangling"), "`nowhere` is not in the tree");
    assert_eq!(fails("loop"), "`loop` has too many levels of symbolic links");
    assert_eq!(fails("bin/tool/x"), "`usr/bin/tool` is not a directory");
    assert_eq!(fails("/"), "`/` is not in the tree");
}

#[test]
fn contents_are_read_in_parts() {
    let tree = merge(&["file a hello\nfile b world"]).unwrap();
    let NodeKind::File(extent) = tree.get(b"b").unwrap().node.kind else { panic!("a file") };
    let mut text = String::new();
    tree.open_content(extent).read_to_string(&mut text).unwrap();
    assert_eq!(text, "world");
    let mut part = [0; 3];
    tree.read_content_at(extent, &mut part, 2).unwrap();
    assert_eq!(&part, b"rld");
    assert!(tree.read_content_at(extent, &mut part, 3).is_err());
}

#[test]
fn a_tree_is_counted() {
    let tree = merge(&["file d/a 123\nlink b d/a\nsymlink s d\nfifo p"]).unwrap();
    let statistics = tree.statistics();
    assert_eq!((statistics.directories, statistics.files, statistics.hard_links), (1, 1, 1));
    assert_eq!((statistics.symlinks, statistics.specials, statistics.bytes), (1, 1, 3));
    assert_eq!((tree.node_count(), tree.path_count()), (4, 5));
    let below: Vec<String> =
        tree.items_below(&EntryPath::new("d").unwrap()).map(|item| item.path.to_string()).collect();
    assert_eq!(below, ["d/a"]);
}

#[test]
fn a_layer_that_cannot_be_read_is_named() {
    let broken = Layer::new("broken", Arc::new(vec![1; 600]));
    assert_eq!(Tree::merge(vec![broken]).unwrap_err().to_string(), "could not read layer `broken`");
}
