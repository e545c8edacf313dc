//! HTTP/2 answers that wait for their window: given to h2, and not yet to the system.

use tower_lifecycle::{
    EventKind, ExchangeHandle, Stage,
    testing::{Client, Http2Frame},
};

use crate::support::seams::{Rig, Seam};

const STARVED: &str = "begin req.end req.close(complete) response(200) res.data res.end";

/// An answer of a hundred bytes, of which ten may be sent. It is not finished, and h2 has done what it can.
async fn starve() -> (Rig, Client, ExchangeHandle) {
    let mut rig = Rig::start(Seam::Serve).await;
    let mut client = rig.connect().await;
    client.preface(Some(10)).await.unwrap();
    client.request(1, "GET", "/size/100", [], true).await.unwrap();
    let handle = rig.begun().await;
    rig.hears_the_end().await;
    client.read_frames_until(|frame| frame.kind == Http2Frame::DATA).await.unwrap();
    round_trip(&mut client).await;
    assert_eq!(handle.stage(), Stage::Flush);
    (rig, client, handle)
}

/// Waits until the server has done all that it was asked to before.
async fn round_trip(client: &mut Client) {
    client.send_frame(Http2Frame::new(Http2Frame::PING, 0, 0).with(vec![0; 8])).await.unwrap();
    let is_ack =
        |frame: &Http2Frame| frame.kind == Http2Frame::PING && frame.flags == Http2Frame::ACK;
    client.read_frames_until(is_ack).await.unwrap();
}

async fn assert_cut(rig: &Rig, verdict: &str) {
    let exchange = rig.only().await;
    assert_eq!(exchange.close().to_string(), verdict, "{exchange}");
    let reason = exchange.reason();
    assert_eq!(exchange.words(), format!("{STARVED} close({reason})"));
}

#[tokio::test]
async fn an_answer_finishes_when_its_window_lets_the_last_of_it_go() {
    let (mut rig, mut client, handle) = starve().await;
    client.window_update(1, 89).await.unwrap();
    client.read_frames_until(|frame| frame.kind == Http2Frame::DATA).await.unwrap();
    round_trip(&mut client).await;
    assert_eq!(handle.stage(), Stage::Flush, "one byte is missing");
    client.window_update(1, 1).await.unwrap();
    client.read_frames_until(Http2Frame::ends_stream).await.unwrap();
    rig.hears(|kind| matches!(kind, EventKind::Finish(_))).await;
    let exchange = rig.only().await;
    assert_eq!(exchange.words(), format!("{STARVED} finish(flushed) close(complete)"));
    assert_eq!(exchange.close().to_string(), "complete, by local, known by io");
}

#[tokio::test]
async fn an_answer_that_is_reset_while_it_waits_does_not_finish() {
    let (rig, mut client, _) = starve().await;
    client.rst_stream(1, Http2Frame::CANCEL).await.unwrap();
    assert_cut(&rig, "stream_reset in flush, by peer, known by io").await;
    // The connection lives on.
    client.request(3, "GET", "/empty", [], true).await.unwrap();
    client.read_frames_until(|frame| frame.stream == 3 && frame.ends_stream()).await.unwrap();
}

#[tokio::test]
async fn an_answer_whose_client_leaves_while_it_waits_does_not_finish() {
    let (rig, mut client, _) = starve().await;
    client.close().unwrap();
    assert_cut(&rig, "disconnected in flush, by peer, known by io").await;
}

#[tokio::test]
async fn an_answer_whose_connection_is_reset_while_it_waits_does_not_finish() {
    let (rig, mut client, _) = starve().await;
    client.reset().unwrap();
    assert_cut(&rig, "reset in flush, by peer, known by io").await;
}

#[tokio::test]
async fn an_answer_whose_server_is_dropped_while_it_waits_does_not_finish() {
    let (mut rig, _client, _) = starve().await;
    rig.stop();
    assert_cut(&rig, "shutdown in flush, by local, known by io").await;
}
