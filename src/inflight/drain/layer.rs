//! The layer: refuses what is new, and cancels what is open.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{DrainBody, course::Shared, signal::Waiter};

/// Layer that applies [`Draining`], which refuses requests once a drain has begun, and cancels what is open at the end of its
/// patience.
///
/// See the [module docs](super) for where it belongs. It is made by [`Drain::layer`](super::Drain::layer).
#[derive(Clone, Debug)]
pub struct DrainLayer {
    drain: Arc<Shared>,
    retry_after: u64,
}

/// Refuses requests once a drain has begun, and cancels what is open at the end of its patience. See [`DrainLayer`].
///
/// A request that is refused does not reach the inner service, nor does it wait for it to be ready.
#[derive(Debug)]
pub struct Draining<S> {
    inner: S,
    drain: Arc<Shared>,
    retry_after: u64,
    /// While the inner service is not ready.
    begins: Option<Waiter>,
}

pin_project! {
    /// Response future for [`Draining`].
    pub struct DrainFuture<F> {
        // `None` when it is refused, or cancelled.
        #[pin]
        inner: Option<F>,
        cancel: Option<Waiter>,
        refusal: Refusal,
    }
}

/// How a request is refused.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    retry_after: u64,
    http1: bool,
    http10: bool,
    head: bool,
}

// ===== impl DrainLayer =====

impl DrainLayer {
    pub(super) fn new(drain: Arc<Shared>, retry_after: u64) -> Self {
        Self { drain, retry_after }
    }
}

impl<S> Layer<S> for DrainLayer {
    type Service = Draining<S>;

    fn layer(&self, inner: S) -> Draining<S> {
        let Self { drain, retry_after } = self.clone();
        Draining { inner, drain, retry_after, begins: None }
    }
}

// ===== impl Draining =====

impl<S> Draining<S> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service. What is called on it directly is neither refused nor cancelled.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: Clone> Clone for Draining<S> {
    fn clone(&self) -> Self {
        let (inner, drain) = (self.inner.clone(), Arc::clone(&self.drain));
        Self { inner, drain, retry_after: self.retry_after, begins: None }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Draining<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body,
{
    type Response = Response<DrainBody<ResBody>>;
    type Error = S::Error;
    type Future = DrainFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let Self { inner, drain, begins, .. } = self;
        if drain.begun.is_told() {
            return Poll::Ready(Ok(()));
        }
        let polled = inner.poll_ready(cx);
        if polled.is_pending() {
            if begins.get_or_insert_with(|| Waiter::new(&drain.begun)).poll(cx) {
                return Poll::Ready(Ok(()));
            }
        } else {
            *begins = None;
        }
        polled
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let refusal = Refusal::new(&request, self.retry_after);
        if self.drain.begun.is_told() {
            self.drain.refuse();
            return DrainFuture { inner: None, cancel: None, refusal };
        }
        let cancel = Some(Waiter::new(&self.drain.cancel));
        DrainFuture { inner: Some(self.inner.call(request)), cancel, refusal }
    }
}

// ===== impl DrainFuture =====

impl<F, B, E> Future for DrainFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<DrainBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = match this.inner.as_mut().as_pin_mut() {
            Some(inner) => inner.poll(cx),
            None => return Poll::Ready(Ok(this.refusal.response())),
        };
        if polled.is_pending() && this.cancel.as_mut().is_some_and(|cancel| cancel.poll(cx)) {
            this.inner.set(None);
            *this.cancel = None;
            return Poll::Ready(Ok(this.refusal.response()));
        }
        let response = ready!(polled)?;
        let cancel = this.cancel.take().filter(|_| this.refusal.shows_an_end(&response));
        Poll::Ready(Ok(response.map(|body| DrainBody::new(body, cancel))))
    }
}

impl<F> fmt::Debug for DrainFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrainFuture").finish_non_exhaustive()
    }
}

// ===== impl Refusal =====

const TEXT: &str = "The server is shutting down. Try again later.\n";

impl Refusal {
    fn new<B>(request: &Request<B>, retry_after: u64) -> Self {
        let version = request.version();
        Self {
            retry_after,
            http1: version < Version::HTTP_2,
            http10: version < Version::HTTP_11,
            head: request.method() == Method::HEAD,
        }
    }

    fn response<B>(self) -> Response<DrainBody<B>> {
        // Not every server leaves out the body of an answer to HEAD.
        let text = if self.head { "" } else { TEXT };
        let mut response = Response::new(DrainBody::refusal(text));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert(RETRY_AFTER, self.retry_after.into());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if self.http1 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Whether it can be seen that a body was cut short. Over HTTP/1.0 the end of the connection is the end of a body without
    /// a length (RFC 9112 section 6.3): only the connection can be cut so that it is no end. An answer that says it is of HTTP/1.0,
    /// as one that a proxy has passed on, is sent so over HTTP/1.1, too.
    fn shows_an_end<B: Body>(self, response: &Response<B>) -> bool {
        let http10 = self.http10 || self.http1 && response.version() < Version::HTTP_11;
        !http10
            || response.headers().contains_key(CONTENT_LENGTH)
            || response.body().size_hint().exact().is_some()
    }
}
