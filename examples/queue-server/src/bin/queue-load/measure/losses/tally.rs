//! Compares what was acknowledged with what was received.

use std::collections::HashSet;

use super::{SENDERS, client::Client, sender::Sender};
use crate::report::Times;

#[derive(Debug)]
pub(super) struct Tally {
    pub(super) acknowledged: usize,
    /// Acknowledged, and never received.
    pub(super) lost: usize,
    pub(super) disorder: usize,
    pub(super) again: usize,
    pub(super) failed_sends: usize,
    pub(super) wrong: usize,
    pub(super) left: usize,
    pub(super) sends: Times,
    pub(super) storms: Times,
    /// Polls that were parked seconds after a storm, at most.
    pub(super) left_parked: usize,
    pub(super) parked: usize,
    pub(super) open_files: usize,
}

impl Tally {
    pub(super) fn of(clients: &[Client<'_>], senders: &[Sender<'_>]) -> Self {
        let (mut acknowledged, mut lost) = (0, 0);
        for (number, client) in clients.iter().enumerate() {
            let sends = &senders[number % SENDERS].queues[number / SENDERS];
            let received: HashSet<u64> = client.received.iter().copied().collect();
            acknowledged += sends.acknowledged.len();
            lost += sends.acknowledged.iter().filter(|number| !received.contains(number)).count();
        }
        let sum = |of: fn(&Client<'_>) -> usize| clients.iter().map(of).sum();
        Self {
            acknowledged,
            lost,
            disorder: sum(|client| client.disorder),
            again: sum(|client| client.again),
            failed_sends: senders.iter().map(|sender| sender.failed).sum(),
            wrong: sum(|client| client.wrong),
            left: sum(|client| client.left),
            sends: Times::of(senders.iter().flat_map(|sender| sender.times.iter().copied())),
            storms: Times::of([]),
            left_parked: 0,
            parked: 0,
            open_files: 0,
        }
    }
}
