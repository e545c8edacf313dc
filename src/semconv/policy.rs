//! What the conventions leave to the user.

use std::{error::Error, fmt, net::IpAddr, sync::Arc};

use ipnet::IpNet;

/// Whose word about the original request counts: that of `Forwarded` ([RFC 7239]) and of `X-Forwarded-For`, `-Proto` and
/// `-Host`, which any client can send.
///
/// What is trusted tells `client.address`, `client.port`, `url.scheme`, `server.address` and `server.port`. The address is the
/// right-most of the whole chain that is not a trusted proxy's own, so that nothing a client has written is believed. What is
/// no address, such as `unknown` or `_hidden`, ends the chain there. At most 32 elements are looked at.
///
/// `Forwarded` counts before `X-Forwarded-*`. Where both tell a client, a scheme or a host, and not the same one, a proxy has
/// passed on what it did not write, and neither is believed. Of a header that no proxy writes, what a client sends is passed
/// on and believed: proxies that are trusted have to write or to remove each of these four.
///
/// [RFC 7239]: https://www.rfc-editor.org/rfc/rfc7239
#[derive(Clone, Debug, Default)]
pub enum ForwardedPolicy {
    /// Nobody's: only the connection tells.
    #[default]
    Ignore,
    /// That of these proxies: [`trust_peers`](Self::trust_peers). Over a Unix socket there is no address, and nothing is trusted.
    TrustPeers(TrustedPeers),
    /// Anybody's. Only where no client can reach the server but through a proxy that writes these headers anew, as over a Unix
    /// socket: the left-most address counts.
    TrustAll,
}

/// The networks of trusted proxies: [`ForwardedPolicy::trust_peers`].
#[derive(Clone)]
pub struct TrustedPeers(Arc<[IpNet]>);

/// The error of [`ForwardedPolicy::trust_peers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNetwork(Box<str>);

impl ForwardedPolicy {
    /// Trusts proxies whose address is one of these, or in one of these networks.
    ///
    /// ```
    /// use tower_lifecycle::semconv::ForwardedPolicy;
    ///
    /// let policy = ForwardedPolicy::trust_peers(["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"])?;
    /// # Ok::<_, tower_lifecycle::semconv::InvalidNetwork>(())
    /// ```
    ///
    /// # Errors
    /// Of the first that is neither an address nor a network.
    pub fn trust_peers<I>(networks: I) -> Result<Self, InvalidNetwork>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let network = |text: I::Item| {
            let text = text.as_ref().trim();
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| InvalidNetwork(text.into()))
        };
        let networks: Result<_, _> = networks.into_iter().map(network).collect();
        networks.map(TrustedPeers).map(Self::TrustPeers)
    }

    pub(super) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match self {
            Self::Ignore => false,
            Self::TrustPeers(peers) => peer.is_some_and(|peer| peers.contain(peer)),
            Self::TrustAll => true,
        }
    }
}

impl TrustedPeers {
    /// An IPv4 peer of a socket that speaks both is an IPv6 address that maps it.
    fn contain(&self, peer: IpAddr) -> bool {
        let canonical = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&canonical) || network.contains(&peer))
    }
}

impl fmt::Debug for TrustedPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(ToString::to_string)).finish()
    }
}

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        write!(
            f,
            "{text:?} is no network: expected an address such as 192.0.2.1, or a network such as 10.0.0.0/8 or 2001:db8::/32"
        )
    }
}

impl Error for InvalidNetwork {}

/// Whether it is an error that a client left before its response was complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DisconnectPolicy {
    /// It is, as the conventions have it: what prevents a server from sending the response fully.
    #[default]
    Error,
    /// It is not, as in nginx and ASP.NET with their 499: for error budgets that are the server's own. At a server,
    /// [`Disconnected`], [`Reset`], [`StreamReset`], [`Unknown`], which is what a client that leaves looks like without a seam,
    /// and a [`TransportFailed`] by the peer set neither the span's status nor `error.type`. A status of 500 or more that was
    /// sent before is an error still.
    ///
    /// [`Disconnected`]: crate::Reason::Disconnected
    /// [`Reset`]: crate::Reason::Reset
    /// [`StreamReset`]: crate::Reason::StreamReset
    /// [`Unknown`]: crate::Reason::Unknown
    /// [`TransportFailed`]: crate::Reason::TransportFailed
    Unset,
}

/// Where the duration of an exchange goes that is meant to last.
///
/// That is a response of `text/event-stream` or `multipart/x-mixed-replace`, an upgrade, an exchange with a mark named
/// `parked`, and what [`Conventions::streams_if`](super::Conventions::streams_if) says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamPolicy {
    /// Into a metric of its own, `tower_lifecycle.server.stream.duration` or `tower_lifecycle.client.stream.duration`: the
    /// quantiles of `http.server.request.duration` are those of requests that are meant to be short.
    #[default]
    Apart,
    /// Into the one of all others.
    Together,
}
