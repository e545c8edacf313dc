//! What a line tells, whatever it looks like.

use std::{
    borrow::Cow,
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use http::{HeaderName, Uri};

use super::log::Settings;
use crate::{
    RequestHead, Role, Summary,
    semconv::{Endpoint, Request, Text, names::attribute::HTTP_REQUEST_HEADER},
};

/// What is kept of a request's head. Nothing is copied of an ordinary one: its target is shared.
pub(super) struct Facts {
    pub(super) time: SystemTime,
    pub(super) client: Option<Client>,
    pub(super) method: Text,
    pub(super) scheme: &'static str,
    pub(super) target: Target,
    route: Option<Text>,
    pub(super) user_agent: Option<String>,
    /// As many as are listed.
    headers: Vec<Option<Vec<String>>>,
}

/// Who sent the request.
#[derive(Clone)]
pub(super) enum Client {
    Ip(IpAddr, Option<u16>),
    Unix(Box<str>),
}

pub(super) enum Target {
    /// How much of the path is told, and what of the query.
    Path(Uri, usize, Query),
    /// Of a client's request, and where there is no path.
    Url(String),
}

pub(super) enum Query {
    None,
    /// So many bytes, as it was sent.
    Sent(usize),
    Redacted(String),
}

/// An exchange that is over.
pub(super) struct Record<'a> {
    pub(super) settings: &'a Settings,
    pub(super) facts: &'a Facts,
    pub(super) summary: &'a Summary,
    pub(super) route: Option<Text>,
}

// ===== impl Facts =====

impl Facts {
    pub(super) fn of(settings: &Settings, head: &RequestHead<'_>) -> Self {
        let request = settings.conventions.read(head);
        let original = request.method_original().map(|method| Text::from(method.to_owned()));
        let user_agent = settings.user_agent.then(|| request.user_agent()).flatten();
        Self {
            time: head.time(),
            client: request.client().map(Client::from),
            method: original.unwrap_or_else(|| request.method()),
            scheme: request.scheme(),
            target: Target::of(head, &request),
            route: request.route(),
            user_agent: user_agent.map(Cow::into_owned),
            headers: headers(settings, &request),
        }
    }
}

/// Those that are there come in the order in which they are listed.
fn headers(settings: &Settings, request: &Request<'_>) -> Vec<Option<Vec<String>>> {
    let mut told = request.headers().peekable();
    let is = |attribute: &Text, name: &str| {
        let known = attribute.as_str().strip_prefix(HTTP_REQUEST_HEADER);
        known.and_then(|known| known.strip_prefix('.')) == Some(name)
    };
    let mut next = |name: &str| Some(told.next_if(|(known, _)| is(known, name))?.1);
    settings.headers.iter().map(|name| next(name.as_str())).collect()
}

impl From<Endpoint<'_>> for Client {
    fn from(endpoint: Endpoint<'_>) -> Self {
        match endpoint {
            Endpoint::Ip(address, port) => Self::Ip(address, port),
            Endpoint::Unix(_) => Self::Unix(endpoint.address().into()),
        }
    }
}

impl Client {
    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(_, port) => *port,
            Self::Unix(_) => None,
        }
    }
}

/// Its address.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address, _) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

impl Target {
    fn of(head: &RequestHead<'_>, request: &Request<'_>) -> Self {
        let path = request.path();
        if head.role == Role::Client || path.is_empty() {
            return Self::Url(request.full_url());
        }
        let query = match request.query() {
            None => Query::None,
            Some(Cow::Borrowed(sent)) => Query::Sent(sent.len()),
            Some(Cow::Owned(redacted)) => Query::Redacted(redacted),
        };
        Self::Path(head.uri.clone(), path.len(), query)
    }
}

impl Query {
    pub(super) fn of<'a>(&'a self, uri: &'a Uri) -> Option<&'a str> {
        match self {
            Self::None => None,
            Self::Sent(length) => uri.query()?.get(..*length),
            Self::Redacted(query) => Some(query),
        }
    }
}

/// As it is told.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Path(uri, length, query) => {
                f.write_str(&uri.path()[..*length])?;
                query.of(uri).map_or(Ok(()), |query| write!(f, "?{query}"))
            }
        }
    }
}

// ===== impl Record =====

impl<'a> Record<'a> {
    pub(super) fn new(settings: &'a Settings, facts: &'a Facts, summary: &'a Summary) -> Self {
        let route = settings.conventions.late_route(summary).or_else(|| facts.route.clone());
        Self { settings, facts, summary, route }
    }

    /// The listed headers: those that are not there too.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [String]>)> {
        let names = self.settings.headers.iter().map(HeaderName::as_str);
        names.zip(self.facts.headers.iter().map(Option::as_deref))
    }
}

// ===== times =====

/// A time of day as in RFC 3339, to the millisecond, in UTC.
pub(super) struct Stamp(pub(super) SystemTime);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The last second of the year 9999.
        const LAST: Duration = Duration::from_secs(253_402_300_799);
        // What `humantime` has no words for: a clock that is so far off is not to cost the line.
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().min(LAST);
        humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_off_costs_no_line() {
        let day = Duration::from_secs(24 * 60 * 60);
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(Stamp(epoch - day).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Stamp(epoch + day * 4_000_000).to_string(), "9999-12-31T23:59:59.000Z");
    }
}
