//! Success, failure or cancellation, for those who count.

use std::fmt;

use http::StatusCode;

use crate::{Reason, Summary};

/// Tells from a [`Summary`] whether an exchange succeeded, failed, or was cancelled.
///
/// For those who come from tower-http's `TraceLayer`, whose `ServerErrorsAsFailures` and `GrpcErrorsAsFailures` are both in
/// here. There a class is found at the head, the trailers or an error, whichever is first, and none for what comes later or
/// never; here it is found when all is known. Cancellations are a class of their own, because whether they count is a matter of
/// policy, and because a dashboard on which every closed browser tab is a failure is soon ignored.
///
/// The first row that applies decides. The last two columns are what `TraceLayer` calls `on_failure` with when nothing else
/// was seen of the exchange; – is not at all.
///
/// | what was seen | class | `ServerErrorsAsFailures` | `GrpcErrorsAsFailures` |
/// |---|---|---|---|
/// | `service_failed` | [`FailureClass::Reason`] | `Error` | `Error` |
/// | `response_failed` | [`FailureClass::Reason`] | – | `Error` |
/// | `panicked`, `request_failed`, `length_mismatch`, `transport_failed`, `shutdown` | [`FailureClass::Reason`] | – | – |
/// | status 500 to 599 | [`FailureClass::Status`] | `StatusCode` | – |
/// | `grpc-status` 1 (`CANCELLED`), unless [`grpc_success`](Self::grpc_success) names it | [`Class::Cancelled`] | – | `Status` |
/// | `grpc-status` other than 0, unless [`grpc_success`](Self::grpc_success) names it | [`FailureClass::Grpc`] | – | `Status` |
/// | `disconnected`, `reset`, `stream_reset`, `cancelled`, `unknown` | [`Class::Cancelled`] | – | – |
/// | `complete`, `upgraded` | [`Class::Success`] | – | – |
///
/// So a client that leaves in the middle of its upload is a cancellation, unless the service makes a 500 of it.
///
/// `grpc-status` is read from the trailers, else from the head, if [`Interest::TRAILERS`](crate::Interest::TRAILERS) asked for
/// it, as [`Hooks::on_close`](crate::Hooks::on_close) does. A value that is no number is 2 (`UNKNOWN`); to tower-http, which
/// believes a head before the trailers, it is a success. A gRPC response without one is judged like any other.
///
/// ```
/// use tower_lifecycle::{Class, Classifier, Hooks};
///
/// let classifier = Classifier::new().grpc_success(5); // NOT_FOUND is an answer
/// let log = Hooks::new().on_close(move |summary| match classifier.classify(summary) {
///     Class::Success => {}
///     Class::Failure(failure) => eprintln!("{} failed: {failure}", summary.method),
///     Class::Cancelled => println!("{} given up: {}", summary.method, summary.close),
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classifier {
    /// A bit for each of gRPC's codes that is no failure.
    grpc_success: u32,
}

/// What an exchange came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// It ran to its end, and the answer is no failure.
    Success,
    /// The service, or what lies below it, is to blame, or may be.
    Failure(FailureClass),
    /// It was given up before its end, as the verdict's reason says, or is said to have been by gRPC's status.
    Cancelled,
}

/// Why an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureClass {
    /// This is what went wrong, whatever the answer was.
    Reason(Reason),
    /// The answer's status, which is one of 500 to 599.
    Status(StatusCode),
    /// The code in the answer's `grpc-status`.
    Grpc(u32),
}

const OK: u32 = 0;
const CANCELLED: u32 = 1;

impl Classifier {
    /// Takes every code of gRPC but 0 for no success.
    pub const fn new() -> Self {
        Self { grpc_success: 1 << OK }
    }

    /// Takes a code of gRPC for a success: `NOT_FOUND` (5) is an answer to some. Codes above 31, which gRPC does not
    /// have, stay failures.
    pub const fn grpc_success(self, code: u32) -> Self {
        let bit = if code < u32::BITS { 1 << code } else { 0 };
        Self { grpc_success: self.grpc_success | bit }
    }

    /// The class of an exchange.
    pub fn classify(&self, summary: &Summary) -> Class {
        let reason = summary.close.reason;
        let given_up = match reason {
            Reason::Complete | Reason::Upgraded => false,
            Reason::Disconnected
            | Reason::Reset
            | Reason::StreamReset
            | Reason::Cancelled
            | Reason::Unknown => true,
            Reason::TransportFailed
            | Reason::RequestFailed
            | Reason::ServiceFailed
            | Reason::ResponseFailed
            | Reason::LengthMismatch
            | Reason::Panicked
            | Reason::Shutdown => return Class::Failure(FailureClass::Reason(reason)),
        };
        match (summary.status, summary.grpc_status) {
            (Some(status), _) if status.is_server_error() => {
                Class::Failure(FailureClass::Status(status))
            }
            (_, Some(CANCELLED)) if !self.succeeds(CANCELLED) => Class::Cancelled,
            (_, Some(code)) if !self.succeeds(code) => Class::Failure(FailureClass::Grpc(code)),
            _ if given_up => Class::Cancelled,
            _ => Class::Success,
        }
    }

    fn succeeds(self, code: u32) -> bool {
        code < u32::BITS && self.grpc_success & 1 << code != 0
    }
}

impl Default for Classifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Class {
    /// Whether it is a [`Failure`](Self::Failure).
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failure(_))
    }

    /// `success`, `failure` or `cancelled`, for a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(_) => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// `success`, `failure: status 503`, `cancelled`, …
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::Failure(failure) => write!(f, "failure: {failure}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// `panicked`, `status 503`, `grpc-status 14`, …
impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reason(reason) => reason.fmt(f),
            Self::Status(status) => write!(f, "status {}", status.as_u16()),
            Self::Grpc(code) => write!(f, "grpc-status {code}"),
        }
    }
}
