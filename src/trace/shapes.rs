//! What the span and the events are called, and what they tell.

use tracing::metadata::Kind;

use super::callsite::Shape;
use crate::semconv::names::{attribute, own};

/// Indices of fields, and their names in that order.
macro_rules! fields {
    ($($(#[$doc:meta])* mod $group:ident { $($field:ident = $name:expr;)+ })+) => {$(
        $(#[$doc])*
        pub(super) mod $group {
            #[allow(unused_imports, reason = "some have names of their own alone")]
            use super::{attribute, own};

            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            #[repr(usize)]
            enum Index { $($field,)+ }

            $(pub(in crate::trace) const $field: usize = Index::$field as usize;)+

            pub(in crate::trace) const NAMES: &[&str] = &[$($name),+];
            pub(in crate::trace) const COUNT: usize = NAMES.len();
        }
    )+};
}

/// Values of some of the fields of a group. It is one expression, so that what it refers to lives as long as its statement.
macro_rules! values {
    ($group:ident; $($field:ident: $value:expr),* $(,)?) => {
        $crate::trace::callsite::place::<{ $crate::trace::shapes::$group::COUNT }>(
            &[$(($crate::trace::shapes::$group::$field, &$value)),*],
        )
    };
}
pub(super) use values;

fields! {
    /// Of the span. The first three are what `tracing-opentelemetry` makes name, kind and status of.
    mod span {
        OTEL_NAME = "otel.name";
        OTEL_KIND = "otel.kind";
        OTEL_STATUS_CODE = "otel.status_code";
        METHOD = attribute::HTTP_REQUEST_METHOD;
        METHOD_ORIGINAL = attribute::HTTP_REQUEST_METHOD_ORIGINAL;
        SCHEME = attribute::URL_SCHEME;
        PATH = attribute::URL_PATH;
        QUERY = attribute::URL_QUERY;
        URL = attribute::URL_FULL;
        TEMPLATE = attribute::URL_TEMPLATE;
        ROUTE = attribute::HTTP_ROUTE;
        VERSION = attribute::NETWORK_PROTOCOL_VERSION;
        SERVER_ADDRESS = attribute::SERVER_ADDRESS;
        SERVER_PORT = attribute::SERVER_PORT;
        CLIENT_ADDRESS = attribute::CLIENT_ADDRESS;
        PEER_ADDRESS = attribute::NETWORK_PEER_ADDRESS;
        PEER_PORT = attribute::NETWORK_PEER_PORT;
        USER_AGENT = attribute::USER_AGENT_ORIGINAL;
        STATUS = attribute::HTTP_RESPONSE_STATUS_CODE;
        ERROR_TYPE = attribute::ERROR_TYPE;
        TERMINATION = own::TERMINATION;
        OUTCOME = own::OUTCOME;
        REQUEST_SIZE = attribute::HTTP_REQUEST_BODY_SIZE;
        RESPONSE_SIZE = attribute::HTTP_RESPONSE_BODY_SIZE;
        HEAD_DURATION = own::RESPONSE_HEAD_DURATION;
        FIRST_DATA = own::RESPONSE_FIRST_DATA;
        WAIT_ON_CLIENT = own::REQUEST_BODY_WAIT_ON_CLIENT;
        WAIT_ON_HANDLER = own::REQUEST_BODY_WAIT_ON_HANDLER;
        WAIT_ON_PRODUCER = own::RESPONSE_BODY_WAIT_ON_PRODUCER;
        WAIT_ON_CONSUMER = own::RESPONSE_BODY_WAIT_ON_CONSUMER;
    }

    mod begin {
        MESSAGE = "message";
        METHOD = "method";
        PATH = "path";
    }

    mod data {
        MESSAGE = "message";
        BYTES = "bytes";
        FRAMES = "frames";
    }

    mod head {
        MESSAGE = "message";
        STATUS = "status";
    }

    mod end {
        MESSAGE = "message";
        BYTES = "bytes";
        FRAMES = "frames";
    }

    /// The message comes before the error: of an event without one, `tracing-opentelemetry` takes the error for the name.
    mod error {
        MESSAGE = "message";
        REASON = "reason";
        ERROR = "error";
        BYTES = "bytes";
        FRAMES = "frames";
    }

    /// One word.
    mod word {
        MESSAGE = "message";
        HOW = "how";
    }

    mod disconnect {
        MESSAGE = "message";
        REASON = "reason";
        EVIDENCE = "evidence";
    }

    /// Of the summary.
    mod close {
        MESSAGE = "message";
        METHOD = "method";
        PATH = "path";
        ROUTE = "route";
        STATUS = "status";
        ERROR_TYPE = "error_type";
        TERMINATION = "termination";
        TRACE_ID = "trace_id";
        REQUEST_BYTES = "request_bytes";
        RESPONSE_BYTES = "response_bytes";
        DURATION = "duration_ms";
    }
}

const fn of(kind: Kind, name: &'static str, fields: &'static [&'static str]) -> Shape {
    Shape { kind, name, fields }
}

macro_rules! shapes {
    ($($kind:ident { $($shape:ident = $name:literal, $group:ident;)+ })+) => {
        $($(pub(super) static $shape: Shape = of(Kind::$kind, $name, $group::NAMES);)+)+
    };
}

shapes! {
    SPAN {
        SERVER = "HTTP request", span;
        CLIENT = "HTTP client request", span;
    }
    EVENT {
        BEGIN = "lifecycle.begin", begin;
        REQUEST_DATA = "lifecycle.request_data", data;
        REQUEST_END = "lifecycle.request_end", end;
        REQUEST_ERROR = "lifecycle.request_error", error;
        REQUEST_CLOSE = "lifecycle.request_close", word;
        RESPONSE = "lifecycle.response", head;
        RESPONSE_DATA = "lifecycle.response_data", data;
        RESPONSE_END = "lifecycle.response_end", end;
        RESPONSE_ERROR = "lifecycle.response_error", error;
        FINISH = "lifecycle.finish", word;
        DISCONNECT = "lifecycle.disconnect", disconnect;
        CLOSE = "lifecycle.close", close;
    }
}
