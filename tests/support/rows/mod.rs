//! The table: what a service and its client do, and what has to be told of it.

pub mod http1;
pub mod http2;

use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{runtime, time::timeout};
use tower::Service;

use super::{
    client::{Act, Client, Received},
    server::{BoxError, Handler, Server, Signals},
};

/// A situation over the real hyper, with what is expected of each exchange in the order of their begin.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    pub handler: Handler,
    pub client: &'static [Act],
    pub exchanges: Vec<Expected>,
}

#[derive(Clone, Debug)]
pub struct Expected {
    /// As `Recording::words` says it.
    pub words: String,
    /// As `Close` displays itself.
    pub verdict: &'static str,
}

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(10);

// How the words of many rows begin and end.
pub const BODILESS: &str = "begin req.end req.close(complete)";
pub const READ: &str = "begin req.data req.end req.close(complete)";
pub const UNREAD: &str = "begin req.close(unread)";
pub const PARTLY: &str = "begin req.data req.close(partial)";
pub const SENT: &str = "response(200) res.data res.end finish(released) close(complete)";
pub const EMPTY: &str = "response(200) res.end finish(released) close(complete)";

// Verdicts.
pub const COMPLETE: &str = "complete, by local, known by frame";
pub const HEAD_ONLY: &str = "complete, by local, known by return";
pub const GONE_IN_REQUEST: &str = "unknown in request, by unknown, known by drop";
pub const GONE_IN_HANDLER: &str = "unknown in handler, by unknown, known by drop";
pub const GONE_IN_RESPONSE: &str = "unknown in response, by unknown, known by drop";
pub const MISMATCH: &str = "length_mismatch in response, by local, known by frame";
pub const BODY_FAILED: &str = "response_failed in response, by local, known by return";
pub const SERVICE_FAILED: &str = "service_failed in handler, by local, known by return";
pub const HANDLER_PANICKED: &str = "panicked in handler, by local, known by unwind";
pub const BODY_PANICKED: &str = "panicked in response, by local, known by unwind";

pub fn all() -> Vec<Row> {
    [http1::rows(), http2::rows()].concat()
}

/// A row with one exchange.
fn row(
    name: &'static str,
    handler: Handler,
    client: &'static [Act],
    words: &[&str],
    verdict: &'static str,
) -> Row {
    Row { name, handler, client, exchanges: vec![expect(words, verdict)] }
}

fn expect(words: &[&str], verdict: &'static str) -> Expected {
    Expected { words: words.join(" "), verdict }
}

/// Serves `service`, plays the client's script, and holds the connection until `settled`.
pub async fn play<S, B>(
    client: &[Act],
    service: S,
    signals: &Signals,
    settled: impl AsyncFnOnce(),
) -> Received
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let server = Server::start(service).await;
    let mut connection = Client::connect(server.addr).await;
    let played = timeout(PATIENCE, connection.play(client, signals)).await;
    assert!(played.is_ok(), "the script hangs; received {:?}", connection.received());
    settled().await;
    connection.received().clone()
}

/// Runs a test on one thread, so that the order in which hyper's tasks run is always the same.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(2 * PATIENCE, test).await.expect("the test hangs") })
}
