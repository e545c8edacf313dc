//! Rows over HTTP/2.

use tower_lifecycle::testing::Http2Frame;

use super::{
    BODILESS, BODY_FAILED, BODY_PANICKED, COMPLETE, EMPTY, GONE_IN_HANDLER, GONE_IN_REQUEST,
    GONE_IN_RESPONSE, HANDLER_PANICKED, HEAD_ONLY, MISMATCH, PARTLY, READ, Row, SENT,
    SERVICE_FAILED, UNREAD, expect, row,
};
use crate::support::{
    client::Act::{
        self, AwaitDrained, AwaitLeft, AwaitParked, AwaitRead, Close, Data as Upload, Fin, GoAway,
        Preface, ReadData, ReadStream, Release, Request, Reset, Rst, Trailers as UploadTrailers,
        Window,
    },
    server::{
        Ending, Handler,
        Payload::{Big, Empty, File, Full, Stream},
        Read,
        Step::{self, Data, Error, Hang, Panic, Trailers},
    },
};

const CANCEL: u32 = Http2Frame::CANCEL;
const NO_ERROR: u32 = Http2Frame::NO_ERROR;

const ASK: &[Act] = &[Request(1, "GET", &[], true), ReadStream(1)];
const ASK_HEAD: &[Act] = &[Request(1, "HEAD", &[], true), ReadStream(1)];
const HELLO: Handler = Handler::reply(200, Full("hello"));

const fn stream(steps: &'static [Step]) -> Handler {
    Handler::reply(200, Stream(steps))
}

pub fn rows() -> Vec<Row> {
    [responses(), failures(), requests(), cut_uploads(), leavers(), shared()].concat()
}

#[rustfmt::skip]
fn responses() -> Vec<Row> {
    const TWO: &[Step] = &[Data("hel"), Data("lo")];
    const TRAILED: &str = "response(200) res.data res.end+trailers finish(released) close(complete)";
    let length: fn(Handler) -> Handler = |handler| handler.headers(&[("content-length", "5")]);
    vec![
        row("h2 GET, exact body", HELLO, ASK, &[BODILESS, SENT], COMPLETE),
        row("h2 GET, empty body", Handler::reply(200, Empty), ASK, &[BODILESS, EMPTY], HEAD_ONLY),
        row("h2 GET, stream with Content-Length", length(stream(TWO)), ASK, &[BODILESS, SENT], COMPLETE),
        row("h2 GET, stream of unknown length", stream(TWO), ASK, &[BODILESS, SENT], COMPLETE),
        row("h2 GET, trailers", stream(&[Data("hello"), Trailers]), ASK, &[BODILESS, TRAILED], COMPLETE),
        row("h2 GET, trailers behind a Content-Length", length(stream(&[Data("hello"), Trailers])), ASK,
            &[BODILESS, TRAILED], COMPLETE),
        row("h2 GET, file", Handler::reply(200, File), ASK, &[BODILESS, SENT], COMPLETE),
        row("h2 GET, file not modified", Handler::reply(200, File),
            &[Request(1, "GET", &[("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")], true), ReadStream(1)],
            &[BODILESS, "response(304) res.end finish(released) close(complete)"], HEAD_ONLY),
        row("h2 HEAD, file", Handler::reply(200, File), ASK_HEAD, &[BODILESS, EMPTY], HEAD_ONLY),
        row("h2 HEAD, empty body", Handler::reply(200, Empty), ASK_HEAD, &[BODILESS, EMPTY], HEAD_ONLY),
        // hyper sends what it is given.
        row("h2 HEAD, exact body", HELLO, ASK_HEAD, &[BODILESS, SENT], COMPLETE),
        row("h2 204, empty body", Handler::reply(204, Empty), ASK,
            &[BODILESS, "response(204) res.end finish(released) close(complete)"], HEAD_ONLY),
        row("h2 204, exact body", Handler::reply(204, Full("hello")), ASK,
            &[BODILESS, "response(204) res.data res.end finish(released) close(complete)"], COMPLETE),
        row("h2 304, empty body", Handler::reply(304, Empty).headers(&[("content-length", "5")]), ASK,
            &[BODILESS, "response(304) res.end finish(released) close(complete)"], HEAD_ONLY),
        row("h2 CONNECT, accepted", Handler::reply(200, Empty), &[Request(1, "CONNECT", &[], false), ReadStream(1)],
            &[BODILESS, "response(200) res.end finish(released) close(upgraded)"],
            "upgraded, by local, known by return"),
        row("h2 small window that opens", Handler::reply(200, Full("hello, small window")),
            &[Preface(5), Request(1, "GET", &[], true), ReadData(1), Window(1, 1000), ReadStream(1)],
            &[BODILESS, SENT], COMPLETE),
    ]
}

#[rustfmt::skip]
fn failures() -> Vec<Row> {
    const FAILED: &str = "response(200) res.data res.error(response_failed) close(response_failed)";
    const WRONG: &str = "response(200) res.data res.error(length_mismatch) close(length_mismatch)";
    let length: fn(Handler) -> Handler = |handler| handler.headers(&[("content-length", "5")]);
    vec![
        row("h2 body fails", stream(&[Data("hello"), Error]), ASK, &[BODILESS, FAILED], BODY_FAILED),
        // Unlike over HTTP/1, hyper goes on behind the length.
        row("h2 body fails behind its Content-Length", length(stream(&[Data("hello"), Error])), ASK,
            &[BODILESS, FAILED], BODY_FAILED),
        row("h2 shorter than declared", length(stream(&[Data("hel")])), ASK, &[BODILESS, WRONG], MISMATCH),
        row("h2 longer than declared", length(stream(&[Data("hello"), Data("!")])), ASK, &[BODILESS, WRONG], MISMATCH),
        row("h2 body panics", stream(&[Data("hello"), Panic]), ASK,
            &[BODILESS, "response(200) res.data close(panicked)"], BODY_PANICKED),
        row("h2 handler panics", Handler::ends(Ending::Panic), ASK, &[BODILESS, "close(panicked)"], HANDLER_PANICKED),
        row("h2 service fails", Handler::ends(Ending::ServiceError), ASK,
            &[BODILESS, "res.error(service_failed) close(service_failed)"], SERVICE_FAILED),
    ]
}

#[rustfmt::skip]
fn requests() -> Vec<Row> {
    const POST: Act = Request(1, "POST", &[("content-length", "10")], false);
    const STREAM: Act = Request(1, "POST", &[], false);
    let all = HELLO.read(Read::All);
    vec![
        row("h2 POST, read", all, &[POST, Upload(1, "hello", false), AwaitRead, Upload(1, "world", true), ReadStream(1)],
            &[READ, SENT], COMPLETE),
        row("h2 POST of unknown length, read", all,
            &[STREAM, Upload(1, "hello", false), AwaitRead, Upload(1, "", true), ReadStream(1)], &[READ, SENT], COMPLETE),
        row("h2 POST with trailers, read", all,
            &[STREAM, Upload(1, "hello", false), AwaitRead, UploadTrailers(1), ReadStream(1)],
            &["begin req.data req.end+trailers req.close(complete)", SENT], COMPLETE),
        row("h2 POST, unread", HELLO, &[POST, Upload(1, "helloworld", true), ReadStream(1)], &[UNREAD, SENT], COMPLETE),
        row("h2 POST, partly read", HELLO.read(Read::Frame), &[POST, Upload(1, "hello", false), ReadStream(1)],
            &[PARTLY, SENT], COMPLETE),
        row("h2 a task keeps the body after the answer", HELLO.read(Read::Task),
            &[POST, Upload(1, "hello", false), ReadStream(1), Release, Upload(1, "world", true), AwaitDrained],
            &["begin response(200) res.data res.end finish(released) req.close(detached) close(complete)"], COMPLETE),
    ]
}

/// What the error of a request body tells needs the feature `hyper`, but for `NO_ERROR`, which is no error to hyper.
#[rustfmt::skip]
fn cut_uploads() -> Vec<Row> {
    const POST: Act = Request(1, "POST", &[("content-length", "10")], false);
    const HALF: Act = Upload(1, "hello", false);
    const RESET: [&str; 2] = ["stream_reset", "stream_reset in request, by peer, known by frame"];
    const UNREADABLE: [&str; 2] = ["request_failed", "request_failed in request, by unknown, known by return"];
    let told = |told: [&'static str; 2]| if cfg!(feature = "hyper") { told } else { UNREADABLE };
    // The stream is gone when the handler answers 400: its body is dropped unpolled.
    let cut = |name, client, status: u16, [reason, verdict]: [&'static str; 2]| {
        let gone = if reason == "request_failed" { String::new() } else { format!("disconnect({reason}) ") };
        let words = format!("begin req.data {gone}req.error({reason}) req.close(failed) response({status}) close({reason})");
        row(name, HELLO.read(Read::All), client, &[&words], verdict)
    };
    vec![
        cut("h2 half an upload, RST_STREAM(CANCEL)", &[POST, HALF, AwaitRead, Rst(1, CANCEL)], 400, told(RESET)),
        cut("h2 half an upload, RST_STREAM(NO_ERROR)", &[POST, HALF, AwaitRead, Rst(1, NO_ERROR)], 200, RESET),
        cut("h2 half an upload, FIN", &[POST, HALF, AwaitRead, Close], 400,
            told(["disconnected", "disconnected in request, by peer, known by return"])),
        cut("h2 half an upload, half-close", &[POST, HALF, AwaitRead, Fin, ReadStream(1)], 400,
            told(["disconnected", "disconnected in request, by peer, known by return"])),
        cut("h2 half an upload, RST", &[POST, HALF, AwaitRead, Reset], 400,
            told(["reset", "reset in request, by peer, known by return"])),
        // h2 resets the stream itself.
        cut("h2 an upload shorter than declared", &[POST, HALF, AwaitRead, Upload(1, "", true), ReadStream(1)], 400, UNREADABLE),
    ]
}

#[rustfmt::skip]
fn leavers() -> Vec<Row> {
    const GET: Act = Request(1, "GET", &[], true);
    const EVENTS: Handler = stream(&[Data("hello"), Hang]);
    const GONE: &str = "response(200) res.data close(unknown)";
    const SLOW: &[Act] = &[Preface(5), GET, ReadData(1), Rst(1, CANCEL)];
    vec![
        row("h2 parked, RST_STREAM(CANCEL)", HELLO.parked(), &[GET, AwaitParked, Rst(1, CANCEL), AwaitLeft],
            &[BODILESS, "close(unknown)"], GONE_IN_HANDLER),
        row("h2 parked, body held unread, RST_STREAM(CANCEL)", HELLO.read(Read::Hold).parked(),
            &[Request(1, "POST", &[], false), Upload(1, "hello", true), AwaitParked, Rst(1, CANCEL), AwaitLeft],
            &[UNREAD, "close(unknown)"], GONE_IN_REQUEST),
        row("h2 parked, FIN", HELLO.parked(), &[GET, AwaitParked, Close], &[BODILESS, "close(unknown)"], GONE_IN_HANDLER),
        row("h2 parked, RST", HELLO.parked(), &[GET, AwaitParked, Reset], &[BODILESS, "close(unknown)"], GONE_IN_HANDLER),
        row("h2 mid-stream, RST_STREAM(CANCEL)", EVENTS, &[GET, ReadData(1), Rst(1, CANCEL)],
            &[BODILESS, GONE], GONE_IN_RESPONSE),
        row("h2 mid-stream, RST_STREAM(NO_ERROR)", EVENTS, &[GET, ReadData(1), Rst(1, NO_ERROR)],
            &[BODILESS, GONE], GONE_IN_RESPONSE),
        row("h2 mid-stream, FIN", EVENTS, &[GET, ReadData(1), Close], &[BODILESS, GONE], GONE_IN_RESPONSE),
        // What was released and then reset was handed over: documented, and not to be told without the connection.
        row("h2 small window, exact body, RST_STREAM", Handler::reply(200, Big(1_000_000)), SLOW, &[BODILESS, SENT], COMPLETE),
        row("h2 small window, stream, RST_STREAM",
            stream(&[Data("0123456789"), Data("0123456789"), Data("0123456789"), Data("0123456789")]), SLOW,
            &[BODILESS, GONE], GONE_IN_RESPONSE),
    ]
}

#[rustfmt::skip]
fn shared() -> Vec<Row> {
    const FIRST: Act = Request(1, "GET", &[], true);
    const SECOND: Act = Request(3, "GET", &[], true);
    vec![
        Row { name: "h2 two streams", handler: HELLO, client: &[FIRST, ReadStream(1), SECOND, ReadStream(3)],
            exchanges: vec![expect(&[BODILESS, SENT], COMPLETE); 2] },
        Row { name: "h2 one stream is reset, the other is answered", handler: HELLO.parked(),
            client: &[FIRST, AwaitParked, SECOND, AwaitParked, Rst(1, CANCEL), AwaitLeft, Release, ReadStream(3)],
            exchanges: vec![expect(&[BODILESS, "close(unknown)"], GONE_IN_HANDLER), expect(&[BODILESS, SENT], COMPLETE)] },
        row("h2 GOAWAY while parked", HELLO.parked(), &[FIRST, AwaitParked, GoAway, Release, ReadStream(1)],
            &[BODILESS, SENT], COMPLETE),
    ]
}
