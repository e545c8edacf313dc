//! A server that is observed, with a handler for each thing that an exchange can wait for, and clients that misbehave.

use std::{
    fmt,
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tower_lifecycle::{
    ExchangeHandle, LifecycleLayer, inflight::InFlight, inspector::Inspector, park::Lot,
};

const LONG: Duration = Duration::from_secs(40);

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) inflight: InFlight,
    pub(crate) lot: Lot<u64>,
    inspector: Inspector,
    accepts: JoinHandle<io::Result<()>>,
    clients: Mutex<Vec<TcpStream>>,
}

impl Server {
    pub(crate) async fn start(guard: impl FnOnce(Inspector) -> Inspector) -> Arc<Self> {
        let inflight = InFlight::builder().request_headers([http::header::USER_AGENT]).build();
        let lot = Lot::default();
        let inspector = guard(Inspector::new(inflight.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let accepts = accept(listener, &inflight, &lot, &inspector);
        let clients = Mutex::default();
        Arc::new(Self { addr, inflight, lot, inspector, accepts, clients })
    }

    /// No connection is left, and no new one is accepted.
    pub(crate) async fn stop(&self) {
        self.accepts.abort();
        while TcpStream::connect(self.addr).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for open in self.inflight.snapshot().connections {
            open.connection.cut();
        }
    }

    /// The same again, at the same address.
    pub(crate) async fn restart(&self) -> JoinHandle<io::Result<()>> {
        let listener = TcpListener::bind(self.addr).await.unwrap();
        accept(listener, &self.inflight, &self.lot, &self.inspector)
    }

    /// A client that has sent this and is heard of no more; it stays until the server goes.
    pub(crate) async fn say(&self, request: &str) {
        let client = self.connect(request).await;
        self.clients.lock().unwrap().push(client);
    }

    pub(crate) async fn connect(&self, request: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.addr).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }

    pub(crate) async fn get(&self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        self.say(&request).await;
    }

    /// Reads all of the answer.
    pub(crate) async fn answer(&self, path: &str) -> String {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let mut client = self.connect(&request).await;
        let mut answer = Vec::new();
        // What was broken off has no end.
        let _ = client.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

fn accept(
    listener: TcpListener,
    inflight: &InFlight,
    lot: &Lot<u64>,
    inspector: &Inspector,
) -> JoinHandle<io::Result<()>> {
    let app = Router::new()
        .route("/hello", get(async || "Hello"))
        .route("/fails", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/never", get(async || pending::<()>().await))
        .route("/upload", post(async |body: Bytes| body.len().to_string()))
        .route("/park", get(park))
        .route("/stalls", get(async || body(frames(1).chain(stream::pending()))))
        .route("/flood", get(async || body(frames(usize::MAX))))
        .route("/breaks", get(async || body(frames(1).chain(stream::iter([Err(Broken)])))))
        .fallback(fallback)
        .with_state(lot.clone())
        .nest_service("/inspector", inspector.clone());
    let lifecycle = LifecycleLayer::new(inflight.clone()).with_handle();
    let (listener, service) = (lifecycle.listener(listener), lifecycle.make_service(app));
    tokio::spawn(async move { axum::serve(listener, service).await })
}

async fn park(State(lot): State<Lot<u64>>, exchange: ExchangeHandle) -> StatusCode {
    let Ok(slot) = lot.park(exchange.id().get()) else { return StatusCode::SERVICE_UNAVAILABLE };
    slot.of(&exchange).wait(LONG, async || None::<()>).await;
    StatusCode::NO_CONTENT
}

/// Says of itself what a stranger could have had it say.
async fn fallback(exchange: ExchangeHandle) -> (StatusCode, &'static str) {
    exchange.set_route(HOSTILE);
    exchange.mark(HOSTILE);
    pending().await
}

pub(crate) const HOSTILE: &str = "</script><img src=x onerror='window.pwned=1'>\u{202e}";

#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

/// Large, so that no buffer takes many of them.
fn frames(count: usize) -> impl Stream<Item = Result<Bytes, Broken>> + Send {
    static FRAME: [u8; 64 * 1024] = [b'x'; 64 * 1024];
    stream::iter(0..count).map(|_| Ok(Bytes::from_static(&FRAME)))
}

fn body(frames: impl Stream<Item = Result<Bytes, Broken>> + Send + 'static) -> Body {
    Body::from_stream(frames)
}
