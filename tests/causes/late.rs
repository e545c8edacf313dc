//! Hang-ups that are none, or that the exchange outlives.

use tower_lifecycle::{ConnectionReason, EventKind, Reason, Stage};

use crate::support::seams::{Rig, Seam, builder};

/// The client closes its side first, and is answered all the same.
#[tokio::test]
async fn who_closes_its_side_and_is_answered_is_complete_with_the_disconnect_kept() {
    for seam in Seam::DRIVEN {
        let mut builder = builder();
        builder.http1().half_close(true);
        let mut rig = Rig::with(seam, builder, |lifecycle| lifecycle, |app| app).await;
        let mut client = rig.connect().await;
        client.send("GET /gate HTTP/1.1\r\n\r\n").await.unwrap();
        let handle = rig.begun().await;
        client.fin().await.unwrap();
        rig.hears(|kind| matches!(kind, EventKind::Disconnect(_))).await;
        assert_eq!((handle.stage(), handle.close_reason()), (Stage::Handler, None), "{seam:?}");
        rig.release();
        assert!(client.read_to_end().await.unwrap().ends_with(b"hello"), "{seam:?}");
        let exchange = rig.only().await;
        let words = "begin req.end req.close(complete) disconnect(disconnected) \
                     response(200) res.data res.end finish(flushed) close(complete)";
        assert_eq!(exchange.words(), words, "{seam:?}");
        assert_eq!(exchange.close().to_string(), "complete, by local, known by io", "{seam:?}");
    }
}

#[tokio::test]
async fn who_may_close_its_side_is_not_gone_by_that() {
    for seam in Seam::DRIVEN {
        let mut builder = builder();
        builder.http1().half_close(true);
        let mut rig =
            Rig::with(seam, builder, |lifecycle| lifecycle.half_close(true), |app| app).await;
        let mut client = rig.connect().await;
        client.send("GET /gate HTTP/1.1\r\n\r\n").await.unwrap();
        rig.begun().await;
        client.fin().await.unwrap();
        rig.release();
        assert!(client.read_to_end().await.unwrap().ends_with(b"hello"), "{seam:?}");
        let exchange = rig.only().await;
        let words = "begin req.end req.close(complete) \
                     response(200) res.data res.end finish(flushed) close(complete)";
        assert_eq!(exchange.words(), words, "{seam:?}");
    }
}

#[tokio::test]
async fn a_hang_up_after_the_finish_is_no_disconnect() {
    for seam in Seam::ALL {
        for resets in [false, true] {
            let rig = Rig::start(seam).await;
            let mut client = rig.connect().await;
            client.send("GET /full HTTP/1.1\r\n\r\n").await.unwrap();
            client.read_until("hello").await.unwrap();
            if resets { client.reset() } else { client.close() }.unwrap();
            let closed = &rig.recorder.disconnected(1).await[0];
            let reason = if resets { ConnectionReason::Reset } else { ConnectionReason::Complete };
            assert_eq!(closed.close.reason, reason, "{seam:?}");
            let exchange = rig.only().await;
            assert_eq!(exchange.reason(), Reason::Complete, "{seam:?}");
            let told = exchange.hooks.iter().any(|hook| matches!(hook, EventKind::Disconnect(_)));
            assert!(!told, "{seam:?} {exchange}");
        }
    }
}
