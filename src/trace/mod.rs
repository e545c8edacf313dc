//! `tracing`: one span for each exchange from its head to its close, events on the way, and a summary in a line.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use axum::{Router, routing::get};
//! use tower_lifecycle::{LifecycleLayer, trace::Trace};
//!
//! tracing_subscriber::fmt().init();
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(async || { tracing::info!("looked up"); "Ada" }))
//!     .layer(LifecycleLayer::new(Trace::new().brief()));
//! # use tower::ServiceExt;
//! # let request = http::Request::get("/users/42").body(axum::body::Body::empty()).unwrap();
//! # let response = app.oneshot(request).await.unwrap();
//! # axum::body::to_bytes(response.into_body(), 100).await.unwrap();
//! # }
//! ```
//!
//! ```text
//! INFO HTTP request{http.request.method="GET" url.path="/users/42" http.route="/users/{id}"}: app: looked up
//! INFO HTTP request{http.request.method="GET" url.path="/users/42" http.route="/users/{id}"}: tower_lifecycle:
//!      GET /users/42 200 in 12.3ms, complete status=200 termination="--" request_bytes=0 response_bytes=3 duration_ms=12.345
//! ```
//!
//! The route is known by axum's `MatchedPath`, with the feature `axum`; else see [`Conventions::route`].
//!
//! What a handler says is inside the span, and so is what both bodies do while they are polled, on whatever thread: the span is
//! a [`Scope`](crate::observe::Scope). It is closed when the exchange is, by whatever end. A task that holds the request's body
//! beyond that is no longer inside.
//!
//! # The span
//!
//! `HTTP request`, or at a client `HTTP client request`, at `INFO`: [`Trace::level`]. It lies in the span around the service, if there
//! is one. Its fields are those of the semantic conventions for HTTP, version 1.44, set by [`Conventions`]; what does not apply stays
//! empty. Integers are `i64`, times `f64` in seconds, all else text.
//!
//! | field | when |
//! |---|---|
//! | `otel.name`, `otel.kind` | begin; the name again where the [route](crate::Summary::route) becomes known later |
//! | `http.request.method`, `http.request.method_original`, `server.address`, `server.port`, `network.peer.address`, `network.peer.port` | begin |
//! | server: `url.scheme`, `url.path`, `url.query`, `network.protocol.version`, `client.address`, `user_agent.original` | begin |
//! | server: `http.route` | begin, or at the close |
//! | client: `url.full`, `url.template` | begin; the template also at the close |
//! | `http.response.status_code`; client: `network.protocol.version`, which a request cannot know | the head of the response |
//! | `error.type`, and with it `otel.status_code`, which is `ERROR` | close: [the values](crate::semconv#errortype) |
//! | `http.request.body.size`, `http.response.body.size`: bytes that passed, of a response that there was | close |
//! | `tower_lifecycle.termination`: the [two characters](crate::Termination) | close |
//! | `tower_lifecycle.outcome`: `cancelled`, at a client whose caller has lost interest | close |
//! | `tower_lifecycle.response.head.duration` | close |
//! | by [`Trace::waits`]: `tower_lifecycle.request.body.wait_on_client`, `.wait_on_handler`, `tower_lifecycle.response.body.wait_on_producer`, `.wait_on_consumer`, `tower_lifecycle.response.first_data` | close |
//!
//! Plain output repeats all that a span tells before each line. [`Trace::brief`] leaves the method, path and route.
//!
//! # The events
//!
//! | event | level | fields |
//! |---|---|---|
//! | `lifecycle.close`, the summary | `INFO`, failures `ERROR`: [`Trace::summary_level`], [`Trace::failure_level`] | `status`, `error_type`, `termination`, `trace_id` if an observer [has said it](crate::RequestHead::set_trace), `request_bytes`, `response_bytes`, `duration_ms`; `route` where the span has none; without a span also `method`, `path` |
//! | `lifecycle.begin` | `DEBUG`: [`Trace::event_level`] | `method`, `path` |
//! | `lifecycle.request_end`, `lifecycle.response_end` | `DEBUG` | `bytes`, `frames` |
//! | `lifecycle.request_error`, `lifecycle.response_error` | `DEBUG` | `reason`, `error`, `bytes`, `frames` |
//! | `lifecycle.request_close`, `lifecycle.finish` | `DEBUG` | `how` |
//! | `lifecycle.response` | `DEBUG` | `status` |
//! | `lifecycle.disconnect` | `DEBUG` | `reason`, `evidence` |
//! | `lifecycle.request_data`, `lifecycle.response_data` | one finer, so `TRACE` | `bytes`, `frames` |
//!
//! They are events of the span, by whatever thread, and have its target: [`Trace::target`]. Hooks are outside of the scope, so for a filter
//! that goes by what is entered, as `EnvFilter` does for `[HTTP request]=debug`, what the handler says is inside the span and these are not:
//! `[HTTP request]=debug,tower_lifecycle=info` has the summary too. The `error` is its text, of errors whose type is
//! [known](crate::LifecycleLayer::known_error). The message of the summary has the path without the query, at a client with the host, both cut
//! at 256 characters; what is not ASCII in it is percent-encoded.
//!
//! # OpenTelemetry
//!
//! `tracing-opentelemetry` makes spans of OpenTelemetry of these:
//!
//! ```
//! use opentelemetry::trace::TracerProvider;
//! use tracing_subscriber::layer::SubscriberExt;
//!
//! let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build(); // with an exporter
//! let bridge = tracing_opentelemetry::layer().with_tracer(provider.tracer("app"));
//! let subscriber = tracing_subscriber::registry().with(bridge);
//! ```
//!
//! A span then ends with its exchange, also that of a stream. The parent is the span around the service, or
//! the context that is attached around it; nobody reads `traceparent`. A route that becomes known later than the begin, as through a seam, is in
//! `http.route` and not in the name, because the bridge takes a name when a span starts alone.
//!
//! The module `otel` (feature `opentelemetry`) needs no bridge: it reads and writes the headers, tells headers that are listed, has metrics,
//! and costs less. The spans of handlers, by the bridge, become children of its span as well. Use one of the two for the
//! span of an exchange: both, with the bridge, are two spans in two traces. `LifecycleLayer::new((otel, Trace::new().level(LevelFilter::OFF)))` has the
//! span of `otel`, and for the log the events and the summary of this, with the `trace_id`.
//!
//! # What it costs
//!
//! Where nobody listens at any of the levels, nothing is made and nothing is allocated: an exchange asks for the most verbose level
//! of the program once. Hooks are asked for by configuration: a frame of a body is one call more unless the events are off
//! ([`Trace::event_level`]), or tracing's feature `release_max_level_debug` has removed `TRACE`. A span is three allocations beside
//! the subscriber's, one more for its name where there is a route, and a client's for its URL.
//!
//! Without a subscriber nothing is written to the crate `log` either, whatever tracing's feature of that name says.

mod callsite;
mod cover;
mod shapes;
mod sites;
mod span;
mod state;
mod text;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use tracing::level_filters::LevelFilter;

use self::sites::{Levels, Sites};
pub use self::state::TraceState;
use crate::{
    Interest, Observer, RequestHead,
    semconv::{Conventions, StreamPolicy},
};

/// The target of spans and events, unless [told](Trace::target).
const TARGET: &str = "tower_lifecycle";

/// Observer that tells a subscriber of `tracing` of each exchange: see [the module](self).
#[derive(Clone)]
pub struct Trace(Arc<Settings>);

struct Settings {
    levels: Levels,
    target: &'static str,
    brief: bool,
    waits: bool,
    conventions: Conventions,
    /// Made when first needed, so that the setters leave nothing behind.
    sites: OnceLock<Sites>,
}

impl Trace {
    /// The span and the summary at `INFO`, failures at `ERROR`, events at `DEBUG`, and the defaults of the conventions.
    pub fn new() -> Self {
        Self(Arc::new(Settings {
            levels: Levels {
                span: LevelFilter::INFO,
                events: LevelFilter::DEBUG,
                summary: LevelFilter::INFO,
                failure: LevelFilter::ERROR,
            },
            target: TARGET,
            brief: false,
            waits: false,
            conventions: Conventions::new().streams(StreamPolicy::Together),
            sites: OnceLock::new(),
        }))
    }

    /// The span's level. [`LevelFilter::OFF`] makes none: each event is then one of the span that is current where it happens, which
    /// around the service is mostly none once there is a response, and the summary tells method and path by itself.
    pub fn level(self, level: impl Into<LevelFilter>) -> Self {
        self.with(|settings| settings.levels.span = level.into())
    }

    /// The level of the events of hooks; those of data, one for each frame, are one level finer. [`LevelFilter::OFF`] sends none, and
    /// [`LevelFilter::TRACE`] sends all of them at that level.
    pub fn event_level(self, level: impl Into<LevelFilter>) -> Self {
        self.with(|settings| settings.levels.events = level.into())
    }

    /// The level of the summary, the event at the close. [`LevelFilter::OFF`] sends none but those of failures.
    pub fn summary_level(self, level: impl Into<LevelFilter>) -> Self {
        self.with(|settings| settings.levels.summary = level.into())
    }

    /// The level of the summary of an exchange that failed here: one that has an `error.type`, and of a server was not ended by
    /// its client. So a status of 500 or more, a panic, an error of the service or of the response's body, a timeout, a shutdown; but
    /// neither a client that has left or sent a malformed body nor, at a client, a status below 500.
    /// [`LevelFilter::OFF`] sends none.
    ///
    /// `tracing-opentelemetry` takes an event at `ERROR` for an error of the span around it, and the span of these is one.
    pub fn failure_level(self, level: impl Into<LevelFilter>) -> Self {
        self.with(|settings| settings.levels.failure = level.into())
    }

    /// The target of span and events, by which filters tell them. Default: `tower_lifecycle`.
    ///
    /// Meant for a handful of names. What `tracing` has of each target and level stays in memory until the program ends; beyond
    /// some hundred targets the default one is used.
    pub fn target(self, target: &'static str) -> Self {
        self.with(|settings| settings.target = target)
    }

    /// Makes a span for people, which tells method, path and route alone: plain output repeats what a span tells before
    /// each event. The summary has the rest; for OpenTelemetry leave it out.
    pub fn brief(self) -> Self {
        self.with(|settings| settings.brief = true)
    }

    /// Adds who waited on whom, and the time to the first data of the response, to the span: two reads of the clock for each
    /// frame. See [`Wait`](crate::Wait).
    pub fn waits(self) -> Self {
        self.with(|settings| settings.waits = true)
    }

    /// How the semantic conventions are followed. The headers that it lists are not told: a span of `tracing` has no lists, and no
    /// fields that are made up as the program runs.
    pub fn conventions(self, conventions: Conventions) -> Self {
        // Whether it is a stream is a question for metrics, and the user's function need not be asked.
        let conventions = conventions.streams(StreamPolicy::Together);
        self.with(|settings| settings.conventions = conventions)
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        let settings = Arc::make_mut(&mut self.0);
        set(settings);
        settings.sites = OnceLock::new();
        self
    }
}

impl Settings {
    fn sites(&self) -> &Sites {
        self.sites.get_or_init(|| Sites::new(self.levels, self.target))
    }
}

impl Observer for Trace {
    type State = TraceState;

    fn interest(&self) -> Interest {
        let Settings { levels, brief, waits, .. } = *self.0;
        let mut interest = Interest::NONE;
        if Levels::is_on(levels.span) {
            interest |= Interest::SCOPE | CLOSE | Interest::RESPONSE | Interest::RESPONSE_ERROR;
        }
        if Levels::is_on(levels.summary) || Levels::is_on(levels.failure) {
            interest |= CLOSE | Interest::RESPONSE_ERROR | Interest::URI;
        }
        if Levels::is_on(levels.events) {
            interest |= EVENTS;
        }
        if Levels::is_on(levels.data()) {
            interest |= Interest::DATA;
        }
        if waits && !brief && Levels::is_on(levels.span) {
            interest |= Interest::WAITS;
        }
        interest
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<TraceState> {
        TraceState::begin(&self.0, head)
    }
}

const CLOSE: Interest = Interest::CLOSE.union(Interest::MARKS);

const EVENTS: Interest = Interest::DISCONNECT
    .union(Interest::REQUEST_END)
    .union(Interest::REQUEST_ERROR)
    .union(Interest::REQUEST_CLOSE)
    .union(Interest::RESPONSE)
    .union(Interest::RESPONSE_END)
    .union(Interest::RESPONSE_ERROR)
    .union(Interest::FINISH);

impl Clone for Settings {
    fn clone(&self) -> Self {
        let Self { levels, target, brief, waits, conventions, .. } = self;
        Self {
            levels: *levels,
            target,
            brief: *brief,
            waits: *waits,
            conventions: conventions.clone(),
            sites: OnceLock::new(),
        }
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { levels, target, brief, waits, conventions, .. } = &*self.0;
        f.debug_struct("Trace")
            .field("levels", levels)
            .field("target", target)
            .field("brief", brief)
            .field("waits", waits)
            .field("conventions", conventions)
            .finish_non_exhaustive()
    }
}
