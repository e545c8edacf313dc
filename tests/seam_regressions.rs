//! Defects that were found in the seams, each as a test whose name says what holds.
#![cfg(all(feature = "axum", feature = "hyper"))]

use std::{
    backtrace::Backtrace,
    collections::VecDeque,
    convert::Infallible,
    future::{Future, pending, poll_fn},
    io, mem,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Barrier, Mutex, atomic::AtomicBool, atomic::Ordering, mpsc},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, routing::any};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpListener,
    sync::Notify,
    time::timeout,
};
use tower::service_fn;
use tower_lifecycle::{
    Connection, ConnectionReason, ConnectionSummary, EventKind, ExchangeHandle, Interest,
    LifecycleLayer, Listener, Observer, Reason, RequestHead, Server, Summary,
    conn::{Blind, DisconnectWatch, Parts, Transport},
    observe,
    testing::{Client, Http2Frame, Recorder},
};

const PATIENCE: Duration = Duration::from_secs(5);
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

fn builder() -> auto::Builder<TokioExecutor> {
    auto::Builder::new(TokioExecutor::new())
}

/// By our own loop, one connection.
async fn serve<O: Observer>(lifecycle: LifecycleLayer<O>, app: Router) -> SocketAddr {
    let (listener, addr) = bind().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(lifecycle.serve_connection(&builder(), stream, app.clone()));
        }
    });
    addr
}

/// A handler that says when it is called, and never answers.
fn parks(called: &Arc<Notify>) -> Router {
    let called = Arc::clone(called);
    Router::new().fallback(any(async move || {
        called.notify_one();
        pending::<()>().await;
    }))
}

// ===== the connection's close =====

/// What it reads is given, with pauses; what is written to it is gone.
struct Paced {
    reads: VecDeque<Option<Vec<u8>>>,
    ends: bool,
    /// Its flush is never ready.
    stuck: Arc<AtomicBool>,
    /// It was asked for that.
    asked: Arc<AtomicBool>,
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.reads.pop_front() {
            Some(Some(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(buf.remaining()));
                buf.put_slice(&bytes);
                if !rest.is_empty() {
                    self.reads.push_front(Some(rest));
                }
                Poll::Ready(Ok(()))
            }
            Some(None) => {
                task.waker().wake_by_ref();
                Poll::Pending
            }
            None if self.ends => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.stuck.load(Ordering::Acquire) {
            self.asked.store(true, Ordering::Release);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Transport for Paced {
    type Io = Self;

    fn into_parts(self) -> Parts<Self> {
        Parts::new(self)
    }
}

/// The preface, settings, and a request for `/`.
const HTTP2_GET: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
    \0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84";

/// hyper-util calls the service when its future is polled, which for HTTP/2 is in a task of its own.
#[tokio::test]
async fn a_connection_whose_request_is_called_after_it_is_gone_closes_once() {
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone());
    let reads = VecDeque::from([Some(HTTP2_GET.to_vec()), None]);
    let stream = Paced { reads, ends: true, stuck: Arc::default(), asked: Arc::default() };
    let app = Router::new().fallback(any(async || "hello"));
    let _ = tokio::spawn(lifecycle.serve_connection(&builder(), stream, app)).await;
    recorder.settled(1).await;
    println!("{recorder:?}");
    let closed: Vec<_> = recorder.connections().iter().map(|closed| closed.close).collect();
    assert_eq!(closed.len(), 1, "{closed:#?}");
}

#[tokio::test]
async fn a_head_for_a_transport_that_is_gone_is_not_complete() {
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone());
    let reads = VecDeque::from([Some(HTTP2_GET.to_vec()), None]);
    let stream = Paced { reads, ends: true, stuck: Arc::default(), asked: Arc::default() };
    let app = Router::new().fallback(any(async || StatusCode::NO_CONTENT));
    let _ = tokio::spawn(lifecycle.serve_connection(&builder(), stream, app)).await;
    let exchange = recorder.settled(1).await.remove(0);
    assert_ne!(exchange.reason(), Reason::Complete, "{}", exchange.words());
}

#[tokio::test]
async fn a_connection_that_is_cut_is_not_complete_for_an_observer_of_connections_alone() {
    let recorder = Recorder::with_interest(Interest::CONNECTION);
    let called = Arc::new(Notify::new());
    let addr = serve(LifecycleLayer::new(recorder.clone()), parks(&called)).await;
    let mut client = Client::connect(addr).await.unwrap();
    client.send(GET).await.unwrap();
    called.notified().await;
    client.close().unwrap();
    let closed = recorder.disconnected(1).await;
    assert_eq!(closed[0].close.reason, ConnectionReason::Disconnected);
}

#[tokio::test]
async fn a_connection_that_a_service_error_cuts_is_not_complete() {
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone());
    let (listener, addr) = bind().await;
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request: Request<_>| {
            drop::<Request<tower_lifecycle::RequestBody<hyper::body::Incoming>>>(request);
            async { Err::<Response<Body>, _>(io::Error::other("no")) }
        });
        lifecycle.serve_connection(&builder(), stream, service).await
    };
    let mut client = Client::connect(addr).await.unwrap();
    client.send(GET).await.unwrap();
    let _ = server.await;
    let closed = recorder.disconnected(1).await;
    assert_ne!(closed[0].close.reason, ConnectionReason::Complete, "{:?}", closed[0].close);
}

#[tokio::test]
async fn a_second_head_that_is_refused_is_not_a_complete_connection() {
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone());
    let (listener, addr) = bind().await;
    let app = Router::new().fallback(any(async || "hello"));
    let serve = axum::serve(lifecycle.listener(listener), lifecycle.make_service(app));
    tokio::spawn(async { serve.await });
    let mut client = Client::connect(addr).await.unwrap();
    client.send(GET).await.unwrap();
    client.read_until("hello").await.unwrap();
    client.send("nonsense\r\n\r\n").await.unwrap();
    client.read_until("HTTP/1.1 400").await.unwrap();
    let closed = recorder.disconnected(1).await;
    assert_ne!(closed[0].close.reason, ConnectionReason::Complete, "{:?}", closed[0].close);
}

#[tokio::test]
async fn a_client_that_breaks_off_within_a_frame_is_disconnected() {
    let recorder = Recorder::new();
    let called = Arc::new(Notify::new());
    let addr = serve(LifecycleLayer::new(recorder.clone()), parks(&called)).await;
    let mut client = Client::connect(addr).await.unwrap();
    client.request(1, "GET", "/", [], true).await.unwrap();
    called.notified().await;
    client.send([0, 0, 8]).await.unwrap();
    client.close().unwrap();
    let exchange = recorder.settled(1).await.remove(0);
    let closed = recorder.disconnected(1).await;
    println!("{} | {:?}", exchange.close(), closed[0].close);
    assert_eq!(exchange.reason(), Reason::Disconnected);
    assert_eq!(closed[0].close.reason, ConnectionReason::Disconnected);
}

#[tokio::test]
async fn with_half_close_the_server_is_not_taken_for_the_client() {
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone()).with_handle().half_close(true);
    let (listener, addr) = bind().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new().fallback(any(async move |exchange: ExchangeHandle| {
        tell.send(exchange).unwrap();
        pending::<()>().await;
    }));
    let mut client = Client::connect(addr).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut builder = builder();
    builder.http1().half_close(true);
    let task = tokio::spawn(lifecycle.serve_connection(&builder, stream, app));
    client.send(GET).await.unwrap();
    client.fin().await.unwrap();
    let exchange = told.recv().await.unwrap();
    timeout(PATIENCE, async {
        while exchange.disconnect_watch() != DisconnectWatch::Blind(Blind::HalfClosed) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the closed side is seen");
    task.abort();
    let exchange = recorder.settled(1).await.remove(0);
    let closed = recorder.disconnected(1).await;
    assert_eq!(exchange.reason(), Reason::Shutdown);
    assert_eq!(closed[0].close.reason, ConnectionReason::Shutdown);
}

// ===== HTTP/2 =====

/// Two begin at once; the ordinals as they are at the close.
struct Ordinals(Arc<Barrier>, Arc<Mutex<Vec<Option<u64>>>>);

struct Ordinal(Arc<Mutex<Vec<Option<u64>>>>);

impl Observer for Ordinals {
    type State = Ordinal;

    fn begin(&self, _: &RequestHead<'_>) -> Option<Ordinal> {
        self.0.wait();
        Some(Ordinal(Arc::clone(&self.1)))
    }
}

impl Listener for Ordinal {
    fn on_close(&mut self, summary: &Summary) {
        self.0.lock().unwrap().push(summary.ordinal);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ordinals_are_told_apart() {
    let ordinals = Arc::new(Mutex::new(Vec::new()));
    let observer = Ordinals(Arc::new(Barrier::new(2)), Arc::clone(&ordinals));
    let app = Router::new().fallback(any(async || "hello"));
    let addr = serve(LifecycleLayer::new(observer), app).await;
    let mut client = Client::connect(addr).await.unwrap();
    client.request(1, "GET", "/", [], true).await.unwrap();
    client.request(3, "GET", "/", [], true).await.unwrap();
    let mut ends = 0;
    while ends < 2 {
        let frame = client.read_frame().await.unwrap().expect("both are answered");
        ends += usize::from(frame.kind == Http2Frame::DATA && frame.ends_stream());
    }
    timeout(PATIENCE, async {
        while ordinals.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let mut ordinals = ordinals.lock().unwrap().clone();
    ordinals.sort_unstable();
    assert_eq!(ordinals, [Some(1), Some(2)]);
}

/// A body of one frame, the last, which sets a mark.
struct Marks(Arc<AtomicBool>, bool);

impl http_body::Body for Marks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if mem::replace(&mut self.1, true) {
            return Poll::Ready(None);
        }
        self.0.store(true, Ordering::Release);
        Poll::Ready(Some(Ok(Frame::data(vec![b'x'; 4000].into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.1
    }
}

#[test]
fn a_connection_that_is_dropped_outside_of_a_runtime_is_closed() {
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (stuck, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let reads = VecDeque::from([Some(HTTP2_GET.to_vec())]);
    let (flush, flushes) = (Arc::clone(&stuck), Arc::clone(&asked));
    let stream = Paced { reads, ends: false, stuck: flush, asked: flushes };
    let app = Router::new().fallback(any(async move || Body::new(Marks(stuck, false))));
    let mut served = {
        let _inside = runtime.enter();
        Box::pin(lifecycle.serve_connection(&builder(), stream, app))
    };
    // Until the last frame is written and not flushed.
    runtime.block_on(poll_fn(|task| {
        assert!(served.as_mut().poll(task).is_pending(), "over");
        if asked.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }));
    drop(served);
    println!("{recorder:?}");
    assert_eq!(recorder.connections().len(), 1, "never closed: {recorder:?}");
}

/// A frame that fills what there is room for, then an empty one, which is the last.
struct EndsEmpty(usize, Arc<AtomicBool>);

impl http_body::Body for EndsEmpty {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0 += 1;
        Poll::Ready(match self.0 {
            1 => Some(Ok(Frame::data(vec![b'x'; 60_000].into()))),
            2 => {
                self.1.store(true, Ordering::Release);
                Some(Ok(Frame::data(Bytes::new())))
            }
            _ => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0 >= 2
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[tokio::test]
async fn an_empty_last_frame_that_was_reset_is_not_flushed() {
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone());
    let (client, server) = tokio::io::duplex(8192);
    let yielded = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&yielded);
    let app = Router::new().fallback(any(async move || Body::new(EndsEmpty(0, ends))));
    tokio::spawn(lifecycle.serve_connection(&builder(), server, app));
    let (mut reader, mut writer) = tokio::io::split(client);
    writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    writer.write_all(b"\0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84").await.unwrap();
    timeout(PATIENCE, async {
        while !yielded.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the last frame is yielded");
    tokio::time::sleep(Duration::from_millis(20)).await;
    // RST_STREAM, CANCEL.
    writer.write_all(b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut received = Vec::new();
    let mut buf = [0; 4096];
    while let Ok(Ok(read)) = timeout(Duration::from_millis(200), reader.read(&mut buf)).await {
        if read == 0 {
            break;
        }
        received.extend_from_slice(&buf[..read]);
    }
    let exchange = recorder.settled(1).await.remove(0);
    println!("{} bytes received, {}", received.len(), exchange.words());
    assert!(received.len() < 60_000, "the peer has read all, so nothing is shown");
    assert!(!exchange.words().contains("flushed"), "{}", exchange.words());
}

// ===== inner layers =====

/// Hears of `/heard` alone.
struct Choosy;

struct Silent;

impl Observer for Choosy {
    type State = Silent;

    fn begin(&self, head: &RequestHead<'_>) -> Option<Silent> {
        (head.uri.path() == "/heard").then_some(Silent)
    }
}

impl Listener for Silent {}

async fn inner_sees_the_client_leave(first: &[&str]) {
    let recorder = Recorder::new();
    let called = Arc::new(Notify::new());
    let told = Arc::clone(&called);
    let app = Router::new()
        .route("/heard", any(async || "hello"))
        .fallback(any(async move || {
            told.notify_one();
            pending::<()>().await;
        }))
        .layer(LifecycleLayer::new(recorder.clone()));
    let addr = serve(LifecycleLayer::new(Choosy).with_connection(), app).await;
    let mut client = Client::connect(addr).await.unwrap();
    for path in first {
        client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await.unwrap();
        client.read_until("hello").await.unwrap();
    }
    // A byte of a next request, so that hyper does not read on.
    client.send("GET /declined HTTP/1.1\r\nhost: a\r\n\r\nG").await.unwrap();
    called.notified().await;
    client.close().unwrap();
    let seen = timeout(Duration::from_secs(2), async {
        let noticed = || {
            let last = recorder.exchanges().pop();
            last.is_some_and(|last| last.words().contains("disconnect"))
        };
        while !noticed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(seen.await.is_ok(), "{recorder:?}");
}

#[tokio::test]
async fn an_inner_layer_watches_where_the_outer_declines() {
    inner_sees_the_client_leave(&[]).await;
}

#[tokio::test]
async fn an_inner_layer_watches_where_the_outer_declines_and_did_not_before() {
    inner_sees_the_client_leave(&["/heard"]).await;
}

// ===== the flush =====

#[tokio::test]
async fn a_request_that_fails_while_the_complete_response_is_flushed_fails_nothing() {
    for seam in [false, true] {
        let recorder = Recorder::new();
        let lifecycle = LifecycleLayer::new(recorder.clone());
        let failed = Arc::new(Notify::new());
        let fails = Arc::clone(&failed);
        let app = Router::new().fallback(any(async move |request: axum::extract::Request| {
            tokio::spawn(async move {
                let _ = request.into_body().collect().await;
                fails.notify_one();
            });
            vec![b'x'; 20 << 20]
        }));
        let addr = if seam {
            serve(lifecycle, app).await
        } else {
            serve(LifecycleLayer::new(()), app.layer(lifecycle)).await
        };
        let mut client = Client::connect(addr).await.unwrap();
        let head =
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        client.send(head).await.unwrap();
        client.read_until("\r\n\r\n").await.unwrap();
        client.send("nonsense\r\n").await.unwrap();
        timeout(PATIENCE, failed.notified()).await.expect("the upload fails");
        let read = client.read_to_end().await.map(|bytes| bytes.len());
        let exchange = recorder.settled(1).await.remove(0);
        println!("{read:?} {}", exchange.words());
        assert_eq!(exchange.reason(), Reason::Complete, "seam {seam}: {}", exchange.words());
    }
}

// ===== closing =====

/// Its hook of a connection's close does not return before the client has seen it.
struct Slow(Mutex<mpsc::Receiver<()>>, Arc<Mutex<Option<bool>>>);

impl Observer for Slow {
    type State = Silent;

    fn begin(&self, _: &RequestHead<'_>) -> Option<Silent> {
        Some(Silent)
    }

    fn on_connection_close(&self, _: &ConnectionSummary) {
        let seen = self.0.lock().unwrap().recv_timeout(Duration::from_secs(2)).is_ok();
        *self.1.lock().unwrap() = Some(seen);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_is_closed_before_a_hook_is_called_of_it() {
    let (sees, saw) = mpsc::channel();
    let verdict = Arc::new(Mutex::new(None));
    let (listener, addr) = bind().await;
    let lifecycle = LifecycleLayer::new(Slow(Mutex::new(saw), Arc::clone(&verdict)));
    let client = tokio::task::spawn_blocking(move || {
        let mut client = std::net::TcpStream::connect(addr).unwrap();
        let _ = io::Read::read(&mut client, &mut [0; 10]);
        let _ = sees.send(());
    });
    let (stream, _) = listener.accept().await.unwrap();
    let app = Router::new().fallback(any(async || "hello"));
    drop(lifecycle.serve_connection(&builder(), stream, app));
    client.await.unwrap();
    timeout(PATIENCE, async {
        while verdict.lock().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(*verdict.lock().unwrap(), Some(true), "the client waits for the hook");
}

#[tokio::test]
async fn a_cancelled_answer_without_a_length_has_no_clean_end() {
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone()).cancel_on_disconnect();
    let app = Router::new().fallback(any(async || {
        let body = tower_lifecycle::testing::MockBody::hangs_after(1);
        Response::new(Body::new(body))
    }));
    let addr = serve(lifecycle, app).await;
    let mut client = Client::connect(addr).await.unwrap();
    // The byte behind it keeps hyper from reading on.
    client.send("GET / HTTP/1.0\r\n\r\nG").await.unwrap();
    client.read_until("\r\n\r\n").await.unwrap();
    client.fin().await.unwrap();
    let read = client.read_to_end().await;
    println!("{}", recorder.settled(1).await[0].words());
    assert!(read.is_err(), "a cut body ends as a whole one does: {read:?}");
}

// ===== the server =====

#[tokio::test]
async fn a_header_timeout_without_end_does_not_panic() {
    let recorder = Recorder::new();
    let (listener, addr) = bind().await;
    let server =
        Server::new(listener, LifecycleLayer::new(recorder.clone())).header_timeout(Duration::MAX);
    let app = Router::new().fallback(any(async || "hello"));
    tokio::spawn(server.serve(app));
    let mut client = Client::connect(addr).await.unwrap();
    client.send(GET).await.unwrap();
    client.read_until("hello").await.unwrap();
}

// ===== what keeps what =====

#[tokio::test]
async fn events_end_though_a_summary_is_kept() {
    let (observer, mut events) = observe::channel(64);
    let lifecycle = LifecycleLayer::new(observer);
    let (client, server) = tokio::io::duplex(4096);
    let app = Router::new().fallback(any(async || "hello"));
    let task = tokio::spawn(lifecycle.serve_connection(&builder(), server, app));
    drop(lifecycle);
    let (mut reader, mut writer) = tokio::io::split(client);
    writer.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut all = Vec::new();
    reader.read_to_end(&mut all).await.unwrap();
    let _ = task.await;
    let mut kept = Vec::new();
    let ended = timeout(Duration::from_secs(2), async {
        while let Some(event) = events.recv().await {
            if let EventKind::Close(summary) = event.kind {
                kept.push(summary);
            }
        }
    });
    assert!(ended.await.is_ok(), "the kept summary keeps the sender, of {}", kept.len());
}

/// An observer that remembers connections.
#[derive(Clone, Default)]
struct Remembers(Arc<Mutex<Vec<Connection>>>);

impl Observer for Remembers {
    type State = Silent;

    fn begin(&self, _: &RequestHead<'_>) -> Option<Silent> {
        Some(Silent)
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        self.0.lock().unwrap().push(summary.connection.clone());
    }
}

#[tokio::test]
async fn an_observer_that_remembers_a_connection_is_freed() {
    let observer = Remembers::default();
    let weak = Arc::downgrade(&observer.0);
    let lifecycle = LifecycleLayer::new(observer);
    let (client, server) = tokio::io::duplex(4096);
    let app = Router::new().fallback(any(async || "hello"));
    let task = tokio::spawn(lifecycle.serve_connection(&builder(), server, app));
    drop(client);
    let _ = task.await;
    drop(lifecycle);
    assert!(weak.upgrade().is_none(), "a connection keeps the observer that keeps it");
}

// ===== more of HTTP/2 =====

#[tokio::test]
async fn an_idle_connection_of_http2_that_the_server_ends_was_not_refused() {
    let recorder = Recorder::new();
    let (listener, addr) = bind().await;
    let stop = Arc::new(Notify::new());
    let signal = Arc::clone(&stop);
    let server = Server::new(listener, LifecycleLayer::new(recorder.clone()));
    let app = Router::new().fallback(any(async || "hello"));
    let server = tokio::spawn(server.serve_until(app, async move { signal.notified().await }));
    let mut client = Client::connect(addr).await.unwrap();
    client.preface(None).await.unwrap();
    // Its settings, and that ours are known.
    client
        .read_frames_until(|frame| frame.kind == Http2Frame::SETTINGS && frame.flags == 1)
        .await
        .unwrap();
    stop.notify_one();
    while let Ok(Some(_)) = client.read_frame().await {}
    server.await.unwrap().unwrap();
    let closed = recorder.disconnected(1).await;
    assert_eq!(closed[0].close.reason, ConnectionReason::Shutdown, "{:?}", closed[0].close);
}

/// Drops a request's body at the close of its exchange, and says where that was called.
#[derive(Clone)]
struct DropsBody {
    body: Arc<Mutex<Option<Body>>>,
    done: mpsc::Sender<(Reason, String)>,
}

impl Observer for DropsBody {
    type State = Self;

    fn begin(&self, _: &RequestHead<'_>) -> Option<Self> {
        Some(self.clone())
    }
}

impl Listener for DropsBody {
    fn on_close(&mut self, summary: &Summary) {
        let body = self.body.lock().unwrap().take();
        drop(body);
        let _ = self.done.send((summary.close.reason, Backtrace::force_capture().to_string()));
    }
}

/// Says that it is polled, and gives its last frame when it is let.
struct Blocks {
    polled: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
    over: bool,
}

impl http_body::Body for Blocks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let _ = self.polled.send(());
        let _ = self.go_on.recv_timeout(PATIENCE);
        self.over = true;
        Poll::Ready(Some(Ok(Frame::data("last".into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

#[test]
fn a_runtime_that_ends_is_a_shutdown_and_no_hook_is_called_by_the_drop_of_a_buffer() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (done, is_done) = mpsc::channel();
    let body = Arc::new(Mutex::new(None));
    let observer = DropsBody { body: Arc::clone(&body), done };
    let (polled, is_polled) = mpsc::channel();
    let (lets, go_on) = mpsc::channel();
    let blocks = Arc::new(Mutex::new(Some(Blocks { polled, go_on, over: false })));
    let app = Router::new().fallback(any(async move |request: axum::extract::Request| {
        *body.lock().unwrap() = Some(request.into_body());
        Body::new(blocks.lock().unwrap().take().expect("there is one request"))
    }));
    // POST, with a body to come.
    let mut post = HTTP2_GET.to_vec();
    let at = post.len() - 3;
    post[at] = b'\x83';
    post[at - 5] = 4;
    let (leaves, gone) = mpsc::channel();
    let stream = Noticed(
        Paced {
            reads: VecDeque::from([Some(post)]),
            ends: false,
            stuck: Arc::default(),
            asked: Arc::default(),
        },
        leaves,
    );
    let lifecycle = LifecycleLayer::new(observer);
    runtime.block_on(async {
        tokio::spawn(lifecycle.serve_connection(&builder(), stream, app));
    });
    is_polled.recv_timeout(PATIENCE).expect("the body is polled");
    runtime.shutdown_background();
    gone.recv_timeout(PATIENCE).expect("the transport is dropped");
    lets.send(()).unwrap();
    let (reason, called_by) = is_done.recv_timeout(PATIENCE).expect("the hook hangs");
    assert!(!called_by.contains("Context::taken"), "it may be under a lock of h2: {called_by}");
    assert_eq!(reason, Reason::Shutdown);
}

/// Says that it is dropped.
struct Noticed(Paced, mpsc::Sender<()>);

impl Drop for Noticed {
    fn drop(&mut self) {
        let _ = self.1.send(());
    }
}

impl AsyncRead for Noticed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(task, buf)
    }
}

impl AsyncWrite for Noticed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(task, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(task)
    }
}

impl Transport for Noticed {
    type Io = Self;

    fn into_parts(self) -> Parts<Self> {
        Parts::new(self)
    }
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_has_not_reset_its_streams() {
    for driven in [true, false] {
        let recorder = Recorder::new();
        let called = Arc::new(Notify::new());
        let lifecycle = LifecycleLayer::new(recorder.clone());
        let addr = if driven {
            serve(lifecycle, parks(&called)).await
        } else {
            let (listener, addr) = bind().await;
            let app = parks(&called);
            let serve = axum::serve(lifecycle.listener(listener), lifecycle.make_service(app));
            tokio::spawn(async { serve.await });
            addr
        };
        let mut client = Client::connect(addr).await.unwrap();
        client.request(1, "GET", "/", [], true).await.unwrap();
        called.notified().await;
        // Data belongs to a stream.
        client.send_frame(Http2Frame::new(Http2Frame::DATA, 0, 0).with("data")).await.unwrap();
        let exchange = recorder.settled(1).await.remove(0);
        println!("{driven} {} {:?}", exchange.close(), recorder.disconnected(1).await[0].close);
        assert_ne!(exchange.reason(), Reason::StreamReset, "driven {driven}: {}", exchange.words());
    }
}

#[tokio::test]
async fn a_cancelled_answer_ends_its_connection_whatever_is_pipelined() {
    for close in ["", "connection: close\r\n"] {
        let recorder = Recorder::new();
        let lifecycle = LifecycleLayer::new(recorder.clone()).cancel_on_disconnect();
        let (listener, addr) = bind().await;
        let called = Arc::new(Notify::new());
        let app = parks(&called);
        let mut client = Client::connect(addr).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut builder = builder();
        builder.http1().pipeline_flush(true);
        let task = tokio::spawn(lifecycle.serve_connection(&builder, stream, app));
        client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{close}\r\nGET")).await.unwrap();
        called.notified().await;
        client.fin().await.unwrap();
        let result = timeout(PATIENCE, task).await.expect("it hangs").unwrap();
        println!("{result:?} {:?}", client.read_to_end().await);
        assert_eq!(recorder.settled(1).await[0].reason(), Reason::Disconnected);
        assert!(result.is_err(), "a cancelled exchange ends its connection by an error");
    }
}
