//! Where a request came from, as far as the connection tells.

use std::net::SocketAddr;

use http::Request;

use crate::{Address, ExchangeHandle};

/// What is known of the addresses that a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peers {
    Local,
    Remote,
    Unix,
    Unknown,
}

impl Peers {
    /// The connection's is believed, and axum's `ConnectInfo`: where they differ, a listener knows more, and the stricter counts.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let connection = ExchangeHandle::line(request);
        let seam = match connection.as_ref().and_then(|connection| connection.peer_addr()) {
            Some(Address::Ip(address)) => Self::at(*address),
            Some(Address::Unix(_)) => Self::Unix,
            None => Self::Unknown,
        };
        match (seam, connect_info(request).map(Self::at)) {
            (Self::Unknown | Self::Local, Some(told)) => told,
            (known, _) => known,
        }
    }

    fn at(address: SocketAddr) -> Self {
        // An IPv4 peer of a socket that speaks both is what it is.
        if address.ip().to_canonical().is_loopback() { Self::Local } else { Self::Remote }
    }
}

#[cfg(feature = "axum")]
fn connect_info<B>(request: &Request<B>) -> Option<SocketAddr> {
    use axum::extract::ConnectInfo;

    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

#[cfg(not(feature = "axum"))]
fn connect_info<B>(_: &Request<B>) -> Option<SocketAddr> {
    None
}
