//! What a seam can wrap, and what it can learn of it.

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::TcpStream,
};

use super::{About, Address, Tls, Watch, Watched, watch::Socket};

/// A byte stream that a seam can wrap.
///
/// Implemented for TCP and Unix sockets, which are then watched, and with the feature `tokio-rustls` for TLS on them. A
/// stream of another kind tells what it knows of itself by [`Parts`], and is seen by what the server reads and writes:
///
/// ```
/// # use std::{io, pin::Pin, task::{Context, Poll}};
/// # use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
/// use tower_lifecycle::conn::{Parts, Transport};
///
/// struct Tunnel(DuplexStream);
///
/// impl Transport for Tunnel {
///     type Io = DuplexStream;
///
///     fn into_parts(self) -> Parts<DuplexStream> {
///         Parts::new(self.0)
///     }
/// }
/// ```
pub trait Transport: Sized {
    /// What the server reads and writes, once it is wrapped.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Itself, with what it knows of its ends.
    fn into_parts(self) -> Parts<Self::Io>;
}

/// A byte stream, and what is known of it.
pub struct Parts<T> {
    pub(crate) io: T,
    pub(crate) about: About,
    pub(crate) watch: Option<Box<dyn Watch>>,
}

impl<T> Parts<T> {
    /// A stream of which nothing is known.
    pub fn new(io: T) -> Self {
        Self { io, about: About::default(), watch: None }
    }

    /// The other end.
    pub fn peer_addr(mut self, address: impl Into<Address>) -> Self {
        self.about.peer = Some(address.into());
        self
    }

    /// This end.
    pub fn local_addr(mut self, address: impl Into<Address>) -> Self {
        self.about.local = Some(address.into());
        self
    }

    /// What TLS has agreed on.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.about.tls = Some(Box::new(tls));
        self
    }

    /// The socket below it, which knows the addresses and is watched.
    pub fn on<S: Socket>(mut self, socket: &Watched<S>) -> Self {
        self.about.peer = socket.peer_addr();
        self.about.local = socket.local_addr();
        self.watch = socket.watch();
        self
    }
}

impl<T> std::fmt::Debug for Parts<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("about", &self.about).finish_non_exhaustive()
    }
}

impl Transport for TcpStream {
    type Io = Watched<Self>;

    fn into_parts(self) -> Parts<Self::Io> {
        Watched::new(self).into_parts()
    }
}

#[cfg(unix)]
impl Transport for UnixStream {
    type Io = Watched<Self>;

    fn into_parts(self) -> Parts<Self::Io> {
        Watched::new(self).into_parts()
    }
}

impl<S: Socket + 'static> Transport for Watched<S> {
    type Io = Self;

    fn into_parts(self) -> Parts<Self> {
        let Parts { about, watch, .. } = Parts::new(()).on(&self);
        Parts { io: self, about, watch }
    }
}

impl Transport for DuplexStream {
    type Io = Self;

    fn into_parts(self) -> Parts<Self> {
        Parts::new(self)
    }
}
