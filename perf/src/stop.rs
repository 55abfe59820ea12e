//! SIGTERM and SIGINT end a measurement in good order.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::failure::Failure;

/// True once this process was told to end.
///
/// Errors: `Setup`; the handlers cannot be registered.
pub fn on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Failure::Setup(format!("signal handler: {error}")))?;
    }
    Ok(stop)
}
