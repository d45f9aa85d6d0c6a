//! The report for programs.

use serde_json::{Value, json};

use super::{Growth, Image, kinds, packages};
use crate::tree::Tree;

/// Returns all of it: `docs/src/reference/json.md` says what the keys mean.
pub fn json(image: &Image, before: Option<&Image>) -> Value {
    let tree = image.tree();
    let rest: Vec<Value> = image
        .rest
        .iter()
        .map(|rest| json!({ "path": rest.path, "bytes": rest.bytes, "free": rest.is_free }))
        .collect();
    let files: Vec<Value> = image
        .files
        .iter()
        .map(|file| {
            let mut value =
                json!({ "path": file.path, "bytes": file.stored, "size": file.size, "type": file.kind });
            if let Some(package) = &file.package {
                value["package"] = json!(package);
            }
            if file.is_further_name {
                value["further_name"] = json!(true);
            }
            value
        })
        .collect();
    let mut value = json!({
        "version": 1,
        "name": image.name,
        "formats": image.formats,
        "counted": image.how,
        "size": image.size,
        "used": image.used(),
        "contents": image.contents(),
        "directories": directories(&tree),
        "packages": packages(image, before),
        "types": kinds(image, before),
        "files": files,
        "rest": rest,
        "regions": image.regions,
        "problems": image.problems,
    });
    if let Some(before) = before {
        value["growth"] = json!(Growth::of(image, before));
    }
    value
}

/// Returns every directory with what it takes, each before what is in it.
fn directories(tree: &Tree) -> Vec<Value> {
    let mut found = Vec::new();
    let mut pending = vec![0];
    while let Some(at) = pending.pop() {
        let node = &tree.0[at];
        if at != 0 && node.children.is_empty() {
            continue;
        }
        found.push(json!({ "path": tree.path(at), "bytes": node.bytes }));
        pending.extend(node.children.iter().rev());
    }
    found
}
