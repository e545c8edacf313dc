//! The layer among others: what they do to an exchange, and what they do not hide.

use std::{sync::Arc, time::Duration};

use http::{Response, StatusCode};
use tower::{Layer, ServiceBuilder, util::MapFuture};
use tower_http::{
    catch_panic::CatchPanicLayer,
    timeout::{RequestBodyTimeoutLayer, TimeoutLayer},
};
use tower_lifecycle::{
    EventKind, LifecycleLayer,
    testing::{Recorder, Recording},
};

use crate::support::{
    client::{
        Act::{
            self, AwaitDrained, AwaitParked, AwaitRead, Close, Data, Fin, Read as Receive,
            ReadStream, ReadToEnd, Release, Request as Ask, Send,
        },
        Client, Received,
    },
    reads_hyper,
    rows::{
        BODILESS, COMPLETE, EMPTY, GONE_IN_HANDLER, GONE_IN_REQUEST, GONE_IN_RESPONSE,
        HANDLER_PANICKED, READ, SENT, play, run,
    },
    server::{App, Ending, Handler, Payload, Read, Server, Signals, boxed},
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const HALF: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello";
const HELLO: Handler = Handler::reply(200, Payload::Full("hello"));

/// Short, because the test waits for it; nothing is asserted about it.
const TIMEOUT: Duration = Duration::from_millis(30);

fn layer(recorder: &Recorder) -> LifecycleLayer<Recorder> {
    reads_hyper(LifecycleLayer::new(recorder.clone()))
}

#[track_caller]
fn assert_told(exchange: &Recording, words: &[&str], verdict: &str) {
    exchange.assert_grammar();
    assert_eq!(exchange.words(), words.join(" "));
    assert_eq!(exchange.close().to_string(), verdict);
}

/// Plays the script against a service that ends in `App`, wrapped by `wrap`; hands out the only exchange.
macro_rules! observe {
    ($handler:expr, $client:expr, |$layer:ident| $stack:expr) => {
        run(async {
            let (recorder, signals) = (Recorder::new(), Arc::new(Signals::default()));
            let $layer = layer(&recorder);
            let service = $stack.service(App::new($handler, &signals));
            let settled = async || drop(recorder.settled(1).await);
            let received = play($client, service, &signals, settled).await;
            (recorder.only(), received)
        })
    };
}

#[track_caller]
fn assert_status(received: &Received, status: &str) {
    let text = String::from_utf8_lossy(&received.text.0).into_owned();
    assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
}

// ===== An outer middleware that holds the response back =====

/// Says that it is parked when the inner service has answered, and answers when it is released.
macro_rules! held_back {
    ($inner:expr, $signals:expr) => {{
        let signals = Arc::clone($signals);
        MapFuture::new($inner, move |answer| {
            let signals = Arc::clone(&signals);
            async move {
                let answer = answer.await;
                signals.parked.notify_one();
                signals.release.notified().await;
                answer
            }
        })
    }};
}

#[test]
fn a_response_that_is_held_back_ends_when_it_is_sent() {
    run(async {
        let (recorder, signals) = (Recorder::new(), Arc::new(Signals::default()));
        let service = held_back!(layer(&recorder).layer(App::new(HELLO, &signals)), &signals);
        let server = Server::start(service).await;
        let mut client = Client::connect(server.addr).await;
        client.play(&[Send(GET), AwaitParked], &signals).await;
        assert_eq!(recorder.exchanges()[0].words(), format!("{BODILESS} response(200)"));
        client.play(&[Release, ReadToEnd], &signals).await;
        assert_told(&recorder.settled(1).await[0], &[BODILESS, SENT], COMPLETE);
    });
}

#[test]
fn a_response_without_a_body_that_is_held_back_is_released_at_once() {
    run(async {
        let (recorder, signals) = (Recorder::new(), Arc::new(Signals::default()));
        let app = App::new(Handler::reply(200, Payload::Empty), &signals);
        let server = Server::start(held_back!(layer(&recorder).layer(app), &signals)).await;
        let mut client = Client::connect(server.addr).await;
        client.play(&[Send(GET), AwaitParked], &signals).await;
        let verdict = "complete, by local, known by return";
        assert_told(&recorder.only(), &[BODILESS, EMPTY], verdict);
        client.play(&[Release, ReadToEnd], &signals).await;
    });
}

#[test]
fn a_client_that_leaves_while_the_response_is_held_back_is_told_as_unknown() {
    run(async {
        let (recorder, signals) = (Recorder::new(), Arc::new(Signals::default()));
        let service = held_back!(layer(&recorder).layer(App::new(HELLO, &signals)), &signals);
        let settled = async || drop(recorder.settled(1).await);
        play(&[Send(GET), AwaitParked, Close], service, &signals, settled).await;
        let words = [BODILESS, "response(200) close(unknown)"];
        assert_told(&recorder.only(), &words, GONE_IN_RESPONSE);
    });
}

// ===== Outer timeouts =====

#[test]
fn an_outer_request_body_timeout_fails_the_request() {
    let (exchange, received) =
        observe!(HELLO.read(Read::All), &[Send(HALF), Receive("\r\n\r\nbad")], |layer| {
            ServiceBuilder::new().layer(RequestBodyTimeoutLayer::new(TIMEOUT)).layer(layer)
        });
    assert_status(&received, "400");
    let words = "begin req.data req.error(request_failed) req.close(failed) \
                 response(400) res.data res.end finish(released) close(request_failed)";
    assert_told(&exchange, &[words], "request_failed in request, by unknown, known by return");
    let said = exchange.hooks.iter().find_map(|hook| match hook {
        EventKind::RequestError(failed) => failed.error.clone(),
        _ => None,
    });
    assert!(said.is_some_and(|said| said.contains("timeout")), "{exchange:?}");
}

#[test]
fn an_outer_timeout_is_told_as_unknown() {
    let (exchange, received) = observe!(HELLO.parked(), &[Send(GET), ReadToEnd], |layer| {
        ServiceBuilder::new()
            .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
            .map_response(|response: Response<_>| response.map(boxed))
            .layer(layer)
    });
    assert_status(&received, "408");
    assert_told(&exchange, &[BODILESS, "close(unknown)"], GONE_IN_HANDLER);
}

/// The handler is waiting for its client when it is dropped, and the body goes with it: the stage is the request.
#[test]
fn an_outer_timeout_during_the_upload_is_told_in_the_request() {
    let (exchange, received) =
        observe!(HELLO.read(Read::All), &[Send(HALF), Receive("\r\n\r\n")], |layer| {
            ServiceBuilder::new()
                .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT))
                .map_response(|response: Response<_>| response.map(boxed))
                .layer(layer)
        });
    assert_status(&received, "408");
    let words = "begin req.data req.close(partial) close(unknown)";
    assert_told(&exchange, &[words], GONE_IN_REQUEST);
}

// ===== Panics that are caught =====

#[test]
fn a_panic_caught_inside_is_a_response_like_any() {
    let handler = Handler::ends(Ending::Panic);
    let (exchange, received) = observe!(handler, &[Send(GET), ReadToEnd], |layer| {
        ServiceBuilder::new().layer(layer).layer(CatchPanicLayer::new())
    });
    assert_status(&received, "500");
    let words = "response(500) res.data res.end finish(released) close(complete)";
    assert_told(&exchange, &[BODILESS, words], COMPLETE);
}

#[test]
fn a_panic_caught_outside_is_a_panic() {
    for ending in [Ending::Panic, Ending::PanicInCall] {
        let handler = Handler::ends(ending);
        let (exchange, received) = observe!(handler, &[Send(GET), ReadToEnd], |layer| {
            ServiceBuilder::new().layer(CatchPanicLayer::new()).layer(layer)
        });
        assert_status(&received, "500");
        assert_told(&exchange, &[BODILESS, "close(panicked)"], HANDLER_PANICKED);
    }
}

// ===== The layer twice =====

#[test]
fn two_layers_tell_of_two_exchanges() {
    const FAILED: &str = "begin req.data disconnect(disconnected) req.error(disconnected) req.close(failed) \
                          response(400) res.data res.end finish(released) close(disconnected)";
    const CUT: &str = "disconnected in request, by peer, known by return";
    const POST: &[Act] = &[
        Ask(1, "POST", &[("content-length", "10")], false),
        Data(1, "hello", false),
        AwaitRead,
        Data(1, "world", true),
        ReadStream(1),
    ];
    let situations: [(Handler, &[Act], &[&str], &str); 5] = [
        (HELLO, &[Send(GET), ReadToEnd], &[BODILESS, SENT], COMPLETE),
        (HELLO.read(Read::All), POST, &[READ, SENT], COMPLETE),
        (HELLO.read(Read::All), &[Send(HALF), AwaitRead, Fin, ReadToEnd], &[FAILED], CUT),
        (
            HELLO.parked(),
            &[Send(GET), AwaitParked, Close],
            &[BODILESS, "close(unknown)"],
            GONE_IN_HANDLER,
        ),
        (
            Handler::ends(Ending::Panic),
            &[Send(GET), ReadToEnd],
            &[BODILESS, "close(panicked)"],
            HANDLER_PANICKED,
        ),
    ];
    for (handler, client, words, verdict) in situations {
        let (outer, inner) = (Recorder::new(), Recorder::new());
        run(async {
            let signals = Arc::new(Signals::default());
            let service = layer(&inner).layer(App::new(handler, &signals));
            let settled = async || {
                outer.settled(1).await;
                inner.settled(1).await;
            };
            play(client, layer(&outer).layer(service), &signals, settled).await;
        });
        for recorder in [outer, inner] {
            assert_told(&recorder.only(), words, verdict);
        }
    }
}

// ===== A task that keeps the request body =====

/// hyper 1.12 makes the connection's end an error of a body that is complete. The
/// task is handed that like anything, and the exchange hears nothing of it.
#[test]
fn what_a_task_reads_after_the_response_is_passed_on_and_not_told() {
    const CLIENT: &[Act] = &[
        Send(HALF),
        Receive("\r\n\r\nhello"),
        Release,
        AwaitRead,
        Send("world"),
        AwaitRead,
        Fin,
        AwaitDrained,
    ];
    let (recorder, signals) = (Recorder::new(), Arc::new(Signals::default()));
    let service = layer(&recorder).layer(App::new(HELLO.read(Read::Task), &signals));
    run(play(CLIENT, service, &signals, async || {}));
    let words = "begin response(200) res.data res.end finish(released) \
                 req.close(detached) close(complete)";
    assert_told(&recorder.only(), &[words], COMPLETE);
    let read = signals.read_so_far();
    assert_eq!(read[..2], ["data 5", "data 5"], "{read:?}");
    assert!(read[2].starts_with("error"), "{read:?}");
}
