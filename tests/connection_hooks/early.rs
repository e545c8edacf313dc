//! Failures before there is an exchange are seen at the connection and nowhere else.

use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tower_lifecycle::{
    ConnectionReason as Is, ConnectionSummary, Evidence, Initiator, LifecycleLayer, Server,
    testing::{Client, Recorder},
};

use crate::support::seams::{Rig, Seam, builder};

/// The only connection, when it is closed: no exchange was begun on it.
async fn only(rig: &Rig, received: usize) -> ConnectionSummary {
    let mut closed = rig.recorder.disconnected(1).await;
    let summary = closed.remove(0);
    assert!(closed.is_empty());
    assert!(rig.recorder.exchanges().is_empty());
    assert_eq!((summary.exchanges, summary.upgrades), (0, 0), "{summary:?}");
    assert_eq!(summary.received, received as u64, "{summary:?}");
    assert!(summary.duration.is_some());
    summary
}

fn assert_end(summary: &ConnectionSummary, reason: Is, initiator: Initiator, evidence: Evidence) {
    let close = summary.close;
    assert_eq!((close.reason, close.initiator, close.evidence), (reason, initiator, evidence));
}

#[tokio::test]
async fn a_malformed_head_is_refused() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        // Not longer than what is read to tell the version: for what is left unread the system would reset.
        let head = "GET / HTTP/1.1\r\nno\r\n\r\n";
        client.send(head).await.unwrap();
        let answer = client.read_to_end().await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 400"), "{seam:?}");
        let summary = only(&rig, head.len()).await;
        assert_eq!(summary.sent, answer.len() as u64);
        let (reason, evidence) = match seam {
            Seam::Serve => (Is::HeadMalformed, Evidence::Return),
            _ => (Is::HeadRejected, Evidence::Io),
        };
        assert_end(&summary, reason, Initiator::Local, evidence);
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    for seam in Seam::DRIVEN {
        let mut builder = builder();
        builder.http1().max_buf_size(8192);
        let rig = Rig::with(seam, builder, |lifecycle| lifecycle, |app| app).await;
        let mut client = rig.connect().await;
        // Exactly what is read of it, so that nothing is left unread, for which the system would reset.
        let start = "GET / HTTP/1.1\r\nlong: ";
        client.send(format!("{start}{}", "x".repeat(8192 - start.len()))).await.unwrap();
        let answer = client.read_to_end().await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 431"), "{seam:?}");
        let summary = only(&rig, 8192).await;
        let (reason, evidence) = match seam {
            Seam::Serve => (Is::HeadTooLarge, Evidence::Return),
            _ => (Is::HeadRejected, Evidence::Io),
        };
        assert_end(&summary, reason, Initiator::Local, evidence);
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_is_given_up() {
    for seam in Seam::DRIVEN {
        let mut builder = builder();
        builder.http1().header_read_timeout(Duration::from_millis(300));
        let rig = Rig::with(seam, builder, |lifecycle| lifecycle, |app| app).await;
        let mut client = rig.connect().await;
        // More than the version takes to be told.
        let head = "GET / HTTP/1.1\r\nhost: localhost\r\n";
        client.send(head).await.unwrap();
        client.read_to_end().await.unwrap();
        let summary = only(&rig, head.len()).await;
        let (reason, evidence) = match seam {
            Seam::Serve => (Is::HeaderTimeout, Evidence::Return),
            _ => (Is::Shutdown, Evidence::Io),
        };
        assert_end(&summary, reason, Initiator::Local, evidence);
    }
}

#[tokio::test]
async fn a_version_that_cannot_be_told_in_time_is_given_up() {
    for sent in ["", "PRI * HTTP/2.0\r\n"] {
        let recorder = Recorder::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = Server::new(listener, LifecycleLayer::new(recorder.clone()))
            .header_timeout(Duration::from_millis(300));
        let serving = tokio::spawn(server.serve(Router::new()));
        let mut client = Client::connect(addr).await.unwrap();
        client.send(sent).await.unwrap();
        client.read_to_end().await.unwrap();
        let summary = &recorder.disconnected(1).await[0];
        assert_eq!((summary.received, summary.exchanges), (sent.len() as u64, 0));
        assert_end(summary, Is::HeaderTimeout, Initiator::Local, Evidence::Return);
        serving.abort();
    }
}

#[tokio::test]
async fn a_peer_that_leaves_before_a_whole_request_made_none() {
    for seam in Seam::ALL {
        for head in ["", "GET / HTT", "GET / HTTP/1.1\r\nhost: localhost\r\n"] {
            let rig = Rig::start(seam).await;
            let mut client = rig.connect().await;
            client.send(head).await.unwrap();
            client.fin().await.unwrap();
            client.read_to_end().await.unwrap();
            let summary = only(&rig, head.len()).await;
            assert_end(&summary, Is::NoRequest, Initiator::Peer, Evidence::Io);
        }
    }
}

/// hyper-util takes it for HTTP/1, and hyper refuses its version.
#[tokio::test]
async fn a_peer_that_leaves_within_the_preface_made_no_request_that_is_well_formed() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        let preface = "PRI * HTTP/2.0\r\n";
        client.send(preface).await.unwrap();
        client.fin().await.unwrap();
        assert!(client.read_to_end().await.unwrap().starts_with(b"HTTP/1.1 400"));
        let summary = only(&rig, preface.len()).await;
        match seam {
            Seam::Serve => {
                assert_end(&summary, Is::HeadMalformed, Initiator::Local, Evidence::Return);
            }
            _ => assert_end(&summary, Is::NoRequest, Initiator::Peer, Evidence::Io),
        }
    }
}

#[tokio::test]
async fn a_peer_that_speaks_http2_and_asks_for_nothing_made_no_request() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        client.preface(None).await.unwrap();
        client.read_frame().await.unwrap();
        client.fin().await.unwrap();
        while client.read_frame().await.unwrap().is_some() {}
        let mut closed = rig.recorder.disconnected(1).await;
        let summary = closed.remove(0);
        assert_end(&summary, Is::NoRequest, Initiator::Peer, Evidence::Io);
        assert!(summary.exchanges == 0 && summary.sent > 0);
    }
}

#[tokio::test]
async fn a_peer_that_resets_before_a_whole_request_has_reset() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        client.send("GET / HTT").await.unwrap();
        client.reset().unwrap();
        let mut closed = rig.recorder.disconnected(1).await;
        let summary = closed.remove(0);
        assert_end(&summary, Is::Reset, Initiator::Peer, Evidence::Io);
        assert_eq!((summary.exchanges, summary.sent), (0, 0));
        assert!(summary.os_error.is_some(), "the system has a number for it");
        assert!(rig.recorder.exchanges().is_empty());
    }
}
