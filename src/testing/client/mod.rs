//! A client without manners: what it sends, and how it leaves, is up to the test.

mod http2;
mod leaver;

use std::{
    fmt,
    future::Future,
    io::{self, Read},
    net::SocketAddr,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

pub use self::{
    http2::Http2Frame,
    leaver::{Leaver, Phase, Way},
};
use super::book::PATIENCE;

/// The most that a client keeps unread.
const LIMIT: usize = 64 << 20;

/// Client over a real socket: HTTP/1 as text, HTTP/2 frame by frame.
///
/// It knows as little of HTTP as it can, so that a test can break any rule of it. Nothing waits longer than its
/// [patience](Self::with_patience). Dropped, it closes as sockets do: with FIN, or with RST where something is unread;
/// [`close`](Self::close) and [`reset`](Self::reset) say which. To leave in the common ways there is [`Leaver`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, routing::post};
/// use tokio::net::TcpListener;
/// use tower_lifecycle::{LifecycleLayer, RequestClose, testing::{Client, Recorder}};
///
/// let recorder = Recorder::new();
/// let app: Router = Router::new()
///     .route("/", post(async |body: String| body))
///     .layer(LifecycleLayer::new(recorder.clone()));
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let addr = listener.local_addr()?;
/// tokio::spawn(async { axum::serve(listener, app).await });
///
/// let mut client = Client::connect(addr).await?;
/// client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello").await?;
/// client.fin().await?;
/// client.read_until("HTTP/1.1 400 Bad Request\r\n").await?;
/// let exchange = &recorder.settled(1).await[0];
/// assert_eq!(exchange.summary().map(|summary| summary.request_close), Some(RequestClose::Failed));
/// # Ok(()) }
/// ```
///
/// # Errors
/// All methods have these in common: [`TimedOut`](io::ErrorKind::TimedOut) when the patience is at its end,
/// [`NotConnected`](io::ErrorKind::NotConnected) when the client has left, and what the socket says. Those that receive
/// have [`InvalidData`](io::ErrorKind::InvalidData) when more than 64 MiB are unread.
pub struct Client {
    /// `None` when it has left.
    stream: Option<TcpStream>,
    unread: BytesMut,
    greeted: bool,
    patience: Duration,
}

impl Client {
    /// Connects, within ten seconds. It needs tokio's IO and timer, as all that follows.
    ///
    /// # Errors
    /// When nobody listens there, or not in time.
    pub async fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = within(PATIENCE, TcpStream::connect(addr)).await?;
        // What is sent in two parts arrives in two parts.
        stream.set_nodelay(true)?;
        let stream = Some(stream);
        Ok(Self { stream, unread: BytesMut::new(), greeted: false, patience: PATIENCE })
    }

    /// How long each call may take: ten seconds unless told.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The address it speaks from.
    ///
    /// # Errors
    /// As [above](Self#errors).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.as_ref().ok_or_else(left)?.local_addr()
    }

    // ===== sending =====

    /// Sends `bytes` as they are. Not cancel safe: a part may have been sent.
    ///
    /// # Errors
    /// As [above](Self#errors).
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let patience = self.patience;
        within(patience, self.stream()?.write_all(bytes.as_ref())).await
    }

    /// Closes its own direction, with FIN, and can still receive: a half-close.
    ///
    /// # Errors
    /// As [above](Self#errors).
    pub async fn fin(&mut self) -> io::Result<()> {
        let patience = self.patience;
        within(patience, self.stream()?.shutdown()).await
    }

    /// Leaves with FIN, in both directions. A server that goes on sending is answered with RST, as by any socket.
    ///
    /// # Errors
    /// As [above](Self#errors).
    pub fn close(&mut self) -> io::Result<()> {
        let stream = self.stream.take().ok_or_else(left)?.into_std()?;
        // A socket that is closed while there is something to be read in it sends RST. It does not block.
        let _ = io::copy(&mut stream.take(LIMIT as u64), &mut io::sink());
        Ok(())
    }

    /// Leaves with RST: breaks the connection.
    ///
    /// # Errors
    /// As [above](Self#errors).
    pub fn reset(&mut self) -> io::Result<()> {
        let stream = self.stream.take().ok_or_else(left)?;
        #[allow(deprecated, reason = "`set_zero_linger`, which does the same, asks for tokio 1.50")]
        stream.set_linger(Some(Duration::ZERO))
    }

    // ===== receiving =====

    /// Receives up to and with the next `text`. Cancel safe: nothing is lost.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the server closes before; and as [above](Self#errors). What
    /// was received is then [unread](Self::take_unread).
    pub async fn read_until(&mut self, text: impl AsRef<[u8]>) -> io::Result<Bytes> {
        let (text, patience) = (text.as_ref(), self.patience);
        match within(patience, self.find(text)).await {
            Ok(end) => Ok(self.unread.split_to(end).freeze()),
            Err(error) => {
                let received = &self.unread[..self.unread.len().min(1000)];
                let (text, received) = (text.escape_ascii(), received.escape_ascii());
                Err(because(&error, format_args!("no \"{text}\" in \"{received}\"")))
            }
        }
    }

    /// Receives until the server closes, and returns what came. Cancel safe: nothing is lost.
    ///
    /// # Errors
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset), and as [above](Self#errors). What was received is then
    /// [unread](Self::take_unread).
    pub async fn read_to_end(&mut self) -> io::Result<Bytes> {
        let patience = self.patience;
        within(patience, async {
            while self.more().await? {}
            Ok(())
        })
        .await?;
        Ok(self.take_unread())
    }

    /// What was received and not yet returned.
    pub fn take_unread(&mut self) -> Bytes {
        self.unread.split().freeze()
    }

    /// The end of `text` in what is unread.
    async fn find(&mut self, text: &[u8]) -> io::Result<usize> {
        if text.is_empty() {
            return Ok(0);
        }
        let mut looked = 0;
        loop {
            let mut windows = self.unread[looked..].windows(text.len());
            if let Some(at) = windows.position(|window| window == text) {
                return Ok(looked + at + text.len());
            }
            looked = self.unread.len().saturating_sub(text.len() - 1);
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Until something is unread.
    async fn any(&mut self) -> io::Result<()> {
        if self.unread.is_empty() && !self.more().await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Receives once. `false` at the end of the connection.
    async fn more(&mut self) -> io::Result<bool> {
        if self.unread.len() > LIMIT {
            let error = "more than 64 MiB are unread";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let stream = self.stream.as_mut().ok_or_else(left)?;
        Ok(stream.read_buf(&mut self.unread).await? > 0)
    }

    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        self.stream.as_mut().ok_or_else(left)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("stream", &self.stream)
            .field("unread", &self.unread)
            .finish_non_exhaustive()
    }
}

async fn within<T>(patience: Duration, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    time::timeout(patience, what).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn left() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "this client has left")
}

/// The same kind of error, with what it means for the test.
fn because(error: &io::Error, why: fmt::Arguments<'_>) -> io::Error {
    io::Error::new(error.kind(), format!("{why}: {error}"))
}
