//! Ordinary traffic: clients that ask, read everything and close at once. Not one of them is a disconnect.

use std::{net::SocketAddr, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};
use tower_lifecycle::{
    LifecycleLayer,
    testing::{Client, Http2Frame},
};

use crate::{
    support::seams::{PATIENCE, Seam, Serving, app, builder},
    tally::{Counts, Tally},
};

const EXCHANGES: usize = 20_000;
const STREAMS: usize = 4000;

/// On one connection of HTTP/2.
const STREAMS_AT_ONCE: usize = 10;
const CLIENTS_AT_ONCE: usize = 32;

/// What is asked, and how its answer ends.
const KINDS: [(&str, &str); 5] = [
    ("GET /full HTTP/1.1\r\n\r\n", "\r\n\r\nhello"),
    ("GET /stream HTTP/1.1\r\n\r\n", "\r\n0\r\n\r\n"),
    ("HEAD /full HTTP/1.1\r\n\r\n", "\r\n\r\n"),
    ("POST /echo HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello", "\r\n\r\nhello"),
    ("GET /size/100000 HTTP/1.1\r\nconnection: close\r\n\r\n", ""),
];

async fn connect(addr: SocketAddr) -> Client {
    Client::connect(addr).await.unwrap().with_patience(PATIENCE)
}

/// One exchange on a connection of its own.
async fn visit(addr: SocketAddr, number: usize) {
    let (asks, ends) = KINDS[number % KINDS.len()];
    let mut client = connect(addr).await;
    client.send(asks).await.unwrap();
    if ends.is_empty() {
        client.read_to_end().await.unwrap();
    } else {
        client.read_until(ends).await.unwrap();
    }
    client.close().unwrap();
}

/// Some streams of one connection of HTTP/2, all asked for before any is read.
async fn visit_http2(addr: SocketAddr) {
    let mut client = connect(addr).await;
    let streams = (1..).step_by(2).take(STREAMS_AT_ONCE);
    for stream in streams {
        let path = if stream % 4 == 1 { "/full" } else { "/stream" };
        client.request(stream, "GET", path, [], true).await.unwrap();
    }
    let mut open = STREAMS_AT_ONCE;
    let is_last = |frame: &Http2Frame| {
        open -= usize::from(frame.ends_stream());
        open == 0
    };
    let frames = client.read_frames_until(is_last).await.unwrap();
    assert!(frames.iter().all(|frame| frame.kind != Http2Frame::RST_STREAM), "{frames:?}");
    client.close().unwrap();
}

/// Several listeners, so that no client runs out of ports, all heard by one observer: through each seam, by a layer that
/// observes and by one that would also cancel.
async fn servers(tally: &Tally) -> Vec<Serving> {
    let observes = LifecycleLayer::new(tally.clone());
    let cancels = observes.clone().with_handle().cancel_on_disconnect();
    let mut servers = Vec::new();
    for layer in [observes, cancels] {
        for seam in Seam::ALL {
            let app = app(&Arc::new(Semaphore::new(0)));
            servers.push(seam.serve(builder(), &layer, app).await);
        }
    }
    servers
}

/// Lets so many come, a few at once, each to the next server.
async fn visits<F>(count: usize, servers: &[Serving], visit: impl Fn(SocketAddr, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut visitors = JoinSet::new();
    for number in 0..count {
        if visitors.len() >= CLIENTS_AT_ONCE {
            visitors.join_next().await.unwrap().unwrap();
        }
        // Every kind comes to every server: their numbers have no common divisor.
        visitors.spawn(visit(servers[number % servers.len()].addr, number));
    }
    visitors.join_all().await;
}

/// That all were complete, and nothing else was heard of.
fn assert_ordinary(counts: &Counts, exchanges: usize, connections: usize) {
    let Counts { begun, complete, disconnects, opened, closed, others, .. } = counts;
    assert_eq!((*begun, *complete, *disconnects), (exchanges, exchanges, 0), "{counts:?}");
    assert_eq!((*opened, *closed), (connections, connections), "{counts:?}");
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_exchanges_have_no_disconnect() {
    let tally = Tally::default();
    let servers = servers(&tally).await;
    visits(EXCHANGES, &servers, visit).await;
    assert_ordinary(&tally.closed(EXCHANGES).await, EXCHANGES, EXCHANGES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_have_some_thousand_streams() {
    let tally = Tally::default();
    let servers = servers(&tally).await;
    let connections = STREAMS / STREAMS_AT_ONCE;
    visits(connections, &servers, |addr, _| visit_http2(addr)).await;
    assert_ordinary(&tally.closed(connections).await, STREAMS, connections);
}
