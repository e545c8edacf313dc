//! The response future, and how whoever waits for a task takes part in its fate.

use std::{
    fmt,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task::{JoinError, JoinHandle};

use super::task::Waiting;

/// Response future for [`Detach`](super::Detach): waits for the task that runs the handler.
///
/// Its drop tells the task that the client left. The task runs whether this is polled or not.
///
/// # Panics
/// With the handler's own payload when the handler panicked; when the runtime was shut down before the handler's end;
/// and when polled after it was ready.
#[must_use = "dropping it tells the handler's task that the client left"]
pub struct ResponseFuture<T> {
    task: JoinHandle<Option<T>>,
    _waiting: Waiting,
}

impl<T> ResponseFuture<T> {
    pub(super) fn new(task: JoinHandle<Option<T>>, waiting: Waiting) -> Self {
        Self { task, _waiting: waiting }
    }
}

impl<T> Future for ResponseFuture<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.task).poll(cx).map(|result| {
            joined(result).expect("a handler is given up only when nobody waits for it")
        })
    }
}

impl<T> fmt::Debug for ResponseFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// What a task came to; its panic goes on in the one who waits.
pub(super) fn joined<T>(result: Result<T, JoinError>) -> T {
    result.unwrap_or_else(|error| {
        // Nobody aborts these tasks but a runtime that goes down. Not `panic!`: the panic hook has had its turn, and at a
        // shutdown it would be noise.
        let shutdown = |_| Box::new("the runtime was shut down before the end of the task") as _;
        resume_unwind(error.try_into_panic().unwrap_or_else(shutdown))
    })
}
