//! When the bytes of a connection passed, by a clock that a test advances.
#![cfg(feature = "hyper")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    sync::Notify,
};
use tower::service_fn;
use tower_lifecycle::{
    Hooks, Interest, IoTimes, LifecycleLayer, Observer, RequestBody,
    testing::{BoxError, ManualClock, Recorder},
};

const SECOND: Duration = Duration::from_secs(1);

/// One exchange: the request comes after a second, the handler takes another, and the client does not read for a third.
async fn exchange(interest: Interest) -> Option<IoTimes> {
    let (clock, recorder) = (ManualClock::new(), Recorder::with_interest(interest));
    let layer = LifecycleLayer::new(recorder.clone()).with_clock(clock.clone());
    let called = Arc::new(Notify::new());
    let service = {
        let (clock, called) = (clock.clone(), Arc::clone(&called));
        service_fn(move |_: http::Request<RequestBody<Incoming>>| {
            clock.advance(SECOND);
            called.notify_one();
            async { Ok::<_, BoxError>(Response::new(Full::new(Bytes::from(vec![b'x'; 1000])))) }
        })
    };
    // Less than the answer.
    let (mut client, server) = duplex(512);
    let builder = auto::Builder::new(TokioExecutor::new());
    let serving = tokio::spawn(layer.serve_connection(&builder, server, service));

    clock.advance(SECOND);
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    called.notified().await;
    // Until the pipe is full.
    while recorder.exchanges().first().is_none_or(|it| !it.words().contains("res.end")) {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    clock.advance(SECOND);
    client.read_to_end(&mut Vec::new()).await.unwrap();
    serving.await.unwrap().unwrap();
    recorder.disconnected(1).await[0].connection.times()
}

#[tokio::test]
async fn the_first_and_the_last_byte_have_their_times_and_a_transport_that_refuses_is_waited_for() {
    let times = exchange(Interest::ALL).await.expect("it was asked for");
    assert_eq!(times.first_received, Some(SECOND));
    assert_eq!(times.last_received, Some(SECOND));
    assert_eq!(times.first_sent, Some(2 * SECOND));
    assert_eq!(times.last_sent, Some(3 * SECOND));
    assert_eq!(times.refused, SECOND);
}

#[tokio::test]
async fn nobody_reads_the_clock_for_them_unless_asked() {
    assert_eq!(exchange(Interest::DEFAULT).await, None);
    assert!(!Hooks::new().on_connection_close(|_| ()).interest().contains(Interest::IO_TIMES));
}
