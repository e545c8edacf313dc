//! Rows over HTTP/1.

use super::{
    BODILESS, BODY_FAILED, BODY_PANICKED, COMPLETE, EMPTY, GONE_IN_HANDLER, GONE_IN_REQUEST,
    GONE_IN_RESPONSE, HANDLER_PANICKED, HEAD_ONLY, MISMATCH, PARTLY, READ, Row, SENT,
    SERVICE_FAILED, UNREAD, expect, row,
};
use crate::support::{
    client::Act::{
        self, AwaitDrained, AwaitParked, AwaitRead, Close, Fin, Read as Receive, ReadToEnd,
        Release, Reset, Send,
    },
    server::{
        Ending, Handler,
        Payload::{Big, Empty, File, Full, Stream},
        Read,
        Step::{self, Data, Error, Hang, Panic, Trailers},
    },
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const POST: &str =
    "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 10\r\n\r\nhello";
const CHUNKED: &str = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
const LAST_CHUNK: &str = "0\r\n\r\n";

const ASK: &[Act] = &[Send(GET), ReadToEnd];
const ASK_HEAD: &[Act] = &[Send(HEAD), ReadToEnd];
/// In two parts, so that there are two frames.
const UPLOAD: &[Act] = &[Send(POST), AwaitRead, Send("world"), ReadToEnd];

const HELLO: Handler = Handler::reply(200, Full("hello"));
const FAILED: &str = "req.close(failed) response(400) res.data res.end finish(released)";
const CUT: &str = "disconnected in request, by peer, known by return";

const fn stream(steps: &'static [Step]) -> Handler {
    Handler::reply(200, Stream(steps))
}

pub fn rows() -> Vec<Row> {
    [responses(), failures(), requests(), leavers(), shared(), upgrades()].concat()
}

/// Method, status and kind of body, with a client that reads everything. Each of them is told as an abort by a layer that
/// waits for `None`.
#[rustfmt::skip]
fn responses() -> Vec<Row> {
    const TWO: &[Step] = &[Data("hel"), Data("lo")];
    let length: fn(Handler) -> Handler = |handler| handler.headers(&[("content-length", "5")]);
    vec![
        row("GET, exact body", HELLO, ASK, &[BODILESS, SENT], COMPLETE),
        row("GET, empty body", Handler::reply(200, Empty), ASK, &[BODILESS, EMPTY], HEAD_ONLY),
        row("GET, exact body of no bytes", Handler::reply(200, Full("")), ASK, &[BODILESS, EMPTY], HEAD_ONLY),
        row("GET, stream with Content-Length", length(stream(TWO)), ASK, &[BODILESS, SENT], COMPLETE),
        row("GET, stream of unknown length", stream(TWO), ASK, &[BODILESS, SENT], COMPLETE),
        row("GET, stream of nothing", stream(&[]), ASK, &[BODILESS, EMPTY], COMPLETE),
        row("GET over HTTP/1.0, stream until close", stream(TWO),
            &[Send("GET / HTTP/1.0\r\n\r\n"), ReadToEnd], &[BODILESS, SENT], COMPLETE),
        row("GET, trailers that are asked for", stream(&[Data("hello"), Trailers]).headers(&[("trailer", "x-sum")]),
            &[Send("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\n\r\n"), ReadToEnd],
            &[BODILESS, "response(200) res.data res.end+trailers finish(released) close(complete)"], COMPLETE),
        row("GET, trailers that nobody asked for", stream(&[Data("hello"), Trailers]), ASK,
            &[BODILESS, "response(200) res.data res.end+trailers finish(released) close(complete)"], COMPLETE),
        row("GET, trailers behind a Content-Length", length(stream(&[Data("hello"), Trailers])), ASK, &[BODILESS, SENT], COMPLETE),
        row("GET, file", Handler::reply(200, File), ASK, &[BODILESS, SENT], COMPLETE),
        row("GET, range of a file", Handler::reply(200, File),
            &[Send("GET / HTTP/1.1\r\nhost: a\r\nrange: bytes=10-2000\r\nconnection: close\r\n\r\n"), ReadToEnd],
            &[BODILESS, "response(206) res.data res.end finish(released) close(complete)"], COMPLETE),
        row("GET, file not modified", Handler::reply(200, File),
            &[Send("GET / HTTP/1.1\r\nhost: a\r\nif-modified-since: Fri, 01 Jan 2100 00:00:00 GMT\r\nconnection: close\r\n\r\n"), ReadToEnd],
            &[BODILESS, "response(304) res.end finish(released) close(complete)"], HEAD_ONLY),
        row("HEAD, exact body", HELLO, ASK_HEAD, &[BODILESS, EMPTY], HEAD_ONLY),
        row("HEAD, stream with Content-Length", length(stream(TWO)), ASK_HEAD, &[BODILESS, EMPTY], HEAD_ONLY),
        row("HEAD, stream of unknown length", stream(TWO), ASK_HEAD, &[BODILESS, EMPTY], HEAD_ONLY),
        row("HEAD, file", Handler::reply(200, File), ASK_HEAD, &[BODILESS, EMPTY], HEAD_ONLY),
        row("204, empty body", Handler::reply(204, Empty), ASK,
            &[BODILESS, "response(204) res.end finish(released) close(complete)"], HEAD_ONLY),
        row("204, stream that must not be sent", Handler::reply(204, Stream(TWO)), ASK,
            &[BODILESS, "response(204) res.end finish(released) close(complete)"], HEAD_ONLY),
        row("304, stream that must not be sent", length(Handler::reply(304, Stream(TWO))), ASK,
            &[BODILESS, "response(304) res.end finish(released) close(complete)"], HEAD_ONLY),
        row("404, exact body", Handler::reply(404, Full("no")), ASK,
            &[BODILESS, "response(404) res.data res.end finish(released) close(complete)"], COMPLETE),
        row("500 is an answer like any", Handler::reply(500, Full("no")), ASK,
            &[BODILESS, "response(500) res.data res.end finish(released) close(complete)"], COMPLETE),
        row("error behind the Content-Length is never polled", length(stream(&[Data("hello"), Error])), ASK,
            &[BODILESS, SENT], COMPLETE),
        row("longer than declared by a frame that is never polled", length(stream(&[Data("hello"), Data("!")])), ASK,
            &[BODILESS, SENT], COMPLETE),
    ]
}

/// What goes wrong on our side.
#[rustfmt::skip]
fn failures() -> Vec<Row> {
    let length: fn(Handler) -> Handler = |handler| handler.headers(&[("content-length", "5")]);
    vec![
        row("body fails at once", stream(&[Error]), ASK,
            &[BODILESS, "response(200) res.error(response_failed) close(response_failed)"], BODY_FAILED),
        row("body fails after data", stream(&[Data("hello"), Error]), ASK,
            &[BODILESS, "response(200) res.data res.error(response_failed) close(response_failed)"], BODY_FAILED),
        row("body with Content-Length fails before it", length(stream(&[Data("hel"), Error])), ASK,
            &[BODILESS, "response(200) res.data res.error(response_failed) close(response_failed)"], BODY_FAILED),
        row("shorter than declared", length(stream(&[Data("hel")])), ASK,
            &[BODILESS, "response(200) res.data res.error(length_mismatch) close(length_mismatch)"], MISMATCH),
        row("longer than declared within a frame", length(stream(&[Data("hello!")])), ASK,
            &[BODILESS, "response(200) res.data res.error(length_mismatch) close(length_mismatch)"], MISMATCH),
        row("body panics", stream(&[Data("hello"), Panic]), ASK,
            &[BODILESS, "response(200) res.data close(panicked)"], BODY_PANICKED),
        row("handler panics", Handler::ends(Ending::Panic), ASK, &[BODILESS, "close(panicked)"], HANDLER_PANICKED),
        row("service panics in call", Handler::ends(Ending::PanicInCall), ASK,
            &[BODILESS, "close(panicked)"], HANDLER_PANICKED),
        row("service fails", Handler::ends(Ending::ServiceError), ASK,
            &[BODILESS, "res.error(service_failed) close(service_failed)"], SERVICE_FAILED),
        row("service fails, the request unread", Handler::ends(Ending::ServiceError), &[Send(POST), Send("world"), ReadToEnd],
            &[UNREAD, "res.error(service_failed) close(service_failed)"], SERVICE_FAILED),
    ]
}

/// What becomes of the request body.
#[rustfmt::skip]
fn requests() -> Vec<Row> {
    const EXPECT: &str = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
    const NOTHING: &str = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let all = HELLO.read(Read::All);
    vec![
        row("POST, read", all, UPLOAD, &[READ, SENT], COMPLETE),
        row("POST of nothing, read", all, &[Send(NOTHING), ReadToEnd], &[BODILESS, SENT], COMPLETE),
        row("POST, unread", HELLO, &[Send(POST), Send("world"), ReadToEnd], &[UNREAD, SENT], COMPLETE),
        row("POST, held unread until the answer", HELLO.read(Read::Hold), &[Send(POST), Send("world"), ReadToEnd],
            &[UNREAD, SENT], COMPLETE),
        row("POST, partly read", HELLO.read(Read::Frame), &[Send(POST), ReadToEnd], &[PARTLY, SENT], COMPLETE),
        row("POST, read exactly to its last frame", HELLO.read(Read::Frame),
            &[Send("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"), ReadToEnd],
            &[READ, SENT], COMPLETE),
        row("chunked, read", all, &[Send(CHUNKED), AwaitRead, Send(LAST_CHUNK), ReadToEnd], &[READ, SENT], COMPLETE),
        row("chunked, one frame read", HELLO.read(Read::Frame), &[Send(CHUNKED), ReadToEnd], &[PARTLY, SENT], COMPLETE),
        row("chunked of nothing, read", all,
            &[Send("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"), ReadToEnd],
            &[BODILESS, SENT], COMPLETE),
        row("chunked with trailers, read", all, &[Send(CHUNKED), AwaitRead, Send("0\r\nx-sum: 1\r\n\r\n"), ReadToEnd],
            &["begin req.data req.end+trailers req.close(complete)", SENT], COMPLETE),
        row("Expect: 100-continue, read", all, &[Send(EXPECT), Receive("100 Continue\r\n\r\n"), Send("hello"), ReadToEnd],
            &[READ, SENT], COMPLETE),
        row("Expect: 100-continue, refused", Handler::reply(417, Empty), &[Send(EXPECT), ReadToEnd],
            &[UNREAD, "response(417) res.end finish(released) close(complete)"], HEAD_ONLY),
        row("a task keeps the body after the answer", HELLO.read(Read::Task),
            &[Send(POST), Receive("\r\n\r\nhello"), Release, Send("world"), AwaitDrained],
            &["begin response(200) res.data res.end finish(released) req.close(detached) close(complete)"], COMPLETE),
        row("malformed chunk", all, &[Send(CHUNKED), AwaitRead, Send("what?\r\n"), ReadToEnd],
            &["begin req.data req.error(request_failed)", FAILED, "close(request_failed)"],
            "request_failed in request, by unknown, known by return"),
    ]
}

/// Clients that leave.
#[rustfmt::skip]
fn leavers() -> Vec<Row> {
    const EVENTS: Handler = stream(&[Data("hello"), Hang]);
    let all = HELLO.read(Read::All);
    vec![
        row("parked, FIN", HELLO.parked(), &[Send(GET), AwaitParked, Close], &[BODILESS, "close(unknown)"], GONE_IN_HANDLER),
        row("parked, RST", HELLO.parked(), &[Send(GET), AwaitParked, Reset], &[BODILESS, "close(unknown)"], GONE_IN_HANDLER),
        row("parked, half-close", HELLO.parked(), &[Send(GET), AwaitParked, Fin, ReadToEnd],
            &[BODILESS, "close(unknown)"], GONE_IN_HANDLER),
        row("parked, body dropped, FIN", HELLO.read(Read::Frame).parked(),
            &[Send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"), AwaitParked, Close],
            &[READ, "close(unknown)"], GONE_IN_HANDLER),
        // The body is dropped with the handler, which still held it: nobody was done with the request.
        row("parked, body held unread, FIN", HELLO.read(Read::Hold).parked(),
            &[Send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"), AwaitParked, Close],
            &[UNREAD, "close(unknown)"], GONE_IN_REQUEST),
        row("half an upload, FIN", all, &[Send(POST), AwaitRead, Fin, ReadToEnd],
            &["begin req.data disconnect(disconnected) req.error(disconnected)", FAILED, "close(disconnected)"], CUT),
        row("half an upload, RST", all, &[Send(POST), AwaitRead, Reset],
            &["begin req.data disconnect(reset) req.error(reset)", FAILED, "close(reset)"], "reset in request, by peer, known by return"),
        row("half a chunked upload, FIN", all, &[Send(CHUNKED), AwaitRead, Fin, ReadToEnd],
            &["begin req.data disconnect(disconnected) req.error(disconnected)", FAILED, "close(disconnected)"], CUT),
        row("an upload's head, FIN", all, &[Send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n"), Fin, ReadToEnd],
            &["begin disconnect(disconnected) req.error(disconnected)", FAILED, "close(disconnected)"], CUT),
        row("half an upload, FIN unseen until it is read", HELLO.read(Read::Late).parked(),
            &[Send(POST), AwaitParked, Fin, Release, ReadToEnd],
            &["begin req.data disconnect(disconnected) req.error(disconnected)", FAILED, "close(disconnected)"], CUT),
        row("half an upload, FIN never seen", HELLO.read(Read::Hold).parked(),
            &[Send(POST), AwaitParked, Fin, Release, ReadToEnd], &[UNREAD, SENT], COMPLETE),
        row("mid-stream, FIN", EVENTS, &[Send(GET), Receive("hello"), Close],
            &[BODILESS, "response(200) res.data close(unknown)"], GONE_IN_RESPONSE),
        row("mid-stream, RST", EVENTS, &[Send(GET), Receive("hello"), Reset],
            &[BODILESS, "response(200) res.data close(unknown)"], GONE_IN_RESPONSE),
        row("large exact body, read to the head, FIN", Handler::reply(200, Big(5_000_000)),
            &[Send(GET), Receive("\r\n\r\n"), Close], &[BODILESS, SENT], COMPLETE),
    ]
}

/// Connections that serve more than one request.
#[rustfmt::skip]
fn shared() -> Vec<Row> {
    const KEEP: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    const PAIR: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    const UPLOAD_KEEP: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello";
    const LATE: &str = "begin response(200) res.data res.end finish(released) req.close(detached) close(complete)";
    let both = |words: &[&str]| vec![expect(words, COMPLETE), expect(words, COMPLETE)];
    vec![
        Row { name: "keep-alive, a second request", handler: HELLO,
            client: &[Send(KEEP), Receive("hello"), Send(GET), ReadToEnd], exchanges: both(&[BODILESS, SENT]) },
        Row { name: "keep-alive after an upload", handler: HELLO.read(Read::All),
            client: &[Send(UPLOAD_KEEP), AwaitRead, Send("world"), Receive("\r\n\r\nhello"), Send(GET), ReadToEnd],
            exchanges: vec![expect(&[READ, SENT], COMPLETE), expect(&[BODILESS, SENT], COMPLETE)] },
        Row { name: "pipelined", handler: HELLO, client: &[Send(PAIR), ReadToEnd], exchanges: both(&[BODILESS, SENT]) },
        // The first request's body is read by a task after the second exchange is over.
        Row { name: "the end of a request after the next request", handler: HELLO.read(Read::Task),
            client: &[Send(UPLOAD_KEEP), Receive("\r\n\r\nhello"), Send("world"), Send(GET), Release, AwaitDrained, ReadToEnd],
            exchanges: vec![expect(&[LATE], COMPLETE), expect(&[BODILESS, SENT], COMPLETE)] },
        // hyper 1.12 makes the connection's end an error of the body, which is complete.
        row("an error behind the end of a request that a task reads", HELLO.read(Read::Task),
            &[Send(UPLOAD_KEEP), Receive("\r\n\r\nhello"), Release, AwaitRead, Send("world"), AwaitRead, Fin, AwaitDrained],
            &[LATE], COMPLETE),
        Row { name: "keep-alive, the client leaves during the second", handler: HELLO.parked(),
            client: &[Send(KEEP), AwaitParked, Release, Receive("hello"), Send(KEEP), AwaitParked, Close],
            exchanges: vec![expect(&[BODILESS, SENT], COMPLETE), expect(&[BODILESS, "close(unknown)"], GONE_IN_HANDLER)] },
    ]
}

#[rustfmt::skip]
fn upgrades() -> Vec<Row> {
    const UPGRADED: &str = "upgraded, by local, known by return";
    const CONNECT: &str = "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n";
    vec![
        row("101", Handler::reply(101, Empty).headers(&[("connection", "upgrade"), ("upgrade", "x")]),
            &[Send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"), ReadToEnd],
            &[BODILESS, "response(101) res.end finish(released) close(upgraded)"], UPGRADED),
        row("an upgrade that is answered like any request", HELLO,
            &[Send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: x\r\n\r\n"), ReadToEnd],
            &[BODILESS, SENT], COMPLETE),
        row("CONNECT, accepted", Handler::reply(200, Empty), &[Send(CONNECT), ReadToEnd],
            &[BODILESS, "response(200) res.end finish(released) close(upgraded)"], UPGRADED),
        row("CONNECT, refused", Handler::reply(403, Full("no")), &[Send(CONNECT), ReadToEnd],
            &[BODILESS, "response(403) res.data res.end finish(released) close(complete)"], COMPLETE),
    ]
}
