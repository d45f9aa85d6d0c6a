//! `gc`: makes the cache smaller.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use local::{SweptEarlier, SweptKept, fetch, sweep_earlier, sweep_kept};
use serde_json::json;

use crate::args::{Global, Keep};
use crate::environment;
use crate::failure::{Failure, io};
use crate::project_state::ProjectState;
use crate::ui::{Ui, bytes};
use crate::workspace::Caches;

/// When the store is given a size, what lies beside it goes after this time.
const STALE: Duration = Duration::from_secs(30 * 86400);

/// Deletes what was not used lately. Needs no project; what a running build uses stays.
pub(crate) fn run(global: &Global, ui: &Ui, keep: Keep) -> Result<(), Failure> {
    let caches = Caches::open(global)?;
    let now: SystemTime = UNIX_EPOCH + environment::now();
    let (keep, age) = match keep {
        Keep::Bytes(0) => (cas::Keep::Bytes(0), Duration::ZERO),
        Keep::Bytes(n_bytes) => (cas::Keep::Bytes(n_bytes), STALE),
        Keep::Seconds(seconds) => {
            let age = Duration::from_secs(seconds);
            (cas::Keep::Age(age), age)
        }
    };
    let freed = caches.store.gc(keep, now).map_err(Failure::machine)?;
    let since = now.checked_sub(age).unwrap_or(UNIX_EPOCH);
    let swept = fetch::sweep_parts(&caches.parts(), since).map_err(Failure::machine)?;
    let indexes = sweep_indexes(&caches.indexes(), since)?;
    let kept = sweep_all_kept(&caches, since)?;
    let earlier = sweep_all_earlier(&caches, since)?;
    let n_bytes = freed.bytes + swept.bytes + indexes.bytes + kept.bytes + earlier.bytes;
    if global.json {
        ui.print_json(&json!({
            "version": 1, "freed": n_bytes, "blobs": freed.n_blobs, "downloads": swept.n_parts,
            "indexes": indexes.count, "kept": kept.n_directories,
            "blocks": earlier.n_tables,
        }));
    } else {
        let mut text = format!("freed {} in {} blobs", bytes(n_bytes), freed.n_blobs);
        let beside = [
            (swept.n_parts, "unfinished downloads"),
            (indexes.count, "package indexes"),
            (kept.n_directories, "directories of --incremental builds"),
            (earlier.n_tables, "tables of compressed blocks"),
        ];
        for (count, what) in beside {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        ui.print(&format!("{text}\n"));
    }
    Ok(())
}

/// Removes what steps of any project keep from run to run and have not used since `since`.
fn sweep_all_kept(caches: &Caches, since: SystemTime) -> Result<SweptKept, Failure> {
    let mut all = SweptKept::default();
    for kept in ProjectState::all_kept(&caches.root)? {
        let failed = || format!("remove what steps keep in `{}`", kept.display());
        let swept = sweep_kept(&kept, since).map_err(io(failed()))?;
        all.n_directories += swept.n_directories;
        all.bytes += swept.bytes;
    }
    Ok(all)
}

/// Removes what steps of any project could take over of their last outputs, had they run since `since` and were these
/// still there.
fn sweep_all_earlier(caches: &Caches, since: SystemTime) -> Result<SweptEarlier, Failure> {
    let mut all = SweptEarlier::default();
    for earlier in ProjectState::all_earlier(&caches.root)? {
        let failed = || format!("remove tables of compressed blocks in `{}`", earlier.display());
        let swept = sweep_earlier(&earlier, &caches.store, since).map_err(io(failed()))?;
        all.n_tables += swept.n_tables;
        all.bytes += swept.bytes;
    }
    Ok(all)
}

/// What was removed.
#[derive(Default)]
struct Removed {
    count: u64,
    bytes: u64,
}

/// Removes the package indexes that were written before `since`. One that is still current is downloaded again
/// by the next `lock` that needs it.
fn sweep_indexes(directory: &Path, since: SystemTime) -> Result<Removed, Failure> {
    let mut removed = Removed::default();
    let failed = || format!("remove old indexes in `{}`", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(removed),
        entries => entries.map_err(io(failed()))?,
    };
    for entry in entries {
        let entry = entry.map_err(io(failed()))?;
        // Without metadata it was replaced in the meantime, and is not old.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() && metadata.modified().is_ok_and(|modified| modified < since) {
            fs::remove_file(entry.path()).map_err(io(failed()))?;
            removed.count += 1;
            removed.bytes += metadata.len();
        }
    }
    Ok(removed)
}
