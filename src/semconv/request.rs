//! What the conventions say of the head of a request.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    path::Path,
    str,
};

use http::{HeaderMap, Version, header};

use super::{
    Text,
    conventions::Settings,
    forwarded::{self, Forwarded, Node},
    methods::OTHER,
    query::REDACTED,
};
use crate::{
    Address, RequestHead, Role,
    text::{cut, lossy},
};

/// The facts of a head. What is to be formatted, or searched for, is so when it is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    settings: &'a Settings,
    head: &'a RequestHead<'a>,
    /// The method, if it is known.
    known: Option<&'a Text>,
    peer: Option<Endpoint<'a>>,
    forwarded: Forwarded<'a>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    Ip(IpAddr, Option<u16>),
    Unix(&'a Path),
}

impl<'a> Request<'a> {
    pub(super) fn new(settings: &'a Settings, head: &'a RequestHead<'a>) -> Self {
        let peer = match head.connection {
            Some(connection) => connection.peer_addr().and_then(Endpoint::of),
            None => connect_info(head),
        };
        let forwarded = match head.role {
            Role::Server => {
                let address = peer.and_then(Endpoint::ip);
                Forwarded::read(&settings.forwarded, head.headers, address)
            }
            Role::Client => Forwarded::default(),
        };
        Self { settings, head, known: settings.methods.known(head.method), peer, forwarded }
    }

    /// `http.request.method`: a known one, or `_OTHER`.
    pub(crate) fn method(&self) -> Text {
        self.known.cloned().unwrap_or(Text::Static(OTHER))
    }

    /// `http.request.method_original`: where it is not known.
    pub(crate) fn method_original(&self) -> Option<&'a str> {
        self.known.is_none().then(|| cut(self.head.method.as_str(), self.settings.longest))
    }

    /// `url.scheme`: `http` or `https`, whatever a peer writes.
    pub(crate) fn scheme(&self) -> &'static str {
        let tls = || self.head.connection.and_then(crate::Connection::tls).map(|_| "https");
        let target = || self.head.uri.scheme_str().and_then(forwarded::scheme);
        let default = if self.settings.https { "https" } else { "http" };
        self.forwarded.scheme.or_else(target).or_else(tls).unwrap_or(default)
    }

    /// `url.path`.
    pub(crate) fn path(&self) -> &'a str {
        cut(self.head.uri.path(), self.settings.longest)
    }

    /// `url.query`, without secrets.
    pub(crate) fn query(&self) -> Option<Cow<'a, str>> {
        self.settings.query.told(self.head.uri.query()?, self.settings.longest)
    }

    /// `network.protocol.version`: a client's request says which it would like, and not which it got.
    pub(crate) fn version(&self) -> Option<&'static str> {
        match self.head.role {
            Role::Server => protocol_version(self.head.version),
            Role::Client => None,
        }
    }

    /// `client.address` and `client.port`: who sent the request first, as far as somebody trusted says; else the peer.
    pub(crate) fn client(&self) -> Option<Endpoint<'a>> {
        match self.head.role {
            Role::Server => self.forwarded.client.map(Endpoint::from).or(self.peer),
            Role::Client => None,
        }
    }

    /// `network.peer.address` and `network.peer.port`.
    pub(crate) fn peer(&self) -> Option<Endpoint<'a>> {
        self.peer
    }

    /// `network.local.address` and `network.local.port`.
    pub(crate) fn local(&self) -> Option<Endpoint<'a>> {
        self.head.connection?.local_addr().and_then(Endpoint::of)
    }

    /// `network.transport`.
    pub(crate) fn transport(&self) -> Option<&'static str> {
        let known = |address: &Address| match address {
            Address::Ip(_) => "tcp",
            Address::Unix(_) => "unix",
        };
        match self.head.connection {
            Some(connection) => connection.peer_addr().or(connection.local_addr()).map(known),
            None if self.head.version == Version::HTTP_3 => Some("quic"),
            None => self.peer.map(|_| "tcp"),
        }
    }

    /// `server.address` and `server.port`: whom the client has addressed. At a server the port is known only where it is
    /// said; a client has used that of the scheme.
    pub(crate) fn server(&self) -> Option<(&'a str, Option<u16>)> {
        let (host, port) = self.forwarded.host.or_else(|| self.authority())?;
        let of_scheme = || match self.head.uri.scheme_str().unwrap_or_else(|| self.scheme()) {
            "https" | "wss" => 443,
            _ => 80,
        };
        let is_client = self.head.role == Role::Client;
        let port = port.or_else(|| is_client.then(of_scheme));
        Some((cut(host, self.settings.longest), port))
    }

    /// `user_agent.original`.
    pub(crate) fn user_agent(&self) -> Option<Cow<'a, str>> {
        let value = self.head.headers.get(header::USER_AGENT)?;
        Some(lossy(value.as_bytes(), self.settings.longest))
    }

    /// `url.full`, without credentials and secrets. Without a host where nothing tells one.
    pub(crate) fn full_url(&self) -> String {
        let mut url = String::new();
        if let Some((host, port)) = self.authority() {
            // Not `scheme`, which knows two: `wss` is one too.
            url.extend([self.head.uri.scheme_str().unwrap_or_else(|| self.scheme()), "://"]);
            let authority = self.head.uri.authority();
            if authority.is_some_and(|authority| authority.as_str().contains('@')) {
                url.extend([REDACTED, ":", REDACTED, "@"]);
            }
            let is_ipv6 = host.contains(':');
            let [open, close] = if is_ipv6 { ["[", "]"] } else { ["", ""] };
            url.extend([open, host, close]);
            if let Some(port) = port {
                url.extend([":", &port.to_string()]);
            }
        }
        url.push_str(self.path());
        if let Some(query) = self.query() {
            url.extend(["?", &query]);
        }
        url
    }

    /// `http.route`, or at a client `url.template`: as far as it is known when the exchange begins.
    pub(crate) fn route(&self) -> Option<Text> {
        matched_path(self.head).or_else(|| self.settings.route(self.head))
    }

    /// The headers that the user has listed.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'a Text, Vec<String>)> + use<'a> {
        let headers: &'a HeaderMap = self.head.headers;
        self.settings.request_headers.of(headers, self.settings.longest)
    }

    /// Of the target, else the header `Host`; what is no valid one is none.
    fn authority(&self) -> Option<(&'a str, Option<u16>)> {
        let RequestHead { uri, headers, .. } = *self.head;
        let host = |text: &'a str| forwarded::authority(text.rsplit('@').next()?);
        let target = uri.authority().and_then(|authority| host(authority.as_str()));
        target.or_else(|| {
            let host = headers.get(header::HOST)?.as_bytes();
            forwarded::authority(str::from_utf8(host).ok()?)
        })
    }
}

impl<'a> Endpoint<'a> {
    fn of(address: &'a Address) -> Option<Self> {
        match address {
            Address::Ip(address) => Some((*address).into()),
            Address::Unix(path) => path.as_deref().map(Self::Unix),
        }
    }

    fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address, _) => Some(address),
            Self::Unix(_) => None,
        }
    }

    pub(crate) fn address(self) -> Cow<'a, str> {
        match self {
            Self::Ip(address, _) => address.to_string().into(),
            Self::Unix(path) => path.to_string_lossy(),
        }
    }

    pub(crate) fn port(self) -> Option<u16> {
        match self {
            Self::Ip(_, port) => port,
            Self::Unix(_) => None,
        }
    }
}

/// An IPv4 peer of a socket that speaks both is told as what it is.
impl From<SocketAddr> for Endpoint<'_> {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address.ip().to_canonical(), Some(address.port()))
    }
}

impl From<Node> for Endpoint<'_> {
    fn from((address, port): Node) -> Self {
        Self::Ip(address, port)
    }
}

/// `network.protocol.version`, of one that was spoken.
pub(crate) fn protocol_version(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => return None,
    })
}

#[cfg(feature = "axum")]
fn connect_info<'a>(head: &RequestHead<'_>) -> Option<Endpoint<'a>> {
    use axum::extract::ConnectInfo;

    let server = head.role == Role::Server;
    let info = server.then(|| head.extensions.get::<ConnectInfo<SocketAddr>>()).flatten()?;
    Some(info.0.into())
}

#[cfg(not(feature = "axum"))]
fn connect_info<'a>(_: &RequestHead<'_>) -> Option<Endpoint<'a>> {
    None
}

#[cfg(feature = "axum")]
fn matched_path(head: &RequestHead<'_>) -> Option<Text> {
    let server = head.role == Role::Server;
    let route = server.then(|| head.extensions.get::<axum::extract::MatchedPath>()).flatten()?;
    Some(route.as_str()).filter(|route| !route.is_empty()).map(|route| Text::Shared(route.into()))
}

#[cfg(not(feature = "axum"))]
fn matched_path(_: &RequestHead<'_>) -> Option<Text> {
    None
}
