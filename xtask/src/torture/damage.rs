//! A cache that the disk has damaged: by a power cut, or by itself.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Numbers;
use super::world::{N_VARIANTS, World, files_below, succeeded, told};

/// Where the store notes, and in which words, until when everything is durable: boot, seconds, nanoseconds.
const NOTE: &str = "store/synced";

/// Builds for a while, then cuts the power: of what was written since the noted synchronisation any part is lost,
/// cut short or full of zeros. Then the next build comes to the same bytes.
pub(crate) fn power(world: &World, numbers: &mut Numbers) -> Result<(), String> {
    let variant = numbers.below(N_VARIANTS);
    if numbers.below(3) == 0 || !world.cache.join(NOTE).exists() {
        world.wipe_cache()?;
        // An empty store, so that there is a note.
        succeeded(&world.run(&["gc"], 0, 0)?)?;
    }
    // What is there now is taken to be durable.
    let store = world.cache.join("store");
    let _ = Command::new("sync").arg("-f").arg(&store).status();
    let durable: BTreeSet<u64> = stored(&store)?.iter().filter_map(|path| inode(path)).collect();
    let names: BTreeSet<PathBuf> = stored(&store)?.into_iter().collect();
    let clock = store.join("clock");
    fs::write(&clock, "").map_err(|error| error.to_string())?;
    let now = fs::metadata(&clock).map_err(|error| error.to_string())?;
    let boot = fs::read_to_string(world.cache.join(NOTE)).map_err(|error| error.to_string())?;
    let boot = boot.split_whitespace().next().unwrap_or_default().to_owned();
    write_note(world, &boot, now.mtime(), now.mtime_nsec())?;

    let mut child = world.start(&["build"], 0, variant)?;
    std::thread::sleep(numbers.part_of(world.cold));
    let _ = child.kill();
    child.wait().map_err(|error| error.to_string())?;
    world.check_nothing_runs()?;

    let note = fs::read_to_string(world.cache.join(NOTE)).map_err(|error| error.to_string())?;
    let words: Vec<i64> = note.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [seconds, nanoseconds] = words[..] else { return Err(format!("the note says `{note}`")) };
    let mut n_lost = 0;
    for path in stored(&store)? {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let is_new = (metadata.ctime(), metadata.ctime_nsec()) >= (seconds, nanoseconds);
        if is_new && !names.contains(&path) && numbers.below(6) == 0 {
            fs::remove_file(&path).map_err(|error| error.to_string())?;
            n_lost += 1;
        } else if is_new && metadata.is_file() && !durable.contains(&metadata.ino()) && numbers.below(4) == 0
        {
            let mut bytes = fs::read(&path).map_err(|error| error.to_string())?;
            match numbers.below(3) {
                0 => bytes.clear(),
                1 => bytes.truncate(bytes.len() / 2),
                _ => bytes.fill(0),
            }
            rewrite(&path, &bytes)?;
            n_lost += 1;
        }
    }
    match numbers.below(6) {
        0 => fs::remove_file(world.cache.join(NOTE)).map_err(|error| error.to_string())?,
        1 => write_note(world, "another-boot", seconds - 3600, 0)?,
        _ => write_note(world, "another-boot", seconds, nanoseconds)?,
    }
    let context =
        |error: String| format!("after a power cut that took {n_lost} files of variant {variant}: {error}");
    let output = world.run(&["build"], 0, variant)?;
    succeeded(&output).map_err(context)?;
    let text = String::from_utf8_lossy(&output.stderr);
    if text.contains("damaged") {
        return Err(context(format!("it was believed at first: {}", text.trim())));
    }
    world.check_results(0, variant).map_err(context)?;
    world.check_store().map_err(context)
}

/// Flips a bit or cuts a file of the cache short, as a disk does: no time of it changes. Then the next build comes
/// to the same bytes, or says what is wrong and does so after the cache was verified.
pub(crate) fn flip(world: &World, numbers: &mut Numbers) -> Result<(), String> {
    let variant = numbers.below(N_VARIANTS);
    world.build_right(0, variant)?;
    // Each kind of object as often as the others, however few there are.
    let kinds =
        ["store/blobs", "store/records", "store/roots", "store/trees", "store/synced", "projects", "indexes"];
    let kind = *numbers.one_of(&kinds);
    let top = world.cache.join(kind);
    let mut all: Vec<PathBuf> = if top.is_file() { vec![top] } else { files_below(&top)? };
    all.retain(|path| path.is_file() && !path.is_symlink());
    let with_content: Vec<PathBuf> =
        all.into_iter().filter(|path| fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)).collect();
    if with_content.is_empty() {
        return Ok(());
    }
    let path = numbers.one_of(&with_content);
    let mut bytes = fs::read(path).map_err(|error| error.to_string())?;
    let what = if numbers.below(3) == 0 {
        bytes.truncate(numbers.below(bytes.len() as u64) as usize);
        format!("cut to {} bytes", bytes.len())
    } else {
        let at = numbers.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << numbers.below(8);
        format!("bit flipped in byte {at}")
    };
    rewrite(path, &bytes)?;
    let name = path.strip_prefix(&world.cache).unwrap_or(path).display().to_string();
    let context = |error: String| format!("`{name}`, {what}, variant {variant}: {error}");
    let other = if numbers.below(2) == 0 { variant } else { (variant + 1) % N_VARIANTS };
    world.clean(0)?;
    if kind == "indexes" {
        // Whatever became of the index, the same packages are locked.
        succeeded(&world.run(&["lock", "--update"], 0, other)?).map_err(context)?;
    }
    let output = world.run(&["build"], 0, other)?;
    match output.status.code() {
        Some(0) => {}
        // A program that is damaged may do anything when it runs; what matters is that it is said.
        Some(1 | 3) => {
            succeeded(&world.run(&["doctor", "--scrub"], 0, other)?).map_err(context)?;
            succeeded(&world.run(&["build"], 0, other)?).map_err(context)?;
        }
        _ => return Err(context(told(&output))),
    }
    world.check_results(0, other).map_err(context)?;
    // Nothing of it is left for the next one.
    succeeded(&world.run(&["doctor", "--scrub"], 0, other)?).map_err(context)?;
    world.check_store().map_err(context)
}

fn stored(store: &Path) -> Result<Vec<PathBuf>, String> {
    let mut all = Vec::new();
    for name in ["blobs", "records", "trees"] {
        all.extend(files_below(&store.join(name))?);
    }
    Ok(all)
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
}

fn write_note(world: &World, boot: &str, seconds: i64, nanoseconds: i64) -> Result<(), String> {
    fs::write(world.cache.join(NOTE), format!("{boot} {seconds} {nanoseconds}\n"))
        .map_err(|error| error.to_string())
}

/// Writes other bytes into the same inode, whose mode and modification time stay.
fn rewrite(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let text = |error: std::io::Error| format!("could not damage `{}`: {error}", path.display());
    let metadata = fs::metadata(path).map_err(text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(text)?;
    fs::write(path, bytes).map_err(text)?;
    fs::set_permissions(path, metadata.permissions()).map_err(text)?;
    let times = fs::FileTimes::new()
        .set_modified(metadata.modified().map_err(text)?)
        .set_accessed(metadata.accessed().map_err(text)?);
    // For setting times a file need not be open for writing.
    fs::File::open(path).and_then(|file| file.set_times(times)).map_err(text)?;
    Ok(())
}
