//! The name by which a request asks, which a page of a foreign name may have made to mean this machine.

use std::{
    net::{IpAddr, Ipv6Addr},
    str,
};

use http::{HeaderValue, Request, header, uri::Authority};

/// A host, an IPv6 address in its brackets, and a port where there is one.
#[derive(Clone, Copy)]
pub(super) struct Host<'a> {
    name: &'a str,
    port: Option<&'a str>,
}

impl<'a> Host<'a> {
    /// All that a request says: the target's, and the header's. `None` of one that is none.
    pub(super) fn all<B>(request: &'a Request<B>) -> impl Iterator<Item = Option<Self>> {
        let target = request.uri().authority().map(|authority| Self::parse(authority.as_str()));
        let headers = request.headers().get_all(header::HOST).iter();
        target.into_iter().chain(headers.map(|value| Self::parse(value.to_str().ok()?)))
    }

    fn parse(text: &'a str) -> Option<Self> {
        // What it takes for one is that: neither a path nor a space is left in it. A user is no part of a host.
        if text.contains('@') || text.parse::<Authority>().is_err() {
            return None;
        }
        let name = match text.strip_prefix('[') {
            Some(bracketed) => &text[..bracketed.find(']')? + 2],
            None => text.split(':').next().unwrap_or_default(),
        };
        match text[name.len()..].strip_prefix(':') {
            _ if name.is_empty() => None,
            None if name.len() < text.len() => None,
            port => Some(Self { name, port: port.filter(|port| !port.is_empty()) }),
        }
    }

    /// Not by a name of whoever, which may be made to lead here.
    pub(super) fn is_local(self) -> bool {
        let bracketed = self.name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let address = match bracketed {
            Some(address) => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => self.name.parse().ok(),
        };
        match address {
            Some(address) => address.to_canonical().is_loopback(),
            None => {
                self.name.strip_suffix('.').unwrap_or(self.name).eq_ignore_ascii_case("localhost")
            }
        }
    }

    fn is(self, other: Self, default_port: &str) -> bool {
        let port = |host: Self| host.port.unwrap_or(default_port).to_owned();
        self.name.eq_ignore_ascii_case(other.name) && port(self) == port(other)
    }
}

/// Whether an `Origin` is that of the request itself (RFC 6454, section 7). Which of the two schemes it is does not count: what
/// speaks TLS may be in front.
pub(super) fn is_own<B>(origin: &HeaderValue, request: &Request<B>) -> bool {
    let parts = str::from_utf8(origin.as_bytes()).ok().and_then(|origin| origin.split_once("://"));
    let (host, default_port) = match parts {
        Some(("http", host)) => (host, "80"),
        Some(("https", host)) => (host, "443"),
        _ => return false,
    };
    let Some(origin) = Host::parse(host) else { return false };
    let mut hosts = Host::all(request).peekable();
    hosts.peek().is_some()
        && hosts.all(|host| host.is_some_and(|host| host.is(origin, default_port)))
}
