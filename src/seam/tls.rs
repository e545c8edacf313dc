//! TLS in front of a server.

use std::{fmt, io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    ConnectionReason, LifecycleLayer, Observer,
    conn::{Parts, Watched},
};

type Stream = TlsStream<Watched<TcpStream>>;

/// A listener that speaks TLS: for `LifecycleLayer::listener`, and for `Server`.
///
/// Handshakes go on beside each other, so that a slow client delays no other: 1024 at a time, beyond which none is accepted,
/// for ten seconds each unless told. One that fails is told to the observer as a connection that closed with
/// [`HandshakeFailed`](ConnectionReason::HandshakeFailed). Bytes are counted above TLS, and the client is watched below it.
///
/// The acceptor's configuration says which protocols are offered: for HTTP/2 put `h2` into its `alpn_protocols`.
pub struct TlsListener<O> {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    lifecycle: LifecycleLayer<O>,
    handshake_timeout: Duration,
    handshakes: JoinSet<Option<(Stream, SocketAddr)>>,
}

const MAX_HANDSHAKES: usize = 1024;

impl<O: Observer> TlsListener<O> {
    /// Speaks TLS by `acceptor` on what `listener` accepts. `lifecycle` is the layer of the server.
    pub fn new(
        listener: TcpListener,
        acceptor: TlsAcceptor,
        lifecycle: &LifecycleLayer<O>,
    ) -> Self {
        Self {
            listener,
            acceptor,
            lifecycle: lifecycle.clone(),
            handshake_timeout: Duration::from_secs(10),
            handshakes: JoinSet::new(),
        }
    }

    /// How long a handshake may take.
    pub fn handshake_timeout(self, handshake_timeout: Duration) -> Self {
        Self { handshake_timeout, ..self }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection whose handshake is done, with the address of its peer.
    ///
    /// Cancel safe: a handshake that has begun goes on.
    ///
    /// # Errors
    /// The system's, as it accepts.
    pub async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next(), if !self.handshakes.is_empty() => {
                    if let Ok(Some(accepted)) = done {
                        return Ok(accepted);
                    }
                }
                accepted = self.listener.accept(), if self.handshakes.len() < MAX_HANDSHAKES => {
                    let (stream, peer) = accepted?;
                    self.shake_hands(stream, peer);
                }
            }
        }
    }

    fn shake_hands(&mut self, stream: TcpStream, peer: SocketAddr) {
        let (acceptor, lifecycle) = (self.acceptor.clone(), self.lifecycle.clone());
        let patience = self.handshake_timeout;
        self.handshakes.spawn(async move {
            let local = stream.local_addr().ok();
            match timeout(patience, acceptor.accept(Watched::new(stream))).await {
                Ok(Ok(stream)) => return Some((stream, peer)),
                Ok(Err(error)) => lifecycle.handshake_failed(peer, local, &error),
                Err(_) => {
                    lifecycle.handshake_failed(peer, local, &io::ErrorKind::TimedOut.into());
                }
            }
            None
        });
    }
}

impl<O: Observer> LifecycleLayer<O> {
    /// Tells of a connection that never came to be.
    fn handshake_failed(&self, peer: SocketAddr, local: Option<SocketAddr>, error: &io::Error) {
        let mut parts = Parts::new(()).peer_addr(peer);
        parts.about.local = local.map(Into::into);
        let context = self.context(parts.about, None, true);
        context.facts.fail(error);
        context.tell(ConnectionReason::HandshakeFailed);
        context.dropped();
    }
}

#[cfg(feature = "hyper")]
impl<O: Observer> super::Accept for TlsListener<O> {
    type Stream = Stream;

    async fn accept(&mut self) -> io::Result<Stream> {
        Ok(Self::accept(self).await?.0)
    }
}

#[cfg(feature = "axum")]
impl<O: Observer> axum::serve::Listener for TlsListener<O> {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            match Self::accept(self).await {
                Ok(accepted) => return accepted,
                Err(error) => super::pause(&error).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl<O> fmt::Debug for TlsListener<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener")
            .field("listener", &self.listener)
            .field("handshakes", &self.handshakes.len())
            .finish_non_exhaustive()
    }
}
