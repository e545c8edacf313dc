//! What is written out where a subscriber asks for it, and not before.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use crate::{Role, Stage, Summary, TraceIds, semconv::Endpoint};

/// How many characters of what a peer has written are in an event.
const MOST: usize = 256;

/// A path without its query, cut. What is not ASCII is as it should have been sent, such as `%E2%80%AE`: no terminal or editor
/// obeys that.
pub(super) struct Path<'a>(pub(super) &'a str);

/// An address without its port.
pub(super) struct Address<'a>(pub(super) Endpoint<'a>);

/// `GET /users/42 200 in 12.3ms, complete`, or `POST /upload - in 3.2s, disconnected in request`. A client's line has the host
/// before the path.
pub(super) struct Line<'a>(pub(super) &'a Summary);

/// The trace's alone, as it is written everywhere.
pub(super) struct TraceId(pub(super) TraceIds);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_ascii() {
            return write!(f, "{:.MOST$}", self.0);
        }
        self.0.chars().take(MOST).try_for_each(|char| match char {
            ' '..='~' => f.write_char(char),
            _ => {
                char.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(f, "%{byte:02X}"))
            }
        })
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Endpoint::Ip(address, _) => address.fmt(f),
            Endpoint::Unix(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0.trace_id))
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(summary) = self;
        write!(f, "{:.MOST$} ", summary.method.as_str())?;
        if let Some(uri) = &summary.uri {
            // The target of a CONNECT is no path.
            let host = uri.host().filter(|_| summary.role == Role::Client || uri.path().is_empty());
            write!(f, "{:.MOST$}{} ", host.unwrap_or_default(), Path(uri.path()))?;
        }
        match summary.status {
            Some(status) => f.write_str(status.as_str())?,
            None => f.write_str("-")?,
        }
        if let Some(duration) = summary.duration() {
            write!(f, " in {duration:.1?}")?;
        }
        write!(f, ", {}", summary.close.reason)?;
        match summary.close.stage {
            Stage::Done => Ok(()),
            stage => write!(f, " in {stage}"),
        }
    }
}

/// As `tracing-opentelemetry` wants it, which makes strings of unsigned ones.
pub(super) fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// To the microsecond.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
