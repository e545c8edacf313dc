//! A handle around a service that a real hyper serves on loopback: who leaves, who stays, and what a handle that is kept
//! does not hold.

mod support;

use std::{
    future,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tower::{Service, service_fn};
use tower_layer::Layer;
use tower_lifecycle::{
    Close, Disconnect, Evidence, ExchangeHandle, Finish, LifecycleLayer, Reason, RequestBody,
    Stage,
    testing::{Http2Frame, Recorder},
};

use support::{
    client::{
        Act::{
            self, AwaitParked, AwaitRead, Close as Leave, Data, Fin, Read as Receive, ReadToEnd,
            Reset, Rst, Send,
        },
        Client, End, Received,
    },
    reads_hyper,
    rows::run,
    server::{AnyBody, BoxError, Server, Signals, boxed},
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const HALF: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello";
const GET_2: Act = Act::Request(1, "GET", &[], true);
const HALF_2: Act = Act::Request(1, "POST", &[("content-length", "10")], false);

type Outcome = Result<Response<AnyBody>, BoxError>;

/// The handles of all exchanges, kept for ever.
type Kept = Arc<Mutex<Vec<ExchangeHandle>>>;

fn handle_of<B>(request: &Request<B>) -> ExchangeHandle {
    request.extensions().get::<ExchangeHandle>().expect("the layer has handles").clone()
}

fn hello() -> Response<AnyBody> {
    Response::new(boxed(Full::from("hello")))
}

async fn play(server: &Server, signals: &Signals, script: &[Act]) -> Received {
    let mut client = Client::connect(server.addr).await;
    client.play(script, signals).await;
    client.received().clone()
}

// ===== what is kept =====

#[test]
fn a_handle_kept_for_ever_keeps_no_connection_open() {
    run(async {
        let (kept, signals) = (Kept::default(), Signals::default());
        let keeps = Arc::clone(&kept);
        let server = Server::start(LifecycleLayer::new(()).with_handle().layer(service_fn(
            move |request: Request<RequestBody<Incoming>>| {
                keeps.lock().unwrap().push(handle_of(&request));
                future::ready(Outcome::Ok(hello()))
            },
        )))
        .await;
        let received =
            play(&server, &signals, &[Send(GET), Receive("hello"), Send(LAST), ReadToEnd]);
        assert_eq!(received.await.end, Some(End::Eof));
        let kept = kept.lock().unwrap().clone();
        assert_eq!(kept.len(), 2);
        assert_ne!(kept[0].id(), kept[1].id());
        for handle in kept {
            assert_eq!(handle.closed().await.reason, Reason::Complete);
            assert_eq!(handle.finished().await, Some(Finish::Released));
            assert_eq!(handle.response_progress().bytes, 5);
        }
    });
}

/// The server is gone while requests are parked.
#[test]
fn a_handle_kept_for_ever_does_not_keep_a_server_that_shuts_down() {
    run(async {
        let (kept, signals) = (Kept::default(), Arc::new(Signals::default()));
        let (keeps, parks) = (Arc::clone(&kept), Arc::clone(&signals));
        let server = Server::start(LifecycleLayer::new(()).with_handle().layer(service_fn(
            move |request: Request<RequestBody<Incoming>>| {
                keeps.lock().unwrap().push(handle_of(&request));
                parks.parked.notify_one();
                // With the request, and so with its body and its extensions.
                async move {
                    let _request = request;
                    future::pending::<Outcome>().await
                }
            },
        )))
        .await;
        let mut client = Client::connect(server.addr).await;
        client.play(&[Send(GET), AwaitParked], &signals).await;
        let handle = kept.lock().unwrap()[0].clone();
        assert_eq!(handle.close_reason(), None);
        drop(server);
        client.play(&[ReadToEnd], &signals).await;
        let close = handle.closed().await;
        assert_eq!((close.reason, close.stage), (Reason::Unknown, Stage::Handler));
        assert!(client.received().end.is_some());
    });
}

// ===== who is told =====

/// A handler that gives its work to a task, which says what it was told.
macro_rules! detached {
    ($told:expr, $signals:expr, |$request:ident| $hold:expr) => {{
        let (told, signals) = ($told, Arc::clone($signals));
        service_fn(move |$request: Request<RequestBody<Incoming>>| {
            let handle = handle_of(&$request);
            let (told, signals) = (told.clone(), Arc::clone(&signals));
            let held = $hold;
            let task = tokio::spawn(async move {
                let _held = held;
                let closed = handle.closed();
                signals.parked.notify_one();
                told.send((closed.await, handle)).unwrap();
            });
            async move {
                let _ = task.await;
                Outcome::Ok(hello())
            }
        })
    }};
}

#[test]
fn a_task_is_told_when_its_client_leaves() {
    let scripts: [&[Act]; 5] = [
        &[Send(GET), AwaitParked, Leave],
        &[Send(GET), AwaitParked, Reset],
        &[Send(GET), AwaitParked, Fin],
        &[GET_2, AwaitParked, Rst(1, Http2Frame::CANCEL)],
        &[GET_2, AwaitParked, Leave],
    ];
    for script in scripts {
        run(async {
            let (told, mut tells) = mpsc::unbounded_channel::<(Close, ExchangeHandle)>();
            let (recorder, signals) = (Recorder::new(), Arc::new(Signals::default()));
            let layer = LifecycleLayer::new(recorder.clone()).with_handle();
            let server =
                Server::start(layer.layer(detached!(told, &signals, |request| drop(request))))
                    .await;
            play(&server, &signals, script).await;
            let (close, handle) = tells.recv().await.unwrap();
            assert_eq!(close.reason, Reason::Unknown, "{script:?}");
            assert_eq!(handle.finished().await, None);
            assert_eq!(handle.disconnected().await, None, "nothing said so");
            assert_eq!(recorder.settled(1).await[0].close(), close);
        });
    }
}

/// Over HTTP/1 hyper does not see a client that leaves while a body is not read: here it is, and the task holds it.
#[test]
fn a_task_that_holds_the_request_body_is_told_when_its_client_leaves() {
    let scripts: [&[Act]; 3] = [
        &[HALF_2, Data(1, "hello", false), AwaitParked, Rst(1, Http2Frame::CANCEL)],
        &[HALF_2, Data(1, "hello", false), AwaitParked, Leave],
        &[Send(GET), AwaitParked, Leave],
    ];
    for script in scripts {
        run(async {
            let (told, mut tells) = mpsc::unbounded_channel::<(Close, ExchangeHandle)>();
            let (recorder, signals) = (Recorder::new(), Arc::new(Signals::default()));
            let layer = LifecycleLayer::new(recorder.clone()).with_handle();
            let server =
                Server::start(layer.layer(detached!(told, &signals, |request| request))).await;
            play(&server, &signals, script).await;
            let (close, _) = tells.recv().await.unwrap();
            assert_eq!(close.reason, Reason::Unknown, "{script:?}");
            assert_eq!(recorder.settled(1).await[0].close(), close);
        });
    }
}

#[test]
fn disconnected_is_told_when_an_upload_is_cut() {
    const CUTS: [(&[Act], Reason); 3] = [
        (&[Send(HALF), AwaitRead, Fin, ReadToEnd], Reason::Disconnected),
        (&[Send(HALF), AwaitRead, Reset], Reason::Reset),
        (
            &[HALF_2, Data(1, "hello", false), AwaitRead, Rst(1, Http2Frame::CANCEL)],
            Reason::StreamReset,
        ),
    ];
    let cuts = if cfg!(feature = "hyper") { &CUTS[..] } else { &CUTS[..2] };
    for (script, reason) in cuts {
        run(async {
            let signals = Arc::new(Signals::default());
            let (told, mut tells) = mpsc::unbounded_channel::<(Option<Disconnect>, Close)>();
            let reads = Arc::clone(&signals);
            let layer = reads_hyper(LifecycleLayer::new(())).with_handle();
            let server = Server::start(layer.layer(service_fn(
                move |request: Request<RequestBody<Incoming>>| {
                    let (handle, told) = (handle_of(&request), told.clone());
                    tokio::spawn(async move {
                        let disconnect = handle.disconnected().await;
                        told.send((disconnect, handle.closed().await)).unwrap();
                    });
                    let signals = Arc::clone(&reads);
                    async move {
                        let mut body = request.into_body();
                        while let Some(frame) = body.frame().await {
                            frame?;
                            signals.read.notify_one();
                        }
                        Outcome::Ok(hello())
                    }
                },
            )))
            .await;
            play(&server, &signals, script).await;
            let (disconnect, close) = tells.recv().await.unwrap();
            let disconnect = disconnect.expect("cut");
            assert_eq!((disconnect.reason, close.reason), (*reason, *reason), "{script:?}");
            assert!(matches!(disconnect.evidence, Evidence::Return | Evidence::Frame));
        });
    }
}

/// A stream that a task feeds stops when its client leaves.
#[test]
fn a_task_behind_a_stream_is_told_when_its_client_leaves() {
    run(async {
        let (told, mut tells) = mpsc::unbounded_channel::<Close>();
        let (recorder, signals) = (Recorder::new(), Arc::new(Signals::default()));
        let feeds = Arc::clone(&signals);
        let layer = LifecycleLayer::new(recorder.clone()).with_handle();
        let server = Server::start(layer.layer(service_fn(
            move |request: Request<RequestBody<Incoming>>| {
                let (handle, told) = (handle_of(&request), told.clone());
                let (mut feed, body) =
                    http_body_util::channel::Channel::<bytes::Bytes, BoxError>::new(1);
                let signals = Arc::clone(&feeds);
                tokio::spawn(async move {
                    feed.send_data(bytes::Bytes::from_static(b"hello")).await.unwrap();
                    signals.parked.notify_one();
                    told.send(handle.closed().await).unwrap();
                    drop(feed);
                });
                future::ready(Outcome::Ok(Response::new(boxed(body))))
            },
        )))
        .await;
        let script = [Send(GET), AwaitParked, Receive("hello"), Leave];
        play(&server, &signals, &script).await;
        let close = tells.recv().await.unwrap();
        assert_eq!((close.reason, close.stage), (Reason::Unknown, Stage::Response));
        assert_eq!(recorder.settled(1).await[0].close(), close);
    });
}

// ===== the client role =====

#[test]
fn a_client_has_a_handle_of_what_it_sends() {
    run(async {
        let signals = Arc::new(Signals::default());
        let server =
            Server::start(service_fn(|_: Request<Incoming>| future::ready(Outcome::Ok(hello()))))
                .await;
        let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let connection = tokio::spawn(connection);
        let kept = Kept::default();
        let (keeps, send) = (Arc::clone(&kept), Arc::new(tokio::sync::Mutex::new(send)));
        let sends = service_fn(move |request: Request<RequestBody<Full<bytes::Bytes>>>| {
            keeps.lock().unwrap().push(handle_of(&request));
            let send = Arc::clone(&send);
            async move { send.lock().await.send_request(request).await }
        });
        let mut client = LifecycleLayer::new(()).with_handle().client().layer(sends);
        let request = Request::post("/").header("host", "a").body(Full::from("12345")).unwrap();
        let response = client.call(request).await.unwrap();
        let handle = kept.lock().unwrap()[0].clone();
        assert_eq!(handle.stage(), Stage::Response);
        assert_eq!(handle.request_progress().bytes, 5);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(handle.closed().await.reason, Reason::Complete);
        assert_eq!((handle.response_progress().bytes, handle.finished().await), (5, None));
        drop(client);
        // The handle keeps nothing of the connection, so that it ends.
        connection.await.unwrap().unwrap();
        drop(signals);
    });
}
