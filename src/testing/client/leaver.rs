//! Clients that leave, as rows of a table: when, and how.

use std::{fmt, future::Future, io, net::SocketAddr, time::Duration};

use bytes::Bytes;

use super::{Client, Http2Frame, PATIENCE, because, within};
use crate::close::words;

/// When a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It has sent the head of a request with a body, and nothing of the body.
    RequestHead,
    /// It has sent the first half of the request's body.
    Upload,
    /// It has sent the request and waits for the response.
    Handler,
    /// It has received the head of the response.
    ResponseHead,
    /// It has received something of the response's body.
    Response,
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// Closes the connection: FIN.
    Fin,
    /// Breaks the connection: RST.
    Reset,
    /// Closes its own direction and could still receive. hyper takes it for a [`Fin`](Self::Fin).
    HalfClose,
    /// HTTP/1, behind a whole request: sends a byte of a next one, then closes. hyper does not notice while a handler is
    /// pending, because it does not read on.
    PipelinedFin,
    /// HTTP/2: breaks off the stream with this [code](Http2Frame::CANCEL), and keeps the connection.
    StreamReset(u32),
    /// HTTP/2: says that it will be gone, and keeps the connection: a server goes on with what it has.
    GoAway,
}

/// A client that sends one request and leaves: a row of a table.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{future::pending, sync::Arc};
/// use axum::{Router, routing::any};
/// use tokio::{net::TcpListener, sync::Notify};
/// use tower_lifecycle::{LifecycleLayer, testing::{Leaver, Phase, Recorder, Way}};
///
/// let recorder = Recorder::new();
/// let parked = Arc::new(Notify::new());
/// let parks = Arc::clone(&parked);
/// let app: Router = Router::new()
///     .route("/", any(async move || { parks.notify_one(); pending::<()>().await }))
///     .layer(LifecycleLayer::new(recorder.clone()));
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let addr = listener.local_addr()?;
/// tokio::spawn(async { axum::serve(listener, app).await });
///
/// for leaver in [
///     Leaver::http1(Phase::Handler, Way::Fin),
///     Leaver::http1(Phase::Handler, Way::Reset),
///     Leaver::http2(Phase::Handler, Way::StreamReset(8)),
/// ] {
///     let _connection = leaver.leave_when(addr, parked.notified()).await?;
///     let exchange = recorder.settled(1).await.pop().expect("one more");
///     let verdict = exchange.close().to_string();
///     assert_eq!(verdict, "unknown in handler, by unknown, known by drop", "{leaver}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Leaver {
    http2: bool,
    phase: Phase,
    way: Way,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Bytes>,
    patience: Duration,
}

/// HTTP/2's first stream of a client.
const STREAM: u32 = 1;

impl Leaver {
    /// Over HTTP/1.1. It asks for `/`, with a body of ten bytes if the phase is about one.
    pub fn http1(phase: Phase, way: Way) -> Self {
        Self::new(false, phase, way)
    }

    /// The same over HTTP/2, without TLS and without an upgrade.
    pub fn http2(phase: Phase, way: Way) -> Self {
        Self::new(true, phase, way)
    }

    fn new(http2: bool, phase: Phase, way: Way) -> Self {
        Self {
            http2,
            phase,
            way,
            path: "/".to_owned(),
            headers: Vec::new(),
            body: None,
            patience: PATIENCE,
        }
    }

    /// Every one that there is: each phase with each way that it allows, over both protocols; streams are reset with
    /// [`Http2Frame::CANCEL`].
    pub fn all() -> impl Iterator<Item = Self> {
        const PHASES: [Phase; 5] = [
            Phase::RequestHead,
            Phase::Upload,
            Phase::Handler,
            Phase::ResponseHead,
            Phase::Response,
        ];
        const WAYS: [Way; 6] = [
            Way::Fin,
            Way::Reset,
            Way::HalfClose,
            Way::PipelinedFin,
            Way::StreamReset(Http2Frame::CANCEL),
            Way::GoAway,
        ];
        let of = |http2| {
            PHASES.into_iter().flat_map(move |phase| {
                WAYS.into_iter().map(move |way| Self::new(http2, phase, way))
            })
        };
        of(false).chain(of(true)).filter(|leaver| leaver.check().is_ok())
    }

    /// Asks for `path` instead of `/`.
    pub fn path(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Sends one header more; over HTTP/2 its name is in lower case.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends this body, in a `POST` that declares its length. To be sent in half it has two bytes or more.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: Some(body.into()), ..self }
    }

    /// How long each step may take: ten seconds unless told.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// When it leaves.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How it leaves.
    pub fn way(&self) -> Way {
        self.way
    }

    /// Whether it speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.http2
    }

    /// Connects, comes to the phase, and leaves at once. What a server sees of the request may then be all or nothing:
    /// where it matters use [`leave_when`](Self::leave_when).
    ///
    /// It returns what is left of the client: with a connection after [`Way::HalfClose`], [`Way::StreamReset`] and
    /// [`Way::GoAway`], which is closed when it is dropped.
    ///
    /// # Errors
    /// As of [`leave_when`](Self::leave_when).
    pub async fn leave(&self, addr: SocketAddr) -> io::Result<Client> {
        self.leave_when(addr, std::future::ready(())).await
    }

    /// The same, but leaves only when `ready`, which is waited for in the phase: that the handler is pending, say, or
    /// that it has read what was sent.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a phase that does not allow the way, or a body that cannot be
    /// halved; [`TimedOut`](io::ErrorKind::TimedOut) when `ready` does not come; and those of a [`Client`](Client#errors).
    pub async fn leave_when(
        &self,
        addr: SocketAddr,
        ready: impl Future<Output = ()>,
    ) -> io::Result<Client> {
        self.play(addr, ready).await.map_err(|error| because(&error, format_args!("{self}")))
    }

    async fn play(&self, addr: SocketAddr, ready: impl Future<Output = ()>) -> io::Result<Client> {
        self.check()?;
        let mut client = Client::connect(addr).await?.with_patience(self.patience);
        if self.http2 {
            self.enter_http2(&mut client).await?;
        } else {
            self.enter_http1(&mut client).await?;
        }
        within(self.patience, async {
            ready.await;
            Ok(())
        })
        .await?;
        match self.way {
            Way::Fin => client.close()?,
            Way::Reset => client.reset()?,
            Way::HalfClose => client.fin().await?,
            Way::PipelinedFin => {
                client.send("G").await?;
                client.close()?;
            }
            Way::StreamReset(code) => client.rst_stream(STREAM, code).await?,
            Way::GoAway => client.goaway().await?,
        }
        Ok(client)
    }

    fn check(&self) -> io::Result<()> {
        let possible = match self.way {
            Way::Fin | Way::Reset | Way::HalfClose => true,
            // Before, the byte would belong to the body.
            Way::PipelinedFin => !self.http2 && !self.uploads(),
            Way::StreamReset(_) | Way::GoAway => self.http2,
        };
        let halved =
            self.phase != Phase::Upload || self.request_body().is_some_and(|body| body.len() > 1);
        if possible && halved {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "no client can do this"))
    }

    fn uploads(&self) -> bool {
        matches!(self.phase, Phase::RequestHead | Phase::Upload)
    }

    fn request_body(&self) -> Option<Bytes> {
        let default = || self.uploads().then_some(Bytes::from_static(b"helloworld"));
        self.body.clone().or_else(default)
    }

    /// What of the body is sent before the phase.
    fn sent(&self, mut body: Bytes) -> Bytes {
        body.truncate(match self.phase {
            Phase::RequestHead => 0,
            Phase::Upload => body.len() / 2,
            _ => body.len(),
        });
        body
    }

    async fn enter_http1(&self, client: &mut Client) -> io::Result<()> {
        let body = self.request_body();
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut head = format!("{method} {} HTTP/1.1\r\nhost: localhost\r\n", self.path);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if let Some(body) = &body {
            head.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
        }
        head.push_str("\r\n");
        let sent = self.sent(body.unwrap_or_default());
        // At once, as clients do.
        client.send([head.as_bytes(), &sent].concat()).await?;
        if matches!(self.phase, Phase::ResponseHead | Phase::Response) {
            client.read_until("\r\n\r\n").await?;
        }
        if self.phase == Phase::Response {
            within(self.patience, client.any()).await?;
        }
        Ok(())
    }

    async fn enter_http2(&self, client: &mut Client) -> io::Result<()> {
        let body = self.request_body();
        let length = body.as_ref().map(|body| body.len().to_string());
        let headers = self.headers.iter().map(|(name, value)| (&**name, &**value));
        let headers = headers.chain(length.as_deref().map(|length| ("content-length", length)));
        let method = if body.is_some() { "POST" } else { "GET" };
        client.request(STREAM, method, &self.path, headers, body.is_none()).await?;
        if let Some(body) = body.filter(|_| self.phase != Phase::RequestHead) {
            client.data(STREAM, self.sent(body), self.phase != Phase::Upload).await?;
        }
        let kind = match self.phase {
            Phase::ResponseHead => Http2Frame::HEADERS,
            Phase::Response => Http2Frame::DATA,
            _ => return Ok(()),
        };
        client.read_frames_until(|frame| frame.stream == STREAM && frame.kind == kind).await?;
        Ok(())
    }
}

words! {
    Phase {
        RequestHead => "request_head",
        Upload => "upload",
        Handler => "handler",
        ResponseHead => "response_head",
        Response => "response",
    }
}

/// `fin`, `reset`, `half_close`, `pipelined_fin`, `stream_reset(8)`, `goaway`.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fin => f.pad("fin"),
            Self::Reset => f.pad("reset"),
            Self::HalfClose => f.pad("half_close"),
            Self::PipelinedFin => f.pad("pipelined_fin"),
            Self::StreamReset(code) => write!(f, "stream_reset({code})"),
            Self::GoAway => f.pad("goaway"),
        }
    }
}

/// `HTTP/2, in upload, by stream_reset(8)`.
impl fmt::Display for Leaver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.http2 { "HTTP/2" } else { "HTTP/1" };
        write!(f, "{protocol}, in {}, by {}", self.phase, self.way)
    }
}
