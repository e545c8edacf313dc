//! Clients that leave in every way, over the real hyper: a bound after which no slot is left of them.

use axum::{
    Extension, Router, body::Body, extract::Request, http::StatusCode, response::IntoResponse,
    routing::any,
};
use tower_lifecycle::{
    ExchangeHandle, LifecycleLayer,
    park::{Lot, Policy, drain_or_reject},
    testing::{Client, Leaver, Phase, Way},
};

use crate::{
    rig::{SECOND, WITHIN, nothing, until},
    support::seams::{Seam, builder},
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum App {
    /// Parks with the body in its hands.
    Holds,
    Drops,
}

fn app(lot: &Lot<u32>, does: App, within: std::time::Duration) -> Router {
    let lot = lot.clone();
    let poll = async move |handle: Option<Extension<ExchangeHandle>>, request: Request| {
        let body = (does == App::Holds).then(|| request.into_body());
        let mut slot = lot.park(1).unwrap();
        if let Some(Extension(exchange)) = handle {
            slot = slot.of(&exchange);
        }
        let outcome = slot.wait(within, nothing).await;
        drop(body);
        outcome.as_str()
    };
    let small = async |body: Body| match drain_or_reject(body, 100).await {
        Ok(read) => read.to_string().into_response(),
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    };
    Router::new().route("/", any(poll)).route("/small", any(small))
}

/// The ways that a server is to notice, before there is an answer.
fn leavers() -> impl Iterator<Item = Leaver> {
    Leaver::all().filter(|leaver| {
        let before = !matches!(leaver.phase(), Phase::ResponseHead | Phase::Response);
        before && leaver.way() != Way::GoAway
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_holds_no_slot_where_the_connection_is_watched() {
    if !cfg!(target_os = "linux") {
        return;
    }
    for handle in [false, true] {
        for does in [App::Holds, App::Drops] {
            for leaver in leavers() {
                let lot = Lot::new(Policy::new().longest(1000 * SECOND));
                let lifecycle = LifecycleLayer::new(()).cancel_on_disconnect();
                let lifecycle = if handle { lifecycle.with_handle() } else { lifecycle };
                let app = app(&lot, does, 1000 * SECOND);
                let serving = Seam::Axum.serve(builder(), &lifecycle, app).await;
                let parked = until(|| lot.parked() == 1);
                let _client = leaver.leave_when(serving.addr, parked).await.unwrap();
                until(|| lot.parked() == 0).await;
                assert_eq!(lot.counts().closed.parks, 1, "{leaver} {does:?} {handle}");
            }
        }
    }
}

/// Where nobody notices there is the deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_unseen_holds_a_slot_until_its_deadline() {
    let blind = [
        Leaver::http1(Phase::Handler, Way::PipelinedFin),
        Leaver::http1(Phase::RequestHead, Way::Fin),
        Leaver::http1(Phase::Upload, Way::Reset),
        Leaver::http1(Phase::RequestHead, Way::Fin).header("expect", "100-continue"),
    ];
    for leaver in blind {
        let lot = Lot::new(Policy::new().jitter(0.0));
        let app = app(&lot, App::Holds, SECOND / 2);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = tokio::spawn(async { axum::serve(listener, app).await });
        let _client = leaver.leave_when(addr, until(|| lot.parked() == 1)).await.unwrap();
        until(|| lot.parked() == 0).await;
        assert_eq!(lot.counts().deadline.parks, 1, "{leaver}");
        server.abort();
    }
}

#[tokio::test]
async fn a_client_that_expects_to_be_told_is_told_by_the_reading() {
    let lot = Lot::new(Policy::new());
    let app = app(&lot, App::Drops, WITHIN);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let head = |length: u32| {
        format!(
            "POST /small HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut client = Client::connect(addr).await.unwrap();
    client.send(head(5)).await.unwrap();
    client.read_until("HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    client.send("hello").await.unwrap();
    client.read_until("\r\n\r\n5").await.unwrap();
    let mut client = Client::connect(addr).await.unwrap();
    client.send(head(101)).await.unwrap();
    let answer = client.read_until("\r\n\r\n").await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{answer:?}");
    server.abort();
}
