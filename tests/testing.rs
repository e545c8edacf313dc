//! The test kit as its users meet it: what its parts find, and what they say when they find it.

mod support;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::State, routing::any};
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::{net::TcpListener, sync::Notify};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifecycle::{
    Interest, LifecycleLayer, Listener, Observer, Reason, RequestHead, Stage, Summary,
    testing::{
        BoxError, Client, EndClaim, HintClaim, Http2Frame, LeakCheck, Leaver, MockBody, PANIC,
        Phase, Recorder, Step, Way,
    },
};

use support::{
    panics::{Scripted, catch, quiet},
    polls::{now, poll_body},
    rows::run,
    server::Server,
};

const SHORT: Duration = Duration::from_millis(50);

/// Answers in memory with `reply`.
async fn answer<O: Observer>(
    observer: O,
    path: &str,
    reply: MockBody,
) -> Response<tower_lifecycle::ResponseBody<MockBody>> {
    let layer = LifecycleLayer::new(observer);
    let service = service_fn(async |_: Request<_>| Ok::<_, BoxError>(Response::new(reply.clone())));
    let request = Request::get(path).body(MockBody::empty()).unwrap();
    layer.layer(service).oneshot(request).await.unwrap()
}

/// What a test says that fails by a panic of the kit.
async fn said(test: impl Future<Output = ()> + Send + 'static) -> String {
    let panicked = tokio::spawn(test).await.expect_err("it panics").into_panic();
    panicked.downcast_ref::<String>().expect("a message").clone()
}

// ===== Clients that leave, over the real hyper =====

/// Says when a handler has come so far as to be left.
#[derive(Clone, Default)]
struct Signals {
    read: Arc<Notify>,
    parked: Arc<Notify>,
}

/// Reads the request and echoes a stream that does not end, or parks.
async fn handle(State(signals): State<Signals>, request: Request<Body>) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return Response::builder().status(400).body(Body::empty()).unwrap();
        }
        signals.read.notify_one();
    }
    if head.uri.path() == "/park" {
        signals.parked.notify_one();
        std::future::pending::<()>().await;
    }
    Response::new(Body::new(MockBody::hangs_after(1)))
}

struct Left {
    words: String,
    verdict: String,
}

/// Lets a client leave once the server has come to the phase too.
fn leave(leaver: &Leaver) -> Left {
    run(async {
        let (recorder, leaks, signals) = (Recorder::new(), LeakCheck::new(), Signals::default());
        let app = Router::new()
            .fallback(any(handle))
            .with_state(signals.clone())
            .layer(LifecycleLayer::new((recorder.clone(), leaks.clone())));
        let server = Server::start(app).await;
        let path = if leaver.phase() == Phase::Handler { "/park" } else { "/" };
        let ready = async {
            match leaver.phase() {
                Phase::Upload => signals.read.notified().await,
                Phase::Handler => signals.parked.notified().await,
                _ => leaks.until_begun(1).await,
            }
        };
        let connection = leaver.clone().path(path).leave_when(server.addr, ready).await.unwrap();
        // Not noticed by hyper: only the server's end ends it.
        let blind = matches!(leaver.way(), Way::PipelinedFin | Way::GoAway);
        if blind {
            assert_eq!((leaks.begun(), leaks.open().len()), (1, 1), "{leaver}");
            drop((server, connection));
        } else {
            leaks.settled().await;
            drop(connection);
        }
        let exchange = recorder.settled(1).await.remove(0);
        exchange.assert_grammar();
        assert_eq!((leaks.begun(), leaks.closed()), (1, 1), "{leaver}");
        Left { words: exchange.words(), verdict: exchange.close().to_string() }
    })
}

#[test]
fn a_client_leaves_at_every_phase_in_every_way() {
    let mut rows = 0;
    for leaver in Leaver::all() {
        let Left { words, verdict } = leave(&leaver);
        let stage = verdict.split(", ").next().unwrap().split(" in ").nth(1);
        let expected = match leaver.phase() {
            Phase::RequestHead | Phase::Upload => Stage::Request,
            Phase::Handler => Stage::Handler,
            _ => Stage::Response,
        };
        assert_eq!(stage, Some(expected.as_str()), "{leaver}: {words}, {verdict}");
        assert_eq!(
            words.contains("req.data"),
            leaver.phase() == Phase::Upload,
            "{leaver}: {words}"
        );
        let answered = matches!(leaver.phase(), Phase::ResponseHead | Phase::Response);
        assert_eq!(words.contains("response(200)"), answered, "{leaver}: {words}");
        assert!(
            words.contains("res.data") || leaver.phase() != Phase::Response,
            "{leaver}: {words}"
        );
        rows += 1;
    }
    // Three ways in five phases over both, a byte behind a whole request in three, streams and GOAWAY in five.
    assert_eq!(rows, 3 * 5 * 2 + 3 + 2 * 5);
}

#[test]
fn a_body_can_be_sent_whole_and_left_in_the_handler() {
    for leaver in [Leaver::http1(Phase::Handler, Way::Fin), Leaver::http2(Phase::Handler, Way::Fin)]
    {
        let Left { words, .. } =
            leave(&leaver.body(vec![b'x'; 40_000]).header("x-large", "x".repeat(300)));
        assert_eq!(words, "begin req.data req.end req.close(complete) close(unknown)");
    }
}

#[test]
fn what_no_client_can_do_is_refused() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        for leaver in [
            Leaver::http1(Phase::Handler, Way::StreamReset(8)),
            Leaver::http1(Phase::Handler, Way::GoAway),
            Leaver::http2(Phase::Handler, Way::PipelinedFin),
            Leaver::http1(Phase::Upload, Way::PipelinedFin),
            Leaver::http1(Phase::Upload, Way::Fin).body("1"),
        ] {
            let refused = leaver.leave(addr).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{leaver}");
            assert!(refused.to_string().contains(&leaver.to_string()), "{refused}");
        }
    });
}

// ===== The raw client =====

#[test]
fn every_wait_of_a_client_is_bounded() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = async || Client::connect(addr).await.unwrap().with_patience(SHORT);
        let timed_out = |error: io::Error| {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
            error.to_string()
        };
        let said = timed_out(client().await.read_until("HTTP/1.1").await.unwrap_err());
        assert!(said.contains("HTTP/1.1"), "{said}");
        timed_out(client().await.read_to_end().await.unwrap_err());
        timed_out(client().await.read_frame().await.unwrap_err());
        timed_out(client().await.read_frames_until(|_| true).await.unwrap_err());
        timed_out(client().await.send(vec![0; 64 << 20]).await.unwrap_err());
        for phase in [Phase::ResponseHead, Phase::Response] {
            for leaver in [Leaver::http1(phase, Way::Fin), Leaver::http2(phase, Way::Fin)] {
                timed_out(leaver.with_patience(SHORT).leave(addr).await.unwrap_err());
            }
        }
        let never = Leaver::http1(Phase::Handler, Way::Fin).with_patience(SHORT);
        timed_out(never.leave_when(addr, std::future::pending()).await.unwrap_err());
    });
}

#[test]
fn a_client_that_has_left_does_nothing_more() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        for leave in [Client::close, Client::reset] {
            let mut client = Client::connect(addr).await.unwrap();
            leave(&mut client).unwrap();
            let gone = |error: io::Error| assert_eq!(error.kind(), io::ErrorKind::NotConnected);
            gone(client.send("more").await.unwrap_err());
            gone(client.read_to_end().await.unwrap_err());
            gone(client.fin().await.unwrap_err());
            gone(client.close().unwrap_err());
            gone(client.reset().unwrap_err());
            gone(client.local_addr().unwrap_err());
        }
    });
}

#[test]
fn what_was_received_before_an_error_is_not_lost() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Client::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        server.try_write(b"hello, world").unwrap();
        drop(server);
        assert_eq!(client.read_until("").await.unwrap(), "");
        assert_eq!(client.read_until(", ").await.unwrap(), "hello, ");
        let short = client.read_until("moon").await.unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
        assert!(short.to_string().contains(r#""moon" in "world""#), "{short}");
        assert_eq!(client.take_unread(), "world");
        assert_eq!(client.read_to_end().await.unwrap(), "");
    });
}

#[test]
fn frames_are_read_as_they_were_sent() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Client::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut server = Client::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut one, _) = listener.accept().await.unwrap();
        let (mut other, _) = listener.accept().await.unwrap();
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut one, &mut other).await });

        let ping = Http2Frame::new(Http2Frame::PING, 0, 0).with("12345678");
        client.send_frame(ping.clone()).await.unwrap();
        client.data(3, vec![b'x'; 20_000], true).await.unwrap();
        let frames = server.read_frames_until(Http2Frame::ends_stream).await.unwrap();
        assert_eq!(frames[0], ping);
        let sizes: Vec<_> =
            frames[1..].iter().map(|frame| (frame.payload.len(), frame.flags)).collect();
        assert_eq!(sizes, [(16_384, 0), (3_616, Http2Frame::END_STREAM)]);
        let answer = client.read_frame().await.unwrap().unwrap();
        assert_eq!((answer.flags, answer.payload), (Http2Frame::ACK, ping.payload));

        let large = Http2Frame::new(Http2Frame::DATA, 0, 1).with(vec![0; 16_385]);
        client.send_frame(large).await.unwrap();
        let refused = server.read_frame().await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    });
}

// ===== The leak check =====

#[tokio::test]
async fn a_body_that_is_forgotten_is_a_leak_that_is_named() {
    let leaks = LeakCheck::new().with_patience(SHORT);
    drop(answer(leaks.clone(), "/well", MockBody::stream(1)).await);
    leaks.settled().await;
    leaks.assert_none();
    std::mem::forget(answer(leaks.clone(), "/leak?really", MockBody::stream(1)).await);
    let [leak] = &leaks.open()[..] else { panic!("one leak: {leaks:?}") };
    assert_eq!((leak.method.as_str(), &*leak.path, leak.stage), ("GET", "/leak", Stage::Response));
    assert_eq!((leaks.begun(), leaks.closed()), (2, 1));

    let line = format!("GET /leak (exchange {}), last heard of in response", leak.id);
    let clone = leaks.clone();
    let settled = said(async move { clone.settled().await }).await;
    let at_once = said(async move { leaks.assert_none() }).await;
    for said in [settled, at_once] {
        assert!(said.starts_with("1 of 2 are open:") && said.contains(&line), "{said}");
    }
}

#[test]
fn a_leak_is_told_where_it_was_last_heard_of() {
    let leaks = LeakCheck::new();
    let layer = LifecycleLayer::new((Recorder::new(), leaks.clone()));
    let service = layer.layer(service_fn(|request: Request<_>| async {
        let _held = request;
        std::future::pending::<Result<Response<MockBody>, BoxError>>().await
    }));
    let stages = || leaks.open().iter().map(|open| open.stage).collect::<Vec<_>>();
    let upload = service.clone().oneshot(Request::new(MockBody::stream(1)));
    let mut upload = Box::pin(upload);
    let _ = support::polls::poll_once(upload.as_mut());
    assert_eq!(stages(), [Stage::Request]);
    let mut bodiless = Box::pin(service.oneshot(Request::new(MockBody::empty())));
    let _ = support::polls::poll_once(bodiless.as_mut());
    assert_eq!(stages(), [Stage::Request, Stage::Handler]);
    drop((upload, bodiless));
    leaks.assert_none();
    assert_eq!((leaks.begun(), leaks.closed()), (2, 2));
}

type Kept = Arc<Mutex<Vec<Box<dyn Listener>>>>;

/// Does to the listener of a leak check what only a defect of the layer would.
#[derive(Clone)]
struct Defect {
    leaks: LeakCheck,
    /// Takes what is to be dropped.
    kept: Option<Kept>,
}

/// Keeps its listener from being dropped.
struct Keeps(Option<Box<dyn Listener>>, Defect);

impl Observer for Defect {
    type State = Keeps;

    fn begin(&self, head: &RequestHead<'_>) -> Option<Keeps> {
        let listener = self.leaks.begin(head)?;
        // Without a place for it, it is dropped at once.
        self.kept.is_some().then(|| Keeps(Some(listener), self.clone()))
    }
}

impl Listener for Keeps {
    fn on_close(&mut self, summary: &Summary) {
        self.0.as_mut().unwrap().on_close(summary);
    }
}

impl Drop for Keeps {
    fn drop(&mut self) {
        if let Some(kept) = &self.1.kept {
            kept.lock().unwrap().extend(self.0.take());
        }
    }
}

#[tokio::test]
async fn a_listener_without_a_close_and_a_close_without_a_drop_are_leaks() {
    let leaks = LeakCheck::new();
    let stages = || leaks.open().iter().map(|open| open.stage).collect::<Vec<_>>();
    let kept = Kept::default();
    let keeps = Defect { leaks: leaks.clone(), kept: Some(Arc::clone(&kept)) };
    drop(answer(keeps, "/", MockBody::stream(1)).await);
    assert_eq!((leaks.closed(), stages()), (1, vec![Stage::Done]));
    kept.lock().unwrap().clear();
    leaks.assert_none();

    drop(answer(Defect { leaks: leaks.clone(), kept: None }, "/", MockBody::stream(1)).await);
    assert_eq!((leaks.closed(), stages()), (1, vec![Stage::Request]));
}

// ===== The recorder =====

#[tokio::test]
async fn a_recorder_waits_for_the_close_and_not_for_ever() {
    let recorder = Recorder::new().with_patience(SHORT);
    let response = answer(recorder.clone(), "/open", MockBody::stream(1)).await;
    assert_eq!(recorder.exchanges()[0].name(), "GET /open");
    assert!(recorder.exchanges()[0].summary().is_none());
    for count in [1, 2] {
        let clone = recorder.clone();
        let said = said(async move { drop(clone.settled(count).await) }).await;
        assert!(said.contains("after 50ms") && said.contains("/open"), "{said}");
        let clone = recorder.clone();
        let blocking = tokio::task::spawn_blocking(move || clone.wait_closed(count));
        assert!(blocking.await.unwrap_err().is_panic());
    }
    let patient = recorder.clone().with_patience(Duration::from_secs(10));
    let (settled, ()) = tokio::join!(patient.settled(1), async { drop(response) });
    assert_eq!(settled[0].reason(), Reason::Unknown);
    assert!(settled[0].dropped);
    assert_eq!(recorder.wait_closed(1).len(), 1);
}

#[tokio::test]
async fn the_oracle_refuses_what_it_cannot_judge() {
    let open = Recorder::new();
    let _response = answer(open.clone(), "/", MockBody::stream(1)).await;
    let said_of_open = said(async move { drop(open.only()) }).await;
    assert!(said_of_open.starts_with("broken rule: close is last and once"), "{said_of_open}");
    let partial = Recorder::with_interest(Interest::CLOSE);
    drop(answer(partial.clone(), "/", MockBody::stream(1)).await);
    let said_of_partial = said(async move { drop(partial.only()) }).await;
    assert!(
        said_of_partial.starts_with("broken rule: every hook was asked for"),
        "{said_of_partial}"
    );
}

// ===== The bodies =====

#[test]
fn bodies_do_what_they_are_named_for() {
    const SENT: &str = "res.data res.end finish(released) close(complete)";
    let read = |body| {
        let recorder = Recorder::new();
        let response = now(answer(recorder.clone(), "/", body));
        let _ = now(response.into_body().collect());
        recorder.only().words().split_once("response(200) ").unwrap().1.to_owned()
    };
    assert_eq!(read(MockBody::empty()), "res.end finish(released) close(complete)");
    assert_eq!(read(MockBody::stream(2)), SENT);
    assert_eq!(read(MockBody::overruns(2)), SENT);
    assert_eq!(read(MockBody::declares(10, 2)), SENT);
    assert_eq!(
        read(MockBody::declares(11, 2)),
        "res.data res.error(length_mismatch) close(length_mismatch)"
    );
    assert_eq!(
        read(MockBody::with_trailers(1)),
        "res.data res.end+trailers finish(released) close(complete)"
    );
    assert_eq!(
        read(MockBody::fails_after(1)),
        "res.data res.error(response_failed) close(response_failed)"
    );
}

#[test]
fn a_body_that_panics_does_so_with_a_payload_that_is_known() {
    quiet();
    let panicking = std::panic::catch_unwind(|| drop(poll_body(&mut MockBody::panics_after(0))));
    assert_eq!(panicking.unwrap_err().downcast_ref::<&str>(), Some(&PANIC));
    for body in
        [MockBody::stream(1).end(EndClaim::Panics), MockBody::stream(1).hint(HintClaim::Panics)]
    {
        let Scripted = catch(|| (body.is_end_stream(), body.size_hint())).unwrap_err();
    }
}

#[test]
fn a_probe_sees_the_polls_and_the_drop_of_its_body_alone() {
    let mut body = MockBody::new(&[Step::End, Step::Data(100)]);
    let probe = body.probe();
    let mut body = body.fails_with(|| io::Error::other("never"));
    let clone = body.clone();
    assert!(body.is_end_stream());
    let _ = (poll_body(&mut body), poll_body(&mut body));
    drop(clone);
    assert_eq!((probe.polls(), probe.polls_after_end(), probe.is_dropped()), (2, 1, false));
    drop(body);
    assert!(probe.is_dropped());
}
