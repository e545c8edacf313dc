//! Where connections come from.

use std::{io, net::SocketAddr, time::Duration};

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tower_lifecycle::seam::Accept;

/// A listener that bounds how long a peer may be silent while something was sent to it: one that reads nothing, or has
/// vanished without a word.
#[derive(Debug)]
pub(crate) struct Patient {
    listener: TcpListener,
    stalled: Duration,
}

/// Many come back at once, after a restart, and those that find no place in the queue of the system try again a second later.
const BACKLOG: u32 = 4096;

/// The longest that Linux takes for `TCP_KEEPIDLE`.
const LONGEST: Duration = Duration::from_secs(32_767);

pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Patient {
    pub(crate) fn new(listener: TcpListener, stalled: Duration) -> Self {
        Self { listener, stalled: stalled.min(LONGEST) }
    }

    fn set(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let stalled = u32::try_from(self.stalled.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(stream, stalled)?;
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, self.stalled.max(Duration::from_secs(1)))?;
        Ok(())
    }
}

impl Accept for Patient {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let accepted = self.listener.accept().await;
        let (stream, _) =
            accepted.inspect_err(|error| tracing::warn!(%error, "cannot accept a connection"))?;
        // A client that is gone already: what is left of it is the server's to find.
        if let Err(error) = self.set(&stream) {
            tracing::debug!(%error, "a connection is without its timeouts");
        }
        Ok(stream)
    }
}
