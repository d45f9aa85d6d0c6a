//! Random trees, which have to come back as they were declared.

use std::collections::{BTreeMap, BTreeSet};

use mkimg::fat::{Kind, Node, Options, ROOT, Reader, Size};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Tree, aged, noise, options, scratch, tool};

#[derive(Debug, Clone)]
struct Declaration {
    /// Chooses among the directories that are there already.
    parent: usize,
    name: String,
    /// `None` for a directory.
    length: Option<usize>,
    mtime: i64,
}

fn name() -> impl Strategy<Value = String> {
    let plain = "[A-Z0-9]{1,8}(\\.[A-Z0-9]{1,3})?";
    let any = "[a-zA-Z0-9 .+,;=\\[\\]_~äßÿ€漢😀-]{1,40}";
    prop_oneof![2 => plain, 4 => any, 1 => "[a-z]{240,255}"]
        .prop_filter("FAT has names without dots and spaces at the end", |name| !name.ends_with(['.', ' ']))
}

fn declaration() -> impl Strategy<Value = Declaration> {
    let length = prop_oneof![0..=2usize, 511..=513usize, 2047..=2049usize, 0..40_000usize];
    let length = prop_oneof![1 => Just(None), 4 => length.prop_map(Some)];
    let mtime = prop_oneof![0..5_000_000_000i64, any::<i64>()];
    (any::<usize>(), name(), length, mtime).prop_map(|(parent, name, length, mtime)| Declaration {
        parent,
        name,
        length,
        mtime,
    })
}

fn form() -> impl Strategy<Value = Options> {
    let kind = prop_oneof![3 => Just(None), 1 => Just(Some(Kind::Fat16)), 1 => Just(Some(Kind::Fat32))];
    let cluster_size = prop_oneof![2 => Just(None), 1 => (0..4u32).prop_map(|log| Some(512 << log))];
    (kind, cluster_size, 0..200_000u64).prop_map(|(kind, cluster_size, slack)| Options {
        kind,
        cluster_size,
        ..options(Size::Fit { slack })
    })
}

/// Declares what FAT can have, and returns what should be there: by path, the content of files.
fn declare(tree: &mut Tree, declarations: &[Declaration]) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut directories: Vec<(Node, String)> = vec![(ROOT, String::new())];
    let (mut expected, mut folded) = (BTreeMap::new(), BTreeSet::new());
    for Declaration { parent, name, length, mtime } in declarations {
        let (parent, above) = directories[parent % directories.len()].clone();
        let path = format!("{above}/{name}");
        if !folded.insert(path.to_uppercase()) || path.len() > 2000 {
            continue;
        }
        let content = match length {
            None => {
                let node = tree.builder.directory(parent, name.as_bytes(), aged(*mtime)).unwrap();
                directories.push((node, path.clone()));
                None
            }
            Some(length) => {
                let content = noise(*length, *length as u32);
                tree.file_of(parent, name, *mtime, content.clone());
                Some(content)
            }
        };
        expected.insert(path, content);
    }
    expected
}

fn collect(reader: &Reader<Vec<u8>>) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    reader
        .walk(&mut |visit| {
            let content = match &visit.data {
                None => None,
                Some(data) => {
                    let mut content = vec![0; usize::try_from(data.size()).unwrap()];
                    reader.read_data(data, 0, &mut content)?;
                    Some(content)
                }
            };
            found.insert(visit.path.clone(), content);
            Ok(())
        })
        .unwrap();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn trees_come_back(declarations in vec(declaration(), 0..60), form in form()) {
        let mut tree = Tree::new(form);
        let expected = declare(&mut tree, &declarations);
        let reader = Reader::open(tree.bytes()).unwrap();
        reader.check().unwrap();
        prop_assert_eq!(collect(&reader), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn fsck_accepts_random_trees(declarations in vec(declaration(), 0..60), form in form()) {
        let mut tree = Tree::new(form);
        declare(&mut tree, &declarations);
        let directory = scratch();
        let path = directory.path().join("image");
        tree.seal().unwrap().save(&path);
        if let Some((code, text)) = tool("fsck.fat", &["-n", path.to_str().unwrap()]) {
            prop_assert_eq!(code, 0, "{}", text);
        }
    }
}
