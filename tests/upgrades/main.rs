//! What becomes of a connection that is upgraded: axum's WebSocket over HTTP/1 and over HTTP/2's extended CONNECT, through
//! every seam.

#![cfg(all(feature = "axum", feature = "hyper"))]

mod peer;
mod site;
#[path = "../support/mod.rs"]
mod support;

use tower_lifecycle::{ConnectionClose, ConnectionReason, Evidence, Initiator, Reason};

use self::{
    peer::{ALONE, End, Peer},
    site::{SEAMS, Seam, Site},
    support::rows::run,
};

/// As a [`ConnectionClose`] has it.
type Cause = (ConnectionReason, Initiator, Evidence);

const COMPLETE: Cause = (ConnectionReason::Complete, Initiator::Local, Evidence::Io);
const COMPLETE_BY_PEER: Cause = (ConnectionReason::Complete, Initiator::Peer, Evidence::Io);
const RESET: Cause = (ConnectionReason::Reset, Initiator::Peer, Evidence::Io);
const PANICKED: Cause = (ConnectionReason::Panicked, Initiator::Local, Evidence::Unwind);
/// An upgraded stream of HTTP/2 is open when its connection ends.
const DISCONNECTED: Cause = (ConnectionReason::Disconnected, Initiator::Peer, Evidence::Io);
const SHUTDOWN: Cause = (ConnectionReason::Shutdown, Initiator::Local, Evidence::Io);
/// Of a stream whose connection lives.
const STREAM_OVER: Cause = (ConnectionReason::Complete, Initiator::Local, Evidence::Drop);

fn cause(close: ConnectionClose) -> Cause {
    (close.reason, close.initiator, close.evidence)
}

/// Each of them through each seam.
fn each<T: Copy>(rows: &[T]) -> impl Iterator<Item = (Seam, T)> {
    SEAMS.into_iter().flat_map(|seam| rows.iter().map(move |row| (seam, *row)))
}

fn upgraded(status: u16, finish: &str) -> String {
    format!(
        "begin req.end req.close(complete) response({status}) res.end finish({finish}) close(upgraded)"
    )
}

#[test]
fn a_websocket_over_http1_ends_its_exchange_and_lives_on_as_the_connection() {
    let ends = [
        (End::CloseFrame, COMPLETE),
        (End::TheTaskLeaves, COMPLETE),
        (End::TheTaskPanics, PANICKED),
        (End::Fin, COMPLETE_BY_PEER),
        (End::Reset, RESET),
    ];
    for (seam, (end, expected)) in each(&ends) {
        for path in ["/bare", "/guarded"] {
            run(async {
                let name = format!("{seam:?}, {path}, {end:?}");
                let mut site = Site::serve(seam).await;
                let mut peer = Peer::connect(&site, false).await;
                peer.upgrade(1, path, 101).await;
                // It is over, while the socket lives.
                let exchange = &site.recorder.settled(1).await[0];
                assert_eq!(exchange.words(), upgraded(101, "flushed"), "{name}");
                peer.hello(1, ALONE).await;
                site.assert_lives();
                peer.end(1, end).await;

                if path == "/guarded" {
                    let upgrade = site.upgrade().await;
                    assert_eq!(cause(upgrade.close), expected, "the guard: {name}");
                }
                let connection = site.connection().await;
                assert_eq!(cause(connection.close), expected, "{name}");
                assert_eq!((connection.exchanges, connection.upgrades), (1, 1), "{name}");
                assert_eq!(connection.received, peer.sent, "{name}");
                assert!(connection.sent > ALONE.len() as u64, "{name}");
            });
        }
    }
}

#[test]
fn a_websocket_over_http2_ends_its_exchange_and_lives_on_in_its_guard() {
    let ends = [
        (End::CloseFrame, STREAM_OVER),
        (End::TheTaskLeaves, STREAM_OVER),
        (End::TheTaskPanics, PANICKED),
        (End::OfStream, STREAM_OVER),
        (End::StreamReset, STREAM_OVER),
        (End::Fin, DISCONNECTED),
        (End::Reset, RESET),
    ];
    for (seam, (end, expected)) in each(&ends) {
        run(async {
            let name = format!("{seam:?}, {end:?}");
            let mut site = Site::serve(seam).await;
            let mut peer = Peer::connect(&site, true).await;
            peer.upgrade(1, "/guarded", 200).await;
            let exchange = &site.recorder.settled(1).await[0];
            assert_eq!(exchange.words(), upgraded(200, "released"), "{name}");
            peer.hello(1, ALONE).await;
            site.assert_lives();
            peer.end(1, end).await;

            let upgrade = site.upgrade().await;
            assert_eq!(cause(upgrade.close), expected, "{name}");
            let of_connection = matches!(end, End::Fin | End::Reset);
            if !of_connection {
                assert_eq!(upgrade.connection.open_upgrades(), 0, "{name}");
                // The connection knows nothing of it.
                peer.get(3).await;
                assert_eq!(site.recorder.settled(2).await[1].reason(), Reason::Complete, "{name}");
                site.assert_lives();
                peer.client.close().unwrap();
            }
            let connection = site.connection().await;
            let expected = if of_connection { expected } else { COMPLETE_BY_PEER };
            assert_eq!(cause(connection.close), expected, "{name}");
            let exchanges = if of_connection { 1 } else { 2 };
            assert_eq!((connection.exchanges, connection.upgrades), (exchanges, 1), "{name}");
        });
    }
}

#[test]
fn websockets_of_one_http2_connection_are_counted_beside_each_other() {
    for seam in SEAMS {
        run(async {
            let mut site = Site::serve(seam).await;
            let mut peer = Peer::connect(&site, true).await;
            peer.upgrade(1, "/guarded", 200).await;
            peer.hello(1, ALONE).await;
            peer.upgrade(3, "/guarded", 200).await;
            peer.hello(3, "hello: (2, 0) open").await;
            peer.end(1, End::CloseFrame).await;
            let upgrade = site.upgrade().await;
            assert_eq!((upgrade.received, upgrade.connection.open_upgrades()), (5, 1));
            peer.hello(3, ALONE).await;
            peer.client.close().unwrap();
            assert_eq!(cause(site.upgrade().await.close), DISCONNECTED);
            assert_eq!(site.connection().await.upgrades, 2);
        });
    }
}

#[test]
fn a_101_that_nobody_awaits_is_an_upgrade_and_closes_the_connection() {
    for seam in SEAMS {
        run(async {
            let site = Site::serve(seam).await;
            let mut peer = Peer::connect(&site, false).await;
            peer.upgrade(1, "/unawaited", 101).await;
            assert_eq!(peer.client.read_to_end().await.unwrap(), "");
            let exchange = &site.recorder.settled(1).await[0];
            assert_eq!(exchange.words(), upgraded(101, "flushed"), "{seam:?}");
            let connection = site.connection().await;
            assert_eq!(cause(connection.close), COMPLETE, "{seam:?}");
            assert_eq!((connection.exchanges, connection.upgrades), (1, 1), "{seam:?}");
            assert_eq!(connection.received, peer.sent, "{seam:?}");
        });
    }
}

#[test]
fn an_extended_connect_that_nobody_awaits_is_an_upgrade_and_the_connection_goes_on() {
    for seam in SEAMS {
        run(async {
            let site = Site::serve(seam).await;
            let mut peer = Peer::connect(&site, true).await;
            peer.upgrade(1, "/unawaited", 200).await;
            let exchange = &site.recorder.settled(1).await[0];
            assert_eq!(exchange.words(), upgraded(200, "released"), "{seam:?}");
            peer.get(3).await;
            site.assert_lives();
            peer.client.close().unwrap();
            let connection = site.connection().await;
            assert_eq!(cause(connection.close), COMPLETE_BY_PEER, "{seam:?}");
            assert_eq!((connection.exchanges, connection.upgrades), (2, 1), "{seam:?}");
        });
    }
}

/// The status decides: hyper resolves `OnUpgrade` also of a request that was answered by another.
#[test]
fn an_upgrade_that_is_not_granted_is_an_ordinary_exchange_and_the_connection_goes_on() {
    let requests = [(false, "/ignored", 200), (false, "/refused", 403), (true, "/refused", 403)];
    for (seam, (http2, path, status)) in each(&requests) {
        run(async {
            let name = format!("{seam:?}, {path}, HTTP/2: {http2}");
            let site = Site::serve(seam).await;
            let mut peer = Peer::connect(&site, http2).await;
            peer.upgrade(1, path, status).await;
            peer.get(3).await;
            for exchange in site.recorder.settled(2).await {
                exchange.assert_grammar();
                assert_eq!(exchange.reason(), Reason::Complete, "{name}");
            }
            site.assert_lives();
            peer.client.close().unwrap();
            let connection = site.connection().await;
            assert_eq!(cause(connection.close), COMPLETE_BY_PEER, "{name}");
            assert_eq!((connection.exchanges, connection.upgrades), (2, 0), "{name}");
        });
    }
}

#[test]
fn a_server_that_is_dropped_ends_websockets_over_http2_and_leaves_those_over_http1_to_their_tasks()
{
    for http2 in [false, true] {
        run(async {
            let mut site = Site::serve(Seam::Server).await;
            let mut peer = Peer::connect(&site, http2).await;
            let status = if http2 { 200 } else { 101 };
            peer.upgrade(1, "/guarded", status).await;
            peer.hello(1, ALONE).await;
            site.stop();
            if !http2 {
                peer.hello(1, ALONE).await;
                site.assert_lives();
                peer.end(1, End::CloseFrame).await;
            }
            let expected = if http2 { SHUTDOWN } else { COMPLETE };
            assert_eq!(cause(site.upgrade().await.close), expected, "HTTP/2: {http2}");
            assert_eq!(cause(site.connection().await.close), expected, "HTTP/2: {http2}");
        });
    }
}
