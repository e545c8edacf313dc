//! Heads and summaries are a layer's own, so that what is read is what an adapter reads.

mod defects;
mod forwarded;
mod outcome;
mod request;

use std::{
    error::Error,
    sync::{Arc, Mutex},
};

use http::{Request, Response, request::Builder};
use tower::{Layer, Service, service_fn};

use super::*;
use crate::{
    Close, Evidence, Hooks, Initiator, Interest, LifecycleLayer, Observer, Reason, RequestHead,
    Role, Stage, Summary,
    testing::{BoxError, MockBody},
};

/// Calls a function with a head.
struct Reader<F, R>(F, Arc<Mutex<Option<R>>>);

impl<F, R> Observer for Reader<F, R>
where
    F: Fn(&RequestHead<'_>) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    type State = crate::observe::HooksState;

    fn interest(&self) -> Interest {
        Interest::ALL
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Self::State> {
        *self.1.lock().unwrap() = Some((self.0)(head));
        None
    }
}

fn begin(role: Role, observer: impl Observer, request: Builder) {
    let layer = LifecycleLayer::new(observer);
    let layer = if role == Role::Client { layer.client() } else { layer };
    let service =
        service_fn(async |_: Request<_>| Ok::<_, BoxError>(Response::new(MockBody::empty())));
    drop(layer.layer(service).call(request.body(MockBody::empty()).unwrap()));
}

/// What is read of a head. A panic while it is read would be caught, and there would be no answer.
fn read<R: Send + 'static>(
    role: Role,
    request: Builder,
    conventions: &Conventions,
    read: impl Fn(super::Request<'_>) -> R + Send + Sync + 'static,
) -> R {
    let (answer, conventions) = (Arc::new(Mutex::new(None)), conventions.clone());
    let reader = move |head: &RequestHead<'_>| read(conventions.read(head));
    begin(role, Reader(reader, Arc::clone(&answer)), request);
    let answer = answer.lock().unwrap().take();
    answer.expect("the head was read without a panic")
}

fn server<R: Send + 'static>(
    request: Builder,
    conventions: &Conventions,
    ask: impl Fn(super::Request<'_>) -> R + Send + Sync + 'static,
) -> R {
    read(Role::Server, request, conventions, ask)
}

fn closes() -> (Hooks, Arc<Mutex<Option<Summary>>>) {
    let close = Arc::new(Mutex::new(None));
    let last = Arc::clone(&close);
    (Hooks::new().on_close(move |summary| *last.lock().unwrap() = Some(summary.clone())), close)
}

fn summary(role: Role, reason: Reason, status: u16) -> Summary {
    let (hooks, close) = closes();
    begin(role, hooks, Request::get("/"));
    let summary = close.lock().unwrap().take().expect("closed");
    let (stage, initiator, evidence) = (Stage::Response, Initiator::Peer, Evidence::Io);
    Summary {
        close: Close { reason, stage, initiator, evidence },
        status: http::StatusCode::from_u16(status).ok(),
        ..summary
    }
}

fn error_type(conventions: &Conventions, summary: &Summary) -> Option<String> {
    let outcome = conventions.outcome(summary, Seen::default());
    assert_eq!(outcome.is_error(), outcome.error_type.is_some());
    outcome.error_type.map(Into::into)
}
