//! A step that writes an image, and may find blocks that an earlier run compressed.

use std::fs;
use std::path::{Path, PathBuf};

use cas::Digest;
use mkimg::spec::Spec;
use serde_json::{Value, json};

const UUID: &str = "6c1c1a6e-6f0a-4b0c-9d57-0a3f3d6a1b03";

/// A directory with a layer and a disk to make images of.
pub struct Step {
    directory: PathBuf,
    /// What is written, each in another way.
    specs: Vec<Spec>,
}

impl Step {
    /// Makes the step in `directory`, which comes into being.
    ///
    /// # Panics
    ///
    /// If there is no room.
    pub fn new(directory: &Path) -> Step {
        let put = |path: &str, bytes: &[u8]| {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().expect("it is below one")).expect("there is room");
            fs::write(path, bytes).expect("there is room");
        };
        let words: Vec<u8> =
            (0..6000_u32).flat_map(|n| format!("{:x} ", n * n % 8191).into_bytes()).collect();
        put("tree/small", b"small");
        put("tree/words", &words);
        put("tree/again", &words);
        put("tree/zeros", &[0; 10_000]);
        put("in/disk", &[&words, &[0; 70_000][..], &words[..9000]].concat().repeat(2)[..128 << 10]);
        let layer = json!({ "kind": "layer", "output": "in/base.tar", "epoch": 0, "trees": ["tree"] });
        make(&spec(layer), directory);
        let formats = [
            json!({ "kind": "squashfs", "compression": "zstd", "level": 1, "fragments": "all", "block_size": 4096 }),
            json!({ "kind": "squashfs", "compression": "gzip", "level": 1, "fragments": "none" }),
            json!({ "kind": "erofs", "compression": "lz4", "cluster_size": 4096, "uuid": UUID }),
            json!({ "kind": "qcow2", "compression": "zstd" }),
            json!({ "kind": "vmdk", "variant": "stream-optimized", "adapter": "ide", "uuid": UUID }),
        ];
        let specs = formats.into_iter().map(|format| {
            let mut whole = match format["kind"].as_str() {
                Some("squashfs" | "erofs") => format,
                _ => json!({ "kind": "convert", "input": "in/disk", "from": "raw", "format": format }),
            };
            if whole["kind"] != "convert" {
                (whole["epoch"], whole["layers"]) = (json!(0), json!(["in/base.tar"]));
            }
            whole["output"] = json!("out/image");
            spec(whole)
        });
        Step { directory: directory.to_owned(), specs: specs.collect() }
    }

    /// Returns how many ways there are.
    pub fn n_ways(&self) -> usize {
        self.specs.len()
    }

    /// Writes the image in one of the ways with what is known of an earlier run, and returns it with what the next one is
    /// to know.
    ///
    /// # Panics
    ///
    /// If it cannot be written, whatever is known.
    pub fn run(&self, way: usize, earlier: Option<(&[u8], &[u8])>) -> (Vec<u8>, Vec<u8>) {
        let known = self.directory.join("earlier");
        let _not_there = fs::remove_dir_all(&known);
        fs::create_dir_all(known.join("new")).expect("there is room");
        let inputs: String = ["tools/mkimg", "in/base.tar", "in/disk"]
            .map(|path| format!("{} 1 build/{path}\n", Digest::of(path.as_bytes()).hex()))
            .concat();
        fs::write(known.join("inputs"), inputs).expect("there is room");
        if let Some((table, image)) = earlier {
            fs::create_dir(known.join("0")).expect("there is room");
            fs::write(known.join("0/table"), table).expect("there is room");
            fs::write(known.join("0/image"), image).expect("there is room");
        }
        make(&self.specs[way], &self.directory);
        let read = |path: &str| fs::read(self.directory.join(path)).expect("it was written");
        (read("out/image"), read("earlier/new/table"))
    }
}

fn spec(text: Value) -> Spec {
    serde_json::from_value(text).expect("it is a specification")
}

fn make(spec: &Spec, directory: &Path) {
    mkimg::run(spec, directory).expect("it can be made");
}
