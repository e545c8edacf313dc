//! A thousand exchanges over each protocol, killed at random moments by either side: nothing is lost, and nothing is left.

use std::{
    collections::BTreeSet, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration,
};

use axum::{body::Body, extract::Request, response::Response};
use hyper_util::{rt::TokioExecutor, rt::TokioTimer, server::conn::auto::Builder};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::{JoinSet, yield_now},
    time::{Instant, sleep},
};
use tower::{ServiceExt, service_fn};
use tower_lifecycle::{
    LifecycleLayer, RequestBody, RouteLayer,
    semconv::{Conventions, StreamPolicy},
    testing::{BoxError, Client, Http2Frame, LeakCheck},
};

use crate::support::{
    facts::FACTS,
    quiet_panics,
    seeded::{Seeded, told},
    site::app,
    stand::{Stand, attribute},
    until, within,
};

const EXCHANGES: u64 = 1000;
const AT_ONCE: usize = 32;

/// Ordinary ends, errors, panics, and what never ends by itself.
const PATHS: [&str; 14] = [
    "/users/7",
    "/stream",
    "/sse",
    "/fails",
    "/empty",
    "/nowhere",
    "/breaks",
    "/panics",
    "/body-panics",
    "/errs",
    "/waits",
    "/endless",
    "/upload",
    "/upload",
];

/// A moment of some microseconds, or a few milliseconds.
async fn moment(choices: &mut Seeded) {
    for _ in 0..choices.below(20) {
        yield_now().await;
    }
    if choices.once_in(3) {
        sleep(Duration::from_millis(choices.number() % 4)).await;
    }
}

/// Serves until it is dropped; each eighth connection's task is aborted at some moment.
async fn serve(
    listener: TcpListener,
    lifecycle: LifecycleLayer<(tower_lifecycle::otel::Otel, LeakCheck)>,
    mut choices: Seeded,
) -> Infallible {
    let app = app(Arc::new(Semaphore::new(0))).layer(RouteLayer::new());
    let service = service_fn(move |request: Request<RequestBody<hyper::body::Incoming>>| {
        let app = app.clone();
        async move {
            if request.uri().path() == "/errs" {
                yield_now().await;
                return Err::<Response, BoxError>(io::Error::other("as asked for").into());
            }
            Ok(app.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {}))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                let served = lifecycle.serve_connection(&builder, stream, service.clone());
                let mut choices = Seeded::new(choices.number());
                connections.spawn(async move {
                    if choices.once_in(8) {
                        tokio::select! {
                            _ = served => {}
                            () = moment(&mut choices) => {}
                        }
                    } else {
                        // However it ends.
                        let _ = served.await;
                    }
                });
            }
        }
    }
}

/// One exchange on a connection of its own, left at some moment in some way. The server may be faster.
async fn visit_http1(addr: SocketAddr, mut choices: Seeded) -> io::Result<()> {
    let mut client = Client::connect(addr).await?.with_patience(Duration::from_millis(20));
    let path = choices.one_of(&PATHS);
    let head = "HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    if path == "/upload" {
        let body = choices.one_of(&["", "hello", "helloworld"]);
        let head = format!("POST {path} {head}content-length: 10\r\n\r\n{body}");
        client.send(head).await?;
    } else {
        client.send(format!("GET {path} {head}\r\n")).await?;
    }
    if choices.once_in(3) {
        client.read_to_end().await?;
    }
    moment(&mut choices).await;
    if choices.once_in(2) { client.close() } else { client.reset() }
}

/// Ten exchanges on a connection, each left or not, and then the connection with what is open.
async fn visit_http2(addr: SocketAddr, mut choices: Seeded) -> io::Result<()> {
    let mut client = Client::connect(addr).await?.with_patience(Duration::from_millis(20));
    for stream in (1..20).step_by(2) {
        let path = choices.one_of(&PATHS);
        let uploads = path == "/upload";
        let method = if uploads { "POST" } else { "GET" };
        client.request(stream, method, path, None, !uploads).await?;
        if uploads && !choices.once_in(3) {
            let ends = choices.once_in(2);
            client.data(stream, "hello", ends).await?;
        }
        if choices.once_in(4) {
            let is = |frame: &Http2Frame| frame.stream == stream && frame.ends_stream();
            // Some never end.
            let _ = client.read_frames_until(is).await;
        }
        moment(&mut choices).await;
        if choices.once_in(3) {
            client.rst_stream(stream, Http2Frame::CANCEL).await?;
        }
    }
    moment(&mut choices).await;
    if choices.once_in(2) { client.close() } else { client.reset() }
}

async fn kill(http2: bool) {
    quiet_panics();
    let start = Instant::now();
    let seed = told("SEED", 1);
    println!("SEED={seed}");
    let mut choices = Seeded::new(seed);

    let stand = Stand::new();
    let conventions = Conventions::new().streams(StreamPolicy::Together);
    let otel = stand.builder().all_metrics().conventions(conventions).build();
    let leaks = LeakCheck::new();
    let lifecycle = LifecycleLayer::new((otel, leaks.clone())).hyper_errors().with_handle();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = Seeded::new(choices.number());
    let server = tokio::spawn(serve(listener, lifecycle.clone(), server));

    let mut visitors = JoinSet::new();
    within("the visits", async {
        while leaks.begun() < EXCHANGES || !visitors.is_empty() {
            let is_enough = leaks.begun() >= EXCHANGES;
            if visitors.len() >= AT_ONCE || is_enough {
                // Most are broken off.
                let _ = visitors.join_next().await;
                continue;
            }
            let choices = Seeded::new(choices.number());
            if http2 {
                visitors.spawn(visit_http2(addr, choices));
            } else {
                visitors.spawn(visit_http1(addr, choices));
            }
        }
    })
    .await;
    // What is open now, the server cuts off.
    server.abort();
    let _ = server.await;
    leaks.settled().await;

    let exchanges = leaks.begun();
    assert!(exchanges >= EXCHANGES && exchanges == leaks.closed());
    stand.settled(exchanges).await;
    assert_eq!(lifecycle.observer_panics(), 0);
    for zero in ["http.server.active_requests", "tower_lifecycle.server.active_connections"] {
        until(zero, || {
            let points = stand.of(zero);
            !points.is_empty() && points.iter().all(|point| point.value == 0.0)
        })
        .await;
    }
    let points = stand.points();
    for point in &points {
        FACTS.check_point(point, &[]);
    }
    let counted = |metric: &str| {
        let of = points.iter().filter(|point| point.metric == metric);
        of.map(|point| point.count).sum::<u64>()
    };
    assert_eq!(counted("http.server.request.duration"), exchanges);
    assert_eq!(counted("tower_lifecycle.server.stream.duration"), 0);
    assert_eq!(counted("http.server.request.body.size"), exchanges);
    let mut answered = stand.spans();
    answered.retain(|span| attribute(&span.attributes, "http.response.status_code").is_some());
    assert_eq!(counted("http.server.response.body.size"), answered.len() as u64);

    let mut errors = BTreeSet::new();
    for span in stand.spans() {
        FACTS.check_span(&span, &["http.request.body.size", "http.response.body.size"]);
        errors.extend(attribute(&span.attributes, "error.type"));
    }
    println!("{exchanges} exchanges in {:?}: {errors:?}", start.elapsed());
    let mut ways =
        vec!["500", "response_failed", "service_failed", "panicked", "shutdown", "disconnected"];
    ways.extend(http2.then_some("stream_reset"));
    assert!(ways.iter().all(|way| errors.contains(*way)), "they ended in {errors:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_exchanges_over_http1_that_are_killed_are_all_told_and_leave_nothing() {
    kill(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_exchanges_over_http2_that_are_killed_are_all_told_and_leave_nothing() {
    kill(true).await;
}
