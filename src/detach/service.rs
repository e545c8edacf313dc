//! The service.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use tower_service::Service;

use super::{Detached, ResponseFuture, surrounded::Surrounded, task::Bounded};

/// Runs the inner service's future in a task of its own, where it outlives its client by a bounded time. See
/// [`DetachLayer`](super::DetachLayer).
///
/// # Panics
/// `call` panics outside of a tokio runtime. The runtime needs its timer: without it the panic comes in the task, when a
/// client has left.
#[derive(Clone, Debug)]
pub struct Detach<S> {
    inner: S,
    grace: Duration,
    detached: Detached,
}

impl<S> Detach<S> {
    pub(super) fn new(inner: S, grace: Duration, detached: Detached) -> Self {
        Self { inner, grace, detached }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service. What is called on it directly is not detached.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Request> Service<Request> for Detach<S>
where
    S: Service<Request>,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let handler = Surrounded::new(self.inner.call(request));
        let (handler, waiting) = Bounded::new(handler, self.grace);
        ResponseFuture::new(tokio::spawn(self.detached.count(handler)), waiting)
    }
}
