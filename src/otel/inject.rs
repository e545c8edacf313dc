//! The layer of a client that tells the server of the trace.

use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::propagation::Propagator;
use crate::observe::shield;

/// Layer that writes the current context into the headers of each request: [`Otel::inject`](super::Otel::inject).
///
/// It goes inside the client's [`LifecycleLayer`](crate::LifecycleLayer), whose span is then the current one, and into the headers
/// goes what the propagator writes, such as `traceparent`, `tracestate` and `baggage`. A header that is there is
/// replaced, one that the propagator does not write stays as it is, and what is no valid header is left out.
/// A panic of the propagator is caught, and the request goes without its headers.
#[derive(Clone, Debug)]
pub struct InjectLayer {
    propagator: Propagator,
}

/// Service of [`InjectLayer`].
#[derive(Clone, Debug)]
pub struct Inject<S> {
    inner: S,
    propagator: Propagator,
}

impl InjectLayer {
    pub(super) fn new(propagator: Propagator) -> Self {
        Self { propagator }
    }
}

impl<S> Layer<S> for InjectLayer {
    type Service = Inject<S>;

    fn layer(&self, inner: S) -> Inject<S> {
        Inject { inner, propagator: self.propagator.clone() }
    }
}

impl<S> Inject<S> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B> Service<Request<B>> for Inject<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        // Without headers the call is as good as without the layer.
        let _ = shield(|| self.propagator.inject(request.headers_mut()));
        self.inner.call(request)
    }
}
