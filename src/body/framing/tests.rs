//! The rules as a table.

use super::*;

const UNKNOWN: Hints = Hints { ended: false, exact: None };
const EMPTY: Hints = Hints { ended: true, exact: Some(0) };

const fn exact(length: u64) -> Hints {
    Hints { ended: false, exact: Some(length) }
}

fn headers(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap()));
    pairs.collect()
}

/// How a body begins, in a word.
fn start(
    role: Role,
    request: (&str, Version),
    status: u16,
    fields: &[(&'static str, &'static str)],
    hints: Hints,
) -> String {
    let method = Method::from_bytes(request.0.as_bytes()).unwrap();
    let line = RequestLine::new(role, &method, request.1);
    match Start::decide(line, StatusCode::from_u16(status).unwrap(), &headers(fields), hints) {
        Start::Ended => "ended".to_owned(),
        Start::Mismatch => "mismatch".to_owned(),
        Start::Upgraded => "upgraded".to_owned(),
        Start::Body(Framing { optional: true, .. }) => "optional".to_owned(),
        Start::Body(Framing { lies: true, .. }) => "lies".to_owned(),
        Start::Body(Framing { stops: true, length, .. }) => format!("until {length}"),
        Start::Body(Framing { declared: true, length, .. }) => {
            format!("until end, declared {length}")
        }
        Start::Body(_) => "until end".to_owned(),
    }
}

#[test]
fn how_a_response_body_begins() {
    use Role::{Client, Server};
    const H10: Version = Version::HTTP_10;
    const H11: Version = Version::HTTP_11;
    const H2: Version = Version::HTTP_2;
    const H3: Version = Version::HTTP_3;
    const NONE: &[(&str, &str)] = &[];
    const LENGTH_5: &[(&str, &str)] = &[("content-length", "5")];
    const LENGTH_0: &[(&str, &str)] = &[("content-length", "0")];
    const CHUNKED: &[(&str, &str)] = &[("transfer-encoding", "chunked")];
    const BOTH: &[(&str, &str)] = &[("transfer-encoding", "chunked"), ("content-length", "5")];

    #[rustfmt::skip]
    let rows = [
        // Nothing is to come.
        (Server, ("GET", H11), 200, NONE, EMPTY, "ended"),
        (Server, ("GET", H2), 200, NONE, EMPTY, "ended"),
        (Server, ("GET", H11), 200, NONE, exact(0), "ended"),
        (Server, ("GET", H2), 200, NONE, exact(0), "ended"),
        (Server, ("GET", H11), 200, LENGTH_0, UNKNOWN, "ended"),
        (Client, ("GET", H2), 200, LENGTH_0, UNKNOWN, "ended"),
        // hyper's HTTP/1 server drops the header, its HTTP/2 server sends it.
        (Server, ("GET", H11), 200, LENGTH_5, EMPTY, "ended"),
        (Server, ("GET", H2), 200, LENGTH_5, EMPTY, "mismatch"),
        (Server, ("GET", H11), 200, LENGTH_5, exact(0), "mismatch"),
        // No body may follow: not polled on HTTP/1, perhaps polled on HTTP/2.
        (Server, ("HEAD", H11), 200, LENGTH_5, exact(5), "ended"),
        (Server, ("HEAD", H11), 200, NONE, UNKNOWN, "ended"),
        (Server, ("GET", H11), 204, NONE, UNKNOWN, "ended"),
        (Server, ("GET", H11), 304, LENGTH_5, UNKNOWN, "ended"),
        (Server, ("GET", H10), 304, LENGTH_5, exact(5), "ended"),
        (Server, ("HEAD", H2), 200, LENGTH_5, EMPTY, "ended"),
        (Server, ("HEAD", H2), 200, LENGTH_5, exact(5), "optional"),
        (Server, ("GET", H2), 204, NONE, UNKNOWN, "optional"),
        (Server, ("GET", H3), 304, LENGTH_5, exact(5), "optional"),
        (Client, ("HEAD", H2), 200, LENGTH_5, UNKNOWN, "ended"),
        (Client, ("GET", H2), 304, LENGTH_5, UNKNOWN, "ended"),
        // A length: HTTP/1 and clients stop there, HTTP/2 servers go on.
        (Server, ("GET", H11), 200, LENGTH_5, UNKNOWN, "until 5"),
        (Server, ("GET", H11), 200, NONE, exact(5), "until 5"),
        (Server, ("GET", H10), 200, LENGTH_5, exact(5), "until 5"),
        (Server, ("POST", H2), 200, LENGTH_5, UNKNOWN, "until end, declared 5"),
        (Server, ("POST", H2), 200, NONE, exact(5), "until end, declared 5"),
        (Client, ("POST", H2), 200, LENGTH_5, UNKNOWN, "until 5"),
        // hyper trusts the body, the peer the header.
        (Server, ("GET", H11), 200, LENGTH_5, exact(7), "lies"),
        (Server, ("GET", H2), 200, LENGTH_5, exact(7), "until end, declared 5"),
        // Unknown length, or one that does not count.
        (Server, ("GET", H10), 200, NONE, UNKNOWN, "until end"),
        (Server, ("GET", H11), 500, NONE, UNKNOWN, "until end"),
        (Server, ("GET", H2), 200, NONE, UNKNOWN, "until end"),
        (Server, ("GET", H11), 200, CHUNKED, exact(5), "until end"),
        (Server, ("GET", H11), 200, BOTH, UNKNOWN, "until end"),
        (Server, ("GET", H10), 200, BOTH, UNKNOWN, "until 5"),
        (Server, ("GET", H11), 200, &[("content-length", "five")], UNKNOWN, "until end"),
        (Server, ("GET", H11), 200, &[("content-length", "+5")], UNKNOWN, "until end"),
        (Server, ("GET", H11), 200, &[("content-length", "5, 6")], UNKNOWN, "until end"),
        (Server, ("GET", H11), 200, &[("content-length", "5, 5")], UNKNOWN, "until 5"),
        // Another protocol.
        (Server, ("GET", H11), 101, NONE, EMPTY, "upgraded"),
        (Client, ("GET", H11), 101, NONE, UNKNOWN, "upgraded"),
        (Server, ("CONNECT", H11), 200, NONE, UNKNOWN, "upgraded"),
        (Server, ("CONNECT", H2), 200, NONE, EMPTY, "upgraded"),
        (Server, ("CONNECT", H11), 407, NONE, EMPTY, "ended"),
    ];
    for (role, request, status, fields, hints, expected) in rows {
        let row = format!("{role:?} {request:?} {status} {fields:?} {hints:?}");
        assert_eq!(start(role, request, status, fields, hints), expected, "{row}");
    }
}

#[test]
fn what_a_frame_means() {
    use Ending::{Complete as End, Mismatch, Reset};
    const MORE: Option<Ending> = None;
    let open = Framing::default();
    let request_5 = Framing { length: 5, declared: true, ..open };
    let declared_5 = Framing { strict: true, ..request_5 };
    let until_5 = Framing { stops: true, ..declared_5 };
    let lying = Framing { lies: true, ..until_5 };
    let confirms = Framing { confirms: true, ..open };

    // (framing, bytes seen, is_end_stream) -> after a frame, at None
    #[rustfmt::skip]
    let rows = [
        (until_5, 4, false, MORE, Mismatch),
        (until_5, 4, true, Some(Mismatch), Mismatch),
        (until_5, 5, false, Some(End), End),
        (until_5, 5, true, Some(End), End),
        (until_5, 6, false, Some(Mismatch), Mismatch),
        (declared_5, 5, false, MORE, End),
        (declared_5, 6, false, MORE, Mismatch),
        (declared_5, 4, true, Some(Mismatch), Mismatch),
        (lying, 4, false, MORE, Mismatch),
        (lying, 5, false, Some(Mismatch), Mismatch),
        (open, 9, false, MORE, End),
        (open, 9, true, Some(End), End),
        (request_5, 4, false, MORE, Mismatch),
        (request_5, 9, false, MORE, End),
        (confirms, 4, false, MORE, Reset),
        (confirms, 4, true, Some(End), End),
    ];
    for (framing, seen, ended, after, at_none) in rows {
        assert_eq!(framing.after(seen, ended), after, "{framing:?} {seen} {ended}");
        assert_eq!(framing.at_none(seen, || ended), at_none, "{framing:?} {seen} {ended}");
    }
}

#[test]
fn a_body_dropped_at_its_length_or_that_nobody_may_send_is_complete() {
    let declared = Framing { length: 5, declared: true, ..Framing::default() };
    assert!(declared.complete_at_drop(5, true));
    assert!(!declared.complete_at_drop(4, true));
    assert!(!Framing { lies: true, ..declared }.complete_at_drop(5, true));
    assert!(!Framing::default().complete_at_drop(0, true));
    let optional = Framing { optional: true, ..Framing::default() };
    assert!(optional.complete_at_drop(0, false));
    assert!(!optional.complete_at_drop(0, true));
}
