//! What is kept of a corpus: the fewest inputs that reach all that it reaches, as `fuzz/kept/TARGET.tar.zst`.
//!
//! The next run begins with them, on whatever machine. The same inputs are always the same file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How hard zstd tries: an archive is written once and then kept.
const LEVEL: i32 = 19;
/// The most bytes of an input. Larger ones are seeds, which are made anew, and what differs from these little.
const MOST: u64 = 64 * 1024;

/// Adds the inputs that are kept of `target` to its corpus.
pub(super) fn unpack(root: &Path, target: &str) -> io::Result<()> {
    let corpus = root.join("fuzz/corpus").join(target);
    fs::create_dir_all(&corpus)?;
    let packed = match fs::File::open(place(root, target)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        packed => packed?,
    };
    let mut archive = tar::Archive::new(zstd::Decoder::new(packed)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path.file_name().ok_or_else(|| io::Error::other("an input without a name"))?;
        let mut input = Vec::new();
        entry.read_to_end(&mut input)?;
        fs::write(corpus.join(name), input)?;
    }
    Ok(())
}

/// Finds out, with the target's own `program`, which inputs of its corpus are worth keeping, and keeps them.
pub(super) fn pack(root: &Path, target: &str, program: &mut Command) -> io::Result<()> {
    let corpus = root.join("fuzz/corpus").join(target);
    let merged = root.join("fuzz/target/merged").join(target);
    if merged.exists() {
        fs::remove_dir_all(&merged)?;
    }
    fs::create_dir_all(&merged)?;
    let merge = program.arg("-merge=1").arg(&merged).arg(&corpus);
    let status = merge.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("`{target}` did not merge the corpus: {status}")));
    }
    let mut inputs = BTreeMap::new();
    for entry in fs::read_dir(&merged)? {
        let entry = entry?;
        if entry.metadata()?.len() <= MOST {
            inputs.insert(entry.file_name(), fs::read(entry.path())?);
        }
    }
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    for (name, input) in &inputs {
        let mut header = tar::Header::new_ustar();
        header.set_size(input.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, input.as_slice())?;
    }
    let mut encoder = archive.into_inner()?;
    encoder.flush()?;
    let packed = encoder.finish()?;
    let place = place(root, target);
    fs::create_dir_all(root.join("fuzz/kept"))?;
    // Whole or as it was.
    let new = place.with_extension("new");
    fs::write(&new, packed)?;
    fs::rename(new, place)
}

fn place(root: &Path, target: &str) -> PathBuf {
    root.join("fuzz/kept").join(format!("{target}.tar.zst"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_kept_comes_back_and_is_always_the_same_file() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let corpus = root.join("fuzz/corpus/demo");
        fs::create_dir_all(&corpus).unwrap();
        for (name, input) in [("b", vec![1; 5]), ("a", vec![2; 700]), ("seed", vec![0; 100_000])] {
            fs::write(corpus.join(name), input).unwrap();
        }
        // Keeps everything, as a target of which each input reaches something of its own.
        let program = root.join("demo");
        fs::write(&program, "#!/bin/sh\n[ \"$1\" = -merge=1 ] && cp \"$3\"/* \"$2\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let pack = || pack(root, "demo", &mut Command::new(&program));
        pack().unwrap();
        let first = fs::read(place(root, "demo")).unwrap();
        pack().unwrap();
        assert_eq!(fs::read(place(root, "demo")).unwrap(), first);

        fs::remove_dir_all(&corpus).unwrap();
        unpack(root, "demo").unwrap();
        assert_eq!(fs::read(corpus.join("a")).unwrap(), [2; 700]);
        assert_eq!(fs::read_dir(&corpus).unwrap().count(), 2, "seeds are made anew");

        fs::write(&program, "#!/bin/sh\nexit 1\n").unwrap();
        assert!(pack().unwrap_err().to_string().contains("did not merge"));
        assert_eq!(fs::read(place(root, "demo")).unwrap(), first, "nothing is lost");
        unpack(root, "unknown").unwrap();
    }
}
