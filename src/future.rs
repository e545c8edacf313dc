//! The response future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::{
    ResponseBody,
    body::{Framing, RequestLine, Start, Tap},
    close::Evidence,
    exchange::{self, Direction, Fact, Link, Report, Role},
    observe::{Inside, Scoped},
};

pin_project! {
    /// Response future for [`Lifecycle`](crate::Lifecycle).
    ///
    /// # Panics
    /// When polled after it was ready.
    pub struct ResponseFuture<F> {
        // `None` once it was ready and is observed: a request body that it holds is to be gone before the response is
        // reported.
        #[pin]
        inner: Option<F>,
        // Declared last, so that it is dropped when the inner future is gone.
        pending: Pending,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.pending.dropping();
            // What it drops may have something to log.
            if let (true, around @ Some(_)) = (this.inner.is_some(), this.pending.around()) {
                let _inside = Inside::of(around);
                this.inner.set(None);
            }
        }
    }
}

/// The future's line to its exchange, until there is a response.
#[derive(Default)]
pub(crate) struct Pending {
    /// `None` when nobody observes it, or an outer layer does.
    open: Option<Open>,
    /// What surrounds the service, its future, and its response's body.
    around: Option<Arc<Scoped>>,
}

struct Open {
    link: Link,
    request_line: RequestLine,
    /// The inner service is running: whoever finds this set when it drops us saw a panic pass, even one that was caught
    /// further out.
    inside: bool,
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(crate) fn new(inner: F, pending: Pending) -> Self {
        let mut future = Self { inner: Some(inner), pending };
        future.pending.inside(false);
        future
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: 'static,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut();
        let inner = inner.expect("`ResponseFuture` polled after it was ready");
        this.pending.inside(true);
        let inside = Inside::of(this.pending.around());
        let result = match inner.poll(cx) {
            Poll::Ready(result) => {
                if this.pending.open.is_some() {
                    this.inner.set(None);
                }
                drop(inside);
                result
            }
            Poll::Pending => {
                drop(inside);
                this.pending.inside(false);
                if !this.pending.is_cancelled(cx) {
                    return Poll::Pending;
                }
                this.pending.dropping();
                let inside = Inside::of(this.pending.around());
                this.inner.set(None);
                drop(inside);
                this.pending.cancelled();
                // Nobody will see it: the connection has been made to fail.
                let mut nothing = Response::new(ResponseBody::default());
                *nothing.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                return Poll::Ready(Ok(nothing));
            }
        };
        Poll::Ready(match result {
            Ok(response) => {
                let tap = this.pending.responded(&response);
                Ok(response.map(|body| ResponseBody::new(body, tap)))
            }
            Err(error) => {
                this.pending.failed(&error);
                Err(error)
            }
        })
    }
}

impl Pending {
    /// The inner service is about to be called. With it the request body's line, unless there is no body, which is
    /// reported.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call would move what it returns once more")]
    pub(crate) fn begin<B: Body>(link: Link, role: Role, request: &Request<B>) -> (Self, Tap) {
        let request_line = RequestLine::new(role, request.method(), request.version());
        let open = Open { link: Arc::clone(&link), request_line, inside: true };
        let pending = Self { open: Some(open), around: None };
        let tap = if request.body().is_end_stream() {
            link.report(&Fact::RequestEnd.into());
            Tap::default()
        } else {
            let framing = Framing::request(request_line, request.headers(), request.body());
            Tap::new(link, Direction::Request, framing)
        };
        (pending, tap)
    }

    /// Inside of `around`.
    #[inline]
    pub(crate) fn within(mut self, around: Option<Arc<Scoped>>) -> Self {
        self.around = around;
        self
    }

    /// What surrounds the service.
    #[inline]
    pub(crate) fn around(&self) -> Option<&Arc<Scoped>> {
        self.around.as_ref()
    }

    /// The inner service is running, or it is no more.
    #[inline]
    fn inside(&mut self, inside: bool) {
        if let Some(open) = &mut self.open {
            open.inside = inside;
        }
    }

    /// Reports the response. Still inside, because its body is asked for its hints.
    #[inline]
    fn responded<B: Body>(&mut self, response: &Response<B>) -> Tap {
        let around = self.around.clone();
        let Some(open) = &self.open else { return Tap::default().inside(around) };
        let (version, status, headers) =
            (response.version(), response.status(), response.headers());
        let line = open.request_line.answered(version);
        let start = Start::response(line, status, headers, response.body());
        let head = Report::head(version, status, headers);
        let open = self.open.take();
        let tap = open.map_or_else(Tap::default, |open| open.responded(start, &head));
        tap.inside(around)
    }

    /// Looks whether the peer is gone, and the exchange is to be cancelled for it.
    #[inline]
    fn is_cancelled(&self, cx: &mut Context<'_>) -> bool {
        let seated = self.open.as_ref().filter(|open| open.link.outside().seat().is_some());
        seated.is_some_and(|open| exchange::look(&open.link, false, cx))
    }

    /// The inner future is about to be dropped, and the request body with it, whose end would hide where the exchange was.
    fn dropping(&self) {
        if let Some(Open { link, .. }) = &self.open {
            link.report(&Fact::Dropping.into());
        }
    }

    #[cold]
    fn cancelled(&mut self) {
        if let Some(Open { link, .. }) = self.open.take() {
            exchange::lost(&link, false);
        }
    }

    fn failed<E: 'static>(&mut self, error: &E) {
        if let Some(Open { link, .. }) = self.open.take() {
            link.report(&Report::service_error(link.outside().errors().read(error)));
        }
    }
}

impl Open {
    fn responded(self, start: Start, head: &Report<'_>) -> Tap {
        let Self { link, .. } = self;
        link.report(head);
        match start {
            Start::Body(framing) => return Tap::new(link, Direction::Response, framing),
            Start::Ended => exchange::complete(link, Evidence::Return, None, false),
            Start::Upgraded => exchange::upgraded(link),
            Start::Mismatch => {
                let outside = link.outside();
                let cause = outside.length_mismatch(Direction::Response, Evidence::Return);
                link.report(&Fact::ResponseError(cause).into());
            }
        }
        Tap::default()
    }
}

impl Drop for Pending {
    #[inline]
    fn drop(&mut self) {
        if let Some(Open { link, inside, .. }) = self.open.take() {
            exchange::lost(&link, inside || link.outside().unwinds());
        }
    }
}

impl<F: fmt::Debug> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("inner", &self.inner).finish_non_exhaustive()
    }
}
