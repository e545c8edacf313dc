//! Exchanges in memory that are held where a test wants them, and an inspector that is asked.

use std::{convert::Infallible, future::pending, net::SocketAddr, pin::Pin, time::Duration};

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::{Layer, Service as _, service_fn};
use tower_lifecycle::{
    LifecycleLayer, RequestBody, ResponseBody,
    inflight::{InFlight, InFlightBuilder},
    inspector::{Inspector, InspectorBody},
    testing::{ManualClock, MockBody},
};

use crate::polls::{now, poll_body, read};

/// What is observed, by a clock that stands still.
pub(crate) struct Site {
    pub(crate) inflight: InFlight,
    pub(crate) clock: ManualClock,
    layer: LifecycleLayer<InFlight>,
}

type Asked = Request<RequestBody<MockBody>>;
type Answered = Result<Response<MockBody>, Infallible>;

/// An exchange whose handler does not answer. Dropped, it is over.
pub(crate) type Held = Pin<Box<dyn Future<Output = ()>>>;

/// An exchange whose answer is not read to its end.
pub(crate) type Streams = ResponseBody<MockBody>;

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(InFlight::builder())
    }

    pub(crate) fn with(builder: InFlightBuilder) -> Self {
        let (inflight, clock) = (builder.build(), ManualClock::new());
        let layer = LifecycleLayer::new(inflight.clone()).with_clock(clock.clone()).with_handle();
        Self { inflight, clock, layer }
    }

    pub(crate) fn hold(&self, request: Request<MockBody>) -> Held {
        let mut service = self.layer.layer(service_fn(|_: Asked| pending::<Answered>()));
        let mut call = Box::pin(service.call(request));
        assert!(crate::polls::poll_once(call.as_mut()).is_pending());
        Box::pin(async move { drop(call.await) })
    }

    pub(crate) fn stream(&self, request: Request<MockBody>) -> Streams {
        let mut service = self.layer.layer(service_fn(async |_: Asked| {
            Ok::<_, Infallible>(Response::new(MockBody::hangs_after(3)))
        }));
        let mut body = now(service.call(request)).unwrap().into_body();
        assert!(poll_body(&mut body).is_ready());
        body
    }

    /// From begin to close.
    pub(crate) fn answer(&self, request: Request<MockBody>, status: u16, time: Duration) {
        let mut service = self.layer.layer(service_fn(async |asked: Asked| {
            drop(asked);
            self.clock.advance(time);
            let answer = Response::builder().status(status).body(MockBody::stream(1));
            Ok::<_, Infallible>(answer.unwrap())
        }));
        let _ = read(now(service.call(request)).unwrap().into_body());
    }

    pub(crate) fn answer_many(&self, count: usize) {
        for _ in 0..count {
            self.answer(get("/many"), 200, Duration::ZERO);
        }
    }

    pub(crate) fn inspector(&self) -> Inspector {
        Inspector::new(self.inflight.clone())
    }

    /// What this machine is answered.
    pub(crate) fn ask(&self, path: &str) -> Reply {
        ask(&self.inspector(), local(path))
    }
}

pub(crate) fn get(uri: impl TryInto<Uri, Error: std::fmt::Debug>) -> Request<MockBody> {
    let mut request = Request::new(MockBody::empty());
    *request.uri_mut() = uri.try_into().unwrap();
    request
}

/// A request that comes from this machine, and asks for it.
pub(crate) fn local(path: &str) -> Request<()> {
    from("127.0.0.1:5000", path)
}

pub(crate) fn from(peer: &str, path: &str) -> Request<()> {
    let peer: SocketAddr = peer.parse().unwrap();
    let request = Request::get(path).header("host", "localhost:3000");
    request.extension(ConnectInfo(peer)).body(()).unwrap()
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

pub(crate) fn send<B>(inspector: &Inspector, request: Request<B>) -> Response<InspectorBody> {
    let Ok(response) = now(inspector.clone().call(request));
    response
}

/// The whole of an answer that has an end.
pub(crate) fn ask<B>(inspector: &Inspector, request: Request<B>) -> Reply {
    let (head, body) = send(inspector, request).into_parts();
    let text = match body.size_hint().exact() {
        Some(length) => {
            let Ok(text) = now(body.collect());
            let text = text.to_bytes();
            assert_eq!(text.len() as u64, length);
            String::from_utf8(text.into()).unwrap()
        }
        None => String::new(),
    };
    Reply { status: head.status, headers: head.headers, text }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        assert!(is_plain(&self.text), "{self:?}");
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        assert_eq!(json.as_object().unwrap().len(), 1);
        json["error"].as_str().unwrap().to_owned()
    }

    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{self:?}");
        self
    }
}

/// One line of what no page, log or terminal obeys.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.contains(['<', '>', '&'])
}

/// An event of a stream.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Event {
    pub(crate) fn ids(&self, of: &str) -> Vec<u64> {
        let ids = |row: &Value| row.as_u64().or_else(|| row["id"].as_u64()).unwrap();
        self.data[of].as_array().unwrap().iter().map(ids).collect()
    }
}

/// `None` of a comment.
pub(crate) fn event(frame: &Bytes) -> Option<Event> {
    let text = std::str::from_utf8(frame).unwrap();
    if text == ":\n\n" {
        return None;
    }
    let (name, data) = text.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
    let data = data.strip_suffix("\n\n").unwrap();
    assert!(is_plain(data), "{data}");
    Some(Event { name: name.to_owned(), data: serde_json::from_str(data).unwrap() })
}

/// The next of a stream, comments too.
pub(crate) async fn next(body: &mut InspectorBody) -> Option<Bytes> {
    let patience = Duration::from_secs(300);
    let frame = tokio::time::timeout(patience, body.frame()).await.expect("an event")?;
    let Ok(frame) = frame;
    Some(frame.into_data().unwrap())
}

pub(crate) async fn next_event(body: &mut InspectorBody) -> Event {
    event(&next(body).await.expect("the stream goes on")).expect("an event, not a comment")
}
