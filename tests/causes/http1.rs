//! HTTP/1: what is seen at the moment of the drop decides.

use axum::{Router, http::Request};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{Layer, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_lifecycle::{
    ConnectionReason, EventKind, LifecycleLayer,
    testing::{Client, Recorder},
};

use crate::support::{
    panics,
    seams::{Rig, Seam, builder},
};

const PARKED: &str = "begin req.end req.close(complete)";
const STREAMS: &str = "begin req.end req.close(complete) response(200) res.data";

/// A client that has asked for `path`, which is served and does not end.
async fn ask(rig: &mut Rig, path: &str) -> Client {
    let mut client = rig.connect().await;
    client.send(format!("GET {path} HTTP/1.1\r\n\r\n")).await.unwrap();
    rig.begun().await;
    if path == "/hang" {
        client.read_until("xxxxx").await.unwrap();
    }
    client
}

/// Checks what the only exchange and the only connection came to.
async fn assert_over(rig: &Rig, words: &str, verdict: &str, connection: ConnectionReason) {
    let exchange = rig.only().await;
    let what = format!("{:?} {}", rig.seam, exchange.name());
    assert_eq!(exchange.words(), words, "{what}");
    assert_eq!(exchange.close().to_string(), verdict, "{what}");
    let closed = &rig.recorder.disconnected(1).await[0];
    assert_eq!((closed.close.reason, closed.exchanges), (connection, 1), "{what}");
}

#[tokio::test]
async fn a_client_that_closes_has_disconnected() {
    for seam in Seam::ALL {
        for (path, so_far, stage) in [("/park", PARKED, "handler"), ("/hang", STREAMS, "response")]
        {
            for closes_half in [false, true] {
                let mut rig = Rig::start(seam).await;
                let mut client = ask(&mut rig, path).await;
                if closes_half { client.fin().await } else { client.close() }.unwrap();
                let words = format!("{so_far} disconnect(disconnected) close(disconnected)");
                let verdict = format!("disconnected in {stage}, by peer, known by io");
                assert_over(&rig, &words, &verdict, ConnectionReason::Disconnected).await;
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_breaks_the_connection_has_reset_it() {
    for seam in Seam::ALL {
        for (path, so_far, stage) in [("/park", PARKED, "handler"), ("/hang", STREAMS, "response")]
        {
            let mut rig = Rig::start(seam).await;
            ask(&mut rig, path).await.reset().unwrap();
            let words = format!("{so_far} disconnect(reset) close(reset)");
            let verdict = format!("reset in {stage}, by peer, known by io");
            assert_over(&rig, &words, &verdict, ConnectionReason::Reset).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_shuts_down() {
    for seam in Seam::DRIVEN {
        for (path, so_far, stage) in [("/park", PARKED, "handler"), ("/hang", STREAMS, "response")]
        {
            let mut rig = Rig::start(seam).await;
            let _client = ask(&mut rig, path).await;
            rig.stop();
            let words = format!("{so_far} close(shutdown)");
            let verdict = format!("shutdown in {stage}, by local, known by io");
            assert_over(&rig, &words, &verdict, ConnectionReason::Shutdown).await;
        }
    }
}

// ===== panics =====

#[tokio::test]
async fn a_panic_is_one_and_takes_the_connection_with_it() {
    for seam in Seam::ALL {
        for (path, so_far, stage) in
            [("/panic", PARKED, "handler"), ("/panics", STREAMS, "response")]
        {
            let mut rig = Rig::start(seam).await;
            let _client = ask(&mut rig, path).await;
            let words = format!("{so_far} close(panicked)");
            let verdict = format!("panicked in {stage}, by local, known by unwind");
            assert_over(&rig, &words, &verdict, ConnectionReason::Panicked).await;
        }
    }
}

#[tokio::test]
async fn a_panic_that_is_caught_around_the_layer_is_one() {
    panics::quiet();
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = Client::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let app: Router = Router::new().fallback(async || -> () { panics::boom() });
    let (io, service) = lifecycle.connection(stream, app);
    let service = TowerToHyperService::new(CatchPanicLayer::new().layer(service));
    let builder = builder();
    let served = builder.serve_connection(io, service);
    let answer = async {
        client.send("GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await.unwrap();
        client.read_to_end().await.unwrap()
    };
    let (served, answer) = tokio::join!(served, answer);
    served.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 500"));
    assert_eq!(
        recorder.only().close().to_string(),
        "panicked in handler, by local, known by unwind"
    );
    let closed = &recorder.disconnected(1).await[0];
    assert_eq!(closed.close.reason, ConnectionReason::Complete, "nothing passed through it");
}

/// The pipelined second request panics while the first one's answer is on its way.
#[tokio::test]
async fn a_panic_of_a_later_exchange_leaves_an_answer_that_was_flushed_alone() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        client.send("GET /full HTTP/1.1\r\n\r\nGET /panic HTTP/1.1\r\n\r\n").await.unwrap();
        let closes: Vec<_> = rig.all(2).await.iter().map(|it| it.close().to_string()).collect();
        let expected =
            ["complete, by local, known by io", "panicked in handler, by local, known by unwind"];
        assert_eq!(closes, expected, "{seam:?}");
    }
}

/// It is cut by the drop of its connection, and did not panic itself.
#[tokio::test]
async fn a_panic_of_a_later_exchange_is_not_that_of_an_answer_that_waits_for_its_flush() {
    for seam in Seam::DRIVEN {
        for path in ["/full", "/size/20000000"] {
            let mut builder = builder();
            builder.http1().pipeline_flush(true);
            let rig = Rig::with(seam, builder, |lifecycle| lifecycle, |app| app).await;
            let mut client = rig.connect().await;
            let requests = format!("GET {path} HTTP/1.1\r\n\r\nGET /panic HTTP/1.1\r\n\r\n");
            client.send(requests).await.unwrap();
            let closes: Vec<_> = rig.all(2).await.iter().map(|it| it.close().to_string()).collect();
            let expected = [
                "shutdown in flush, by local, known by io",
                "panicked in handler, by local, known by unwind",
            ];
            assert_eq!(closes, expected, "{seam:?} {path}");
        }
    }
}

// ===== the service and the body =====

#[tokio::test]
async fn a_service_that_fails_is_no_matter_of_the_connection() {
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new(recorder.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = Client::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let fails = service_fn(async |_: Request<_>| {
        Err::<axum::response::Response, _>(std::io::Error::other("no"))
    });
    client.send("GET / HTTP/1.1\r\n\r\n").await.unwrap();
    lifecycle.serve_connection(&builder(), stream, fails).await.unwrap_err();
    let verdict = recorder.only().close().to_string();
    assert_eq!(verdict, "service_failed in handler, by local, known by return");
}

#[tokio::test]
async fn a_request_that_broke_off_is_never_complete_though_it_is_answered() {
    for seam in Seam::ALL {
        let mut rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        client.send("POST /careless HTTP/1.1\r\ncontent-length: 10\r\n\r\nhello").await.unwrap();
        rig.hears(|kind| matches!(kind, EventKind::RequestData(_))).await;
        client.fin().await.unwrap();
        let answer = client.read_to_end().await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{seam:?}");
        let exchange = rig.only().await;
        let words = "begin req.data disconnect(disconnected) req.error(disconnected) \
                     req.close(failed) response(200) res.data res.end finish(flushed) \
                     close(disconnected)";
        assert_eq!(exchange.words(), words, "{seam:?}");
        let close = exchange.close();
        assert_eq!(
            (close.initiator.as_str(), close.stage.as_str()),
            ("peer", "request"),
            "{seam:?}"
        );
    }
}

#[tokio::test]
async fn a_request_that_is_malformed_is_never_complete_though_it_is_answered() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        client
            .send("POST /careless HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nwhat?\r\n")
            .await
            .unwrap();
        client.read_until("HTTP/1.1 200 OK").await.unwrap();
        let exchange = rig.only().await;
        let verdict = exchange.close().to_string();
        assert_eq!(
            verdict, "request_failed in request, by unknown, known by return",
            "{seam:?} {exchange}"
        );
    }
}
