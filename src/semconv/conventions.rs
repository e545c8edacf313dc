//! The user's settings.

use std::{borrow::Cow, env, error::Error, fmt, sync::Arc};

use http::{HeaderMap, HeaderName};

use super::{
    DisconnectPolicy, ForwardedPolicy, Outcome, Request, Seen, StreamPolicy, Text,
    captured::Captured,
    methods::{Methods, VARIABLE},
    names::attribute,
    query::QueryPolicy,
    routes::Routes,
};
use crate::{RequestHead, Summary};

/// How the semantic conventions for HTTP, version 1.44, are followed where they leave a choice.
///
/// The same settings are for spans, metrics and the access log, and for servers and clients. A clone is cheap and shares what is
/// remembered of routes. The setters replace what was set before.
///
/// ```
/// use tower_lifecycle::semconv::{Conventions, DisconnectPolicy, ForwardedPolicy};
///
/// let conventions = Conventions::from_env()
///     .forwarded(ForwardedPolicy::trust_peers(["10.0.0.0/8"])?)
///     .disconnects(DisconnectPolicy::Unset)
///     .response_headers([http::header::CONTENT_TYPE]);
/// # Ok::<_, tower_lifecycle::semconv::InvalidNetwork>(())
/// ```
#[derive(Clone)]
pub struct Conventions(Arc<Settings>);

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) methods: Methods,
    pub(super) query: QueryPolicy,
    pub(super) forwarded: ForwardedPolicy,
    pub(super) https: bool,
    pub(super) disconnects: DisconnectPolicy,
    pub(super) streams: StreamPolicy,
    pub(super) is_stream: Option<Arc<IsStream>>,
    route: Option<Arc<Route>>,
    /// Shared by all clones, so that they tell the same ones.
    routes: Arc<Routes>,
    max_routes: usize,
    pub(super) errors: Option<Arc<Errors>>,
    pub(super) request_headers: Captured,
    response_headers: Captured,
    pub(super) longest: usize,
}

type IsStream = dyn Fn(&Summary) -> bool + Send + Sync;
type Route = dyn Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync;
type Errors = dyn Fn(&(dyn Error + 'static)) -> Option<&'static str> + Send + Sync;

impl Conventions {
    /// The defaults. No environment is read.
    pub fn new() -> Self {
        Self(Arc::new(Settings {
            methods: Methods::default(),
            query: QueryPolicy::default(),
            forwarded: ForwardedPolicy::default(),
            https: false,
            disconnects: DisconnectPolicy::default(),
            streams: StreamPolicy::default(),
            is_stream: None,
            route: None,
            routes: Arc::default(),
            max_routes: 1000,
            errors: None,
            request_headers: Captured::default(),
            response_headers: Captured::default(),
            longest: 1024,
        }))
    }

    /// The defaults, with the [known methods](Self::known_methods) of `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`: a list with
    /// commas, and nothing else is known then. Where it is not set, or names none, those of the default.
    pub fn from_env() -> Self {
        let methods =
            env::var(VARIABLE).map_or_else(|_| Methods::default(), |list| Methods::listed(&list));
        Self::new().with(|settings| settings.methods = methods)
    }

    /// The methods that `http.request.method` tells, case-sensitively: all others are `_OTHER`, and their text is in
    /// `http.request.method_original`, on spans alone. Default: `CONNECT`, `DELETE`, `GET`, `HEAD`, `OPTIONS`, `PATCH`,
    /// `POST`, `PUT`, `QUERY`, `TRACE`.
    pub fn known_methods<I, M>(self, methods: I) -> Self
    where
        I: IntoIterator<Item = M>,
        M: Into<String>,
    {
        self.with(|settings| settings.methods = methods.into_iter().collect())
    }

    /// The keys of a query whose values are told as `REDACTED`, in `url.query` and `url.full`; case-sensitive. Default:
    /// `AWSAccessKeyId`, `Signature`, `X-Amz-Credential`, `X-Amz-Security-Token`, `X-Amz-Signature`, `X-Goog-Signature`, `sig`.
    pub fn sensitive_query_keys<I, K>(self, keys: I) -> Self
    where
        I: IntoIterator<Item = K>,
        K: Into<String>,
    {
        let keys = keys.into_iter().map(|key| Cow::Owned(key.into())).collect();
        self.with(|settings| settings.query = QueryPolicy::Without(keys))
    }

    /// Tells nothing of queries.
    pub fn without_query(self) -> Self {
        self.with(|settings| settings.query = QueryPolicy::Never)
    }

    /// Whose word about the original request counts. Default: nobody's.
    pub fn forwarded(self, policy: ForwardedPolicy) -> Self {
        self.with(|settings| settings.forwarded = policy)
    }

    /// `url.scheme` is `https` where nothing tells: neither a trusted header, nor the target, nor the connection's TLS.
    /// Default: `http`.
    pub fn assume_https(self) -> Self {
        self.with(|settings| settings.https = true)
    }

    /// Whether it is an error that a client has left. Default: it is.
    pub fn disconnects(self, policy: DisconnectPolicy) -> Self {
        self.with(|settings| settings.disconnects = policy)
    }

    /// Where the duration of an exchange goes that is meant to last. Default: into a metric of its own.
    pub fn streams(self, policy: StreamPolicy) -> Self {
        self.with(|settings| settings.streams = policy)
    }

    /// Says of more exchanges that they are meant to last. It is asked when they are over, and not under
    /// [`StreamPolicy::Together`].
    pub fn streams_if(self, is_stream: impl Fn(&Summary) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.is_stream = Some(Arc::new(is_stream)))
    }

    /// Tells the route of a request, a template such as `/users/{id}`: `http.route`, and at a client `url.template`. At a server
    /// axum's `MatchedPath` comes first, with the feature `axum`. Without any there is none: never the path, and never `""`.
    ///
    /// ```
    /// # use tower_lifecycle::semconv::Conventions;
    /// let conventions = Conventions::new().route(|head| {
    ///     let id = head.uri.path().strip_prefix("/users/")?;
    ///     (!id.contains('/')).then_some("/users/{id}".into())
    /// });
    /// ```
    pub fn route(
        self,
        route: impl Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.route = Some(Arc::new(route)))
    }

    /// How many distinct routes may be told that are made while the program runs: by [`route`](Self::route) as [`Cow::Owned`], and
    /// by [`ExchangeHandle::set_route`](crate::ExchangeHandle::set_route). Further ones are not told at all, so that no mistake
    /// explodes the metrics. Default: 1000.
    pub fn max_routes(self, most: usize) -> Self {
        self.with(|settings| settings.max_routes = most)
    }

    /// Names the errors that a service returns, for `error.type`, where the reason is
    /// [`ServiceFailed`](crate::Reason::ServiceFailed). `None`, or `""`, leaves it at `service_failed`. It sees those whose type is
    /// known: [`LifecycleLayer::known_error`](crate::LifecycleLayer::known_error).
    ///
    /// ```
    /// # use tower_lifecycle::semconv::Conventions;
    /// let conventions = Conventions::new()
    ///     .errors(|error| error.is::<tower::timeout::error::Elapsed>().then_some("timeout"));
    /// ```
    pub fn errors(
        self,
        name: impl Fn(&(dyn Error + 'static)) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.errors = Some(Arc::new(name)))
    }

    /// The headers of requests that are told, as `http.request.header.<name>`. Default: none.
    ///
    /// Of one name at most 32 values; one that is [sensitive](http::HeaderValue::set_sensitive) as `REDACTED`.
    pub fn request_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        let captured = Captured::new(attribute::HTTP_REQUEST_HEADER, names);
        self.with(|settings| settings.request_headers = captured)
    }

    /// The headers of responses that are told, as `http.response.header.<name>`. Default: none. Otherwise as
    /// [`request_headers`](Self::request_headers).
    pub fn response_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        let captured = Captured::new(attribute::HTTP_RESPONSE_HEADER, names);
        self.with(|settings| settings.response_headers = captured)
    }

    /// How many bytes are told of a path, a query, a user agent, an unknown method, a route, and each value of a header; what is
    /// longer is cut at a character's end. Default: 1024.
    pub fn max_value_length(self, bytes: usize) -> Self {
        self.with(|settings| settings.longest = bytes)
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.0));
        self
    }
}

/// For the adapters. A user's function runs in some of these: only inside of hooks.
impl Conventions {
    pub(crate) fn read<'a>(&'a self, head: &'a RequestHead<'a>) -> Request<'a> {
        Request::new(&self.0, head)
    }

    pub(crate) fn captured_response<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> impl Iterator<Item = (&'a Text, Vec<String>)> {
        self.0.response_headers.of(headers, self.0.longest)
    }

    /// The response side has failed: keeps what the user's function calls the error.
    pub(crate) fn failed(&self, seen: &mut Seen, error: &(dyn Error + 'static)) {
        seen.failed(&self.0, error);
    }

    pub(crate) fn outcome(&self, summary: &Summary, seen: Seen) -> Outcome {
        Outcome::new(&self.0, summary, seen)
    }

    /// The route that somebody further in has told while the exchange went on.
    pub(crate) fn late_route(&self, summary: &Summary) -> Option<Text> {
        self.0.made(summary.route.as_deref()?)
    }
}

impl Settings {
    pub(super) fn route(&self, head: &RequestHead<'_>) -> Option<Text> {
        match self.route.as_ref()?(head)? {
            Cow::Borrowed("") => None,
            Cow::Borrowed(route) => Some(Text::Static(route)),
            Cow::Owned(route) => self.made(&route),
        }
    }

    fn made(&self, route: &str) -> Option<Text> {
        self.routes.made(route, self.max_routes, self.longest).map(Text::Shared)
    }
}

impl Default for Conventions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Conventions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { methods, query, forwarded, disconnects, streams, .. } = &*self.0;
        f.debug_struct("Conventions")
            .field("known_methods", methods)
            .field("query", query)
            .field("forwarded", forwarded)
            .field("disconnects", disconnects)
            .field("streams", streams)
            .finish_non_exhaustive()
    }
}
