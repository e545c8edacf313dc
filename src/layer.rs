//! The layer.

use std::{error::Error, fmt, sync::Arc};

use tower_layer::Layer;

use crate::{
    Interest, Lifecycle, Observer, ObserverPanic, body::ErrorTypes, clock::Clock, exchange::Role,
    observe::Panics,
};

/// Layer that applies [`Lifecycle`], which tells an [`Observer`] of the life of each exchange.
///
/// ```
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, routing::get};
/// use tower_lifecycle::{Hooks, LifecycleLayer};
///
/// let log = Hooks::new().on_close(|summary| println!("{} {}", summary.method, summary.close));
/// let app: Router = Router::new()
///     .route("/", get(async || "Hello"))
///     .layer(LifecycleLayer::new(log));
/// # Ok(()) }
/// ```
pub struct LifecycleLayer<O> {
    /// Shared with its services: axum applies the layer of a route anew for each request.
    pub(crate) settings: Arc<Settings<O>>,
}

/// What a layer hands to its services.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub(crate) struct Settings<O> {
    pub(crate) observer: Arc<O>,
    pub(crate) interest: Interest,
    pub(crate) role: Role,
    pub(crate) errors: ErrorTypes,
    pub(crate) panics: Panics,
    pub(crate) clock: Clock,
    /// Each request is given a handle.
    pub(crate) handles: bool,
    /// The exchange of an outer layer is listened to.
    pub(crate) joins: bool,
    /// The observer is told of connections.
    pub(crate) tells: bool,
    /// Of when their bytes passed, too.
    #[cfg(feature = "conn")]
    pub(crate) stamps: bool,
    /// Each request is given its connection.
    pub(crate) connections: bool,
    /// An exchange does not outlive its client.
    pub(crate) cancels: bool,
    /// A client that sends no more is not gone.
    #[cfg(feature = "conn")]
    pub(crate) half_close: bool,
}

impl<O: Observer> LifecycleLayer<O> {
    /// A layer for a server. Several observers are a tuple; `()` passes everything through.
    ///
    /// `observer` is asked for its [interest](Observer::interest) now.
    ///
    /// # Panics
    /// When `observer` does.
    pub fn new(observer: O) -> Self {
        let interest = observer.interest().completed();
        let settings = Settings {
            interest: interest.of_exchanges(),
            tells: interest.contains(Interest::CONNECTION),
            #[cfg(feature = "conn")]
            stamps: interest.contains(Interest::IO_TIMES),
            observer: Arc::new(observer),
            role: Role::Server,
            errors: ErrorTypes::default(),
            panics: Panics::default(),
            clock: Clock::default(),
            handles: false,
            joins: true,
            connections: false,
            cancels: false,
            #[cfg(feature = "conn")]
            half_close: false,
        };
        Self { settings: Arc::new(settings) }
    }

    /// For a client: the wrapped service sends requests instead of answering them.
    ///
    /// `on_finish` is not called, because the response is received and not handed over; an exchange dropped before its
    /// end was cancelled by this process; and a body that breaks off is the response's.
    pub fn client(self) -> Self {
        self.with(|settings| settings.role = Role::Client)
    }

    /// Puts an [`ExchangeHandle`](crate::ExchangeHandle) into the extensions of each request, for handlers and what they
    /// spawn, and before `begin`, for observers. For each exchange it costs an allocation, what an insertion into the
    /// extensions costs (three allocations if they were empty), and the clock reads of
    /// [`Interest::MARKS`], because a handle can mark and a layer that joins may ask for them.
    ///
    /// Layers of the same role further in, of this crate, then join the exchange instead of making one of their own: see
    /// [Two layers](crate#two-layers).
    pub fn with_handle(self) -> Self {
        self.with(|settings| settings.handles = true)
    }

    /// Makes an exchange for each call, even where an outer layer with handles has made one: for instance inside a retry
    /// layer, to see each attempt.
    pub fn standalone(self) -> Self {
        self.with(|settings| settings.joins = false)
    }

    /// Puts the [`Connection`](crate::Connection) into the extensions of each request, for handlers and for layers further in
    /// that do not join. Where there is a seam alone. A layer that observes nothing does so without being told.
    #[cfg(feature = "conn")]
    pub fn with_connection(self) -> Self {
        self.with(|settings| settings.connections = true)
    }

    /// Drops the inner future, or the response body, as soon as the peer is known to be gone, also where the server does not
    /// notice: see [`Listener::on_disconnect`](crate::Listener::on_disconnect).
    ///
    /// Without it observing is all that is done: the handler goes on, and what it answers to a peer that has closed its side is
    /// written, flushed and `complete`, because the system takes it. It takes effect where the layer is the service that the server calls (a
    /// seam), over HTTP/1; over HTTP/2 servers do so by themselves. The connection is made to fail first, so that nothing
    /// that follows can be taken for the end of an answer: its task ends with an error of kind
    /// [`ConnectionAborted`](std::io::ErrorKind::ConnectionAborted).
    #[cfg(feature = "conn")]
    pub fn cancel_on_disconnect(self) -> Self {
        self.with(|settings| settings.cancels = true)
    }

    /// Whether a client may close its side of the connection and still wait for the answer. `false` by default, as in hyper:
    /// a client that sends no more is taken to be gone. Set it as the server's `half_close` is set.
    ///
    /// With it a closed side is no disconnect, and once it is closed only a write shows that the client has left for good.
    #[cfg(feature = "conn")]
    pub fn half_close(self, allowed: bool) -> Self {
        self.with(|settings| settings.half_close = allowed)
    }

    /// Reads times from a clock that a test advances.
    #[cfg(feature = "testing")]
    pub fn with_clock(self, clock: crate::testing::ManualClock) -> Self {
        self.with(|settings| settings.clock = clock.into())
    }

    /// Calls `on_panic` for each panic of an observer that was caught, in the thread and at the time of the panic.
    ///
    /// The panic hook of the process has run before. A panic of `on_panic` itself is caught and forgotten. The effect
    /// of a panic is that the observer hears no more of that exchange. The callbacks of handles are counted too, and silence
    /// nobody.
    pub fn on_observer_panic(
        self,
        on_panic: impl Fn(&ObserverPanic<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.panics = Panics::with(on_panic))
    }

    /// Lets errors of type `E` be read: handed to `on_request_error` and `on_response_error`, and searched for what
    /// the transport said.
    ///
    /// Known without it are `std::io::Error` and boxed `dyn Error`s. An error of any other type is passed on like all, and
    /// reported without its value. Inside an axum router it is `axum::Error`, straight from hyper `hyper::Error`.
    ///
    /// A body is [`Disconnected`](crate::Reason::Disconnected) when an error of a known type has an end of file as a source.
    /// A decoder that ends short says the same: where one stands outside this layer, its bare `std::io::Error` is not taken
    /// for the connection's, but wrapped by a known type it is.
    pub fn known_error<E: Error + 'static>(self) -> Self {
        self.with(|settings| settings.errors.add::<E>())
    }

    /// Lets hyper's and h2's errors be read: [`known_error`](Self::known_error) for `hyper::Error`, and an HTTP/2 stream
    /// that the peer reset is told from a malformed one.
    #[cfg(feature = "hyper")]
    pub fn hyper_errors(self) -> Self {
        self.with(|settings| settings.errors.add_hyper())
    }

    /// How many panics of observers were caught so far, in all services made by this layer and its clones.
    pub fn observer_panics(&self) -> u64 {
        self.settings.panics.count()
    }

    fn with(self, change: impl FnOnce(&mut Settings<O>)) -> Self {
        let mut settings = Settings::clone(&self.settings);
        change(&mut settings);
        Self { settings: Arc::new(settings) }
    }
}

impl<S, O> Layer<S> for LifecycleLayer<O> {
    type Service = Lifecycle<S, O>;

    fn layer(&self, inner: S) -> Self::Service {
        Lifecycle::new(inner, Arc::clone(&self.settings))
    }
}

// Not derived: `O` need not be `Clone`.
impl<O> Clone for LifecycleLayer<O> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings) }
    }
}

impl<O> Clone for Settings<O> {
    fn clone(&self) -> Self {
        Self {
            observer: Arc::clone(&self.observer),
            interest: self.interest,
            role: self.role,
            errors: self.errors.clone(),
            panics: self.panics.clone(),
            clock: self.clock.clone(),
            handles: self.handles,
            joins: self.joins,
            tells: self.tells,
            #[cfg(feature = "conn")]
            stamps: self.stamps,
            connections: self.connections,
            cancels: self.cancels,
            #[cfg(feature = "conn")]
            half_close: self.half_close,
        }
    }
}

impl<O> fmt::Debug for LifecycleLayer<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LifecycleLayer")
            .field("interest", &self.settings.interest)
            .field("role", &self.settings.role)
            .field("handles", &self.settings.handles)
            .field("panics", &self.settings.panics)
            .finish_non_exhaustive()
    }
}
