//! The polls in progress on this server, and how Redis is told that they have ended.
//!
//! All polls of this server on one queue share a token, which is in Redis from the first of them to the end of the last. A
//! new first one has a new token: so an end that is late never ends what began after it. A token is valid for as long as a
//! poll may take: that of a server that died counts no longer.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use redis::aio::ConnectionManager;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{error::within, scripts::SCRIPTS};
use crate::id::QueueId;

/// Ends that are not yet told. More are not told: their queues live longer, as if this server had died.
const UNTOLD: usize = 16 * 1024;
/// Ends that are told at once.
const AT_ONCE: usize = 128;

/// The end of the last poll of a token.
pub(super) type End = (QueueId, Uuid);

/// Bounded by the polls in progress.
pub(super) struct Polls(Mutex<State>);

struct State {
    tokens: HashMap<QueueId, Token>,
    /// `None` when the store is closed.
    ends: Option<mpsc::Sender<End>>,
}

struct Token {
    token: Uuid,
    polls: usize,
}

impl Polls {
    pub(super) fn new() -> (Self, mpsc::Receiver<End>) {
        let (ends, told) = mpsc::channel(UNTOLD);
        (Self(Mutex::new(State { tokens: HashMap::new(), ends: Some(ends) })), told)
    }

    /// A poll, which ends when the guard is dropped, unless it is [kept](Poll::keep).
    pub(super) fn begin(&self, queue: QueueId) -> Poll<'_> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Token { token: Uuid::new_v4(), polls: 0 };
        let token = state.tokens.entry(queue).or_insert_with(fresh);
        token.polls += 1;
        Poll { polls: self, queue, token: token.token, kept: false }
    }

    /// Of the polls in progress; empty where there are none.
    pub(super) fn token(&self, queue: QueueId) -> String {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let token = state.tokens.get(&queue);
        token.map(|token| token.token.simple().to_string()).unwrap_or_default()
    }

    /// Of a poll that was kept.
    pub(super) fn end(&self, queue: QueueId) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = state.tokens.get_mut(&queue) else { return };
        token.polls -= 1;
        if token.polls > 0 {
            return;
        }
        let end = (queue, token.token);
        state.tokens.remove(&queue);
        if state.ends.as_ref().is_some_and(|ends| ends.try_send(end).is_err()) {
            tracing::debug!("too many polls have ended for Redis to be told of all");
        }
    }

    /// What has ended until now is the last that is told.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ends = None;
    }
}

/// A poll of which nobody may know yet: its beginning can be refused, or be cancelled.
pub(super) struct Poll<'a> {
    polls: &'a Polls,
    queue: QueueId,
    token: Uuid,
    kept: bool,
}

impl Poll<'_> {
    pub(super) fn token(&self) -> String {
        self.token.simple().to_string()
    }

    /// It has begun, and [`Polls::end`] will be called.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.polls.end(self.queue);
        }
    }
}

/// Tells Redis of the ends, until the store is closed.
pub(super) async fn tell(mut ends: mpsc::Receiver<End>, mut connection: ConnectionManager) {
    let mut some = Vec::with_capacity(AT_ONCE);
    while ends.recv_many(&mut some, AT_ONCE).await > 0 {
        let mut script = SCRIPTS.end.prepare_invoke();
        for (queue, token) in some.drain(..) {
            script.arg(queue.to_string()).arg(token.simple().to_string());
        }
        if let Err(error) = within(script.invoke_async::<()>(&mut connection)).await {
            tracing::debug!(%error, "polls have ended, and Redis was not told");
        }
    }
}
