//! The conventions themselves, and what is held against them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use opentelemetry::{Array, KeyValue, Value, trace::SpanKind};
use opentelemetry_sdk::trace::SpanData;
use serde::Deserialize;

use super::stand::{Point, Stand};

#[derive(Debug, Deserialize)]
pub(crate) struct Facts {
    spans: BTreeMap<String, Span>,
    metrics: BTreeMap<String, Metric>,
}

#[derive(Debug, Deserialize)]
struct Span {
    attributes: Attributes,
}

#[derive(Debug, Deserialize)]
struct Metric {
    instrument: String,
    unit: String,
    attributes: Attributes,
}

#[derive(Debug, Deserialize)]
struct Attribute {
    r#type: String,
    level: Level,
    #[serde(default)]
    values: Vec<String>,
    #[serde(default)]
    sampling_relevant: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Level {
    Required,
    ConditionallyRequired,
    Recommended,
    OptIn,
}

type Attributes = BTreeMap<String, Attribute>;

pub(crate) static FACTS: LazyLock<Facts> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/semconv-http-1.44.0.json")).unwrap()
});

/// What the conventions advise: they have it in prose.
pub(crate) const SHORT: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
pub(crate) const LONG: [f64; 14] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// Attributes of spans that are ours.
const OWN_ATTRIBUTES: [(&str, &str); 8] = [
    ("tower_lifecycle.outcome", "string"),
    ("tower_lifecycle.request.body.wait_on_client", "double"),
    ("tower_lifecycle.request.body.wait_on_handler", "double"),
    ("tower_lifecycle.response.body.wait_on_consumer", "double"),
    ("tower_lifecycle.response.body.wait_on_producer", "double"),
    ("tower_lifecycle.response.first_data", "double"),
    ("tower_lifecycle.response.head.duration", "double"),
    ("tower_lifecycle.termination", "string"),
];

/// Metrics that are ours: instrument, unit, bounds, and the conventions' one whose attributes they may have.
type Own = (&'static str, &'static str, &'static str, &'static [f64], &'static str);
#[rustfmt::skip]
const OWN_METRICS: [Own; 9] = [
    ("tower_lifecycle.client.response.head.duration", "histogram", "s", &SHORT, "http.client.request.duration"),
    ("tower_lifecycle.client.stream.duration", "histogram", "s", &LONG, "http.client.request.duration"),
    ("tower_lifecycle.client.wait.duration", "histogram", "s", &SHORT, "http.client.request.duration"),
    ("tower_lifecycle.server.active_connections", "updowncounter", "{connection}", &[], "kestrel.active_connections"),
    ("tower_lifecycle.server.connection.duration", "histogram", "s", &LONG, "kestrel.connection.duration"),
    ("tower_lifecycle.server.response.head.duration", "histogram", "s", &SHORT, "http.server.request.duration"),
    ("tower_lifecycle.server.stream.duration", "histogram", "s", &LONG, "http.server.request.duration"),
    ("tower_lifecycle.server.upgraded_connections", "updowncounter", "{connection}", &[], "kestrel.active_connections"),
    ("tower_lifecycle.server.wait.duration", "histogram", "s", &SHORT, "http.server.request.duration"),
];

/// What `error.type` may be at a server and at a client, beside a status: a closed set, as documented.
const ERRORS: [&str; 12] = [
    "cancelled",
    "disconnected",
    "length_mismatch",
    "panicked",
    "request_failed",
    "reset",
    "response_failed",
    "service_failed",
    "shutdown",
    "stream_reset",
    "transport_failed",
    "unknown",
];

impl Facts {
    /// Whatever the situation. `asked` are attributes that are opt-in, and were asked for.
    pub(crate) fn check_span(&self, span: &SpanData, asked: &[&str]) {
        Stand::assert_scope(&span.instrumentation_scope);
        self.check_bridged(span, asked);
    }

    /// The same of a span that a bridge has made, whose scope is the user's.
    pub(crate) fn check_bridged(&self, span: &SpanData, asked: &[&str]) {
        let kind = match span.span_kind {
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            ref other => panic!("a span of kind {other:?}"),
        };
        assert_eq!(span.dropped_attributes_count, 0, "{span:#?}");
        assert!(span.events.is_empty(), "{span:#?}");
        check(kind, &self.spans[kind].attributes, &span.attributes, asked, &OWN_ATTRIBUTES);
    }

    /// The same of a metric.
    pub(crate) fn check_point(&self, point: &Point, asked: &[&str]) {
        let name = point.metric.as_str();
        Stand::assert_scope(&point.scope);
        let of_the_conventions = || {
            let metric = self.metrics.get(name).unwrap_or_else(|| panic!("{name} is no metric"));
            let bounds = match &*metric.unit {
                "s" => Some(&SHORT[..]),
                // For sizes nothing is advised.
                "By" => None,
                _ => Some(&[][..]),
            };
            (&*metric.instrument, &*metric.unit, bounds, name)
        };
        let own = OWN_METRICS.iter().find(|own| own.0 == name);
        let own = own
            .map(|(_, instrument, unit, bounds, like)| (*instrument, *unit, Some(*bounds), *like));
        let (instrument, unit, bounds, like) = own.unwrap_or_else(of_the_conventions);
        assert_eq!((point.instrument, &*point.unit), (instrument, unit), "{name}");
        assert!(bounds.is_none_or(|bounds| bounds == point.bounds), "{point:#?}");
        let is_of_wait = name.ends_with(".wait.duration");
        let waits: &[_] = if is_of_wait { &[("tower_lifecycle.wait.on", "string")] } else { &[] };
        check(name, &self.metrics[like].attributes, &point.attributes, asked, waits);
    }

    /// Those that a sampler is to see.
    pub(crate) fn sampling_relevant(&self, kind: &str) -> BTreeSet<&str> {
        let attributes = self.spans[kind].attributes.iter();
        attributes
            .filter(|(_, about)| about.sampling_relevant)
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

fn check(of: &str, known: &Attributes, told: &[KeyValue], asked: &[&str], own: &[(&str, &str)]) {
    for KeyValue { key, value, .. } in told {
        let name = key.as_str();
        let what = || format!("{name} = {value:?} of {of}");
        if name.starts_with("tower_lifecycle.") {
            let own = own.iter().find(|(known, _)| *known == name);
            assert_eq!(Some(type_of(value)), own.map(|own| own.1), "{}", what());
            continue;
        }
        let template = known.iter().find(|(template, about)| {
            let rest = name.strip_prefix(template.as_str());
            about.r#type == "template[string[]]" && rest.is_some_and(|rest| rest.starts_with('.'))
        });
        let about = known.get(name).or(template.map(|(_, about)| about));
        let about = about.unwrap_or_else(|| panic!("{} is not in the conventions", what()));
        let wanted = if template.is_some() { "string[]" } else { &*about.r#type };
        assert_eq!(type_of(value), wanted, "{}", what());
        assert!(
            about.level != Level::OptIn || asked.contains(&name),
            "nobody asked for {}",
            what()
        );
        match (name, value) {
            ("error.type", Value::String(word)) => {
                let word = word.as_str();
                let is_status =
                    word.parse::<u16>().is_ok_and(|status| (400..1000).contains(&status));
                assert!(is_status || ERRORS.contains(&word), "{}", what());
            }
            (_, Value::String(word)) if !about.values.is_empty() => {
                assert!(about.values.iter().any(|value| value == word.as_str()), "{}", what());
            }
            _ => {}
        }
        // A `CONNECT` has no path, and headers may be empty.
        let may_be_empty = ["url.path", "user_agent.original"].contains(&name);
        let is_empty = matches!(value, Value::String(text) if text.as_str().is_empty());
        assert!(!is_empty || may_be_empty, "{}", what());
    }
    for (name, about) in known {
        let is_told = told.iter().any(|attribute| attribute.key.as_str() == name);
        assert!(is_told || about.level != Level::Required, "{of} has no {name}: {told:#?}");
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::I64(_) => "int",
        Value::F64(_) => "double",
        Value::String(_) => "string",
        Value::Array(Array::String(_)) => "string[]",
        other => panic!("{other:?} is of no type that is known"),
    }
}

#[test]
fn the_facts_are_those_of_the_version_that_is_followed() {
    let data: serde_json::Value =
        serde_json::from_str(include_str!("../data/semconv-http-1.44.0.json")).unwrap();
    assert_eq!(data["source"]["version"], "1.44.0");
    assert_eq!((FACTS.spans.len(), FACTS.metrics.len()), (2, 12));
}
