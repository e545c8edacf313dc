//! The request's body.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::tap::Tap;

pin_project! {
    /// Request body for [`Lifecycle`](crate::Lifecycle): what the inner service is given.
    ///
    /// Frames, errors and hints are the inner body's own.
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        // Declared last, so that it is dropped when the inner body is gone.
        tap: Tap,
    }
}

impl<B> RequestBody<B> {
    pub(crate) fn new(inner: B, tap: Tap) -> Self {
        Self { inner, tap }
    }
}

/// A body that no exchange observes, for middleware that sends another request in this one's place.
impl<B: Default> Default for RequestBody<B> {
    fn default() -> Self {
        Self::new(B::default(), Tap::default())
    }
}

/// The copy is not observed: an exchange has one request body.
impl<B: Clone> Clone for RequestBody<B> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Tap::default())
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body,
    B::Error: 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        this.tap.poll(this.inner, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: fmt::Debug> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("inner", &self.inner).finish_non_exhaustive()
    }
}
