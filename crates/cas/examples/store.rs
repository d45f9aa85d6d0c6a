//! A store from the command line, for `cargo xtask bench store` and `stage`.
//!
//! ```text
//! store put DIR PATH…    opens the store in DIR and keeps copies of files and trees; prints a digest a line
//! store stage DIR TREE   prints the directory in which the tree is checked out, for all to share
//! ```

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use std::error::Error;
use std::path::Path;

use cas::{Digest, ImportMode, LocalStore, Node};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["put", directory, paths @ ..] => {
            let store = LocalStore::open(Path::new(directory))?;
            paths.iter().try_for_each(|path| put(&store, Path::new(path)))
        }
        ["stage", directory, tree] => {
            let store = LocalStore::open(Path::new(directory))?;
            let tree: Digest = tree.parse()?;
            println!("staged {}", store.shared_checkout(&tree)?.display());
            Ok(())
        }
        _ => Err("usage: store put DIR PATH…, store stage DIR TREE".into()),
    }
}

fn put(store: &LocalStore, path: &Path) -> Result<(), Box<dyn Error>> {
    let digest = if path.is_dir() {
        store.import_tree(path, ImportMode::Copy)?.digest
    } else {
        match store.put_file(path, ImportMode::Copy)? {
            Node::File { digest, .. } | Node::Directory { digest } => digest,
            Node::Symlink { .. } => return Err("links are not followed".into()),
        }
    };
    println!("{digest}");
    Ok(())
}
