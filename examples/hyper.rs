//! Plain hyper, without axum: a tower service, the layer, and an observer of one's own that logs how long each exchange
//! took and which ended badly.
//!
//! `cargo run --example hyper`, then `curl localhost:3000/`.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{Layer, service_fn};
use tower_lifecycle::{
    Failure, Interest, LifecycleLayer, Listener, Observer, RequestBody, RequestHead, Summary,
};

struct Log;

/// What the log keeps for one exchange.
struct Entry {
    target: String,
    error: Option<String>,
}

impl Observer for Log {
    type State = Entry;

    fn interest(&self) -> Interest {
        Interest::REQUEST_ERROR | Interest::RESPONSE_ERROR | Interest::CLOSE | Interest::MARKS
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Entry> {
        // Health checks are not worth a line.
        (head.uri.path() != "/health")
            .then(|| Entry { target: format!("{} {}", head.method, head.uri), error: None })
    }
}

impl Listener for Entry {
    fn on_request_error(&mut self, failure: &Failure<'_>) {
        self.error = failure.error.map(ToString::to_string);
    }

    fn on_response_error(&mut self, failure: &Failure<'_>) {
        self.error = failure.error.map(ToString::to_string);
    }

    fn on_close(&mut self, summary: &Summary) {
        let took = summary.duration().unwrap_or_default();
        let error = self.error.as_deref().unwrap_or("no error");
        println!("{} took {took:?}: {} ({error})", self.target, summary.close);
    }
}

/// The service is given the wrapper of the body that came from hyper.
async fn echo(request: Request<RequestBody<Incoming>>) -> hyper::Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    let answer = if body.is_empty() { Bytes::from("Hello, world!\n") } else { body };
    Ok(Response::new(Full::new(answer)))
}

#[tokio::main]
async fn main() -> Result<Infallible, Box<dyn std::error::Error>> {
    // So that an upload that is cut is told from a malformed one.
    let layer = LifecycleLayer::new(Log).known_error::<hyper::Error>();
    let service = layer.layer(service_fn(echo));

    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let connection = Builder::new(TokioExecutor::new());
            if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("connection: {error}");
            }
        });
    }
}
