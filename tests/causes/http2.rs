//! HTTP/2: a drop says little, and the connection's next fact decides.

use tower_lifecycle::{
    ConnectionReason, EventKind, Reason,
    testing::{Client, Http2Frame},
};

use crate::support::seams::{Rig, Seam};

async fn ask(rig: &mut Rig, path: &str) -> Client {
    let mut client = rig.connect().await;
    client.request(1, "GET", path, [], true).await.unwrap();
    rig.begun().await;
    if path == "/hang" {
        client.read_frames_until(|frame| frame.kind == Http2Frame::DATA).await.unwrap();
    }
    client
}

const PARKED: &str = "begin req.end req.close(complete)";
const STREAMS: &str = "begin req.end req.close(complete) response(200) res.data";
const ROWS: [(&str, &str, &str); 2] =
    [("/park", PARKED, "handler"), ("/hang", STREAMS, "response")];

#[tokio::test]
async fn a_stream_that_is_reset_was_reset_because_its_connection_lives() {
    for seam in Seam::ALL {
        for (path, so_far, stage) in ROWS {
            for code in [Http2Frame::CANCEL, Http2Frame::NO_ERROR] {
                let mut rig = Rig::start(seam).await;
                let mut client = ask(&mut rig, path).await;
                client.rst_stream(1, code).await.unwrap();
                let exchange = rig.only().await;
                let words = format!("{so_far} disconnect(stream_reset) close(stream_reset)");
                assert_eq!(exchange.words(), words, "{seam:?} {path}");
                let verdict = format!("stream_reset in {stage}, by peer, known by io");
                assert_eq!(exchange.close().to_string(), verdict, "{seam:?} {path}");
                assert_eq!((rig.recorder.opened(), rig.recorder.connections().len()), (1, 0));
                client.close().unwrap();
                let closed = &rig.recorder.disconnected(1).await[0];
                assert_eq!(closed.close.reason, ConnectionReason::Complete, "{seam:?} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_whose_request_body_says_so_was_reset_by_a_frame() {
    for seam in Seam::ALL {
        let mut rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        client.request(1, "POST", "/echo", [], false).await.unwrap();
        client.data(1, "hello", false).await.unwrap();
        rig.hears(|kind| matches!(kind, EventKind::RequestData(_))).await;
        client.rst_stream(1, Http2Frame::CANCEL).await.unwrap();
        let verdict = rig.only().await.close().to_string();
        assert_eq!(verdict, "stream_reset in request, by peer, known by frame", "{seam:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_takes_its_streams_with_it() {
    for seam in Seam::ALL {
        for (path, so_far, stage) in ROWS {
            for resets in [false, true] {
                let mut rig = Rig::start(seam).await;
                let mut client = ask(&mut rig, path).await;
                if resets { client.reset() } else { client.close() }.unwrap();
                let reason = if resets { Reason::Reset } else { Reason::Disconnected };
                let exchange = rig.only().await;
                let words = format!("{so_far} disconnect({reason}) close({reason})");
                assert_eq!(exchange.words(), words, "{seam:?} {path}");
                let verdict = format!("{reason} in {stage}, by peer, known by io");
                assert_eq!(exchange.close().to_string(), verdict, "{seam:?} {path}");
                let closed = &rig.recorder.disconnected(1).await[0];
                assert_eq!(closed.close.reason.as_str(), reason.as_str(), "{seam:?} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_panic_is_its_streams_alone() {
    for seam in Seam::ALL {
        for (path, so_far, stage) in
            [("/panic", PARKED, "handler"), ("/panics", STREAMS, "response")]
        {
            let rig = Rig::start(seam).await;
            let mut client = rig.connect().await;
            client.request(1, "GET", path, [], true).await.unwrap();
            client.read_frames_until(Http2Frame::ends_stream).await.unwrap();
            let exchange = rig.only().await;
            assert_eq!(exchange.words(), format!("{so_far} close(panicked)"), "{seam:?} {path}");
            let verdict = format!("panicked in {stage}, by local, known by unwind");
            assert_eq!(exchange.close().to_string(), verdict, "{seam:?} {path}");
            client.request(3, "GET", "/full", [], true).await.unwrap();
            client
                .read_frames_until(|frame| frame.stream == 3 && frame.ends_stream())
                .await
                .unwrap();
            client.close().unwrap();
            let closed = &rig.recorder.disconnected(1).await[0];
            assert_eq!(closed.close.reason, ConnectionReason::Complete, "{seam:?} {path}");
        }
    }
}

#[tokio::test]
async fn frames_that_break_the_protocol_fail_the_transport_of_the_streams() {
    let mut rig = Rig::start(Seam::Serve).await;
    let mut client = ask(&mut rig, "/park").await;
    // Data on stream zero.
    client.send_frame(Http2Frame::new(Http2Frame::DATA, 0, 0)).await.unwrap();
    let exchange = rig.only().await;
    assert_eq!(exchange.reason(), Reason::TransportFailed, "{exchange}");
    let closed = &rig.recorder.disconnected(1).await[0];
    assert_eq!(closed.close.reason, ConnectionReason::TransportFailed);
}
