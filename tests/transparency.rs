//! Observing changes nothing: what the peer receives, and what the handler does, is the same with the layer and without,
//! for every row of the table; and what the wrappers promise of the types they wrap.

mod support;

use std::{
    any::type_name,
    future::{Pending, Ready},
    marker::PhantomPinned,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, SizeHint};
use hyper::body::Incoming;
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tower::{Layer, Service, ServiceExt, layer::util::Identity, service_fn};
use tower_lifecycle::{
    Hooks, Interest, LifecycleLayer, RequestBody, ResponseBody, ResponseFuture, testing::Recorder,
};

use support::{
    client::{Received, Text},
    reads_hyper,
    rows::{self, Row, play, run},
    server::{AnyBody, App, BoxError, Signals},
};

/// What the client received and what the handlers read.
#[derive(Debug, PartialEq)]
struct Traffic {
    received: Received,
    read: Vec<String>,
}

fn traffic<L, B>(row: &Row, layer: &L) -> Traffic
where
    L: Layer<App>,
    L::Service: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    <L::Service as Service<Request<Incoming>>>::Future: Send + 'static,
    <L::Service as Service<Request<Incoming>>>::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    run(async {
        let signals = Arc::new(Signals::default());
        let service = layer.layer(App::new(row.handler, &signals));
        let settled = async || signals.over(row.exchanges.len()).await;
        let received = play(row.client, service, &signals, settled).await;
        Traffic { received, read: signals.read_so_far() }
    })
}

#[test]
fn every_row_is_the_same_on_the_wire_and_in_the_handler() {
    let mut heard = 0;
    for row in rows::all() {
        let bare = traffic(&row, &Identity::new());
        let all = reads_hyper(LifecycleLayer::new(Recorder::new()));
        assert_eq!(traffic(&row, &all), bare, "all hooks: {}", row.name);
        let close = LifecycleLayer::new(Hooks::new().on_close(|_| ()));
        assert_eq!(traffic(&row, &close), bare, "the close alone: {}", row.name);
        assert_eq!(traffic(&row, &LifecycleLayer::new(())), bare, "nothing: {}", row.name);
        #[cfg(feature = "inflight")]
        {
            let inflight = tower_lifecycle::inflight::InFlight::new();
            let layer = LifecycleLayer::new(inflight.clone()).with_handle();
            assert_eq!(traffic(&row, &layer), bare, "what is open: {}", row.name);
            assert_eq!(inflight.counts().open, 0, "{}", row.name);
        }
        let Received { text, frames, end } = &bare.received;
        heard += usize::from(!text.0.is_empty() || !frames.is_empty() || end.is_some());
    }
    // The comparison is not of nothing with nothing: only a client that leaves at once receives nothing.
    assert!(heard > 80, "{heard}");
}

fn named(name: &str) -> Received {
    let row = rows::all().into_iter().find(|row| row.name == name).unwrap();
    traffic(&row, &LifecycleLayer::new(Recorder::new())).received
}

#[track_caller]
fn assert_has(Text(text): &Text, line: &str) {
    let text = String::from_utf8_lossy(text);
    assert!(text.contains(line), "{line:?} is not in {text:?}");
}

#[test]
fn the_length_of_a_body_is_still_declared() {
    for name in ["GET, exact body", "GET, stream with Content-Length", "HEAD, exact body"] {
        assert_has(&named(name).text, "\r\ncontent-length: 5\r\n");
    }
    assert_has(&named("GET, empty body").text, "\r\ncontent-length: 0\r\n");
    assert_has(&named("GET, stream of unknown length").text, "\r\ntransfer-encoding: chunked\r\n");
}

#[test]
fn the_end_of_the_stream_is_still_in_the_last_frame_that_carries_something() {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const END_STREAM: u8 = 1;
    for (name, kind, size) in [
        ("h2 GET, exact body", DATA, 5..6),
        ("h2 GET, empty body", HEADERS, 1..100),
        ("h2 HEAD, file", HEADERS, 1..1000),
        ("h2 GET, trailers", HEADERS, 1..100),
        // Its end is known only when it is polled again.
        ("h2 GET, stream of unknown length", DATA, 0..1),
    ] {
        let frames = named(name).frames;
        let last = frames.iter().rfind(|frame| frame.stream == 1).unwrap();
        assert_eq!((last.kind, last.flags & END_STREAM), (kind, END_STREAM), "{name} {frames:?}");
        assert!(size.contains(&last.payload.len()), "{name} {frames:?}");
    }
}

/// Decides how `None` of a body over HTTP/2 is read, and hyper is no dependency that could be asked.
#[test]
fn hypers_body_has_the_name_by_which_it_is_known() {
    assert_eq!(type_name::<Incoming>(), "hyper::body::incoming::Incoming");
}

/// Hints that no body of http-body-util gives together.
struct Hinted {
    ended: bool,
    size: (u64, Option<u64>),
}

impl Body for Hinted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.size.0);
        if let Some(upper) = self.size.1 {
            hint.set_upper(upper);
        }
        hint
    }
}

fn hints(body: &impl Body) -> (bool, u64, Option<u64>) {
    let size = body.size_hint();
    (body.is_end_stream(), size.lower(), size.upper())
}

#[test]
fn the_hints_of_both_bodies_are_forwarded() {
    for interest in [Interest::ALL, Interest::NONE] {
        for ended in [false, true] {
            for size in [(0, None), (3, None), (3, Some(7)), (5, Some(5)), (0, Some(0))] {
                let expected = (ended, size.0, size.1);
                let inner = service_fn(move |request: Request<RequestBody<Hinted>>| {
                    let seen = hints(request.body());
                    let response = Response::new(Hinted { ended, size });
                    std::future::ready(if seen == expected { Ok(response) } else { Err(seen) })
                });
                let service = LifecycleLayer::new(Recorder::with_interest(interest)).layer(inner);
                let response = run(service.oneshot(Request::new(Hinted { ended, size }))).unwrap();
                assert_eq!(hints(response.body()), expected);
            }
        }
    }
}

type NotSync = std::cell::Cell<u8>;
type NotSend = std::rc::Rc<u8>;

assert_impl_all!(RequestBody<u8>: Send, Sync, Unpin);
assert_impl_all!(ResponseBody<u8>: Send, Sync, Unpin);
assert_impl_all!(ResponseFuture<Ready<u8>>: Send, Sync, Unpin);
assert_impl_all!(ResponseFuture<Pending<NotSync>>: Send, Unpin);
assert_impl_all!(RequestBody<NotSync>: Send, Unpin);
assert_impl_all!(ResponseBody<NotSync>: Send, Unpin);
assert_impl_all!(RequestBody<NotSend>: Unpin);
assert_impl_all!(ResponseBody<AnyBody>: Send, Unpin);
assert_impl_all!(RequestBody<Incoming>: Send, Sync, Unpin);
assert_not_impl_any!(RequestBody<NotSync>: Sync);
assert_not_impl_any!(ResponseBody<NotSync>: Sync);
assert_not_impl_any!(RequestBody<NotSend>: Send, Sync);
assert_not_impl_any!(ResponseBody<NotSend>: Send, Sync);
assert_not_impl_any!(ResponseFuture<NotSend>: Send, Sync);
assert_not_impl_any!(RequestBody<PhantomPinned>: Unpin);
assert_not_impl_any!(ResponseBody<PhantomPinned>: Unpin);
assert_not_impl_any!(ResponseFuture<PhantomPinned>: Unpin);
