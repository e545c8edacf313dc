//! The response's body.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::tap::Tap;

pin_project! {
    /// Response body for [`Lifecycle`](crate::Lifecycle): what the server, or the client's caller, is given.
    ///
    /// Frames, errors and hints are the inner body's own.
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        // Declared last, so that it is dropped when the inner body is gone.
        tap: Tap,
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn new(inner: B, tap: Tap) -> Self {
        Self { inner, tap }
    }
}

/// A body that no exchange observes, for middleware that answers in the service's place.
impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::new(B::default(), Tap::default())
    }
}

impl<B> Body for ResponseBody<B>
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

impl<B: fmt::Debug> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("inner", &self.inner).finish_non_exhaustive()
    }
}
