//! One line for each exchange, when it is over: what was asked, what was answered, how long each phase took, and who ended it.
//!
//! [`AccessLog`] is an observer. It hands each line to a function; a [`Writer`] has a thread that writes it where
//! writing may take its time.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_lifecycle::{LifecycleLayer, access_log::{AccessLog, Format}};
//!
//! # fn main() -> std::io::Result<()> {
//! let (log, _guard) = AccessLog::stdout(Format::Text)?;
//! let app: Router = Router::new()
//!     .route("/", get(async || "Hello"))
//!     .layer(LifecycleLayer::new(log.user_agent()));
//! # Ok(()) }
//! ```
//!
//! As text:
//!
//! ```text
//! 2026-11-21T22:51:30.599Z -- 200 GET    0.0/0.1/0.0/0.0/0.1           0        7 127.0.0.1       2/1    HTTP/1.1 /users/7?sig=REDACTED&page=2 /users/{id} - "demo/1.0"
//! 2026-11-21T22:51:30.600Z -- 200 GET    0.0/0.0/205.8/0.1/206.0       0       40 127.0.0.1       4/1    HTTP/1.1 /reports/today /reports/{name} - "demo/1.0"
//! 2026-11-21T22:51:30.806Z -- 500 GET    0.0/16.4/0.0/0.1/16.5         0        0 127.0.0.1       5/1    HTTP/1.1 /fails /fails - "demo/1.0"
//! 2026-11-21T22:51:30.824Z CD 200 GET    0.0/0.1/-/-/2011.4            0        6 127.0.0.1       7/1    HTTP/1.1 /feed?after=7 /feed - -
//! 2026-11-21T22:51:32.835Z CH -   GET    0.0/-/-/-/30.1                0        0 127.0.0.1       9/1    HTTP/2   /poll /poll - -
//! ```
//!
//! As JSON the one that was left in the middle of its response, which is in one line there:
//!
//! ```json
//! {"time":"2026-11-21T22:51:30.824Z","role":"server","termination":"CD","reason":"disconnected","stage":"response",
//!  "initiator":"peer","evidence":"io","status":200,"method":"GET","version":"1.1","scheme":"http","path":"/feed",
//!  "query":"after=7","route":"/feed","client_address":"127.0.0.1","client_port":50858,"connection":7,"ordinal":1,
//!  "request_bytes":0,"response_bytes":6,"request_ms":0.027,"head_ms":0.064,"first_byte_ms":0.079,"total_ms":2011.402}
//! ```
//!
//! # Fields
//!
//! Text has all columns in every line, in this order, with one space or more between them, and `-` for what is not known or was not
//! reached. JSON leaves such a key out.
//!
//! | text | JSON | |
//! |---|---|---|
//! | 1 | `time` | when the exchange began: RFC 3339, UTC, milliseconds |
//! | | `role` | `server`, or `client` |
//! | 2 | `termination` | who ended it, and in which phase: see [below](#termination) |
//! | | `reason`, `stage`, `initiator`, `evidence` | the [verdict](crate::Close) in words; no `stage` once it is over |
//! | 3 | `status` | of the response, a number |
//! | 4 | `method` | as it was sent |
//! | 5 | `request_ms` | from begin until the request was read, or its body failed |
//! | | `head_ms` | from begin to the response's head |
//! | | `first_byte_ms` | from begin to the first data of the response; JSON alone |
//! | | `body_ms` | from the head until the response ended, or failed |
//! | | `flush_ms` | from there until it was flushed; zero without a [seam](crate#the-connection), not at all in the client role |
//! | | `total_ms` | from begin to the close |
//! | 6 | `request_bytes` | that passed of the request's body |
//! | 7 | `response_bytes` | that passed of the response's body |
//! | 8 | `client_address`, `client_port` | who sent the request: the peer, or whom [trusted proxies](crate::semconv::ForwardedPolicy) name; not in the client role |
//! | 9 | `connection`, `ordinal` | its number in this process, and the how-manieth exchange of it this is: `12/3`. Through a seam |
//! | | `exchange` | the exchange's [id](crate::ExchangeId), if another observer has asked for it |
//! | 10 | `version` | `HTTP/1.1`, `HTTP/2`; in JSON `1.1`, `2`: the request's; in the client role the response's, where there was one |
//! | 11 | `scheme`, `path`, `query` | the target, without the secrets of its query |
//! | 11 | `url` | instead of them in the client role, and where there is no path, as of `CONNECT` |
//! | 12 | `route` | the route's template, if somebody has told it |
//! | 13 | `trace_id`, `span_id` | of the trace, if an observer has [said so](crate::RequestHead::set_trace) when the exchange began |
//! | then | `request_producer_ms`, `request_consumer_ms`, `response_producer_ms`, `response_consumer_ms` | who [waited](crate::Wait) on whom: with [`waits`](AccessLog::waits) |
//! | then | `user_agent` | with [`user_agent`](AccessLog::user_agent) |
//! | then | `request_headers` | with [`request_headers`](AccessLog::request_headers): a column each, in JSON an object of lists |
//!
//! Column 5 has five times with slashes between, in milliseconds: request, head, body, flush, total. A time is to the tenth of a
//! millisecond in text, to the thousandth in JSON. The waits are four such times, in the order of their keys.
//!
//! # Termination
//!
//! Two characters, after `HAProxy`'s: [`Termination`](crate::Termination) has the whole of them.
//!
//! | | first: who | | second: in which phase |
//! |---|---|---|---|
//! | `-` | nobody, it ran to its end | `-` | it is over |
//! | `C` | the client; in the client role the caller | `R` | the request was being read |
//! | `S` | the service; in the client role the server too | `H` | no response yet |
//! | `B` | the response's body | `D` | the response was under way |
//! | `b` | the request's body | `L` | the response was handed over, not flushed |
//! | `T` | this process gave up, as by a timeout | | |
//! | `L` | this process shut the connection down | | |
//! | `?` | nothing tells | | |
//!
//! # What a peer may write
//!
//! is a value in one line, and never more. In text what is not printable ASCII, and `"` and `\`, is `\x` and two hexadecimal digits
//! a byte, as in nginx; a column of `then` is quoted, and may have spaces. JSON is in ASCII, so it has no character that a terminal
//! obeys. A header's bytes that are no UTF-8 are U+FFFD in both. What is longer than
//! [`max_value_length`](crate::semconv::Conventions::max_value_length) is cut.
//!
//! A line that begins with `#` in text, and an object with the key `lost` in JSON, is the [`Writer`]'s own.

mod json;
mod log;
mod queue;
mod record;
mod scribe;
mod state;
mod text;
mod writer;

pub use self::{
    log::{AccessLog, Format},
    state::AccessLogState,
    writer::{Writer, WriterGuard},
};
