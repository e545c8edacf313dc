//! The readable form.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use super::record::{Record, Stamp};
use crate::{Transfer, Wait, semconv::protocol_version};

pub(super) fn write(line: &mut Vec<u8>, record: &Record<'_>) {
    let Record { settings, facts, summary, route } = record;
    let mut line = Line(line);
    line.left(0, Stamp(facts.time));
    line.left(0, summary.termination());
    line.left(3, OrDash(summary.status.as_ref().map(http::StatusCode::as_str)));
    line.left(6, &facts.method);
    let times = [
        summary.time_to_request_end(),
        summary.time_to_head(),
        summary.body_duration(),
        summary.flush_lag(),
        summary.duration(),
    ];
    line.left(24, Times(&times));
    line.right(6, summary.request.bytes);
    line.right(8, summary.response.bytes);
    line.left(15, OrDash(facts.client.as_ref()));
    match (&summary.connection, summary.ordinal) {
        (Some(connection), Some(ordinal)) => {
            line.left(6, format_args!("{}/{ordinal}", connection.id()));
        }
        (connection, _) => {
            line.left(6, OrDash(connection.as_ref().map(crate::Connection::id)));
        }
    }
    match protocol_version(summary.version) {
        Some(version) => line.left(8, format_args!("HTTP/{version}")),
        None => line.left(8, '-'),
    }
    line.left(0, &facts.target);
    line.left(0, OrDash(route.as_ref()));
    match summary.trace {
        Some(trace) => line.left(0, format_args!("{:032x}", u128::from_be_bytes(trace.trace_id))),
        None => line.left(0, '-'),
    }
    if settings.waits {
        let [request, response] = [&summary.request, &summary.response].map(Transfer::wait);
        let parts = |wait: Option<Wait>| [wait.map(|w| w.producer), wait.map(|w| w.consumer)];
        let ([a, b], [c, d]) = (parts(request), parts(response));
        line.left(0, Times(&[a, b, c, d]));
    }
    if settings.user_agent {
        line.quoted(facts.user_agent.as_deref());
    }
    for (_, values) in record.headers() {
        line.quoted(values.map(Joined));
    }
}

/// A line that is being written. What a peer may have written cannot end a field, much less the line.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    /// A field without a space in it, with spaces after it up to a width.
    fn left(&mut self, width: usize, value: impl fmt::Display) {
        self.separate();
        let start = self.0.len();
        let _ = write!(Escaped { out: self.0, spaces: false }, "{value}");
        if self.0.len() == start {
            self.0.push(b'-');
        }
        let end = self.0.len().max(start + width);
        self.0.resize(end, b' ');
    }

    fn right(&mut self, width: usize, value: u64) {
        self.separate();
        let _ = write!(Escaped { out: self.0, spaces: true }, "{value:>width$}");
    }

    fn quoted(&mut self, value: Option<impl fmt::Display>) {
        let Some(value) = value else { return self.left(0, '-') };
        self.separate();
        self.0.push(b'"');
        let _ = write!(Escaped { out: self.0, spaces: true }, "{value}");
        self.0.push(b'"');
    }

    fn separate(&mut self) {
        if !self.0.is_empty() {
            self.0.push(b' ');
        }
    }
}

/// What is not a printable ASCII character, a quote and a backslash are `\x` and two digits, as in nginx's logs.
struct Escaped<'a> {
    out: &'a mut Vec<u8>,
    spaces: bool,
}

impl Escaped<'_> {
    fn escapes(&self, byte: u8) -> bool {
        match byte {
            b'"' | b'\\' => true,
            b' ' => !self.spaces,
            _ => !byte.is_ascii_graphic(),
        }
    }
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let digit = |value: u8| DIGITS[usize::from(value)];
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| self.escapes(*byte)) {
            let byte = rest[at];
            self.out.extend_from_slice(&rest[..at]);
            self.out.extend([b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            rest = &rest[at + 1..];
        }
        self.out.extend_from_slice(rest);
        Ok(())
    }
}

struct OrDash<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for OrDash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// Milliseconds, to a tenth.
struct Times<'a>(&'a [Option<Duration>]);

impl fmt::Display for Times<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, time) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("/")?;
            }
            match time {
                Some(time) => {
                    write!(f, "{}.{}", time.as_millis(), time.subsec_micros() / 100 % 10)?;
                }
                None => f.write_str("-")?,
            }
        }
        Ok(())
    }
}

struct Joined<'a>(&'a [String]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, value) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            f.write_str(value)?;
        }
        Ok(())
    }
}
