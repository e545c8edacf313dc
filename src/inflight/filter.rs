//! Which exchanges are asked for.

use std::time::Duration;

use http::{Method, StatusCode};

use super::{Closed, LiveState, registry::Entry};
use crate::{ConnectionId, ExchangeId, Stage};

/// Which exchanges are asked for: those that fit in every respect. Without any, all of them.
///
/// ```
/// use std::time::Duration;
/// use tower_lifecycle::inflight::{Filter, InFlight, LiveState};
///
/// let inflight = InFlight::new();
/// let stuck = Filter::new().state(LiveState::Client).older_than(Duration::from_secs(60)).limit(20);
/// for exchange in inflight.select(&stuck).exchanges {
///     println!("{} {} waits for its client since {:?}", exchange.method, exchange.path(), exchange.age);
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    method: Option<Method>,
    path: Option<String>,
    route: Option<String>,
    text: Option<String>,
    stage: Option<Stage>,
    state: Option<LiveState>,
    status: Option<Statuses>,
    connection: Option<u64>,
    older_than: Option<Duration>,
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statuses {
    One(StatusCode),
    Class(u16),
}

/// What a filter looks at in an exchange, open or closed.
struct Seen<'a> {
    id: ExchangeId,
    method: &'a Method,
    path: &'a str,
    route: Option<&'a str>,
    stage: Stage,
    status: Option<StatusCode>,
    connection: Option<ConnectionId>,
    age: Option<Duration>,
}

impl Filter {
    const LIMIT: usize = 10_000;

    /// Lets everything through, up to 10,000 exchanges.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those with this method.
    pub fn method(self, method: Method) -> Self {
        Self { method: Some(method), ..self }
    }

    /// Only those whose path has this in it, in any case.
    pub fn path(self, part: &str) -> Self {
        Self { path: Some(part.to_lowercase()), ..self }
    }

    /// Only those whose route has this in it, in any case.
    pub fn route(self, part: &str) -> Self {
        Self { route: Some(part.to_lowercase()), ..self }
    }

    /// Only those whose path, route or method have this in it, in any case, or whose id it is.
    pub fn text(self, part: &str) -> Self {
        Self { text: Some(part.to_lowercase()), ..self }
    }

    /// Only those at this stage. Of a closed one it is where it was.
    pub fn stage(self, stage: Stage) -> Self {
        Self { stage: Some(stage), ..self }
    }

    /// Only open ones in this state.
    pub fn state(self, state: LiveState) -> Self {
        Self { state: Some(state), ..self }
    }

    /// Only those that were answered by this status.
    pub fn status(self, status: StatusCode) -> Self {
        Self { status: Some(Statuses::One(status)), ..self }
    }

    /// Only those that were answered by a status of this class: 5 for 500 to 599.
    pub fn status_class(self, class: u16) -> Self {
        Self { status: Some(Statuses::Class(class)), ..self }
    }

    /// Only those of the connection with this [id](ConnectionId::get).
    pub fn connection(self, id: u64) -> Self {
        Self { connection: Some(id), ..self }
    }

    /// Only those that have been open this long, or were until they closed.
    pub fn older_than(self, age: Duration) -> Self {
        Self { older_than: Some(age), ..self }
    }

    /// At most so many: of those that are open the oldest.
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    pub(crate) fn most(&self) -> usize {
        self.limit.unwrap_or(Self::LIMIT)
    }

    pub(super) fn lets_open(&self, entry: &Entry, state: LiveState) -> bool {
        if self.state.is_some_and(|wanted| wanted != state) {
            return false;
        }
        let Entry { head, began, view, .. } = entry;
        let route = self.wants_route().then(|| view.route()).flatten();
        self.lets(&Seen {
            id: head.id,
            method: &head.method,
            path: head.path(),
            route: route.as_deref(),
            stage: view.stage(),
            status: view.status(),
            connection: view.connection().map(crate::Connection::id),
            age: self.older_than.map(|_| view.now().saturating_duration_since(*began)),
        })
    }

    /// Whether it lets a closed exchange through. What is asked of its live state, it has not.
    pub fn lets_closed(&self, closed: &Closed) -> bool {
        let summary = &closed.summary;
        self.state.is_none()
            && self.lets(&Seen {
                id: closed.id,
                method: &summary.method,
                path: closed.path(),
                route: summary.route.as_deref(),
                stage: summary.close.stage,
                status: summary.status,
                connection: summary.connection.as_ref().map(crate::Connection::id),
                age: Some(closed.duration),
            })
    }

    fn wants_route(&self) -> bool {
        self.route.is_some() || self.text.is_some()
    }

    fn lets(&self, seen: &Seen<'_>) -> bool {
        fn fits<T: ?Sized>(wanted: Option<&T>, fits: impl FnOnce(&T) -> bool) -> bool {
            wanted.is_none_or(fits)
        }
        let has = |text: &str, part: &String| text.to_lowercase().contains(part.as_str());
        let status = |wanted: &Statuses| {
            seen.status.is_some_and(|status| match wanted {
                Statuses::One(one) => status == *one,
                Statuses::Class(class) => status.as_u16() / 100 == *class,
            })
        };
        let text = |part: &String| {
            has(seen.path, part)
                || seen.route.is_some_and(|route| has(route, part))
                || has(seen.method.as_str(), part)
                || seen.id.to_string() == *part
        };
        fits(self.method.as_ref(), |method| method == seen.method)
            && fits(self.stage.as_ref(), |stage| *stage == seen.stage)
            && fits(self.connection.as_ref(), |id| {
                seen.connection.is_some_and(|it| it.get() == *id)
            })
            && fits(self.older_than.as_ref(), |age| seen.age.is_some_and(|it| it >= *age))
            && fits(self.status.as_ref(), status)
            && fits(self.path.as_ref(), |part| has(seen.path, part))
            && fits(self.route.as_ref(), |part| seen.route.is_some_and(|it| has(it, part)))
            && fits(self.text.as_ref(), text)
    }
}
