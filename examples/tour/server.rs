//! The application under observation, and the one line that has it observed.

use std::{convert::Infallible, future, io, net::SocketAddr, path::Path, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::{get, post},
    serve::{Listener, ListenerExt},
};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::{
    net::{TcpListener, TcpStream},
    task, time,
};
use tower_http::{services::ServeFile, timeout::TimeoutLayer};
use tower_lifecycle::{LifecycleLayer, Observer};
#[cfg(all(feature = "axum", feature = "inspector"))]
use tower_lifecycle::{RouteLayer, inflight::InFlight, inspector::Inspector};

/// How long the outer middleware of `/slow` waits.
const LIMIT: Duration = Duration::from_millis(100);

/// What the handler of `/panic` panics with.
pub(crate) const PANIC: &str = "the handler of /panic keeps its promise";

/// Serves until it is dropped. `file` is what `/file` answers with.
pub(crate) async fn serve(
    listener: TcpListener,
    observer: impl Observer,
    file: &Path,
) -> io::Result<()> {
    axum::serve(prompt(listener), app(observer, file)).await
}

/// The same, with a page at `/inspector` that shows what is open.
///
/// The outermost layer is that of the page, joined to the connections; `observer` joins it, and hears what these tell.
#[cfg(all(feature = "axum", feature = "inspector"))]
pub(crate) async fn serve_inspected(
    listener: TcpListener,
    observer: impl Observer,
    file: &Path,
) -> io::Result<()> {
    let inflight = InFlight::new();
    let lifecycle = lifecycle(inflight.clone()).with_handle();
    let app = app(observer, file)
        .layer(RouteLayer::new())
        .nest_service("/inspector", Inspector::new(inflight));
    axum::serve(lifecycle.listener(prompt(listener)), lifecycle.make_service(app)).await
}

/// Else Nagle's algorithm holds small frames back for 40 ms.
fn prompt(listener: TcpListener) -> impl Listener<Io = TcpStream, Addr = SocketAddr> {
    listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    })
}

fn lifecycle<O: Observer>(observer: O) -> LifecycleLayer<O> {
    // axum wraps the errors of all bodies in one of its own, which the layer is told to know.
    let lifecycle = LifecycleLayer::new(observer).known_error::<axum::Error>();
    // With the feature it understands what HTTP/2 says too.
    #[cfg(feature = "hyper")]
    let lifecycle = lifecycle.hyper_errors();
    lifecycle
}

fn app(observer: impl Observer, file: &Path) -> Router {
    let lifecycle = lifecycle(observer);

    // A route whose timeout is outside: what it cuts off, the lifecycle layer sees as a drop.
    let slow = Router::new()
        .route("/slow", get(slow))
        .layer(lifecycle.clone())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT));

    Router::new()
        .route("/hello", get(async || "Hello, world!\n"))
        .route("/nothing", get(async || StatusCode::NO_CONTENT))
        .route("/empty", get(async || StatusCode::OK))
        .route("/read", post(read))
        .route("/ignore", post(async || "I did not even look.\n"))
        .route("/first", post(first_frame))
        .route("/later", post(later))
        .route("/trailers", post(trailers))
        .route_service("/file", ServeFile::new(file))
        .route("/sse", get(sse))
        .route("/ticks", get(ticks))
        .route("/park", get(park))
        .route("/broken", get(broken))
        .route("/short", get(short))
        .route("/panic", get(panics))
        .layer(lifecycle)
        .merge(slow)
}

async fn read(body: Bytes) -> String {
    format!("I read {} bytes.\n", body.len())
}

async fn first_frame(request: Request) -> String {
    let first = request.into_body().into_data_stream().next().await;
    let length = first.and_then(Result::ok).map_or(0, |bytes| bytes.len());
    format!("The first {length} bytes are enough.\n")
}

/// Answers at once and leaves the upload to a task.
async fn later(request: Request) -> (StatusCode, &'static str) {
    task::spawn(request.into_body().collect());
    (StatusCode::ACCEPTED, "Go on, a task is reading.\n")
}

async fn trailers(request: Request) -> Response {
    let frames = match request.into_body().collect().await {
        Ok(collected) => {
            let mut trailers = HeaderMap::new();
            let length = collected.to_bytes().len();
            trailers.insert("received", HeaderValue::from(length));
            [Ok(Frame::data(Bytes::from("Trailers follow.\n"))), Ok(Frame::trailers(trailers))]
        }
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let frames = stream::iter(frames).map(|frame: Result<_, Infallible>| frame);
    // hyper drops trailers that the head does not announce.
    ([(header::TRAILER, "received")], Body::new(StreamBody::new(frames))).into_response()
}

async fn sse() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let beat = time::interval(Duration::from_millis(40));
    Sse::new(stream::unfold((beat, 1), async |(mut beat, number)| {
        if number > 3 {
            return None;
        }
        beat.tick().await;
        Some((Ok(Event::default().data(format!("event {number}"))), (beat, number + 1)))
    }))
}

/// Never ends.
async fn ticks() -> Body {
    let beat = time::interval(Duration::from_millis(200));
    Body::from_stream(stream::unfold(beat, async |mut beat| {
        beat.tick().await;
        Some((Ok::<_, Infallible>("tick\n"), beat))
    }))
}

/// A long poll for something that does not happen.
async fn park() -> StatusCode {
    time::sleep(Duration::from_secs(30)).await;
    StatusCode::NO_CONTENT
}

async fn slow() {
    future::pending::<()>().await;
}

async fn broken() -> Body {
    Body::from_stream(
        start().chain(stream::once(async { Err(io::Error::other("the database went away")) })),
    )
}

async fn short() -> Response {
    ([(header::CONTENT_LENGTH, "20")], Body::from_stream(start())).into_response()
}

async fn panics() {
    std::panic::panic_any(PANIC)
}

/// A first chunk, and a pause that lets it go out before what follows.
fn start() -> impl Stream<Item = io::Result<&'static str>> {
    stream::once(future::ready(Ok("Hello")))
        .chain(stream::once(task::yield_now()).filter_map(async |()| None))
}

/// What there is to see, and the line for a terminal that shows it; `URL` is where the server is.
pub(crate) const TRY: &[(&str, &str)] = &[
    ("GET", "curl URL/hello"),
    ("HEAD", "curl -I URL/hello"),
    ("HTTP/2", "curl --http2-prior-knowledge URL/hello"),
    ("two on one connection", "curl URL/hello URL/hello"),
    ("204", "curl -i URL/nothing"),
    ("an empty body", "curl -i URL/empty"),
    ("a file", "curl -so /dev/null URL/file"),
    ("an upload, read", "curl --data-binary @Cargo.lock URL/read"),
    ("read in part", "curl --data-binary @Cargo.lock URL/first"),
    ("never read", "curl -d Hello URL/ignore"),
    ("answered before its end", "curl --limit-rate 9k --data-binary @Cargo.lock URL/later"),
    ("cut", "curl --limit-rate 9k --max-time 1 --data-binary @Cargo.lock URL/read"),
    ("trailers", "curl -i -H 'te: trailers' -H 'transfer-encoding: chunked' -d Hello URL/trailers"),
    ("server-sent events", "curl -N URL/sse"),
    ("a stream, left", "curl -N --max-time 1 URL/ticks"),
    ("a long poll, left", "curl --max-time 1 URL/park"),
    ("a timeout from outside", "curl -i URL/slow"),
    ("a response that fails", "curl -iN URL/broken"),
    ("a response too short", "curl -iN URL/short"),
    ("a panic", "curl URL/panic"),
];
