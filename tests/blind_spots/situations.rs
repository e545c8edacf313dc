//! The table: what the client sends, what the handler does, and whether bare hyper then notices that the client leaves.

use tower_lifecycle::Stage;

use crate::support::client::Act;

/// A client that has sent something, and a handler that is not ready with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    pub(crate) http1: &'static str,
    /// Empty where HTTP/2 has nothing like it.
    pub(crate) http2: &'static [Act],
    pub(crate) body: Body,
    pub(crate) then: Then,
    /// How hyper is told about closed sides.
    pub(crate) half_close: bool,
    /// What hyper does over HTTP/1 when the client leaves, in whichever way. Over HTTP/2 it [drops](Hyper::Drops).
    pub(crate) hyper: Hyper,
    /// Where the exchange is.
    pub(crate) stage: Stage,
}

/// What the handler does with the body of the request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Body {
    Dropped,
    Held,
    /// Held, after a frame was read.
    Begun,
    /// Read to its end, or its error.
    Read,
}

/// What it does next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Then {
    /// Waits to be released, then answers.
    Parks,
    /// Answers with a stream of two frames, and waits between them.
    Streams,
    /// Blocks its thread for a while, then parks.
    Blocks,
    /// Blocks its thread for a while, then answers.
    BlocksAndAnswers,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Hyper {
    /// Drops the handler, or the stream.
    Drops,
    /// Tells the handler that reads the body, and leaves it alone.
    Tells,
    /// Does not notice, or keeps it to itself.
    Blind,
}

/// How the client leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Fin,
    Reset,
    HalfClose,
}

pub(crate) const WAYS: [Way; 3] = [Way::Fin, Way::Reset, Way::HalfClose];

impl Way {
    pub(crate) fn act(self) -> Act {
        match self {
            Self::Fin => Act::Close,
            Self::Reset => Act::Reset,
            Self::HalfClose => Act::Fin,
        }
    }
}

const fn parked(name: &'static str, http1: &'static str, http2: &'static [Act]) -> Situation {
    Situation {
        name,
        http1,
        http2,
        body: Body::Dropped,
        then: Then::Parks,
        half_close: false,
        hyper: Hyper::Blind,
        stage: Stage::Handler,
    }
}

impl Situation {
    const fn body(self, body: Body, stage: Stage) -> Self {
        Self { body, stage, ..self }
    }

    const fn then(self, then: Then, stage: Stage) -> Self {
        Self { then, stage, ..self }
    }

    const fn hyper(self, hyper: Hyper) -> Self {
        Self { hyper, ..self }
    }

    const fn half_close(self) -> Self {
        Self { half_close: true, ..self }
    }
}

macro_rules! get {
    ($($behind:literal)?) => {
        concat!("GET / HTTP/1.1\r\nhost: a\r\n\r\n" $(, $behind)?)
    };
}

macro_rules! post {
    ($headers:literal, $body:literal) => {
        concat!("POST / HTTP/1.1\r\nhost: a\r\n", $headers, "\r\n\r\n", $body)
    };
}

const GET: Act = Act::Request(1, "GET", &[], true);
const POST: Act = Act::Request(1, "POST", &[], false);
const POST_FIVE: Act = Act::Request(1, "POST", &[("content-length", "5")], false);
const POST_TEN: Act = Act::Request(1, "POST", &[("content-length", "10")], false);
const EXPECTS: Act =
    Act::Request(1, "POST", &[("content-length", "5"), ("expect", "100-continue")], false);
const HELLO: Act = Act::Data(1, "hello", false);
const WHOLE: Act = Act::Data(1, "hello", true);
const READ: Act = Act::ReadData(1);
/// The beginning of a frame: nothing else may be sent behind it.
const BYTE: Act = Act::Send("\0");

const HALF: &str = post!("content-length: 10", "hello");
const CHUNKED: &str = post!("transfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n");
const CONTINUE: &str = post!("content-length: 5\r\nexpect: 100-continue", "");

pub(crate) const SITUATIONS: &[Situation] = &[
    parked("a GET", get!(), &[GET]).hyper(Hyper::Drops),
    parked(
        "a request behind it",
        get!("GET /next HTTP/1.1\r\nhost: a\r\n\r\n"),
        &[GET, Act::Request(3, "GET", &[], true)],
    ),
    parked("a byte behind it", get!("G"), &[GET, BYTE]),
    parked("an end of line behind a body", post!("content-length: 5", "hello\r\n"), &[])
        .body(Body::Read, Stage::Handler),
    parked("a head, its body held", post!("content-length: 10", ""), &[POST_TEN])
        .body(Body::Held, Stage::Request),
    parked("half a body, held", HALF, &[POST_TEN, HELLO]).body(Body::Held, Stage::Request),
    parked("half a body, begun", HALF, &[POST_TEN, HELLO]).body(Body::Begun, Stage::Request),
    parked("half a body, dropped", HALF, &[POST_TEN, HELLO]),
    parked("a body, held", post!("content-length: 5", "hello"), &[POST_FIVE, WHOLE])
        .body(Body::Held, Stage::Request)
        .hyper(Hyper::Drops),
    parked("a body, dropped", post!("content-length: 5", "hello"), &[POST_FIVE, WHOLE])
        .hyper(Hyper::Drops),
    parked("chunks, held", CHUNKED, &[POST, WHOLE]).body(Body::Held, Stage::Request),
    parked("chunks, begun", CHUNKED, &[]).body(Body::Begun, Stage::Request).hyper(Hyper::Drops),
    parked("an expectation, held", CONTINUE, &[EXPECTS]).body(Body::Held, Stage::Request),
    parked("an expectation, dropped", CONTINUE, &[EXPECTS]),
    parked("an upload", HALF, &[POST_TEN, HELLO])
        .body(Body::Read, Stage::Request)
        .hyper(Hyper::Tells),
    parked("a stream", get!(), &[GET, READ])
        .then(Then::Streams, Stage::Response)
        .hyper(Hyper::Drops),
    parked("a byte behind a stream", get!("G"), &[GET, READ, BYTE])
        .then(Then::Streams, Stage::Response),
    parked("a blocked thread", get!(), &[GET])
        .then(Then::Blocks, Stage::Handler)
        .hyper(Hyper::Drops),
    parked("a closed side, allowed", get!(), &[]).half_close(),
    parked("a stream and a closed side, allowed", get!(), &[])
        .then(Then::Streams, Stage::Response)
        .half_close(),
];

/// Not in the table: nobody can notice.
pub(crate) const ANSWERS: Situation =
    parked("a thread that was blocked", get!(), &[]).then(Then::BlocksAndAnswers, Stage::Handler);
