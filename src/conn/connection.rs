//! What programs see of a connection.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::{ConnectionId, Context, IoTimes, UpgradeGuard};

/// A view of one connection, while it lives and after. Cheap to clone; it keeps no socket open.
///
/// It is in the [`Summary`](crate::Summary) of each exchange that came through a seam, and in the extensions of its
/// request if the layer was told `with_connection`.
#[derive(Clone)]
pub struct Connection(pub(crate) Arc<Context>);

/// What is known of a connection when it is accepted.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) peer: Option<Address>,
    pub(crate) local: Option<Address>,
    /// Boxed, because most have none.
    pub(crate) tls: Option<Box<Tls>>,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An address and a port.
    Ip(SocketAddr),
    /// A Unix socket, by its path if it has one: a client's usually has none.
    Unix(Option<PathBuf>),
}

/// What TLS has agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// The application's protocol, such as `h2`.
    pub alpn: Option<Vec<u8>>,
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// The protocol's version, such as `TLSv1_3`.
    pub version: Option<String>,
}

impl Connection {
    /// The connection's id.
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// The other end, where it is known.
    pub fn peer_addr(&self) -> Option<&Address> {
        self.0.about.peer.as_ref()
    }

    /// This end, where it is known.
    pub fn local_addr(&self) -> Option<&Address> {
        self.0.about.local.as_ref()
    }

    /// What TLS has agreed on; `None` without TLS, or where the stream does not tell.
    pub fn tls(&self) -> Option<&Tls> {
        self.0.about.tls.as_deref()
    }

    /// Bytes received so far. Above TLS, where there is some.
    pub fn received(&self) -> u64 {
        self.0.facts.received()
    }

    /// Bytes sent so far: taken by the operating system, or by TLS.
    pub fn sent(&self) -> u64 {
        self.0.facts.sent()
    }

    /// Of the bytes sent how many are known to be flushed.
    pub fn flushed(&self) -> u64 {
        self.0.facts.flushed()
    }

    /// How many exchanges are open: begun, and not closed.
    pub fn open_exchanges(&self) -> u64 {
        self.0.open_exchanges()
    }

    /// How many upgraded streams are open. On HTTP/1 the connection itself is one once it was upgraded; on HTTP/2 they are
    /// those that are [guarded](Self::guard_upgrade).
    pub fn open_upgrades(&self) -> u64 {
        self.0.open_upgrades()
    }

    /// For the task that is to serve an upgraded stream.
    pub fn guard_upgrade(&self) -> UpgradeGuard {
        UpgradeGuard::new(Arc::clone(&self.0))
    }

    /// When its bytes passed, if asked for by [`Interest::IO_TIMES`](crate::Interest::IO_TIMES).
    pub fn times(&self) -> Option<IoTimes> {
        self.0.times()
    }

    /// How long ago it was accepted, if asked for by [`Interest::CONNECTION`](crate::Interest::CONNECTION) and
    /// [`Interest::MARKS`](crate::Interest::MARKS).
    pub fn age(&self) -> Option<Duration> {
        self.0.age()
    }

    /// Makes its transport fail, so that the server lets go of it and of whatever is on it: exchanges that are open close with
    /// [`Shutdown`](crate::Reason::Shutdown), and a stream that was upgraded fails. Nothing that follows can be taken for the end of an
    /// answer: where that would be the end of the connection, a socket that is watched is reset.
    ///
    /// For the end of a server's patience. The task that serves the connection is woken if some observer has asked for
    /// [`Interest::CONNECTION`](crate::Interest::CONNECTION), else it finds out when it next reads or writes. Code that never yields goes on,
    /// and keeps what it holds. Once it is over it does nothing.
    pub fn cut(&self) {
        self.0.cut();
    }

    /// How many exchanges the server has begun on it so far.
    pub fn exchanges(&self) -> u64 {
        self.0.exchanges()
    }
}

impl Address {
    /// The address and the port, if it has them.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

/// `127.0.0.1:80`, or `unix:/run/app.sock`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix"),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("peer_addr", &self.peer_addr())
            .field("exchanges", &self.exchanges())
            .finish_non_exhaustive()
    }
}
