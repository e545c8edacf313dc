//! The readable form.

use std::fmt;

use super::record::{Record, Stamp};
use crate::{
    Transfer, Wait,
    semconv::protocol_version,
    text::line::{Line, OrDash, Times},
};

pub(super) fn write(line: &mut Vec<u8>, record: &Record<'_>) {
    let Record { settings, facts, summary, route } = record;
    let mut line = Line::new(line);
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
