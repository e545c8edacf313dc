//! HTTP/1: flushed, for the service that hyper itself polls.

use std::sync::{Arc, Mutex};

use axum::{Router, http::Uri};
use tower_lifecycle::{
    Connection, EventKind, Finish, Hooks, LifecycleLayer, Reason, Stage, testing::Client,
};

use crate::support::seams::{Rig, Seam, builder, within};

const BODILESS: &str = "begin req.end req.close(complete)";
const DATA: &str = "response(200) res.data res.end finish(flushed) close(complete)";
const HEAD: &str = "response(200) res.end finish(flushed) close(complete)";
const FLUSHED: &str = "complete, by local, known by io";

/// Of each the request, where its answer ends, and what is heard.
const ROWS: &[(&str, &str, &[&str])] = &[
    ("GET /full HTTP/1.1\r\n\r\n", "hello", &[BODILESS, DATA]),
    ("HEAD /full HTTP/1.1\r\n\r\n", "\r\n\r\n", &[BODILESS, HEAD]),
    (
        "GET /204 HTTP/1.1\r\n\r\n",
        "\r\n\r\n",
        &[BODILESS, "response(204) res.end finish(flushed) close(complete)"],
    ),
    (
        "GET /304 HTTP/1.1\r\n\r\n",
        "\r\n\r\n",
        &[BODILESS, "response(304) res.end finish(flushed) close(complete)"],
    ),
    ("GET /empty HTTP/1.1\r\n\r\n", "\r\n\r\n", &[BODILESS, HEAD]),
    ("GET /stream HTTP/1.1\r\n\r\n", "0\r\n\r\n", &[BODILESS, DATA]),
    (
        "GET /trailers HTTP/1.1\r\nte: trailers\r\n\r\n",
        "0\r\n\r\n",
        &[BODILESS, "response(200) res.data res.end+trailers finish(flushed) close(complete)"],
    ),
    (
        "POST /echo HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello",
        "hello",
        &["begin req.data req.end req.close(complete)", DATA],
    ),
    ("GET /size/1000000 HTTP/1.1\r\n\r\n", "x", &[BODILESS, DATA]),
];

#[tokio::test]
async fn every_kind_of_answer_on_a_connection_is_flushed() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        let mut ids = Vec::new();
        for (count, (request, end, words)) in (1..).zip(ROWS) {
            client.send(request).await.unwrap();
            client.read_until(end).await.unwrap();
            let exchange = rig.all(count).await.pop().unwrap();
            assert_eq!(exchange.words(), words.join(" "), "{seam:?} {request}");
            assert_eq!(exchange.close().to_string(), FLUSHED, "{seam:?} {request}");
            let summary = exchange.summary().unwrap();
            assert_eq!(summary.ordinal, Some(count as u64));
            ids.push(summary.connection.as_ref().unwrap().id());
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "one connection was kept");
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_flushed() {
    for seam in Seam::ALL {
        for path in ["/full", "/stream", "/size/1000000"] {
            for version in ["HTTP/1.0\r\n", "HTTP/1.1\r\nconnection: close\r\n"] {
                let rig = Rig::start(seam).await;
                let mut client = rig.connect().await;
                client.send(format!("GET {path} {version}\r\n")).await.unwrap();
                client.read_to_end().await.unwrap();
                let exchange = rig.only().await;
                assert_eq!(
                    exchange.words(),
                    [BODILESS, DATA].join(" "),
                    "{seam:?} {path} {version}"
                );
                assert_eq!(exchange.close().to_string(), FLUSHED, "{seam:?} {path} {version}");
            }
        }
    }
}

// ===== pipelining =====

/// What is heard of three requests that are sent at once, in its order.
async fn pipelined(seam: Seam, flush_late: bool) -> Vec<String> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let write = |heard: &Arc<Mutex<Vec<String>>>| {
        let heard = Arc::clone(heard);
        move |line: String| heard.lock().unwrap().push(line)
    };
    let (begins, finishes, closes) = (write(&heard), write(&heard), write(&heard));
    let observer = Hooks::new()
        .on_finish(move |finish| finishes(finish.to_string()))
        .on_close(move |summary| closes(format!("close {}", summary.ordinal.unwrap())));
    let app = Router::new().fallback(async move |uri: Uri| {
        begins(format!("begin {}", uri.path()));
        "hello"
    });
    let mut builder = builder();
    builder.http1().pipeline_flush(flush_late);
    let serving = seam.serve(builder, &LifecycleLayer::new(observer), app).await;
    let mut client = Client::connect(serving.addr).await.unwrap();
    let requests = ["/1", "/2", "/3"].map(|path| format!("GET {path} HTTP/1.1\r\n\r\n"));
    client.send(requests.concat()).await.unwrap();
    for _ in requests {
        client.read_until("hello").await.unwrap();
    }
    // One more, by which the others are over.
    client.send("GET /4 HTTP/1.1\r\nconnection: close\r\n\r\n").await.unwrap();
    client.read_to_end().await.unwrap();
    let mut heard = heard.lock().unwrap().clone();
    let fourth = heard.iter().position(|line| line == "begin /4").unwrap();
    heard.truncate(fourth);
    heard
}

#[tokio::test]
async fn pipelined_answers_finish_in_their_order() {
    for seam in Seam::ALL {
        let expected = [
            "begin /1", "flushed", "close 1", "begin /2", "flushed", "close 2", "begin /3",
            "flushed", "close 3",
        ];
        assert_eq!(pipelined(seam, false).await, expected, "{seam:?}");
    }
}

#[tokio::test]
async fn one_flush_finishes_all_answers_that_wait_for_it() {
    for seam in Seam::DRIVEN {
        let expected = [
            "begin /1", "begin /2", "begin /3", "flushed", "close 1", "flushed", "close 2",
            "flushed", "close 3",
        ];
        assert_eq!(pipelined(seam, true).await, expected, "{seam:?}");
    }
}

// ===== a slow reader =====

const BIG: usize = 20_000_000;

#[tokio::test]
async fn a_slow_readers_answer_finishes_with_its_last_byte_and_not_with_its_body() {
    for seam in Seam::ALL {
        let mut rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        client
            .send(format!("GET /size/{BIG} HTTP/1.1\r\nconnection: close\r\n\r\n"))
            .await
            .unwrap();
        let handle = rig.begun().await;
        rig.hears_the_end().await;
        // The body is gone, and the client has read nothing.
        let connection: Connection = handle.connection().unwrap().clone();
        assert_eq!(handle.stage(), Stage::Flush, "{seam:?}");
        assert!(connection.sent() < BIG as u64, "{seam:?}: the system took all of it");
        assert_eq!(connection.open_exchanges(), 1);

        let finish = async {
            let finish = handle.finished().await;
            (finish, connection.sent(), connection.flushed())
        };
        let (received, (finish, sent, flushed)) =
            within("the answer", async { tokio::join!(client.read_to_end(), finish) }).await;
        let received = received.unwrap().len() as u64;
        assert_eq!(
            (finish, sent, flushed),
            (Some(Finish::Flushed), received, received),
            "{seam:?}"
        );
        assert!(received > BIG as u64);
        let exchange = rig.only().await;
        assert_eq!(exchange.words(), [BODILESS, DATA].join(" "), "{seam:?}");
        assert_eq!(exchange.close().to_string(), FLUSHED, "{seam:?}");
    }
}

#[tokio::test]
async fn a_reader_that_breaks_off_leaves_its_answer_unfinished() {
    for seam in Seam::ALL {
        for resets in [false, true] {
            for (path, stage) in [("/size/20000000", Stage::Flush), ("/endless", Stage::Response)] {
                let mut rig = Rig::start(seam).await;
                let mut client = rig.connect().await;
                client.send(format!("GET {path} HTTP/1.1\r\n\r\n")).await.unwrap();
                client.read_until("xxx").await.unwrap();
                if stage == Stage::Flush {
                    rig.hears_the_end().await;
                }
                if resets { client.reset() } else { client.close() }.unwrap();
                let exchange = rig.only().await;
                let (close, what) = (exchange.close(), format!("{seam:?} {path} {exchange}"));
                // Who closes while bytes come in answers them by a reset.
                let gone = [Reason::Reset, Reason::Disconnected];
                assert!(gone[..2 - usize::from(resets)].contains(&close.reason), "{what}: {close}");
                assert_eq!(close.stage, stage, "{what}");
                let finished =
                    exchange.hooks.iter().any(|hook| matches!(hook, EventKind::Finish(_)));
                assert!(!finished, "{what}");
            }
        }
    }
}
