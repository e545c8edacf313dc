//! The connection under exchanges: what only a transport can tell.
//!
//! A layer sees futures and bodies. When bytes have left, why a future was dropped, and that a client is gone while nobody
//! reads, is known to the transport alone. A *seam* wraps the transport of each connection in an `Io`, which records what
//! passes and changes nothing, and makes the layer the service that the server itself calls, so that both know of each other:
//!
//! - `LifecycleLayer::listener` and `make_service` for `axum::serve` (feature `axum`),
//! - `LifecycleLayer::connection` for an accept loop of your own (feature `conn`),
//! - `LifecycleLayer::serve_connection`, and `Server`, which drive hyper-util (feature `hyper`).
//!
//! Without a seam everything works, and less is known: see [The connection](crate#the-connection).

#[cfg(feature = "conn")]
mod attend;
mod close;
mod connection;
mod context;
mod facts;
#[cfg(feature = "hyper")]
mod hyper;
mod id;
#[cfg(feature = "conn")]
mod io;
mod lock;
mod queue;
mod times;
#[cfg(feature = "tokio-rustls")]
mod tls;
#[cfg(feature = "conn")]
mod transport;
mod upgrade;
#[cfg(feature = "conn")]
mod watch;
mod watching;

pub use self::{
    close::{ConnectionClose, ConnectionReason, ConnectionSummary},
    connection::{Address, Connection, Tls},
    id::ConnectionId,
    times::IoTimes,
    upgrade::{UpgradeGuard, UpgradeSummary},
    watching::{Blind, DisconnectWatch},
};
pub(crate) use self::{
    connection::About,
    context::{Context, Hears, Hold, Settings},
    facts::Sight,
    lock::lock,
    queue::Waiter,
    watching::Watch,
};
#[cfg(feature = "conn")]
pub use self::{
    io::Io,
    transport::{Parts, Transport},
    watch::{Socket, Watched},
};
