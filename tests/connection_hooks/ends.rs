//! How connections end that had their exchanges.

use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use axum::Router;
use hyper_util::{server::conn::auto, service::TowerToHyperService};
use tokio::net::TcpListener;
use tower_lifecycle::{
    Address, ConnectionReason as Is, ConnectionSummary, Evidence, Initiator, LifecycleLayer,
    Reason,
    testing::{Client, Http2Frame, Recorder},
};

use crate::support::seams::{Rig, Seam, builder, within};

const GET: &str = "GET /full HTTP/1.1\r\n\r\n";

async fn only(rig: &Rig, exchanges: u64) -> ConnectionSummary {
    let mut closed = rig.recorder.disconnected(1).await;
    let summary = closed.remove(0);
    assert!(closed.is_empty());
    assert_eq!(summary.exchanges, exchanges, "{summary:?}");
    assert_eq!(rig.recorder.exchanges().len() as u64, exchanges);
    summary
}

fn assert_end(summary: &ConnectionSummary, reason: Is, initiator: Initiator, evidence: Evidence) {
    let close = summary.close;
    assert_eq!((close.reason, close.initiator, close.evidence), (reason, initiator, evidence));
}

#[tokio::test]
async fn the_peer_may_close_between_exchanges() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        let mut answers = 0;
        for _ in 0..3 {
            client.send(GET).await.unwrap();
            answers += client.read_until("hello").await.unwrap().len();
        }
        client.close().unwrap();
        let summary = only(&rig, 3).await;
        assert_end(&summary, Is::Complete, Initiator::Peer, Evidence::Io);
        assert_eq!(summary.received, 3 * GET.len() as u64);
        assert_eq!(summary.sent, answers as u64);
        assert_eq!(summary.os_error, None);
        let peer = summary.connection.peer_addr().and_then(Address::ip);
        assert!(peer.is_some_and(|peer| peer.ip().is_loopback()));
        let local = summary.connection.local_addr().and_then(Address::ip);
        assert_eq!(local, Some(rig.addr));
    }
}

#[tokio::test]
async fn the_peer_may_reset_between_exchanges() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        client.send(GET).await.unwrap();
        client.read_until("hello").await.unwrap();
        client.reset().unwrap();
        let summary = only(&rig, 1).await;
        assert_end(&summary, Is::Reset, Initiator::Peer, Evidence::Io);
        assert!(summary.os_error.is_some());
    }
}

#[tokio::test]
async fn the_server_may_close_after_an_answer() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        client.send("GET /full HTTP/1.1\r\nconnection: close\r\n\r\n").await.unwrap();
        client.read_to_end().await.unwrap();
        let summary = only(&rig, 1).await;
        assert_end(&summary, Is::Complete, Initiator::Local, Evidence::Io);
    }
}

#[tokio::test]
async fn the_server_may_close_what_is_idle_for_too_long() {
    for seam in Seam::DRIVEN {
        let mut builder = builder();
        builder.http1().header_read_timeout(Duration::from_millis(300));
        let rig = Rig::with(seam, builder, |lifecycle| lifecycle, |app| app).await;
        let mut client = rig.connect().await;
        client.send(GET).await.unwrap();
        client.read_to_end().await.unwrap();
        let summary = only(&rig, 1).await;
        assert_end(&summary, Is::Complete, Initiator::Local, Evidence::Io);
    }
}

#[tokio::test]
async fn a_malformed_head_after_an_exchange_is_told_where_the_server_tells() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        client.send(GET).await.unwrap();
        client.read_until("hello").await.unwrap();
        client.send("no request\r\n\r\n").await.unwrap();
        client.read_to_end().await.unwrap();
        let summary = only(&rig, 1).await;
        let (reason, evidence) = match seam {
            Seam::Serve => (Is::HeadMalformed, Evidence::Return),
            _ => (Is::HeadRejected, Evidence::Io),
        };
        assert_end(&summary, reason, Initiator::Local, evidence);
    }
}

#[tokio::test]
async fn over_http2_either_side_may_close_between_exchanges() {
    for seam in Seam::ALL {
        let rig = Rig::start(seam).await;
        let mut client = rig.connect().await;
        for stream in [1, 3] {
            client.request(stream, "GET", "/full", [], true).await.unwrap();
            let ends = |frame: &Http2Frame| frame.stream == stream && frame.ends_stream();
            client.read_frames_until(ends).await.unwrap();
        }
        client.goaway().await.unwrap();
        client.close().unwrap();
        let summary = only(&rig, 2).await;
        assert_end(&summary, Is::Complete, summary.close.initiator, Evidence::Io);
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An executor that leaves it to the test when its tasks are run.
#[derive(Clone, Default)]
struct Later(Arc<Mutex<Vec<Task>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Later {
    fn execute(&self, task: F) {
        self.0.lock().unwrap().push(Box::pin(task));
    }
}

/// hyper gives each stream to a task, and hyper-util calls the service when that is first polled, which may be after the end.
#[tokio::test]
async fn over_http2_a_connection_is_not_over_while_an_exchange_may_begin() {
    let (recorder, later) = (Recorder::new(), Later::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = Client::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let app: Router = Router::new().fallback(async || "hello");
    let (io, service) = LifecycleLayer::new(recorder.clone()).connection(stream, app);
    let builder = auto::Builder::new(later.clone());
    let mut served = Box::pin(builder.serve_connection(io, TowerToHyperService::new(service)));
    client.request(1, "GET", "/", [], true).await.unwrap();
    let arrives = poll_fn(|task| {
        assert!(served.as_mut().poll(task).is_pending());
        if later.0.lock().unwrap().is_empty() { Poll::Pending } else { Poll::Ready(()) }
    });
    within("the request", arrives).await;
    client.close().unwrap();
    let _ = within("the end", &mut served).await;
    drop(served);
    assert_eq!((recorder.connections().len(), recorder.exchanges().len()), (0, 0));
    let tasks = mem::take(&mut *later.0.lock().unwrap());
    for task in tasks {
        within("the stream", task).await;
    }
    recorder.settled(1).await;
    assert_ne!(recorder.only().reason(), Reason::StreamReset);
    let connections = recorder.disconnected(1).await;
    assert_eq!((recorder.opened(), connections.len(), connections[0].exchanges), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2_each_exchange_has_an_ordinal_of_its_own() {
    const STREAMS: u32 = 150;
    for seam in Seam::ALL {
        for _ in 0..10 {
            let rig = Rig::start(seam).await;
            let mut client = rig.connect().await;
            for stream in 0..STREAMS {
                client.request(2 * stream + 1, "GET", "/empty", [], true).await.unwrap();
            }
            let mut over = 0;
            let ends = |frame: &Http2Frame| {
                over += u32::from(frame.ends_stream());
                over == STREAMS
            };
            client.read_frames_until(ends).await.unwrap();
            let exchanges = rig.all(STREAMS as usize).await;
            let mut ordinals: Vec<_> =
                exchanges.iter().map(|it| it.summary().unwrap().ordinal.unwrap()).collect();
            ordinals.sort_unstable();
            assert!(ordinals.into_iter().eq(1..=u64::from(STREAMS)), "{seam:?}");
        }
    }
}
