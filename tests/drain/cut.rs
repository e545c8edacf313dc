//! What a client sees of an answer that was cut short: never an end.

use std::{io::ErrorKind, time::Duration};

use tower_lifecycle::{ConnectionReason, inflight::InFlight, testing::Http2Frame};

use crate::site::{Kind, Site, each, get_http1, run, until};

const SHORT: Duration = Duration::from_secs(4);

#[test]
fn a_chunked_answer_has_no_last_chunk() {
    each(Kind::TOLD, async |kind| {
        let site = Site::serve(kind);
        let mut client = site.ask(&get_http1("/stream")).await;
        client.read_until("transfer-encoding: chunked\r\n").await.unwrap();
        client.read_until("\r\n\r\n5\r\n").await.unwrap();
        site.drained(SHORT).await;
        let rest = client.read_to_end().await.unwrap();
        assert_eq!((rest.len(), &rest[5..]), (7, &b"\r\n"[..]), "{kind:?}");
    });
}

#[test]
fn an_answer_with_a_length_is_short_of_it() {
    each(
        Kind::TOLD.into_iter().flat_map(|kind| [(kind, "1.0"), (kind, "1.1")]),
        async |(kind, version)| {
            let site = Site::serve(kind);
            let mut client =
                site.ask(&format!("GET /length HTTP/{version}\r\nhost: a\r\n\r\n")).await;
            client.read_until("content-length: 10\r\n").await.unwrap();
            client.read_until("\r\n\r\n").await.unwrap();
            site.drained(SHORT).await;
            assert_eq!(client.read_to_end().await.unwrap().len(), 5, "{kind:?}");
        },
    );
}

/// Its end is the end of the connection, so that has to break.
#[test]
fn an_answer_of_http_1_0_without_a_length_ends_by_a_reset() {
    each(
        Kind::SEAMS.into_iter().flat_map(|kind| {
            let old = "GET /old HTTP/1.1\r\nhost: a\r\n\r\n";
            [
                (true, "GET /stream HTTP/1.0\r\n\r\n"),
                (false, "GET /stream HTTP/1.0\r\n\r\n"),
                (true, old),
            ]
            .map(|(layered, request)| (kind, layered, request))
        }),
        async |(kind, layered, request)| {
            let site = Site::with(kind, layered);
            let mut client = site.ask(request).await;
            client.read_until("\r\n\r\n").await.unwrap();
            until(|| {
                site.inflight.snapshot().exchanges.iter().any(|open| open.response.bytes == 5)
            })
            .await;
            let report = site.drained(SHORT).await;
            assert_eq!((report.cancelled.len(), report.left.len()), (1, 0), "{kind:?}: {report}");
            if cfg!(target_os = "linux") {
                let end = client.read_to_end().await.map_err(|error| error.kind());
                assert_eq!(end, Err(ErrorKind::ConnectionReset), "{kind:?}");
            }
        },
    );
}

/// Nothing could break it but the end of the process.
#[test]
fn without_a_seam_an_answer_of_http_1_0_without_a_length_is_left() {
    run(async {
        let site = Site::serve(Kind::Axum);
        let mut client = site.ask("GET /stream HTTP/1.0\r\n\r\n").await;
        client.read_until("\r\n\r\n").await.unwrap();
        let report = site.drained(SHORT).await;
        assert_eq!((report.cancelled.len(), report.left.len()), (1, 1), "{report}");
    });
}

#[test]
fn over_http2_the_stream_is_reset_and_the_connection_says_goodbye() {
    each(Kind::TOLD, async |kind| {
        let site = Site::serve(kind);
        let mut client = site.connect().await;
        client.request(1, "GET", "/stream", [], true).await.unwrap();
        client.request(3, "GET", "/never", [], true).await.unwrap();
        let is_data = |frame: &Http2Frame| frame.kind == Http2Frame::DATA;
        client.read_frames_until(is_data).await.unwrap();
        site.until_open(2).await;

        let drained = site.drained(SHORT);
        let mut frames = Vec::new();
        let reads = async {
            while let Ok(Some(frame)) = client.read_frame().await {
                frames.push(frame);
            }
        };
        let (report, ()) = tokio::join!(drained, reads);
        assert_eq!((report.cancelled.len(), report.left.len()), (2, 0), "{kind:?}: {report}");
        let last = |stream| frames.iter().rfind(|frame| frame.stream == stream).unwrap();
        assert_eq!(last(1).kind, Http2Frame::RST_STREAM, "{kind:?}: {frames:?}");
        assert_eq!(last(3).kind, Http2Frame::DATA, "{kind:?}: {frames:?}");
        assert!(last(3).payload.ends_with(b"Try again later.\n"));
        assert!(frames.iter().any(|frame| frame.kind == Http2Frame::GOAWAY), "{kind:?}");
        site.ends().await;
    });
}

/// A WebSocket is told so by its own close, and a tunnel by its reset: what was sent is not all there was to send.
#[test]
fn an_upgraded_connection_is_reset() {
    each(Kind::SEAMS, async |kind| {
        let site = Site::serve(kind);
        let mut client = site.websocket().await;
        let report = site.drained(SHORT).await;
        assert_eq!((report.upgraded.len(), report.left_upgraded.len()), (1, 0), "{report}");
        let connection = &site.recorder.disconnected(1).await[0];
        assert_eq!(connection.close.reason, ConnectionReason::Shutdown, "{kind:?}");
        assert!(report.cancelled.is_empty() && !report.is_clean());
        assert!(report.to_string().contains("  GET /ws: upgraded, connection "), "{report}");
        if cfg!(target_os = "linux") {
            let end = client.read_to_end().await.map_err(|error| error.kind());
            assert_eq!(end, Err(ErrorKind::ConnectionReset), "{kind:?}");
        }
        site.ends().await;
    });
}

/// It is waited for, so it is cut and told of, too.
#[test]
fn an_upgraded_connection_that_is_not_shown_is_cut_and_named() {
    each(Kind::SEAMS, async |kind| {
        let site = Site::of(InFlight::builder().max_open(1).build(), kind, true);
        let shown = site.connect().await;
        until(|| site.inflight.counts().connections == 1).await;
        let _client = site.upgraded().await;
        until(|| site.inflight.counts().closed == 1).await;
        assert_eq!(site.inflight.counts().upgraded, 0, "it is not shown");
        let report = site.drained(SHORT).await;
        assert_eq!((report.upgraded.len(), report.left_upgraded.len()), (1, 0), "{report}");
        assert_eq!(report.upgraded[0].upgraded().unwrap().1, "/ws");
        drop(shown);
        site.ends().await;
    });
}
