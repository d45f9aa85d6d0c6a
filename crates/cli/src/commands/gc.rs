//! `gc`: makes the cache smaller.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::args::{Global, Keep};
use crate::environment;
use crate::failure::Failure;
use crate::ui::{Ui, bytes};
use crate::workspace::Caches;

/// Deletes what was not used lately. Needs no project; what a running build uses stays.
pub(crate) fn run(global: &Global, ui: &Ui, keep: Keep) -> Result<(), Failure> {
    let caches = Caches::open(global)?;
    let keep = match keep {
        Keep::Bytes(n_bytes) => cas::Keep::Bytes(n_bytes),
        Keep::Seconds(seconds) => cas::Keep::Age(Duration::from_secs(seconds)),
    };
    let now: SystemTime = UNIX_EPOCH + environment::now();
    let freed = caches.store.gc(keep, now).map_err(Failure::machine)?;
    if global.json {
        ui.print_json(&json!({ "version": 1, "freed": freed.bytes, "blobs": freed.n_blobs }));
    } else {
        ui.print(&format!("freed {} in {} blobs\n", bytes(freed.bytes), freed.n_blobs));
    }
    Ok(())
}
