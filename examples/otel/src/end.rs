//! How the program is asked to end.

use std::{future::Future, io};

use tokio::signal::unix::{SignalKind, signal};

/// Resolves with the name of the signal. From now on none is lost, and none kills.
pub(crate) fn asked_for() -> io::Result<impl Future<Output = &'static str>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "Ctrl-C",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}
