//! All that keeps a server from stopping, at once.

use std::time::Duration;

use tower_lifecycle::inflight::LiveState;

use crate::site::{Kind, Site, assert_broken, each, get_http1, names, until};

const DEADLINE: Duration = Duration::from_secs(5);

#[test]
fn whatever_is_open_it_ends_by_the_deadline_and_names_each() {
    each(Kind::SEAMS, async |kind| {
        let mut site = Site::serve(kind);
        let mut park = site.ask(&get_http1("/park")).await;
        let mut stream = site.ask(&get_http1("/stream")).await;
        let upload = "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello";
        let mut upload = site.ask(upload).await;
        let mut never = site.ask(&get_http1("/never")).await;
        let mut websocket = site.websocket().await;
        let mut idle = site.connect().await;
        idle.send(get_http1("/")).await.unwrap();
        idle.read_until("hello").await.unwrap();
        stream.read_until("\r\n5\r\n").await.unwrap();
        until(|| site.lot.parked() == 1).await;
        until(|| site.inflight.counts().state(LiveState::Parked) == 1).await;

        // The last, because from here on it may be that no timer of the server's runs, and nothing is read.
        let mut block = site.ask(&get_http1("/block")).await;
        site.until_open(5).await;

        let report = site.drained(DEADLINE).await;
        assert!(report.took < 2 * DEADLINE, "{kind:?}: {report}");
        let text = report.to_string();
        let cancelled = [
            "GET /block handler",
            "GET /never handler",
            "GET /stream producer",
            "POST /upload reading",
        ];
        assert_eq!(names(&report.cancelled), cancelled, "{kind:?}: {text}");
        assert_eq!(names(&report.left), ["GET /block handler"], "{kind:?}: {text}");
        let [upgraded] = &report.upgraded[..] else { panic!("{kind:?}: {text}") };
        let (method, path) = upgraded.upgraded().unwrap();
        assert_eq!((method.as_str(), path), ("GET", "/ws"));
        assert!(report.left_upgraded.is_empty(), "{text}");
        assert_eq!((report.ended, report.lots[0].ended), (1, 1), "the poll: {text}");
        for name in ["/block", "/never", "/stream", "/upload", "/ws"] {
            assert!(text.contains(name), "{text}");
        }

        // What each client was told.
        park.read_until("HTTP/1.1 200 ").await.unwrap();
        park.read_until("nothing yet").await.unwrap();
        assert_broken(stream.read_to_end().await);
        for client in [&mut upload, &mut never] {
            client.read_until("HTTP/1.1 503 Service Unavailable\r\n").await.unwrap();
            client.read_until("connection: close\r\n").await.unwrap();
        }
        assert_broken(websocket.read_to_end().await);
        assert!(idle.read_to_end().await.unwrap().is_empty());

        // It goes on when it may.
        drop(site.gate.take());
        site.recorder.settled(7).await;
        let _ = block.read_to_end().await;
        site.ends().await;
    });
}
