//! The instruments, made once.

use opentelemetry::metrics::{Histogram, Meter, UpDownCounter};

use super::builder::Wanted;
use crate::{
    Role,
    semconv::names::{LONG, SHORT, metric, own_metric},
};

/// Those of both sides: one observer may watch servers and clients.
pub(super) struct Instruments {
    server: Exchanges,
    client: Exchanges,
    pub(super) connections: Option<Connections>,
}

/// Of the exchanges of one side.
pub(super) struct Exchanges {
    pub(super) duration: Histogram<f64>,
    pub(super) stream: Histogram<f64>,
    pub(super) active: Option<UpDownCounter<i64>>,
    pub(super) sizes: Option<Sizes>,
    pub(super) head: Option<Histogram<f64>>,
    pub(super) wait: Option<Histogram<f64>>,
}

pub(super) struct Sizes {
    pub(super) request: Histogram<u64>,
    pub(super) response: Histogram<u64>,
}

pub(super) struct Connections {
    pub(super) active: UpDownCounter<i64>,
    pub(super) duration: Histogram<f64>,
}

/// A name, and what it is.
type Described = (&'static str, &'static str);

struct Names {
    duration: Described,
    stream: Described,
    active: Described,
    request: Described,
    response: Described,
    head: Described,
    wait: Described,
}

const SERVER: Names = Names {
    duration: (metric::HTTP_SERVER_REQUEST_DURATION, "Duration of HTTP server requests."),
    stream: (
        own_metric::SERVER_STREAM_DURATION,
        "Duration of HTTP server requests that are meant to last.",
    ),
    active: (metric::HTTP_SERVER_ACTIVE_REQUESTS, "Number of active HTTP server requests."),
    request: (metric::HTTP_SERVER_REQUEST_BODY_SIZE, "Size of HTTP server request bodies."),
    response: (metric::HTTP_SERVER_RESPONSE_BODY_SIZE, "Size of HTTP server response bodies."),
    head: (
        own_metric::SERVER_RESPONSE_HEAD_DURATION,
        "Time from the begin of HTTP server requests to the head of their response.",
    ),
    wait: (
        own_metric::SERVER_WAIT_DURATION,
        "Time that the bodies of HTTP server requests waited.",
    ),
};

const CLIENT: Names = Names {
    duration: (metric::HTTP_CLIENT_REQUEST_DURATION, "Duration of HTTP client requests."),
    stream: (
        own_metric::CLIENT_STREAM_DURATION,
        "Duration of HTTP client requests that are meant to last.",
    ),
    active: (metric::HTTP_CLIENT_ACTIVE_REQUESTS, "Number of active HTTP requests."),
    request: (metric::HTTP_CLIENT_REQUEST_BODY_SIZE, "Size of HTTP client request bodies."),
    response: (metric::HTTP_CLIENT_RESPONSE_BODY_SIZE, "Size of HTTP client response bodies."),
    head: (
        own_metric::CLIENT_RESPONSE_HEAD_DURATION,
        "Time from the begin of HTTP client requests to the head of their response.",
    ),
    wait: (
        own_metric::CLIENT_WAIT_DURATION,
        "Time that the bodies of HTTP client requests waited.",
    ),
};

impl Instruments {
    pub(super) fn new(meter: &Meter, wanted: Wanted) -> Self {
        Self {
            server: Exchanges::new(meter, wanted, &SERVER),
            client: Exchanges::new(meter, wanted, &CLIENT),
            connections: wanted.connections.then(|| Connections {
                active: gauge(
                    meter,
                    (
                        own_metric::SERVER_ACTIVE_CONNECTIONS,
                        "Number of connections that are currently active on the server.",
                    ),
                    "{connection}",
                ),
                duration: seconds(
                    meter,
                    (
                        own_metric::SERVER_CONNECTION_DURATION,
                        "The duration of connections on the server.",
                    ),
                    LONG,
                ),
            }),
        }
    }

    pub(super) fn of(&self, role: Role) -> &Exchanges {
        match role {
            Role::Server => &self.server,
            Role::Client => &self.client,
        }
    }
}

impl Exchanges {
    fn new(meter: &Meter, wanted: Wanted, names: &Names) -> Self {
        Self {
            duration: seconds(meter, names.duration, SHORT),
            stream: seconds(meter, names.stream, LONG),
            active: wanted.active.then(|| gauge(meter, names.active, "{request}")),
            sizes: wanted.sizes.then(|| Sizes {
                request: bytes(meter, names.request),
                response: bytes(meter, names.response),
            }),
            head: wanted.head.then(|| seconds(meter, names.head, SHORT)),
            wait: wanted.waits.then(|| seconds(meter, names.wait, SHORT)),
        }
    }
}

fn seconds(meter: &Meter, (name, description): Described, bounds: [f64; 14]) -> Histogram<f64> {
    let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
    histogram.with_boundaries(bounds.into()).build()
}

fn bytes(meter: &Meter, (name, description): Described) -> Histogram<u64> {
    meter.u64_histogram(name).with_unit("By").with_description(description).build()
}

fn gauge(meter: &Meter, (name, description): Described, unit: &'static str) -> UpDownCounter<i64> {
    meter.i64_up_down_counter(name).with_unit(unit).with_description(description).build()
}
