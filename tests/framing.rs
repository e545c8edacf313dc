//! When a body is complete, polled by hand. Over a real server the drop of the body, which follows at once, hides the
//! moment of the end: here each row says what is told before the drop and what the drop adds.

mod support;

use std::future;

use http::{HeaderName, HeaderValue, Method, Request, Response, Version, header::CONTENT_LENGTH};
use tower::service_fn;
use tower_layer::Layer;
use tower_lifecycle::{
    LifecycleLayer, Reason, RequestBody,
    testing::{BoxError, EndClaim, HintClaim, MockBody, Recorder, Recording, Step},
};
use tower_service::Service;

use support::polls::{now, poll_body};

type Mock = MockBody;
type Outcome = Result<Response<Mock>, BoxError>;

#[derive(Clone, Copy, Debug)]
enum Role {
    Server,
    Client,
}
use Role::{Client, Server};

/// A response, and what is told of it.
struct Row {
    name: &'static str,
    role: Role,
    method: Method,
    version: Version,
    /// The header.
    length: Option<u64>,
    body: Mock,
    polls: usize,
    /// After the polls.
    told: &'static str,
    /// Once the body is dropped.
    then: &'static str,
    verdict: &'static str,
}

const H10: Version = Version::HTTP_10;
const H1: Version = Version::HTTP_11;
const H2: Version = Version::HTTP_2;

const FIVE: Step = Step::Data(5);
const TWO: Step = Step::Data(2);
const THREE: Step = Step::Data(3);

/// What is told of a request without a body, and of the head of its response.
const HEAD: &str = "begin req.end req.close(complete) response(200)";

const ENDED: &str = "res.end finish(released) close(complete)";
const SENT: &str = "res.data res.end finish(released) close(complete)";
const TRAILED: &str = "res.data res.end+trailers finish(released) close(complete)";
const WRONG: &str = "res.data res.error(length_mismatch) close(length_mismatch)";
const RECEIVED: &str = "res.data res.end close(complete)";

const COMPLETE: &str = "complete, by local, known by frame";
const HEAD_ONLY: &str = "complete, by local, known by return";
const MISMATCH: &str = "length_mismatch in response, by local, known by frame";
const UNKNOWN: &str = "unknown in response, by unknown, known by drop";
const GOT: &str = "complete, by peer, known by frame";

/// A server's answer to GET; the body is a stream, of which neither length nor end is known.
fn stream(
    name: &'static str,
    (version, length): (Version, Option<u64>),
    (steps, polls): (&[Step], usize),
    (told, then): (&'static str, &'static str),
    verdict: &'static str,
) -> Row {
    let (role, method) = (Server, Method::GET);
    let body = Mock::new(steps).streamed();
    Row { name, role, method, version, length, body, polls, told, then, verdict }
}

#[rustfmt::skip]
fn declared() -> Vec<Row> {
    vec![
        stream("HTTP/1 ends with the frame that reaches the header",
            (H1, Some(5)), (&[FIVE], 1), (SENT, ""), COMPLETE),
        stream("HTTP/1.0 does as well", (H10, Some(5)), (&[FIVE], 1), (SENT, ""), COMPLETE),
        stream("not with a frame before it", (H1, Some(5)), (&[TWO, THREE], 1), ("res.data", "close(unknown)"), UNKNOWN),
        stream("but with the last of several", (H1, Some(5)), (&[TWO, THREE], 2), (SENT, ""), COMPLETE),
        stream("what is behind the length is not seen", (H1, Some(5)), (&[FIVE, TWO], 1), (SENT, ""), COMPLETE),
        stream("an error behind the length is none", (H1, Some(5)), (&[FIVE, Step::Error], 1), (SENT, ""), COMPLETE),
        stream("HTTP/1 with more than declared in one frame", (H1, Some(5)), (&[Step::Data(6)], 1), (WRONG, ""), MISMATCH),
        stream("HTTP/1 with more than declared in the last frame",
            (H1, Some(5)), (&[TWO, FIVE], 2), (WRONG, ""), MISMATCH),
        stream("HTTP/1 with less than declared", (H1, Some(5)), (&[TWO], 2), (WRONG, ""), MISMATCH),
        stream("HTTP/1 of unknown length ends with None", (H1, None), (&[FIVE], 2), (SENT, ""), COMPLETE),
        stream("and not before", (H1, None), (&[FIVE], 1), ("res.data", "close(unknown)"), UNKNOWN),

        stream("HTTP/2 ends with None", (H2, Some(5)), (&[FIVE], 2), (SENT, ""), COMPLETE),
        stream("HTTP/2 does not end at the length, but a drop there is no abort",
            (H2, Some(5)), (&[FIVE], 1), ("res.data", "res.end finish(released) close(complete)"), COMPLETE),
        stream("HTTP/2 dropped before the length", (H2, Some(5)), (&[TWO, THREE], 1), ("res.data", "close(unknown)"), UNKNOWN),
        stream("HTTP/2 dropped behind the length", (H2, Some(5)), (&[FIVE, TWO], 2), ("res.data", "close(unknown)"), UNKNOWN),
        stream("HTTP/2 with more than declared", (H2, Some(5)), (&[FIVE, TWO], 3), (WRONG, ""), MISMATCH),
        stream("HTTP/2 with less than declared", (H2, Some(5)), (&[TWO], 2), (WRONG, ""), MISMATCH),
        stream("HTTP/2 with an error behind the length", (H2, Some(5)), (&[FIVE, Step::Error], 2),
            ("res.data res.error(response_failed) close(response_failed)", ""),
            "response_failed in response, by local, known by return"),
    ]
}

#[rustfmt::skip]
fn hinted() -> Vec<Row> {
    let exact = |length| Mock::new(&[FIVE]).end(EndClaim::Never).hint(HintClaim::Exact(length));
    vec![
        Row { body: exact(5), ..stream("HTTP/1 ends with the frame that reaches the exact hint",
            (H1, None), (&[], 1), (SENT, ""), COMPLETE) },
        Row { body: exact(5), ..stream("the hint and a header that agree",
            (H1, Some(5)), (&[], 1), (SENT, ""), COMPLETE) },
        Row { body: exact(4), ..stream("HTTP/1 with more than hinted in one frame",
            (H1, None), (&[], 1), (WRONG, ""), MISMATCH) },
        Row { body: exact(7), ..stream("HTTP/1 with less than hinted",
            (H1, None), (&[], 2), (WRONG, ""), MISMATCH) },
        Row { body: Mock::new(&[FIVE]).end(EndClaim::Never).hint(HintClaim::AtLeast(5)),
            ..stream("a lower bound is no length", (H1, None), (&[], 1), ("res.data", "close(unknown)"), UNKNOWN) },
        Row { body: exact(5), ..stream("HTTP/2 does not end at the hint, but a drop there is no abort",
            (H2, None), (&[], 1), ("res.data", "res.end finish(released) close(complete)"), COMPLETE) },
    ]
}

#[rustfmt::skip]
fn told_by_the_body() -> Vec<Row> {
    let honest = |steps| Mock::new(steps).hint(HintClaim::Unknown);
    let flips = || Mock::new(&[TWO, THREE]).end(EndClaim::Flips).hint(HintClaim::Unknown);
    vec![
        Row { body: honest(&[TWO, THREE]), ..stream("a frame after which the body is at its end",
            (H1, None), (&[], 2), (SENT, ""), COMPLETE) },
        Row { body: honest(&[TWO, THREE]), ..stream("the same on HTTP/2", (H2, None), (&[], 2), (SENT, ""), COMPLETE) },
        Row { body: honest(&[FIVE]), ..stream("at the length as well, on HTTP/2",
            (H2, Some(5)), (&[], 1), (SENT, ""), COMPLETE) },
        // After the first frame, though another would follow.
        Row { body: flips(), ..stream("at its end, it says, short of the length",
            (H1, Some(5)), (&[], 1), (WRONG, ""), MISMATCH) },
        Row { body: flips(), ..stream("the same on HTTP/2", (H2, Some(5)), (&[], 1), (WRONG, ""), MISMATCH) },
        Row { body: honest(&[FIVE, TWO]), ..stream("at its end beyond the length, on HTTP/2",
            (H2, Some(5)), (&[], 2), (WRONG, ""), MISMATCH) },

        stream("trailers", (H1, None), (&[FIVE, Step::Trailers], 2), (TRAILED, ""), COMPLETE),
        stream("trailers on HTTP/2", (H2, None), (&[FIVE, Step::Trailers], 2), (TRAILED, ""), COMPLETE),
        stream("trailers behind the length on HTTP/2", (H2, Some(5)), (&[FIVE, Step::Trailers], 2), (TRAILED, ""), COMPLETE),
        stream("trailers behind the length on HTTP/1 come too late",
            (H1, Some(5)), (&[FIVE, Step::Trailers], 1), (SENT, ""), COMPLETE),
        stream("trailers short of the length", (H1, Some(5)), (&[TWO, Step::Trailers], 2), (WRONG, ""), MISMATCH),
        stream("trailers short of the length on HTTP/2", (H2, Some(5)), (&[TWO, Step::Trailers], 2), (WRONG, ""), MISMATCH),
        stream("trailers alone", (H2, None), (&[Step::Trailers], 1),
            ("res.end+trailers finish(released) close(complete)", ""), COMPLETE),
    ]
}

#[rustfmt::skip]
fn that_nobody_may_send() -> Vec<Row> {
    let head = |row| Row { method: Method::HEAD, ..row };
    vec![
        head(stream("HEAD on HTTP/1 is over with its head", (H1, Some(5)), (&[FIVE], 0), (ENDED, ""), HEAD_ONLY)),
        head(stream("HEAD on HTTP/2, polled out", (H2, Some(5)), (&[FIVE], 2), (SENT, ""), COMPLETE)),
        head(stream("HEAD on HTTP/2, polled out, of another length than the header tells",
            (H2, Some(7)), (&[FIVE], 2), (SENT, ""), COMPLETE)),
        head(stream("HEAD on HTTP/2, dropped in the middle", (H2, None), (&[TWO, THREE], 1),
            ("res.data", "close(unknown)"), UNKNOWN)),
    ]
}

/// Complete without a frame, so the head is all there is to know it by.
#[rustfmt::skip]
fn dropped_unpolled() -> Vec<Row> {
    let head = stream("HEAD on HTTP/2, dropped unpolled", (H2, Some(5)), (&[FIVE], 0), ("", ENDED), HEAD_ONLY);
    vec![
        Row { method: Method::HEAD, ..head },
        stream("HTTP/2 with a length of 0, dropped unpolled", (H2, Some(0)), (&[], 0), ("", ENDED), HEAD_ONLY),
    ]
}

#[rustfmt::skip]
fn received() -> Vec<Row> {
    let client = |row| Row { role: Client, ..row };
    vec![
        client(stream("a client ends at the length on HTTP/1", (H1, Some(5)), (&[FIVE], 1), (RECEIVED, ""), GOT)),
        client(stream("and on HTTP/2", (H2, Some(5)), (&[FIVE], 1), (RECEIVED, ""), GOT)),
        client(stream("not before", (H2, Some(5)), (&[TWO, THREE], 1), ("res.data", "close(cancelled)"),
            "cancelled in response, by local, known by drop")),
        client(stream("a client ends with None without a length", (H2, None), (&[FIVE], 2), (RECEIVED, ""), GOT)),
        client(stream("a client is sent more than declared", (H2, Some(5)), (&[Step::Data(6)], 1), (WRONG, ""),
            "length_mismatch in response, by peer, known by frame")),
        client(Row { method: Method::HEAD, ..stream("a client gets no body for HEAD", (H2, Some(5)), (&[], 0),
            ("res.end close(complete)", ""), "complete, by peer, known by return") }),
    ]
}

#[test]
fn a_response_ends_at_its_declared_length() {
    declared().into_iter().for_each(Row::check);
}

#[test]
fn a_response_ends_at_its_exact_hint() {
    hinted().into_iter().for_each(Row::check);
}

#[test]
fn a_response_ends_when_its_body_says_so() {
    told_by_the_body().into_iter().for_each(Row::check);
}

#[test]
fn a_response_without_a_body_ends_by_its_version() {
    that_nobody_may_send().into_iter().for_each(Row::check);
}

#[test]
fn a_response_that_ends_unpolled_is_known_by_its_head() {
    dropped_unpolled().into_iter().for_each(Row::check);
}

#[test]
fn a_client_has_it_all_at_the_length() {
    received().into_iter().for_each(Row::check);
}

#[test]
fn a_hint_and_a_header_that_disagree_are_never_complete_on_http1() {
    for (hint, header) in [(7, 5), (5, 7)] {
        for steps in [&[FIVE][..], &[FIVE, TWO], &[Step::Data(7)], &[]] {
            for polls in 0..=3 {
                let row = stream("", (H1, Some(header)), (steps, polls), ("", ""), "");
                let lies = row.body.clone().hint(HintClaim::Exact(hint));
                let reason = Row { body: lies, ..row }.play().exchange.reason();
                assert!(!reason.is_complete(), "{hint} {header} {steps:?}, {polls} polls");
                if polls > steps.len() {
                    assert_eq!(reason, Reason::LengthMismatch, "{hint} {header} {steps:?}");
                }
            }
        }
    }
}

#[test]
fn a_request_dropped_exactly_at_its_length_is_complete_and_one_byte_short_of_it_partial() {
    const PARTLY: &str = "begin req.data req.close(partial)";
    const READ: &str = "begin req.data req.end req.close(complete)";
    let rows = [
        (Some(5), HintClaim::Unknown, FIVE, READ),
        (Some(5), HintClaim::Unknown, Step::Data(4), PARTLY),
        (None, HintClaim::Exact(5), FIVE, READ),
        (None, HintClaim::Exact(5), Step::Data(4), PARTLY),
        (None, HintClaim::Unknown, FIVE, PARTLY),
    ];
    for version in [H10, H1, H2] {
        for (length, hint, step, dropped) in rows {
            let recorder = Recorder::new();
            let words = || recorder.exchanges()[0].words();
            let layer = LifecycleLayer::new(recorder.clone());
            let mut service = layer.layer(service_fn(|request: Request<RequestBody<Mock>>| {
                let mut body = request.into_body();
                assert!(poll_body(&mut body).is_ready());
                assert_eq!(words(), "begin req.data", "not before the drop: it may go on");
                drop(body);
                assert_eq!(words(), dropped, "{version:?} {length:?} {hint:?} {step:?}");
                future::ready(Outcome::Ok(Response::new(Mock::new(&[]))))
            }));
            let body = Mock::new(&[step]).end(EndClaim::Never).hint(hint);
            let mut request = Request::post("/").version(version).body(body).unwrap();
            request.headers_mut().extend(content_length(length));
            drop(now(service.call(request)).unwrap());
            assert_eq!(recorder.only().reason(), Reason::Complete);
        }
    }
}

// ===== playing a row =====

struct Told {
    polled: String,
    exchange: Recording,
}

impl Row {
    fn play(self) -> Told {
        let recorder = Recorder::new();
        let layer = LifecycleLayer::new(recorder.clone());
        let layer = match self.role {
            Server => layer,
            Client => layer.client(),
        };
        let mut response = Response::new(self.body);
        *response.version_mut() = self.version;
        response.headers_mut().extend(content_length(self.length));
        let mut response = Some(response);
        let mut service =
            layer.layer(service_fn(|_| future::ready(Outcome::Ok(response.take().unwrap()))));
        let request = Request::builder().method(self.method).version(self.version);
        let request = request.body(Mock::new(&[])).unwrap();

        let mut body = now(service.call(request)).unwrap().into_body();
        for _ in 0..self.polls {
            let _ = poll_body(&mut body);
        }
        let exchange = recorder.exchanges().remove(0);
        let polled = exchange.words();
        if exchange.dropped {
            // A consumer that goes on is told of no more.
            let _ = (poll_body(&mut body), poll_body(&mut body));
        }
        drop(body);
        Told { polled, exchange: recorder.only() }
    }

    fn check(self) {
        let Self { name, told, then, verdict, .. } = self;
        let words = |parts: &[&str]| {
            let parts: Vec<_> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
            parts.join(" ")
        };
        let Told { polled, exchange } = self.play();
        assert_eq!(polled, words(&[HEAD, told]), "{name}, before the drop");
        assert_eq!(exchange.words(), words(&[HEAD, told, then]), "{name}, after the drop");
        assert_eq!(exchange.close().to_string(), verdict, "{name}");
    }
}

fn content_length(length: Option<u64>) -> Option<(HeaderName, HeaderValue)> {
    length.map(|length| (CONTENT_LENGTH, length.into()))
}
