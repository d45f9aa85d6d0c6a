//! The hosts that cannot be reached, so that not every one of many files waits for them again.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::url;

type Cause = Arc<dyn Error + Send + Sync>;

#[derive(Default)]
pub(super) struct Hosts {
    unreachable: Mutex<BTreeMap<String, (Instant, Cause)>>,
}

/// For how long a host counts as unreachable.
const HOLD: Duration = Duration::from_secs(10);

impl Hosts {
    /// Returns why the host of `url` could not be reached, if that is only just ago.
    pub(super) fn why_unreachable(&self, url: &str) -> Option<Cause> {
        let unreachable = self.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, cause) = unreachable.get(&host(url)?)?;
        (since.elapsed() < HOLD).then(|| Arc::clone(cause))
    }

    /// Takes note that the host of `url` could not be reached, however often it was tried.
    #[allow(clippy::disallowed_methods, reason = "what holds for a while needs a clock")]
    pub(super) fn note_unreachable(&self, url: &str, cause: &Cause) {
        if let Some(host) = host(url) {
            let noted = (Instant::now(), Arc::clone(cause));
            self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).insert(host, noted);
        }
    }
}

fn host(url: &str) -> Option<String> {
    let scheme = url::scheme(url).filter(|scheme| scheme != "file")?;
    Some(format!("{scheme}://{}", url::authority(url)))
}
