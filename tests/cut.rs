//! A connection that is cut: at any time, by a hook or a handler of its own, and more than once.
#![cfg(all(feature = "hyper", feature = "testing"))]

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use tokio::{io::duplex, sync::mpsc, time::timeout};
use tower::service_fn;
use tower_lifecycle::{
    Connection, ConnectionSummary, Data, End, Finish, LifecycleLayer, Listener, Observer,
    RequestClose, RequestHead, ResponseHead, Summary,
};

/// The hook, or where else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Accepted,
    Begin,
    RequestClose,
    Handler,
    HandlerThatHangs,
    Response,
    ResponseData,
    ResponseEnd,
    Finish,
    Close,
    Disconnected,
    Over,
}

impl When {
    const ALL: [Self; 12] = [
        Self::Accepted,
        Self::Begin,
        Self::RequestClose,
        Self::Handler,
        Self::HandlerThatHangs,
        Self::Response,
        Self::ResponseData,
        Self::ResponseEnd,
        Self::Finish,
        Self::Close,
        Self::Disconnected,
        Self::Over,
    ];
}

#[derive(Clone)]
struct Cuts {
    when: When,
    tells: mpsc::UnboundedSender<String>,
    over: Arc<Mutex<Option<Connection>>>,
}

struct Cutter(Cuts, Connection);

impl Cuts {
    fn now(&self, now: When, connection: &Connection) {
        if self.when == now {
            connection.cut();
            connection.cut();
        }
    }
}

impl Observer for Cuts {
    type State = Cutter;

    fn begin(&self, head: &RequestHead<'_>) -> Option<Cutter> {
        let connection = head.connection?.clone();
        self.now(When::Begin, &connection);
        Some(Cutter(self.clone(), connection))
    }

    fn on_connection_open(&self, connection: &Connection) {
        self.now(When::Accepted, connection);
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        self.now(When::Disconnected, &summary.connection);
        *self.over.lock().unwrap() = Some(summary.connection.clone());
        self.tells.send(format!("connection: {}", summary.close.reason)).unwrap();
    }
}

impl Listener for Cutter {
    fn on_request_close(&mut self, _: RequestClose) {
        self.0.now(When::RequestClose, &self.1);
    }

    fn on_response(&mut self, _: &ResponseHead<'_>) {
        self.0.now(When::Response, &self.1);
    }

    fn on_response_data(&mut self, _: Data) {
        self.0.now(When::ResponseData, &self.1);
    }

    fn on_response_end(&mut self, _: &End<'_>) {
        self.0.now(When::ResponseEnd, &self.1);
    }

    fn on_finish(&mut self, _: Finish) {
        self.0.now(When::Finish, &self.1);
    }

    fn on_close(&mut self, summary: &Summary) {
        self.0.now(When::Close, &self.1);
        self.0.tells.send(summary.close.reason.to_string()).unwrap();
    }
}

/// What was told, and whether the client has the whole answer.
async fn run(when: When, http2: bool) -> (Vec<String>, bool) {
    let (tells, mut told) = mpsc::unbounded_channel();
    let cuts = Cuts { when, tells, over: Arc::default() };
    let layer = LifecycleLayer::new(cuts.clone()).with_connection().hyper_errors();
    let (ours, theirs) = duplex(1 << 16);
    let handler = cuts.clone();
    let service = service_fn(move |request: Request<_>| {
        let connection = request.extensions().get::<Connection>().unwrap();
        handler.now(When::Handler, connection);
        handler.now(When::HandlerThatHangs, connection);
        async move {
            if when == When::HandlerThatHangs {
                pending::<()>().await;
            }
            drop(request);
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello"))))
        }
    });
    let builder = Builder::new(TokioExecutor::new());
    let served = layer.serve_connection(&builder, theirs, service);
    let asks = async {
        let body = Full::new(Bytes::from_static(b"Hello"));
        let request = Request::post("http://a/").header("host", "a").body(body).unwrap();
        let io = TokioIo::new(ours);
        let response = if http2 {
            let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            client.send_request(request).await?
        } else {
            let (mut client, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            client.send_request(request).await?
        };
        response.into_body().collect().await
    };
    let both = async { tokio::join!(served, asks) };
    let (_, answered) = timeout(Duration::from_secs(30), both).await.expect("it ends");
    let mut all = Vec::new();
    while all.last().is_none_or(|last: &String| !last.starts_with("connection")) {
        all.push(timeout(Duration::from_secs(30), told.recv()).await.expect("it is told").unwrap());
    }
    if when == When::Over {
        cuts.over.lock().unwrap().as_ref().unwrap().cut();
        assert!(told.is_empty());
    }
    (all, answered.is_ok())
}

#[tokio::test]
async fn what_is_open_closes_with_shutdown_and_what_is_complete_stays_so() {
    for (when, http2) in When::ALL.into_iter().flat_map(|when| [(when, false), (when, true)]) {
        let (told, answered) = run(when, http2).await;
        let expected: &[&str] = match when {
            When::Accepted => &["connection: shutdown"],
            When::Finish | When::Close => &["complete", "connection: shutdown"],
            When::Disconnected | When::Over => &["complete", "connection: complete"],
            _ => &["shutdown", "connection: shutdown"],
        };
        assert_eq!(told, expected, "{when:?}, HTTP/2: {http2}");
        assert_eq!(answered, expected[0] == "complete", "{when:?}, HTTP/2: {http2}");
    }
}
