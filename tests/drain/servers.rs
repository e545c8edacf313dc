//! Each kind of server, with what it is told and what it is not.

use std::time::Duration;

use tower_lifecycle::{
    Evidence, Initiator, Reason,
    inflight::LiveState,
    testing::{Client, Http2Frame},
};

use crate::site::{Kind, Site, assert_broken, each, get_http1, names, run, until};

/// With something open that does not end by itself. What it ends is not looked at before its deadline.
const SHORT: Duration = Duration::from_secs(4);

/// With nothing open that does not end by itself.
const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_server_that_is_told_ends_with_the_drain() {
    each(Kind::TOLD, async |kind| {
        let site = Site::serve(kind);
        let mut idle = site.connect().await;
        idle.send(get_http1("/")).await.unwrap();
        idle.read_until("hello").await.unwrap();
        let mut park = site.ask(&get_http1("/park")).await;
        until(|| site.lot.parked() == 1).await;
        let report = site.drained(LONG).await;
        assert!(report.is_clean(), "{kind:?}: {report}");
        assert!(report.took < LONG, "{kind:?}: it waits for nobody");
        assert_eq!((report.ended, report.lots[0].ended), (1, 1), "{kind:?}: {report}");
        park.read_until("nothing yet").await.unwrap();
        assert_eq!(park.read_to_end().await.unwrap(), "");
        assert_eq!(idle.read_to_end().await.unwrap(), "");
        site.ends().await;
    });
}

#[test]
fn a_server_that_is_told_ends_by_the_deadline() {
    each(Kind::TOLD, async |kind| {
        let site = Site::serve(kind);
        let mut never = site.ask(&get_http1("/never")).await;
        let mut stream = site.ask(&get_http1("/stream")).await;
        stream.read_until("\r\n5\r\n").await.unwrap();
        let report = site.drained(SHORT).await;
        let cancelled = ["GET /never handler", "GET /stream producer"];
        assert_eq!(names(&report.cancelled), cancelled, "{kind:?}");
        assert!(report.left.is_empty(), "{kind:?}: {report}");
        never.read_until("HTTP/1.1 503 ").await.unwrap();
        assert_broken(stream.read_to_end().await);
        let mut reasons: Vec<_> =
            site.recorder.settled(2).await.iter().map(|it| it.reason()).collect();
        reasons.sort_by_key(|reason| reason.as_str());
        assert_eq!(reasons, [Reason::Complete, Reason::ResponseFailed], "{kind:?}");
        site.ends().await;
    });
}

/// A server that is not told goes on accepting.
#[test]
fn during_a_drain_new_requests_are_refused_and_their_connections_closed() {
    run(async {
        let site = Site::serve(Kind::Untold);
        let mut old = site.connect().await;
        old.send(get_http1("/")).await.unwrap();
        old.read_until("hello").await.unwrap();
        let mut http2 = site.connect().await;
        http2.request(1, "GET", "/never", [], true).await.unwrap();
        site.until_open(1).await;
        let run = tokio::spawn(site.drain.run(LONG));

        for client in [&mut old, &mut site.connect().await] {
            client.send(get_http1("/")).await.unwrap();
            let head = client.read_until("\r\n\r\n").await.unwrap();
            let head = String::from_utf8_lossy(&head);
            assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
            for header in ["retry-after: 5\r\n", "connection: close\r\n"] {
                assert!(head.contains(header), "{head}");
            }
            let text = client.read_to_end().await.unwrap();
            assert_eq!(text, "The server is shutting down. Try again later.\n");
        }
        // That of HTTP/2 goes on, for what is open on it.
        http2.request(3, "GET", "/", [], true).await.unwrap();
        let ends = |frame: &Http2Frame| frame.stream == 3 && frame.ends_stream();
        let frames = http2.read_frames_until(ends).await.unwrap();
        assert!(frames.last().unwrap().payload.ends_with(b"Try again later.\n"));
        http2.rst_stream(1, Http2Frame::CANCEL).await.unwrap();

        let report = run.await.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.refused, report.ended), (3, 1), "{report}");
    });
}

#[test]
fn an_upload_that_is_cut_short_is_answered() {
    each(Kind::TOLD, async |kind| {
        let site = Site::serve(kind);
        let upload =
            "POST /upload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
        let mut upload = site.ask(upload).await;
        until(|| site.inflight.snapshot().exchanges.iter().any(|open| open.request.bytes == 5))
            .await;
        let report = site.drained(SHORT).await;
        assert_eq!(report.cancelled.len(), 1, "{report}");
        assert_eq!(report.cancelled[0].request.bytes, 5, "{report}");
        upload.read_until("HTTP/1.1 503 ").await.unwrap();
        site.ends().await;
    });
}

/// What is behind is not read: hyper does not look whether the client is there.
fn blind(site: &Site) -> impl Future<Output = Vec<Client>> {
    let unread = "POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello";
    async move {
        let mut clients = Vec::new();
        for request in [get_http1("/never") + "G", unread.to_owned(), get_http1("/never")] {
            clients.push(site.ask(&request).await);
        }
        clients
    }
}

#[test]
fn without_the_layer_connections_are_cut_and_the_verdict_is_shutdown() {
    each(Kind::SEAMS, async |kind| {
        let site = Site::with(kind, false);
        let mut clients = blind(&site).await;
        let mut stream = site.ask(&get_http1("/stream")).await;
        stream.read_until("\r\n5\r\n").await.unwrap();
        clients.push(stream);
        let mut http2 = site.connect().await;
        http2.request(1, "GET", "/stream", [], true).await.unwrap();
        let is_data = |frame: &Http2Frame| frame.kind == Http2Frame::DATA;
        http2.read_frames_until(is_data).await.unwrap();

        let report = site.drained(SHORT).await;
        assert_eq!((report.cancelled.len(), report.left.len()), (5, 0), "{kind:?}: {report}");
        for exchange in site.recorder.settled(5).await {
            let close = exchange.summary().unwrap().close;
            let cause = (close.reason, close.initiator, close.evidence);
            let shutdown = (Reason::Shutdown, Initiator::Local, Evidence::Io);
            assert_eq!(cause, shutdown, "{kind:?}: {close}");
        }
        for mut client in clients {
            assert_broken(client.read_to_end().await);
        }
        // The connection ends, and no stream of it does.
        while let Ok(Some(frame)) = http2.read_frame().await {
            assert!(!frame.ends_stream() || frame.kind == Http2Frame::RST_STREAM, "{frame:?}");
        }
        site.ends().await;
    });
}

#[test]
fn with_the_layer_the_blind_cases_are_answered() {
    each(Kind::TOLD, async |kind| {
        let site = Site::serve(kind);
        let clients = blind(&site).await;
        let report = site.drained(SHORT).await;
        assert_eq!((report.cancelled.len(), report.left.len()), (3, 0), "{kind:?}: {report}");
        for mut client in clients {
            client.read_until("HTTP/1.1 503 ").await.unwrap();
        }
        site.ends().await;
    });
}

/// The server asks its body for no more, so nobody is there to cancel it.
#[test]
fn a_client_that_does_not_read_is_cut_through_a_seam_and_left_without() {
    let cases = Kind::TOLD.into_iter().flat_map(|kind| [(kind, false), (kind, true)]);
    each(cases, async |(kind, http2)| {
        let site = Site::serve(kind);
        let mut client = site.connect().await;
        let path = "/endless";
        if http2 {
            client.request(1, "GET", path, [], true).await.unwrap();
        } else {
            client.send(get_http1(path)).await.unwrap();
        }
        let waits = |open: &tower_lifecycle::inflight::Open| open.status.is_some();
        until(|| site.inflight.snapshot().exchanges.iter().any(waits)).await;
        let report = site.drained(SHORT).await;
        assert_eq!(report.cancelled.len(), 1, "{kind:?}: {report}");
        let left = usize::from(kind == Kind::Axum);
        assert_eq!(report.left.len(), left, "{kind:?} HTTP/2 {http2}: {report}");
        if left == 0 {
            site.ends().await;
        }
    });
}

#[test]
fn without_layer_and_seam_it_reports_what_it_could_not_end() {
    run(async {
        let site = Site::with(Kind::Axum, false);
        let _never = site.ask(&get_http1("/never")).await;
        let report = site.drained(SHORT).await;
        assert_eq!(names(&report.cancelled), names(&report.left));
        assert_eq!((report.left.len(), report.is_clean()), (1, false));
        assert_eq!(report.left[0].state, LiveState::Handler);
    });
}
