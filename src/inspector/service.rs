//! The service, and what it is made with.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body::Body;
use tokio::sync::Semaphore;
use tower_service::Service;

use super::{
    body::InspectorBody,
    guard::{Guard, InvalidToken, Token},
};
use crate::inflight::InFlight;

/// A tower service that shows what an [`InFlight`] knows: a page, JSON, server-sent events and plain text. See the
/// [module](super).
///
/// It answers requests with any body, which it does not read. A clone is the same inspector, with the same limit of streams.
#[derive(Clone)]
pub struct Inspector {
    pub(super) inflight: InFlight,
    pub(super) guard: Guard,
    pub(super) places: Arc<Semaphore>,
    pub(super) ends: Option<Ends>,
}

/// Makes what resolves when streams are to end.
pub(super) type Ends = Arc<dyn Fn() -> Ended + Send + Sync>;
pub(super) type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How many streams of events there may be, unless told otherwise.
const STREAMS: usize = 32;

impl Inspector {
    /// Shows `inflight` to who asks from this machine: see [the guard](super#who-may-look).
    pub fn new(inflight: InFlight) -> Self {
        let places = Arc::new(Semaphore::new(STREAMS));
        Self { inflight, guard: Guard::Loopback, places, ends: None }
    }

    /// Shows it to who has `token`, wherever they ask from, and to nobody else: see [the guard](super#who-may-look).
    ///
    /// # Errors
    /// When it has fewer than 16 characters, or one that a header cannot carry, such as the newline at the end of a file.
    pub fn token(self, token: impl Into<String>) -> Result<Self, InvalidToken> {
        Ok(Self { guard: Guard::Token(Token::new(&token.into())?), ..self })
    }

    /// Shows it to whoever asks, but for pages of a foreign origin: for what is guarded elsewhere, by a middleware around it or by a
    /// listener of its own. By what name it is asked for is not looked at: a page whose name was made to lead here (DNS rebinding) is
    /// of no other origin.
    pub fn unguarded(self) -> Self {
        Self { guard: Guard::Elsewhere, ..self }
    }

    /// How many streams of events there may be at the same time; more are refused with a 503. Default: 32.
    pub fn max_streams(self, max: usize) -> Self {
        let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self { places, ..self }
    }

    /// Ends the streams of events when a future that `begun` makes resolves, so that a server that drains does not wait for them.
    ///
    /// It is called for each stream. Once its futures resolve at once, streams end after their first event, and the counts say
    /// `draining`.
    pub fn ends_when<F, E>(self, begun: F) -> Self
    where
        F: Fn() -> E + Send + Sync + 'static,
        E: Future<Output = ()> + Send + 'static,
    {
        Self { ends: Some(Arc::new(move || Box::pin(begun()))), ..self }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<InspectorBody> {
        let mut response = self.route(request).unwrap_or_else(Response::from);
        if request.method() == Method::HEAD {
            // A server that sends no body would take its length of the empty one.
            let length = response.body().size_hint().exact();
            if let Some(length) = length.filter(|length| *length > 0) {
                response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
            }
            *response.body_mut() = Bytes::new().into();
        }
        response
    }
}

impl<B> Service<Request<B>> for Inspector {
    type Response = Response<InspectorBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<InspectorBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(&request)))
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("inflight", &self.inflight)
            .field("guard", &self.guard)
            .field("free_streams", &self.places.available_permits())
            .finish_non_exhaustive()
    }
}
