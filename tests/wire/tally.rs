//! An observer that only counts.

use std::{fmt, sync::Arc};

use tokio::{sync::watch, time::timeout};
use tower_lifecycle::{
    Connection, ConnectionReason, ConnectionSummary, Data, Disconnect, End, Failure, Finish,
    Interest, Listener, Observer, RequestClose, RequestHead, ResponseHead, Summary,
};

use crate::support::seams::PATIENCE;

/// Clones count together.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<watch::Sender<Counts>>);

/// How often what was heard.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    /// All hooks of exchanges and of connections.
    pub(crate) hooks: usize,
    pub(crate) begun: usize,
    pub(crate) complete: usize,
    pub(crate) disconnects: usize,
    pub(crate) opened: usize,
    pub(crate) closed: usize,
    /// Verdicts that are not `complete`, the first few of exchanges and connections each.
    pub(crate) others: Vec<String>,
}

const FEW: usize = 10;

impl Tally {
    /// What was counted so far.
    pub(crate) fn counts(&self) -> Counts {
        self.0.borrow().clone()
    }

    /// What was counted once that many connections are closed, of which none is open.
    pub(crate) async fn closed(&self, connections: usize) -> Counts {
        let mut counts = self.0.subscribe();
        let all = |counts: &Counts| counts.closed >= connections && counts.closed == counts.opened;
        let closed = timeout(PATIENCE, counts.wait_for(all)).await;
        assert!(closed.is_ok(), "not {connections} connections, all closed: {:?}", self.counts());
        self.counts()
    }

    fn hear(&self, count: impl FnOnce(&mut Counts)) {
        self.0.send_modify(|counts| {
            counts.hooks += 1;
            count(counts);
        });
    }
}

impl Counts {
    fn other(&mut self, verdict: &impl fmt::Debug) {
        if self.others.len() < FEW {
            self.others.push(format!("{verdict:?}"));
        }
    }
}

impl Observer for Tally {
    type State = Self;

    fn interest(&self) -> Interest {
        Interest::ALL
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Self> {
        self.hear(|counts| counts.begun += 1);
        Some(self.clone())
    }

    fn on_connection_open(&self, _: &Connection) {
        self.hear(|counts| counts.opened += 1);
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        self.hear(|counts| {
            counts.closed += 1;
            if summary.close.reason != ConnectionReason::Complete {
                counts.other(&summary.close);
            }
        });
    }
}

impl Listener for Tally {
    fn on_disconnect(&mut self, _: Disconnect) {
        self.hear(|counts| counts.disconnects += 1);
    }
    fn on_request_data(&mut self, _: Data) {
        self.hear(|_| ());
    }
    fn on_request_end(&mut self, _: &End<'_>) {
        self.hear(|_| ());
    }
    fn on_request_error(&mut self, _: &Failure<'_>) {
        self.hear(|_| ());
    }
    fn on_request_close(&mut self, _: RequestClose) {
        self.hear(|_| ());
    }
    fn on_response(&mut self, _: &ResponseHead<'_>) {
        self.hear(|_| ());
    }
    fn on_response_data(&mut self, _: Data) {
        self.hear(|_| ());
    }
    fn on_response_end(&mut self, _: &End<'_>) {
        self.hear(|_| ());
    }
    fn on_response_error(&mut self, _: &Failure<'_>) {
        self.hear(|_| ());
    }
    fn on_finish(&mut self, _: Finish) {
        self.hear(|_| ());
    }

    fn on_close(&mut self, summary: &Summary) {
        self.hear(|counts| {
            if summary.close.reason.is_complete() {
                counts.complete += 1;
            } else {
                counts.other(&summary.close);
            }
        });
    }
}
