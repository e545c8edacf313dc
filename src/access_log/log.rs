//! The observer.

use std::{fmt, io, sync::Arc};

use http::HeaderName;

use super::{Writer, WriterGuard, record::Facts, state::AccessLogState};
use crate::{Interest, Observer, RequestHead, semconv::Conventions};

/// How a line looks: see [the fields](super#fields).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// For people, and for tools that split at spaces.
    Text,
    /// One JSON object, in ASCII.
    Json,
}

/// Observer that tells a sink of each exchange, in one line when it is over. See the [module](super).
///
/// A clone has the same sink and settings of its own.
#[derive(Clone)]
pub struct AccessLog(Arc<Settings>);

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) format: Format,
    pub(super) sink: Arc<dyn Fn(&str) + Send + Sync>,
    pub(super) conventions: Conventions,
    pub(super) waits: bool,
    pub(super) user_agent: bool,
    pub(super) headers: Vec<HeaderName>,
}

impl AccessLog {
    /// Hands each line to `sink`, without a newline at its end.
    ///
    /// `sink` is called inside [`on_close`](crate::Listener::on_close): it must not block, which writing to a file or to
    /// a pipe may. [`Writer`] has a thread for it. A panic of it costs that line, and is caught and counted as any
    /// observer's ([`LifecycleLayer::observer_panics`](crate::LifecycleLayer::observer_panics)).
    pub fn new(format: Format, sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Settings {
            format,
            sink: Arc::new(sink),
            conventions: Conventions::new(),
            waits: false,
            user_agent: false,
            headers: Vec::new(),
        }))
    }

    /// Writes the lines to the standard output of the process, by a [`Writer`] with its defaults.
    ///
    /// What is written when the guard is dropped has been handed to the operating system, and nothing after: keep it in `main`.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn stdout(format: Format) -> io::Result<(Self, WriterGuard)> {
        Writer::new(io::stdout()).start(format)
    }

    /// What is told of queries, of a client behind proxies, and of routes; and how long a value may be. Default:
    /// [`Conventions::new`]. Its headers are not told: see [`request_headers`](Self::request_headers).
    pub fn conventions(self, conventions: Conventions) -> Self {
        self.with(|settings| {
            settings.conventions = conventions.request_headers(settings.headers.iter().cloned());
        })
    }

    /// Tells who waited on whom: asks for [`Interest::WAITS`], which costs two reads of the clock for each frame.
    pub fn waits(self) -> Self {
        self.with(|settings| settings.waits = true)
    }

    /// Tells the request's `user-agent`.
    pub fn user_agent(self) -> Self {
        self.with(|settings| settings.user_agent = true)
    }

    /// Tells these headers of the request, such as `referer`, in this order. Default: none.
    ///
    /// They are told as they are: list none that has secrets, such as `authorization` and `cookie`. A value that
    /// [is sensitive](http::HeaderValue::is_sensitive) is told as `REDACTED`.
    pub fn request_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| {
            settings.headers.clear();
            for name in names {
                if !settings.headers.contains(&name) {
                    settings.headers.push(name);
                }
            }
            let names = settings.headers.iter().cloned();
            settings.conventions = settings.conventions.clone().request_headers(names);
        })
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.0));
        self
    }
}

impl Observer for AccessLog {
    type State = AccessLogState;

    fn interest(&self) -> Interest {
        let waits = if self.0.waits { Interest::WAITS } else { Interest::NONE };
        Interest::CLOSE | Interest::MARKS | waits
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<AccessLogState> {
        let facts = Facts::of(&self.0, head);
        Some(AccessLogState { settings: Arc::clone(&self.0), facts })
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { format, conventions, waits, user_agent, headers, .. } = &*self.0;
        f.debug_struct("AccessLog")
            .field("format", format)
            .field("conventions", conventions)
            .field("waits", waits)
            .field("user_agent", user_agent)
            .field("request_headers", headers)
            .finish_non_exhaustive()
    }
}
