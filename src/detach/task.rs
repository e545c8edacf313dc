//! What runs in the task: a handler, and after its client left the time that it still has.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{
    sync::oneshot,
    time::{Sleep, sleep},
};

/// Held by the one who waits for a handler: its drop is the message.
pub(super) type Waiting = oneshot::Receiver<Infallible>;

pin_project! {
    /// A handler that runs as long as somebody waits for it, and `grace` longer. `None` when nobody does.
    ///
    /// Not `select!` and `timeout` in an `async fn`, which would hold the handler twice: as an argument and pinned.
    pub(super) struct Bounded<F> {
        #[pin]
        handler: F,
        client: oneshot::Sender<Infallible>,
        grace: Duration,
        // Since the client left.
        #[pin]
        rest: Option<Sleep>,
    }
}

impl<F> Bounded<F> {
    pub(super) fn new(handler: F, grace: Duration) -> (Self, Waiting) {
        let (client, waiting) = oneshot::channel();
        (Self { handler, client, grace, rest: None }, waiting)
    }
}

impl<F: Future> Future for Bounded<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.rest.is_none() && this.client.poll_closed(cx).is_ready() {
            if this.grace.is_zero() {
                return Poll::Ready(None);
            }
            this.rest.set(Some(sleep(*this.grace)));
        }
        let Some(rest) = this.rest.as_pin_mut() else {
            return this.handler.poll(cx).map(Some);
        };
        // Before the handler, which may use up the task's budget in every poll: then the timer would never be looked at.
        let over = rest.poll(cx).is_ready();
        // A response that nobody takes is dropped here, before the task counts as ended.
        if this.handler.poll(cx).is_ready() || over { Poll::Ready(None) } else { Poll::Pending }
    }
}
