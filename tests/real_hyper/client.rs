//! The client role: the layer around hyper's client connection.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tower::{Layer, Service, ServiceExt};
use tower_lifecycle::{
    LifecycleLayer, RequestBody,
    testing::{Recorder, Recording},
};

use crate::support::{
    reads_hyper,
    rows::{BODILESS, READ, run},
    server::{
        AnyBody, App, BoxFuture, Handler, Payload, Read, Script, Server, Signals, Step, boxed,
    },
};

const COMPLETE: &str = "complete, by peer, known by frame";
const HEAD_ONLY: &str = "complete, by peer, known by return";
const RECEIVED: &str = "response(200) res.data res.end close(complete)";
const CANCELLED_IN_HANDLER: &str = "cancelled in handler, by local, known by drop";
const CANCELLED_IN_RESPONSE: &str = "cancelled in response, by local, known by drop";

type Sent = RequestBody<AnyBody>;

/// hyper's client connection as a tower service.
enum Connection {
    Http1(http1::SendRequest<Sent>),
    Http2(http2::SendRequest<Sent>),
}

impl Service<Request<Sent>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<hyper::Result<Response<Incoming>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        match self {
            Self::Http1(connection) => connection.poll_ready(cx),
            Self::Http2(connection) => connection.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<Sent>) -> Self::Future {
        match self {
            Self::Http1(connection) => Box::pin(connection.send_request(request)),
            Self::Http2(connection) => Box::pin(connection.send_request(request)),
        }
    }
}

impl Connection {
    async fn http1(stream: TcpStream) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    async fn http2(stream: TcpStream) -> Self {
        let (executor, io) = (TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        Self::Http2(sender)
    }
}

/// What the caller does with its exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    ReadsAll,
    /// Drops the future when the server has the request.
    DropsFuture,
    /// Reads one frame, tells the server, and drops the body.
    DropsBody,
}

/// What a server does after its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Holds,
    Closes,
    /// Once the client has read a frame.
    Resets,
}

fn layer(recorder: &Recorder) -> LifecycleLayer<Recorder> {
    reads_hyper(LifecycleLayer::new(recorder.clone()).client())
}

fn get() -> Request<AnyBody> {
    request("GET", boxed(Empty::new()))
}

fn request(method: &str, body: AnyBody) -> Request<AnyBody> {
    Request::builder().method(method).uri("http://a/").body(body).unwrap()
}

/// Sends `request`, lets the caller do its part, and waits until the exchange is over. `served` is told, or tells, that the
/// server has the request; `seen`, that the client has read a frame.
async fn exchange(
    connection: Connection,
    request: Request<AnyBody>,
    caller: Caller,
    served: &Notify,
    seen: &Notify,
) -> Recording {
    let recorder = Recorder::new();
    let mut service = layer(&recorder).layer(connection);
    let answer = service.ready().await.unwrap().call(request);
    if caller == Caller::DropsFuture {
        let mut answer = Box::pin(answer);
        assert!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        served.notified().await;
        drop(answer);
    } else if let Ok(response) = answer.await {
        let mut body = pin!(response.into_body());
        while let Some(Ok(_)) = body.frame().await {
            seen.notify_one();
            if caller == Caller::DropsBody {
                break;
            }
        }
    }
    recorder.settled(1).await.remove(0)
}

/// An HTTP/1 server that answers its first connection with a text, once it has the whole request.
struct Canned {
    stream: TcpStream,
    served: Arc<Notify>,
    seen: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Canned {
    async fn start(request_ends: &'static str, answer: &'static str, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (served, seen): (Arc<Notify>, Arc<Notify>) = Default::default();
        let (request_read, frame_read) = (Arc::clone(&served), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(request_ends.as_bytes()) {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    return;
                }
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            request_read.notify_one();
            match then {
                Then::Holds => while matches!(stream.read_buf(&mut request).await, Ok(1..)) {},
                Then::Closes => {}
                Then::Resets => {
                    frame_read.notified().await;
                    stream.set_zero_linger().unwrap();
                }
            }
        });
        Self { stream, served, seen, task }
    }
}

#[track_caller]
fn assert_told(name: &str, exchange: &Recording, words: &[&str], verdict: &str) {
    exchange.assert_grammar();
    assert_eq!(exchange.words(), words.join(" "), "{name}");
    assert_eq!(exchange.close().to_string(), verdict, "{name}");
}

struct Row {
    name: &'static str,
    method: &'static str,
    answer: &'static str,
    then: Then,
    caller: Caller,
    words: &'static str,
    verdict: &'static str,
}

/// What becomes of the response to a request without a body.
#[rustfmt::skip]
fn responses() -> Vec<Row> {
    use {Caller::{DropsBody, DropsFuture, ReadsAll}, Then::{Closes, Holds, Resets}};
    const DISCONNECTED: &str = "disconnected in response, by peer, known by return";
    const CUT: &str = "response(200) res.data disconnect(disconnected) res.error(disconnected) close(disconnected)";
    const EMPTY: &str = "response(200) res.end close(complete)";
    const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
    let row = |name, method, answer, then, caller, words, verdict| Row { name, method, answer, then, caller, words, verdict };
    vec![
        row("Content-Length", "GET", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", Holds, ReadsAll, RECEIVED, COMPLETE),
        row("chunked", "GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Holds, ReadsAll,
            RECEIVED, COMPLETE),
        row("trailers", "GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n", Holds,
            ReadsAll, "response(200) res.data res.end+trailers close(complete)", COMPLETE),
        row("until close", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", Closes, ReadsAll, RECEIVED, COMPLETE),
        row("empty", "GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Holds, ReadsAll, EMPTY, HEAD_ONLY),
        row("204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", Holds, ReadsAll, "response(204) res.end close(complete)", HEAD_ONLY),
        row("304", "GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Holds, ReadsAll,
            "response(304) res.end close(complete)", HEAD_ONLY),
        row("HEAD", "HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Holds, ReadsAll, EMPTY, HEAD_ONLY),
        row("103 is not seen", "GET", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            Holds, ReadsAll, RECEIVED, COMPLETE),
        row("101", "GET", "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", Holds, ReadsAll,
            "response(101) res.end close(upgraded)", "upgraded, by peer, known by return"),
        row("cut, Content-Length", "GET", HALF, Closes, ReadsAll, CUT, DISCONNECTED),
        row("cut, chunked", "GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", Closes, ReadsAll, CUT, DISCONNECTED),
        row("reset", "GET", HALF, Resets, ReadsAll, "response(200) res.data disconnect(reset) res.error(reset) close(reset)",
            "reset in response, by peer, known by return"),
        row("no answer", "GET", "", Closes, ReadsAll, "res.error(service_failed) close(service_failed)",
            "service_failed in handler, by unknown, known by return"),
        row("future dropped", "GET", "", Holds, DropsFuture, "close(cancelled)", CANCELLED_IN_HANDLER),
        row("body dropped midway", "GET", HALF, Holds, DropsBody, "response(200) res.data close(cancelled)", CANCELLED_IN_RESPONSE),
        row("body dropped at its length", "GET", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", Holds, DropsBody, RECEIVED, COMPLETE),
    ]
}

#[test]
fn every_response_over_http1_is_told_as_expected() {
    for row in responses() {
        let exchange = run(async {
            let server = Canned::start("\r\n\r\n", row.answer, row.then).await;
            let connection = Connection::http1(server.stream).await;
            let request = request(row.method, boxed(Empty::new()));
            let exchange =
                exchange(connection, request, row.caller, &server.served, &server.seen).await;
            server.task.abort();
            exchange
        });
        assert_told(row.name, &exchange, &[BODILESS, row.words], row.verdict);
    }
}

#[test]
fn every_upload_over_http1_is_told_as_expected() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let upload = |steps| Script::new(steps).boxed_unsync();
    let rows: [(_, AnyBody, _, _, &str, &str); 4] = [
        ("exact", boxed(Full::from("hello")), "hello", Caller::ReadsAll, READ, COMPLETE),
        ("stream", upload(&[Step::Data("hello")]), "0\r\n\r\n", Caller::ReadsAll, READ, COMPLETE),
        (
            "fails",
            upload(&[Step::Data("hello"), Step::Error]),
            "0\r\n\r\n",
            Caller::ReadsAll,
            "begin req.data req.error(request_failed) req.close(failed) res.error(service_failed) \
             close(request_failed)",
            "request_failed in request, by local, known by return",
        ),
        (
            "future dropped",
            upload(&[Step::Data("hello"), Step::Hang]),
            "hello\r\n",
            Caller::DropsFuture,
            "begin req.data req.close(detached) close(cancelled)",
            "cancelled in request, by local, known by drop",
        ),
    ];
    for (name, body, ends, caller, words, verdict) in rows {
        let exchange = run(async {
            let answer = if caller == Caller::DropsFuture { "" } else { ANSWER };
            let server = Canned::start(ends, answer, Then::Holds).await;
            let connection = Connection::http1(server.stream).await;
            let request = request("POST", body);
            let exchange =
                exchange(connection, request, caller, &server.served, &server.seen).await;
            server.task.abort();
            exchange
        });
        let received = if verdict == COMPLETE { &[words, RECEIVED][..] } else { &[words] };
        assert_told(name, &exchange, received, verdict);
    }
}

#[test]
fn every_exchange_over_http2_is_told_as_expected() {
    let hello = Handler::reply(200, Payload::Full("hello"));
    let stream = |steps| Handler::reply(200, Payload::Stream(steps));
    let rows = [
        ("exact", hello, get(), Caller::ReadsAll, [BODILESS, RECEIVED], COMPLETE),
        (
            "upload",
            hello.read(Read::All),
            request("POST", boxed(Full::from("hello"))),
            Caller::ReadsAll,
            [READ, RECEIVED],
            COMPLETE,
        ),
        (
            "trailers",
            stream(&[Step::Data("hello"), Step::Trailers]),
            get(),
            Caller::ReadsAll,
            [BODILESS, "response(200) res.data res.end+trailers close(complete)"],
            COMPLETE,
        ),
        (
            "HEAD",
            Handler::reply(200, Payload::Empty),
            request("HEAD", boxed(Empty::new())),
            Caller::ReadsAll,
            [BODILESS, "response(200) res.end close(complete)"],
            HEAD_ONLY,
        ),
        (
            "future dropped",
            hello.parked(),
            get(),
            Caller::DropsFuture,
            [BODILESS, "close(cancelled)"],
            CANCELLED_IN_HANDLER,
        ),
        (
            "body dropped midway",
            stream(&[Step::Data("hello"), Step::Hang]),
            get(),
            Caller::DropsBody,
            [BODILESS, "response(200) res.data close(cancelled)"],
            CANCELLED_IN_RESPONSE,
        ),
    ];
    for (name, handler, request, caller, words, verdict) in rows {
        let exchange = run(async {
            let signals = Arc::new(Signals::default());
            let server = Server::start(App::new(handler, &signals)).await;
            let stream = TcpStream::connect(server.addr).await.unwrap();
            let connection = Connection::http2(stream).await;
            exchange(connection, request, caller, &signals.parked, &Notify::new()).await
        });
        assert_told(name, &exchange, &words, verdict);
    }
}

/// Over HTTP/2, with a server that resets the stream once the client has read a frame.
fn reset(reason: h2::Reason, version: Version) -> Recording {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let seen = Arc::new(Notify::new());
        let frame_read = Arc::clone(&seen);
        tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(socket).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"hello"), false).unwrap();
            tokio::spawn(async move { while connection.accept().await.is_some() {} });
            frame_read.notified().await;
            body.send_reset(reason);
        });
        let connection = Connection::http2(stream).await;
        let mut request = get();
        *request.version_mut() = version;
        exchange(connection, request, Caller::ReadsAll, &Notify::new(), &seen).await
    })
}

#[test]
fn a_response_that_the_server_resets_is_read_from_its_error() {
    // Only the feature can.
    let [gone, reason, verdict] = if cfg!(feature = "hyper") {
        [
            "disconnect(stream_reset) ",
            "stream_reset",
            "stream_reset in response, by peer, known by frame",
        ]
    } else {
        ["", "response_failed", "response_failed in response, by unknown, known by return"]
    };
    let exchange = reset(h2::Reason::INTERNAL_ERROR, Version::HTTP_2);
    let words = format!("response(200) res.data {gone}res.error({reason}) close({reason})");
    assert_told("reset", &exchange, &[BODILESS, &words], verdict);
}

/// To hyper's body this is an end like any; known without the feature, because the body says that it is not at its end.
/// The request's version is what the caller left in it, and says nothing about the connection.
#[test]
fn a_response_that_the_server_resets_without_an_error_is_not_complete() {
    for version in [Version::HTTP_2, Version::HTTP_11] {
        let exchange = reset(h2::Reason::NO_ERROR, version);
        let words = "response(200) res.data disconnect(stream_reset) res.error(stream_reset) close(stream_reset)";
        let verdict = "stream_reset in response, by peer, known by frame";
        assert_told(&format!("{version:?}"), &exchange, &[BODILESS, words], verdict);
    }
}

/// The layer's bodies are what hyper's client sends and hands out.
#[test]
fn the_response_is_handed_on_as_it_is() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello";
    run(async {
        let server = Canned::start("\r\n\r\n", ANSWER, Then::Holds).await;
        let recorder = Recorder::new();
        let mut service = layer(&recorder).layer(Connection::http1(server.stream).await);
        let response = service.ready().await.unwrap().call(get()).await.unwrap();
        assert_eq!(response.headers()["x-a"], "b");
        assert_eq!(response.body().size_hint().exact(), Some(5));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
        assert_told("", &recorder.only(), &[BODILESS, RECEIVED], COMPLETE);
    });
}
