//! What TLS knows of a connection.

use tokio::net::TcpStream;
use tokio_rustls::{rustls::ServerConnection, server::TlsStream};

use super::{Parts, Tls, Transport, Watched, watch::Socket};

/// Its bytes are seen above TLS, its client below it.
impl<S: Socket + 'static> Transport for TlsStream<Watched<S>> {
    type Io = Self;

    fn into_parts(self) -> Parts<Self> {
        let (socket, session) = self.get_ref();
        let Parts { about, watch, .. } = Parts::new(()).on(socket).tls(agreed(session));
        Parts { io: self, about, watch }
    }
}

/// Not watched: for that the socket is to be made [`Watched`] before TLS is put upon it.
impl Transport for TlsStream<TcpStream> {
    type Io = Self;

    fn into_parts(self) -> Parts<Self> {
        let (socket, session) = self.get_ref();
        let (peer, local, tls) = (socket.peer_addr(), socket.local_addr(), agreed(session));
        let mut parts = Parts::new(self).tls(tls);
        parts.about.peer = peer.ok().map(Into::into);
        parts.about.local = local.ok().map(Into::into);
        parts
    }
}

fn agreed(session: &ServerConnection) -> Tls {
    Tls {
        alpn: session.alpn_protocol().map(<[u8]>::to_vec),
        server_name: session.server_name().map(str::to_owned),
        version: session.protocol_version().and_then(|version| version.as_str().map(str::to_owned)),
    }
}
