//! Looks each name up once, however many files come from it.
//!
//! The HTTP client would do so for every request, and a resolver that loses one answer in fifty then holds up
//! each fiftieth file for seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Resolves as the system does, and remembers it for a while.
#[derive(Debug, Default)]
pub(super) struct Names {
    system: DefaultResolver,
    known: Mutex<BTreeMap<String, Arc<Mutex<Option<Known>>>>>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    addresses: ResolvedSocketAddrs,
}

/// For how long what a name stands for is believed; the records of mirrors live about that long.
const HOLD: Duration = Duration::from_secs(60);

impl Resolver for Names {
    #[allow(clippy::disallowed_methods, reason = "what holds for a while needs a clock")]
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = format!("{:?} {:?}", uri.scheme(), uri.authority());
        let entry = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(host).or_default())
        };
        // Who wants the same name at the same time waits for the first one's answer.
        let mut entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = entry.as_ref().filter(|known| known.since.elapsed() < HOLD) {
            return Ok(known.addresses.clone());
        }
        let addresses = self.system.resolve(uri, config, timeout)?;
        *entry = Some(Known { since: Instant::now(), addresses: addresses.clone() });
        Ok(addresses)
    }
}
