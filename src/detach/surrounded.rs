//! Work that is done in another task, and still inside of what surrounds its exchange.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::observe::{Inside, Scoped};

pin_project! {
    /// A future that is polled, and dropped, inside of what surrounded whoever made it.
    pub(super) struct Surrounded<F> {
        // `None` while it is dropped.
        #[pin]
        future: Option<F>,
        around: Option<Arc<Scoped>>,
    }

    impl<F> PinnedDrop for Surrounded<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _inside = Inside::of(this.around.as_ref());
            this.future.set(None);
        }
    }
}

impl<F> Surrounded<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future: Some(future), around: Scoped::here() }
    }
}

impl<F: Future> Future for Surrounded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _inside = Inside::of(this.around.as_ref());
        this.future.as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx))
    }
}
