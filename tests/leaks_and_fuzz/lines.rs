//! The connections of a server, counted by their names.

use std::collections::HashSet;

use tokio::sync::watch;
use tower_lifecycle::{ConnectionId, Hooks};

use crate::support::seams::within;

#[derive(Debug, Default)]
struct Lines {
    opened: u64,
    open: HashSet<ConnectionId>,
}

/// Waits for what the hooks of connections tell.
pub(crate) struct LineCheck(watch::Receiver<Lines>);

/// What is told, and an observer that tells it: first in a tuple, it hears last of a close.
pub(crate) fn lines() -> (LineCheck, Hooks) {
    let (lines, check) = watch::channel(Lines::default());
    let (opens, closes) = (lines.clone(), lines);
    let hooks = Hooks::new()
        .on_connection_open(move |connection| {
            opens.send_modify(|lines| {
                lines.opened += 1;
                lines.open.insert(connection.id());
            });
        })
        .on_connection_close(move |summary| {
            closes.send_modify(|lines| {
                lines.open.remove(&summary.connection.id());
            });
        });
    (LineCheck(check), hooks)
}

impl LineCheck {
    /// Until so many were opened.
    pub(crate) async fn opened(&mut self, count: u64) {
        let opened = self.0.wait_for(|lines| lines.opened >= count);
        within("every connection", opened).await.unwrap();
    }

    /// Until all that were opened are closed. Cancel safe.
    pub(crate) async fn closed(&mut self) {
        let closed = self.0.wait_for(|lines| lines.open.is_empty());
        within("the last close", closed).await.unwrap();
    }
}
