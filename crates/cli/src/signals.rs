//! What happens on Ctrl-c: what runs is ended, the terminal is given back, and the exit code says so.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::failure::Failure;

/// Returns a flag that becomes true at the first SIGINT, SIGTERM or SIGHUP. The second one ends the process
/// at once; its sandboxes end with it.
pub(crate) fn cancel_flag() -> Result<Arc<AtomicBool>, Failure> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let cancelled = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // Registered in this order, so that the first signal only sets the flag.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&cancelled))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&cancelled)))
            .map_err(crate::failure::io("listen to signals"))?;
    }
    Ok(cancelled)
}
