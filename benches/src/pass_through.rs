//! A layer that wraps what any observing layer has to wrap, both bodies and the future, and does nothing.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// The layer, and its service.
#[derive(Clone, Copy, Debug, Default)]
pub struct PassThrough<S = ()>(S);

pin_project! {
    /// Its future.
    #[derive(Debug)]
    pub struct PassThroughFuture<F> {
        #[pin]
        inner: F,
    }
}

pin_project! {
    /// Its body, for both directions.
    #[derive(Debug)]
    pub struct PassThroughBody<B> {
        #[pin]
        inner: B,
    }
}

impl<S> Layer<S> for PassThrough {
    type Service = PassThrough<S>;

    fn layer(&self, inner: S) -> PassThrough<S> {
        PassThrough(inner)
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for PassThrough<S>
where
    S: Service<Request<PassThroughBody<ReqBody>>, Response = Response<ResBody>>,
{
    type Response = Response<PassThroughBody<ResBody>>;
    type Error = S::Error;
    type Future = PassThroughFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        PassThroughFuture { inner: self.0.call(request.map(|inner| PassThroughBody { inner })) }
    }
}

impl<F, B, E> Future for PassThroughFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<PassThroughBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().inner.poll(cx))?;
        Poll::Ready(Ok(response.map(|inner| PassThroughBody { inner })))
    }
}

impl<B: Body> Body for PassThroughBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
