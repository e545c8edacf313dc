//! Pins what the README says of tower-http's `TraceLayer` and `on_early_drop`: ordinary responses, and one that fails,
//! through axum and hyper over HTTP/1, with ours around them in the same stack. When a row fails because a peer has become
//! better, the README is to be put right.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, response::Response, routing::get};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::StreamBody;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower_http::{
    on_early_drop::{OnBodyDropFn, OnEarlyDropLayer},
    services::ServeFile,
    trace::TraceLayer,
};
use tower_lifecycle::{LifecycleLayer, Reason, testing::Recorder};

#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    /// `TraceLayer` called `on_eos`.
    eos: bool,
    /// `TraceLayer` called `on_failure`.
    failure: bool,
    /// `on_early_drop` called the body's closure.
    early_drop: bool,
}

fn stream(items: Vec<Result<&'static str, io::Error>>) -> Body {
    let frames =
        items.into_iter().map(|item| item.map(|text| http_body::Frame::data(Bytes::from(text))));
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

fn app(told: &Arc<Mutex<Told>>, recorder: &Recorder, file: &std::path::Path) -> Router {
    let (eos, failure, dropped) = (Arc::clone(told), Arc::clone(told), Arc::clone(told));
    let trace = TraceLayer::new_for_http()
        .on_eos(move |_: Option<&http::HeaderMap>, _: Duration, _: &_| {
            eos.lock().unwrap().eos = true;
        })
        .on_failure(move |_: _, _: Duration, _: &_| failure.lock().unwrap().failure = true);
    let early_drop =
        OnEarlyDropLayer::builder().on_body_drop(OnBodyDropFn::new(move |_: &Request<Body>| {
            let dropped = Arc::clone(&dropped);
            move |_: &http::response::Parts| move || dropped.lock().unwrap().early_drop = true
        }));
    let counted = || async {
        Response::builder()
            .header("content-length", 4)
            .body(stream(vec![Ok("ab"), Ok("cd")]))
            .unwrap()
    };
    let broken =
        || async { Response::new(stream(vec![Ok("ab"), Err(io::Error::other("broken"))])) };
    Router::new()
        .route_service("/file", ServeFile::new(file))
        .route("/nothing", get(async || StatusCode::NO_CONTENT))
        .route("/counted", get(counted))
        .route("/chunked", get(async || Response::new(stream(vec![Ok("ab"), Ok("cd")]))))
        .route("/broken", get(broken))
        .layer(early_drop)
        .layer(trace)
        .layer(LifecycleLayer::new(recorder.clone()))
}

/// One request on a connection of its own, to the connection's end.
async fn run(request: &str) -> (Told, Reason) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'x'; 100_000]).unwrap();
    let (told, recorder) = (Arc::default(), Recorder::new());
    let app = app(&told, &recorder, file.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let exchange = async {
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let _ = client.read_to_end(&mut Vec::new()).await;
        recorder.settled(1).await
    };
    let exchanges = tokio::time::timeout(Duration::from_secs(10), exchange).await.unwrap();
    server.abort();
    let told = told.lock().unwrap().clone();
    (told, exchanges[0].reason())
}

#[tokio::test]
async fn what_others_say_of_ordinary_responses_and_of_one_that_fails() -> Result<(), Infallible> {
    #[rustfmt::skip]
    let rows = [
        // request, on_eos, on_failure, early drop, our verdict
        ("GET /file",    false, false, true,  Reason::Complete),
        ("HEAD /file",   false, false, false, Reason::Complete),
        ("GET /nothing", false, false, false, Reason::Complete),
        ("GET /counted", false, false, true,  Reason::Complete),
        ("GET /chunked", true,  false, false, Reason::Complete),
        ("GET /broken",  false, false, false, Reason::ResponseFailed),
    ];
    let mut wrong = Vec::new();
    for (request, eos, failure, early_drop, reason) in rows {
        let seen = run(request).await;
        if seen != (Told { eos, failure, early_drop }, reason) {
            wrong.push(format!("{request}: {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}
