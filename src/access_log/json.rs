//! The form for machines.

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    log::Settings,
    record::{Record, Stamp, Target},
};
use crate::{
    Stage, Summary, Transfer,
    semconv::protocol_version,
    text::json::{Ascii, Shown, millis},
};

pub(super) fn write(line: &mut Vec<u8>, record: &Record<'_>) {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *line, Ascii::LINE);
    // Nothing in it can fail: the line is in memory, and the keys are texts.
    let written = serializer.serialize_map(None).and_then(|map| object(map, record));
    debug_assert!(written.is_ok(), "{written:?}");
}

fn object<M: SerializeMap>(mut map: M, record: &Record<'_>) -> Result<M::Ok, M::Error> {
    let Record { facts, summary, route, .. } = record;
    map.serialize_entry("time", &Shown(Stamp(facts.time)))?;
    map.serialize_entry("role", summary.role.as_str())?;
    map.serialize_entry("termination", summary.termination().as_str())?;
    map.serialize_entry("reason", summary.close.reason.as_str())?;
    if summary.close.stage != Stage::Done {
        map.serialize_entry("stage", summary.close.stage.as_str())?;
    }
    map.serialize_entry("initiator", summary.close.initiator.as_str())?;
    map.serialize_entry("evidence", summary.close.evidence.as_str())?;
    some(&mut map, "status", summary.status.map(|status| status.as_u16()))?;
    map.serialize_entry("method", facts.method.as_str())?;
    some(&mut map, "version", protocol_version(summary.version))?;
    match &facts.target {
        Target::Url(url) => map.serialize_entry("url", url)?,
        Target::Path(uri, length, query) => {
            map.serialize_entry("scheme", facts.scheme)?;
            map.serialize_entry("path", &uri.path()[..*length])?;
            some(&mut map, "query", query.of(uri))?;
        }
    }
    some(&mut map, "route", route.as_ref().map(Shown))?;
    some(&mut map, "client_address", facts.client.as_ref().map(Shown))?;
    some(&mut map, "client_port", facts.client.as_ref().and_then(super::record::Client::port))?;
    some(&mut map, "connection", summary.connection.as_ref().map(|of| of.id().get()))?;
    some(&mut map, "ordinal", summary.ordinal)?;
    some(&mut map, "exchange", summary.id.map(crate::ExchangeId::get))?;
    if let Some(trace) = summary.trace {
        map.serialize_entry(
            "trace_id",
            &Shown(format_args!("{:032x}", u128::from_be_bytes(trace.trace_id))),
        )?;
        map.serialize_entry(
            "span_id",
            &Shown(format_args!("{:016x}", u64::from_be_bytes(trace.span_id))),
        )?;
    }
    map.serialize_entry("request_bytes", &summary.request.bytes)?;
    map.serialize_entry("response_bytes", &summary.response.bytes)?;
    times(&mut map, summary)?;
    asked_for(&mut map, record)?;
    map.end()
}

fn times<M: SerializeMap>(map: &mut M, summary: &Summary) -> Result<(), M::Error> {
    let times = [
        ("request_ms", summary.time_to_request_end()),
        ("head_ms", summary.time_to_head()),
        ("first_byte_ms", summary.time_to_first_byte()),
        ("body_ms", summary.body_duration()),
        ("flush_ms", summary.flush_lag()),
        ("total_ms", summary.duration()),
    ];
    times.into_iter().try_for_each(|(key, time)| some(map, key, time.map(millis)))
}

fn asked_for<M: SerializeMap>(map: &mut M, record: &Record<'_>) -> Result<(), M::Error> {
    let Record { settings: Settings { waits, .. }, facts, summary, .. } = record;
    if *waits {
        waited(map, ["request_producer_ms", "request_consumer_ms"], &summary.request)?;
        waited(map, ["response_producer_ms", "response_consumer_ms"], &summary.response)?;
    }
    some(map, "user_agent", facts.user_agent.as_deref())?;
    if record.headers().any(|(_, values)| values.is_some()) {
        map.serialize_entry("request_headers", &Headers(record))?;
    }
    Ok(())
}

fn waited<M: SerializeMap>(map: &mut M, keys: [&str; 2], of: &Transfer) -> Result<(), M::Error> {
    let Some(wait) = of.wait() else { return Ok(()) };
    map.serialize_entry(keys[0], &millis(wait.producer))?;
    map.serialize_entry(keys[1], &millis(wait.consumer))
}

/// What is not known is left out.
fn some<M: SerializeMap>(
    map: &mut M,
    key: &str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, &value))
}

struct Headers<'a>(&'a Record<'a>);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.headers().filter_map(|(name, values)| Some((name, values?))))
    }
}
