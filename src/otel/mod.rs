//! OpenTelemetry: one span and one sample for each exchange, which last as long as it does, by the
//! [semantic conventions for HTTP](https://opentelemetry.io/docs/specs/semconv/http/), version 1.44.
//!
//! [`Otel`] is an observer, for servers and for clients. What ends a span is the close of the exchange and not the head of its
//! response, so that a stream of an hour is a span of an hour, a body that breaks off is an error, and a client that leaves is
//! neither lost nor counted as active for ever. Only OpenTelemetry's API is used; exporters are the program's own.
//!
//! # A server
//!
#![cfg_attr(feature = "axum", doc = "```no_run")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use axum::{Router, routing::get};
//! use opentelemetry::global;
//! use opentelemetry_sdk::{
//!     metrics::SdkMeterProvider, propagation::TraceContextPropagator, trace::SdkTracerProvider,
//! };
//! use tokio::net::TcpListener;
//! use tower_lifecycle::{LifecycleLayer, RouteLayer, otel::Otel};
//!
//! # async fn run() -> std::io::Result<()> {
//! // First the providers, with exporters: `Otel` takes those that are there.
//! global::set_tracer_provider(SdkTracerProvider::builder().build());
//! global::set_meter_provider(SdkMeterProvider::builder().build());
//! global::set_text_map_propagator(TraceContextPropagator::new());
//!
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(async || "Hello"))
//!     .layer(RouteLayer::new());
//! let lifecycle = LifecycleLayer::new(Otel::new()).with_handle();
//! let listener = TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(lifecycle.listener(listener), lifecycle.make_service(app)).await
//! # }
//! ```
//!
//! Through [the seam](crate#the-connection) addresses, TLS and causes are known. The layer is then around the router, which alone
//! knows the route: `RouteLayer` tells it, by the handle. By `Router::layer` neither is needed, and `unknown` is
//! what a client that leaves looks like.
//!
//! A layer by `Router::layer` inside of one that has handles joins its exchange. Then only one of the two may have the `Otel`, else
//! each exchange is told twice.
//!
//! # A client
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::body::Body;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_lifecycle::{LifecycleLayer, otel::Otel};
//! # use tower_lifecycle::RequestBody;
//! # let client = service_fn(async |_: Request<RequestBody<Body>>| Ok::<_, std::io::Error>(Response::new(Body::empty())));
//!
//! let otel = Otel::new();
//! let service = ServiceBuilder::new()
//!     .layer(LifecycleLayer::new(otel.clone()).client())
//!     .layer(otel.inject())
//!     .service(client);
//! service.oneshot(Request::get("http://example.com/").body(Body::empty())?).await?;
//! # Ok(()) }
//! ```
//!
//! The span ends when the response's body does, or is dropped. Inside a retry each attempt has a span, and needs
//! [`standalone`](crate::LifecycleLayer::standalone) where another layer of the client is around it. `http.request.resend_count` is
//! not told, because the layer does not know that what it sees is an attempt.
//!
//! # The trace
//!
//! The context of the exchange is the current one around each poll of handler and bodies: a span that a handler starts is its child,
//! and baggage is there. It is so too for what is not sampled, and, where the client has said something, without spans. Whose
//! child the exchange is says [`ParentPolicy`]. What is spawned is outside: it
//! takes [`Context::current`](opentelemetry::Context::current) along, by OpenTelemetry's `FutureExt::with_current_context`. A `DetachLayer`, and a
//! `shield`, take along what surrounds the exchange by themselves. A header `traceparent` that is there twice is not believed. The ids are in
//! [`Summary::trace`](crate::Summary::trace), for logs.
//!
//! While telemetry is suppressed, as it is for what an exporter sends, nothing is told.
//!
//! # Spans
//!
//! Named `{method} {route}`, or by the method alone. The status is `Error` where there is an `error.type`, and never `Ok`.
//!
//! | attribute | of a server | of a client |
//! |---|---|---|
//! | `http.request.method` * | always | always |
//! | `http.request.method_original` | where the method is not known | the same |
//! | `url.path` *, `url.scheme` * | always | |
//! | `url.query` * | where there is one; without secrets | |
//! | `url.full` * | | always; without credentials and secrets |
//! | `http.route` * | where it is known, if need be at the close | |
//! | `url.template` * | | where [`Conventions::route`] tells it |
//! | `server.address` *, `server.port` * | where the request tells | the same; the port always |
//! | `client.address` * | where it is known | |
//! | `user_agent.original` * | where there is one | |
//! | `http.request.header.<name>` *, `http.response.header.<name>` | what is listed, as arrays | the same |
//! | `network.peer.address`, `network.peer.port` | where it is known | |
//! | `client.port`, `network.local.address`, `network.local.port`, `network.transport` | by [`network`](OtelBuilder::network) | |
//! | `network.protocol.version` | always: the request's | the response's, where there was one: a request says what it would like, and not what it got |
//! | `http.response.status_code` | where there was a response | the same |
//! | `error.type` | where there was an error | the same |
//! | `tower_lifecycle.response.head.duration` | seconds, where there was a response | the same |
//! | `tower_lifecycle.termination` | always: [`Termination`](crate::Termination) | always |
//! | `tower_lifecycle.outcome` | | `cancelled`, where the caller has lost interest |
//! | `http.request.body.size`, `http.response.body.size` | by [`body_sizes`](OtelBuilder::body_sizes) | the same |
//! | `tower_lifecycle.request.body.wait_on_client`, `….wait_on_handler` | seconds, by [`waits`](OtelBuilder::waits) | the same |
//! | `tower_lifecycle.response.body.wait_on_producer`, `….wait_on_consumer` | seconds, by `waits` | the same |
//! | `tower_lifecycle.response.first_data` | seconds to the first data, by `waits` | the same |
//!
//! Those with a star are there when the span starts, for samplers. What else there is is only built for a span that records.
//!
//! # Metrics
//!
//! | name | instrument | unit | attributes | when |
//! |---|---|---|---|---|
//! | `http.server.request.duration` | histogram | s | all | always, but for streams |
//! | `tower_lifecycle.server.stream.duration` | histogram | s | all | always, for streams |
//! | `http.server.active_requests` | up-down counter | {request} | method, scheme | [`active_requests`](OtelBuilder::active_requests) |
//! | `http.server.request.body.size`, `http.server.response.body.size` | histogram | By | all | [`body_sizes`](OtelBuilder::body_sizes) |
//! | `tower_lifecycle.server.response.head.duration` | histogram | s | all | [`head_duration`](OtelBuilder::head_duration) |
//! | `tower_lifecycle.server.wait.duration` | histogram | s | method, scheme, route, `tower_lifecycle.wait.on` | [`waits`](OtelBuilder::waits) |
//! | `tower_lifecycle.server.active_connections` | up-down counter | {connection} | `network.transport`, `network.type` | [`connections`](OtelBuilder::connections) |
//! | `tower_lifecycle.server.connection.duration` | histogram | s | the same, and `error.type` | `connections` |
//!
//! All of an exchange are `http.request.method`, `url.scheme`, `http.route`, `http.response.status_code`, `error.type` and
//! `network.protocol.version`. Each of them is of a small set, whatever a peer sends, and no address is among them. A client has the
//! same metrics but those of connections, as `http.client.…` and `tower_lifecycle.client.…`, with `server.address` and `server.port` for
//! the scheme, `url.template` for the route, and the version where there was a response; its active requests have the template too.
//!
//! `tower_lifecycle.wait.on` is `client`, `handler`, `producer` or `consumer`, as [`Wait`](crate::Wait) has it. The `error.type` of a
//! connection is the word of its [`ConnectionReason`](crate::ConnectionReason), but for `complete` and `no_request`, which are none.
//!
//! # Errors, streams, and other choices
//!
//! What `error.type` may be is told by [`semconv`](crate::semconv#errortype). The choices are made by [`Conventions`], whose
//! defaults are:
//!
//! - A client that leaves before its response is complete makes an error: [`Conventions::disconnects`].
//! - An exchange that is meant to last (server-sent events, upgrades, parked polls) has its sample in a metric of its own, else
//!   a few of them would be the p99 of all: [`Conventions::streams`]. Its span is as any other's.
//! - No header of a proxy is believed: [`Conventions::forwarded`]. No header is told that is not listed.
//! - Routes that a program makes up are bounded in number: [`Conventions::max_routes`].
//! - The environment is not read: that is done by [`Conventions::from_env`], for `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`.
//!
//! A panic of a function that the user has set is counted and handed to
//! [`on_observer_panic`](crate::LifecycleLayer::on_observer_panic), as one of a `callback`; span and sample go on without its answer.
//!
//! # Duration
//!
//! From `begin` to the close, by the monotonic clock, and the same in span and sample: [`Summary::duration`](crate::Summary::duration).
//! A span starts at the time of day of its begin, and ends that much later.
//!
//! # Cost
//!
//! An exchange that is recorded costs some 13,000 instructions over a service without a layer, of which a quarter are the SDK's, and
//! about ten allocations, most of them the text of attributes and OpenTelemetry's own boxes. A frame of a body costs some 400, because
//! the context is the current one while it is polled. What nobody asks for costs nothing.
//!
//! # Or `tracing`?
//!
//! With the feature `tracing` and the bridge of `tracing-opentelemetry` a program has spans too, next to its logs. Here they are
//! native: cheaper, there are metrics, attributes are as they should be (arrays among them), samplers see them, and nothing depends on
//! the level of a subscriber. Both at once is two spans for each exchange; `Otel` alone, or [`without_spans`](OtelBuilder::without_spans)
//! and the bridge, is one.

mod builder;
mod inject;
mod instruments;
mod labels;
mod listener;
mod observer;
mod propagation;
mod span;

use std::{fmt, sync::Arc};

use self::{builder::Wanted, instruments::Instruments, propagation::Propagator, span::Start};
pub use self::{
    builder::{OtelBuilder, ParentPolicy},
    inject::{Inject, InjectLayer},
    listener::OtelState,
};
use crate::{Interest, semconv::Conventions};

/// An observer that makes a span and a sample of each exchange. See [the module](self).
///
/// A clone is the same one.
#[derive(Clone)]
pub struct Otel(Arc<Shared>);

struct Shared {
    tracer: Option<Arc<dyn Start>>,
    instruments: Option<Instruments>,
    propagator: Propagator,
    parent: ParentPolicy,
    conventions: Conventions,
    /// The same, without the user's function that is asked at the close: for when that panics.
    cautious: Conventions,
    wanted: Wanted,
    interest: Interest,
}

impl Otel {
    /// With the defaults, and the global providers as they are at this moment: set them before.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Settings, and providers of your own.
    pub fn builder() -> OtelBuilder {
        OtelBuilder::new()
    }

    /// A layer that tells servers of the trace, with the same propagator. For a client, inside of its
    /// [`LifecycleLayer`](crate::LifecycleLayer).
    pub fn inject(&self) -> InjectLayer {
        InjectLayer::new(self.0.propagator.clone())
    }
}

impl Default for Otel {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Otel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otel")
            .field("spans", &self.0.tracer.is_some())
            .field("metrics", &self.0.instruments.is_some())
            .field("propagator", &self.0.propagator)
            .field("parent", &self.0.parent)
            .field("conventions", &self.0.conventions)
            .field("wanted", &self.0.wanted)
            .finish()
    }
}
