//! What is remembered of exchanges that have closed is small, whatever was sent.

use std::{convert::Infallible, iter::repeat_n};

use allocation_counter::measure;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    runtime,
};
use tower::service_fn;
use tower_lifecycle::{LifecycleLayer, RequestBody, inflight::InFlight};

use crate::rig::{open, pass, within};

const RECENT: usize = 64;
const LONG: HeaderName = HeaderName::from_static("x-long");

type Answer = Response<StreamBody<stream::Iter<std::array::IntoIter<Chunk, 2>>>>;
type Chunk = Result<Frame<Bytes>, Infallible>;

/// Each value is a slice of a buffer of its own.
fn long(length: usize) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(vec![b'v'; length])).unwrap()
}

async fn answers(request: Request<RequestBody<Incoming>>) -> Result<Answer, Infallible> {
    let _ = request.into_body().collect().await;
    let trailers = HeaderMap::from_iter([(LONG, long(10_000))]);
    let chunks = [Frame::data(Bytes::from_static(b"Hello")), Frame::trailers(trailers)].map(Ok);
    let mut response = Response::new(StreamBody::new(stream::iter(chunks)));
    response.headers_mut().extend(repeat_n((LONG, long(2_000)), 5));
    Ok(response)
}

/// Heads of tens of kilobytes are read into buffers, of which everything is a slice.
async fn over_http1(mut client: DuplexStream, count: usize) {
    let [method, path, value] =
        [("M", 20_000), ("p", 20_000), ("v", 20_000)].map(|(of, n)| of.repeat(n));
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nhost: a\r\nx-long: {value}\r\ncontent-length: 5\r\n\r\nHello"
    );
    for _ in 0..count {
        client.write_all(head.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n0\r\n\r\n") {
            assert!(client.read_buf(&mut seen).await.unwrap() > 0);
        }
    }
}

async fn over_http2(client: DuplexStream, count: usize) {
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(client)).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..count {
        let request = Request::post(format!("http://a/{}", "p".repeat(10_000)));
        let request = request.header(LONG, "v".repeat(3_000)).body("Hello".to_owned()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert!(response.into_body().collect().await.unwrap().trailers().is_some());
    }
    drop(client);
    let _ = connection.await;
}

/// What an exchange takes that has closed, on a connection that is over too.
fn remembered(inflight: &InFlight, handles: bool, http2: bool) -> i64 {
    const EACH: usize = 4;
    let layer = LifecycleLayer::new(inflight.clone());
    let layer = if handles { layer.with_handle() } else { layer };
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connection = || {
        let (ours, theirs) = duplex(1 << 20);
        let builder = Builder::new(TokioExecutor::new());
        let served = layer.serve_connection(&builder, theirs, service_fn(answers));
        let asks = async move {
            if http2 { over_http2(ours, EACH).await } else { over_http1(ours, EACH).await }
        };
        runtime.block_on(within("an end", async { tokio::join!(served, asks) })).0.unwrap();
    };
    connection();
    let before = inflight.recent().len();
    let counted = measure(|| (1..RECENT / EACH).for_each(|_| connection()));
    assert_eq!((before, inflight.recent().len()), (EACH, RECENT));
    counted.bytes_current / i64::try_from(RECENT - EACH).unwrap()
}

#[test]
fn what_is_remembered_takes_a_kilobyte_or_two_and_what_of_headers_is_allowed() {
    for (handles, http2) in [(false, false), (false, true), (true, false), (true, true)] {
        let small = remembered(&InFlight::builder().recent(RECENT).build(), handles, http2);
        let names =
            InFlight::builder().recent(RECENT).request_headers([LONG]).response_headers([LONG]);
        let large = remembered(&names.build(), handles, http2);
        assert!(
            small < 4 * 1024 && large - small < 8 * 1024,
            "handles: {handles}, HTTP/2: {http2}: {small}, {large}"
        );
    }
}

#[test]
fn nothing_is_left_of_one_that_nobody_holds() {
    let lives = || {
        let inflight = InFlight::new();
        let layer = LifecycleLayer::new(inflight.clone()).with_handle();
        (0..10).for_each(|_| pass(&layer, "/closed"));
        let changes = inflight.subscribe().unwrap();
        let held = open(&layer, "/open");
        let (story, snapshot) = (inflight.recent(), inflight.snapshot());
        drop((layer, inflight, changes));
        drop((held, story, snapshot));
    };
    // What is made once is left.
    lives();
    assert_eq!(measure(lives).count_current, 0);
}
