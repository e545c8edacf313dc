//! The response future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::{
    ResponseBody,
    body::{ErrorTypes, RequestLine, Start, Tap},
    close::{Evidence, Initiator, Reason},
    exchange::{Cause, Direction, Fact, Link, Report, Role},
};

pin_project! {
    /// Response future for [`Lifecycle`](crate::Lifecycle).
    ///
    /// # Panics
    /// When polled after it was ready.
    pub struct ResponseFuture<F> {
        // `None` once it was ready: a request body that it holds is to be gone before the response is reported.
        #[pin]
        inner: Option<F>,
        // Declared last, so that it is dropped when the inner future is gone.
        flight: Flight,
    }
}

/// The future's line to its exchange, until there is a response. `None` when nobody observes it.
#[derive(Default)]
pub(crate) struct Flight(Option<Open>);

struct Open {
    link: Link,
    errors: ErrorTypes,
    request_line: RequestLine,
    /// The inner service is running: whoever finds this set when it drops us saw a panic pass, even one that was caught
    /// further out.
    inside: bool,
}

impl<F> ResponseFuture<F> {
    pub(crate) fn new(inner: F, flight: Flight) -> Self {
        Self { inner: Some(inner), flight }
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
        let result = ready!(this.flight.watch(|| {
            let inner = this.inner.as_mut().as_pin_mut();
            let polled = inner.expect("`ResponseFuture` polled after it was ready").poll(cx);
            if polled.is_ready() {
                this.inner.set(None);
            }
            polled
        }));
        Poll::Ready(this.flight.landed(result))
    }
}

impl Flight {
    pub(crate) fn new(link: Link, errors: ErrorTypes, request_line: RequestLine) -> Self {
        Self(Some(Open { link, errors, request_line, inside: false }))
    }

    /// Runs the inner service, so that a panic of it is seen.
    #[inline]
    pub(crate) fn watch<T>(&mut self, inner: impl FnOnce() -> T) -> T {
        self.inside(true);
        let value = inner();
        self.inside(false);
        value
    }

    #[inline]
    fn inside(&mut self, inside: bool) {
        if let Some(open) = &mut self.0 {
            open.inside = inside;
        }
    }

    /// Reports what the service returned, and wraps the body.
    fn landed<B, E>(
        &mut self,
        result: Result<Response<B>, E>,
    ) -> Result<Response<ResponseBody<B>>, E>
    where
        B: Body,
        E: 'static,
    {
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                if let Some(Open { link, errors, .. }) = self.0.take() {
                    link.report(Report::service_error(errors.read(&error)));
                }
                return Err(error);
            }
        };
        // The body's own hints are asked while a panic of them would be seen.
        self.inside(true);
        let start = self.0.as_ref().map(|open| {
            Start::response(
                open.request_line,
                response.status(),
                response.headers(),
                response.body(),
            )
        });
        let (Some(start), Some(Open { link, errors, request_line, .. })) = (start, self.0.take())
        else {
            return Ok(response.map(|body| ResponseBody::new(body, Tap::default())));
        };
        link.report(Report::head(response.status(), response.headers()));
        let tap = match start {
            Start::Body(framing) => {
                Tap::new(link, errors, Direction::Response, request_line.role, framing)
            }
            Start::Ended => {
                link.report(Fact::ResponseEnd(Evidence::Return));
                Tap::default()
            }
            Start::Upgraded => {
                link.report(Fact::Upgraded);
                Tap::default()
            }
            Start::Mismatch => {
                let cause = Cause {
                    reason: Reason::LengthMismatch,
                    initiator: match request_line.role {
                        Role::Server => Initiator::Local,
                        Role::Client => Initiator::Peer,
                    },
                    evidence: Evidence::Return,
                };
                link.report(Report::error(Direction::Response, cause, None));
                Tap::default()
            }
        };
        Ok(response.map(|body| ResponseBody::new(body, tap)))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let unwinding = open.inside || thread::panicking();
            open.link.report(Fact::Dropped { unwinding });
        }
    }
}

impl<F: fmt::Debug> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("inner", &self.inner).finish_non_exhaustive()
    }
}
