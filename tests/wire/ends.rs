//! How a connection ends, and what hyper says of it: the same through a seam, and each what it is supposed to be.

use std::time::Duration;

use crate::{
    served::{Case, undated},
    support::{
        client::{
            Act::{
                self, AwaitParked, AwaitRead, Close, Data as Upload, Fin, GoAway, Preface,
                Read as Receive, ReadData, ReadStream, ReadToEnd, Release, Request, Reset, Send,
            },
            End,
        },
        rows::run,
        seams::{Builder, Seam},
        server::{
            Ending, Handler,
            Payload::{Big, Full, Stream},
            Read,
            Step::{Data, Error, Hang},
        },
    },
    tally::Tally,
};

/// What happens, what hyper's error has to contain, and how the client sees the connection end, if it stays.
type Row = (&'static str, Case, &'static str, Option<End>);

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nhello";
/// More than hyper reads at once, and less than sockets hold.
const UNREAD: &str = match std::str::from_utf8(&[b'x'; 100_000]) {
    Ok(text) => text,
    Err(_) => "",
};

const HELLO: Handler = Handler::reply(200, Full("hello"));
const PARKED: Handler = HELLO.parked();
const HALF: Handler = Handler::reply(200, Stream(&[Data("hello"), Hang]));
const LARGE: Handler = Handler::reply(200, Big(20_000_000));
const BREAKS: Handler = Handler::reply(200, Stream(&[Data("hello"), Error]));

const OK: &str = "ok";
const PANICKED: &str = "panicked";
const INCOMPLETE: &str = "hyper::Error(IncompleteMessage)";
const IO_RESET: &str = "hyper::Error(Io, Os { code: 104, kind: ConnectionReset";
const WRITE_RESET: &str = "hyper::Error(BodyWrite, Os { code: 104, kind: ConnectionReset";
const H2_RESET: &str = "hyper::Error(Io, Kind(ConnectionReset))";
const PROTOCOL: &str = "hyper::Error(Http2, Error { kind: GoAway(b\"\", PROTOCOL_ERROR, Library)";

const STAYS: Option<End> = Some(End::Eof);
const BROKEN: Option<End> = Some(End::Reset);
const LEAVES: Option<End> = None;

const fn case(handler: Handler, client: &'static [Act], exchanges: usize) -> Case {
    Case { handler, client, exchanges }
}

#[rustfmt::skip]
fn http1() -> Vec<Row> {
    let all = HELLO.read(Read::All);
    let unread = PARKED.read(Read::Hold);
    let fails = Handler::ends(Ending::ServiceError);
    vec![
        ("nothing, FIN", case(HELLO, &[Fin, ReadToEnd], 0), OK, STAYS),
        ("nothing, RST", case(HELLO, &[Reset], 0), "ConnectionReset", LEAVES),
        ("half a head, FIN", case(HELLO, &[Send("GET / HT"), Fin, ReadToEnd], 0), INCOMPLETE, STAYS),
        ("malformed head", case(HELLO, &[Send("what?\r\n\r\n"), ReadToEnd], 0), "hyper::Error(Parse(", STAYS),
        ("half a preface of HTTP/2", case(HELLO, &[Send("PRI * HTTP/2.0\r\n\r\nwhat?"), ReadToEnd], 0),
            "hyper::Error(Parse(", STAYS),
        ("idle, FIN", case(HELLO, &[Send(GET), Receive("hello"), Fin, ReadToEnd], 1), OK, STAYS),
        ("idle, RST", case(HELLO, &[Send(GET), Receive("hello"), Reset], 1), OK, LEAVES),
        ("in handler, close", case(PARKED, &[Send(GET), AwaitParked, Close], 1), INCOMPLETE, LEAVES),
        ("in handler, FIN", case(PARKED, &[Send(GET), AwaitParked, Fin, ReadToEnd], 1), INCOMPLETE, STAYS),
        ("in handler, RST", case(PARKED, &[Send(GET), AwaitParked, Reset], 1), IO_RESET, LEAVES),
        ("in handler, a second request, RST", case(PARKED, &[Send(GET), AwaitParked, Send(GET), Reset, Release], 1),
            WRITE_RESET, LEAVES),
        ("mid upload, FIN", case(all, &[Send(POST), AwaitRead, Fin, ReadToEnd], 1), OK, STAYS),
        ("mid upload, RST", case(all, &[Send(POST), AwaitRead, Reset], 1), "BrokenPipe", LEAVES),
        ("mid upload, unread, FIN", case(unread, &[Send(POST), AwaitParked, Fin, Release, ReadToEnd], 1), OK, STAYS),
        ("mid upload, unread, RST", case(unread, &[Send(POST), AwaitParked, Reset, Release], 1), WRITE_RESET, LEAVES),
        ("mid response, close", case(HALF, &[Send(GET), Receive("hello"), Close], 1), INCOMPLETE, LEAVES),
        ("mid response, FIN", case(HALF, &[Send(GET), Receive("hello"), Fin, ReadToEnd], 1), INCOMPLETE, STAYS),
        ("mid response, RST", case(HALF, &[Send(GET), Receive("hello"), Reset], 1), IO_RESET, LEAVES),
        ("mid flush, RST", case(LARGE, &[Send(GET), Receive("\r\n\r\n"), Reset], 1), "ConnectionReset", LEAVES),
        ("service fails", case(fails, &[Send(GET), ReadToEnd], 1), "User(Service), \"the service failed\"", STAYS),
        ("service fails, much unread", case(fails.parked(), &[Send(POST), AwaitParked, Send(UNREAD), Release, ReadToEnd], 1),
            "User(Service)", BROKEN),
        ("handler panics, much unread",
            case(Handler::ends(Ending::Panic).parked(), &[Send(POST), AwaitParked, Send(UNREAD), Release, ReadToEnd], 1),
            PANICKED, BROKEN),
        ("answered, much unread", case(PARKED, &[Send(POST), AwaitParked, Send(UNREAD), Release, ReadToEnd], 1), OK, STAYS),
        ("body fails", case(BREAKS, &[Send(GET), ReadToEnd], 1), "User(Body), \"the response body failed\"", STAYS),
    ]
}

#[rustfmt::skip]
fn http2() -> Vec<Row> {
    const HELLO_AGAIN: Act = Preface(65_535);
    const ASK: Act = Request(1, "GET", &[], true);
    const UPLOAD: Act = Request(1, "POST", &[], false);
    const HUGE_FRAME: Act = Send("\x7f\x7f\x7f\0\0\0\0\0\x01");
    let all = HELLO.read(Read::All);
    vec![
        ("h2 idle, FIN", case(HELLO, &[ASK, ReadStream(1), Fin, ReadToEnd], 1), OK, STAYS),
        ("h2 idle, RST", case(HELLO, &[ASK, ReadStream(1), Reset], 1), H2_RESET, LEAVES),
        ("h2 idle, GOAWAY", case(HELLO, &[ASK, ReadStream(1), GoAway, ReadToEnd], 1), OK, STAYS),
        ("h2 nothing but a preface, FIN", case(HELLO, &[HELLO_AGAIN, Fin, ReadToEnd], 0), OK, STAYS),
        ("h2 in handler, FIN", case(PARKED, &[ASK, AwaitParked, Fin, ReadToEnd], 1), OK, STAYS),
        ("h2 in handler, RST", case(PARKED, &[ASK, AwaitParked, Reset], 1), H2_RESET, LEAVES),
        ("h2 mid upload, FIN", case(all, &[UPLOAD, Upload(1, "hello", false), AwaitRead, Fin, ReadToEnd], 1), OK, STAYS),
        ("h2 mid upload, RST", case(all, &[UPLOAD, Upload(1, "hello", false), AwaitRead, Reset], 1),
            H2_RESET, LEAVES),
        ("h2 mid response, FIN", case(HALF, &[ASK, ReadData(1), Fin, ReadToEnd], 1), OK, STAYS),
        ("h2 mid response, RST", case(HALF, &[ASK, ReadData(1), Reset], 1), H2_RESET, LEAVES),
        ("h2 service fails", case(Handler::ends(Ending::ServiceError), &[ASK, ReadStream(1)], 1), OK, STAYS),
        ("h2 body fails", case(BREAKS, &[ASK, ReadStream(1)], 1), OK, STAYS),
        ("h2 data on an idle stream", case(HELLO, &[HELLO_AGAIN, Upload(1, "hello", true), ReadToEnd], 0), PROTOCOL, STAYS),
        ("h2 a stream of the server's", case(HELLO, &[Request(2, "GET", &[], true), ReadToEnd], 0), PROTOCOL, STAYS),
        ("h2 a frame too large", case(HELLO, &[HELLO_AGAIN, HUGE_FRAME, ReadToEnd], 0), "FRAME_SIZE_ERROR", STAYS),
        ("h2 malformed while a handler is parked", case(PARKED, &[ASK, AwaitParked, Upload(3, "hello", true), ReadToEnd], 1),
            PROTOCOL, STAYS),
    ]
}

/// Plays it bare and through every seam, which have to come to the same.
#[track_caller]
fn assert_ends((name, case, says, end): &Row, builder: &Builder) {
    let bare = run(case.over_hyper(builder.clone(), None));
    let result = bare.result.as_deref().unwrap();
    assert!(result.contains(says), "{name}: {result}");
    assert_eq!(bare.received.end, *end, "{name}: {bare:?}");
    for seam in Seam::DRIVEN {
        for (layer_name, layer) in case.layers(&Tally::default()) {
            let seen = run(case.over_hyper(builder.clone(), Some((seam, &layer))));
            assert_eq!(seen, bare, "{name}, {seam:?}, {layer_name}");
        }
    }
}

#[test]
fn hyper_says_the_same_of_a_connection_over_http1() {
    for row in http1() {
        assert_ends(&row, &undated());
    }
}

#[test]
fn hyper_says_the_same_of_a_connection_over_http2() {
    for row in http2() {
        assert_ends(&row, &undated());
    }
}

#[test]
fn hyper_says_the_same_of_heads_that_are_too_large_or_too_late() {
    let mut builder = undated();
    builder.http1().max_buf_size(8192).header_read_timeout(Duration::from_millis(50));
    let large = case(HELLO, &[Send("GET /"), Send(UNREAD), ReadToEnd], 0);
    let late = case(HELLO, &[Send("GET / HTTP/1.1\r\nhost:"), ReadToEnd], 0);
    let idle = case(HELLO, &[Send(GET), ReadToEnd], 1);
    assert_ends(&("head too large", large, "hyper::Error(Parse(TooLarge))", STAYS), &builder);
    assert_ends(&("head too late", late, "hyper::Error(HeaderTimeout)", STAYS), &builder);
    assert_ends(&("idle for too long", idle, "hyper::Error(HeaderTimeout)", STAYS), &builder);
}
