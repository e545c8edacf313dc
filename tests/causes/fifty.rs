//! HTTP/2 connections that end with fifty streams open: none of those was reset by itself.

use std::{net::TcpListener as StdListener, time::Duration};

use tokio::{net::TcpListener, runtime};
use tower_lifecycle::{
    Reason,
    testing::{Client, Http2Frame, Recording},
};

use crate::support::seams::{Rig, Seam, builder};

const STREAMS: usize = 50;

/// A connection with all its streams open, half of them with a response.
async fn open(rig: &mut Rig) -> Client {
    let mut client = rig.connect().await;
    for (stream, path) in (1..).step_by(2).zip(["/park", "/hang"].into_iter().cycle().take(STREAMS))
    {
        client.request(stream, "GET", path, [], true).await.unwrap();
    }
    for _ in 0..STREAMS {
        rig.begun().await;
    }
    // Nothing is on its way any more, by which a client that closes would reset.
    let mut data = 0;
    let all = |frame: &Http2Frame| {
        data += usize::from(frame.kind == Http2Frame::DATA);
        data == STREAMS / 2
    };
    client.read_frames_until(all).await.unwrap();
    client
}

/// The verdicts, equal ones as one.
fn verdicts(exchanges: &[Recording]) -> Vec<Reason> {
    let mut reasons: Vec<_> = exchanges.iter().map(Recording::reason).collect();
    reasons.sort_by_key(|reason| reason.as_str());
    reasons.dedup();
    reasons
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_whose_task_is_aborted_shuts_all_down() {
    for seam in Seam::DRIVEN {
        let mut rig = Rig::start(seam).await;
        let _client = open(&mut rig).await;
        rig.stop();
        assert_eq!(verdicts(&rig.all(STREAMS).await), [Reason::Shutdown], "{seam:?}");
        rig.recorder.disconnected(1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_closed_disconnects_all() {
    for seam in Seam::ALL {
        let mut rig = Rig::start(seam).await;
        open(&mut rig).await.close().unwrap();
        assert_eq!(verdicts(&rig.all(STREAMS).await), [Reason::Disconnected], "{seam:?}");
        rig.recorder.disconnected(1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_reset_resets_all() {
    for seam in Seam::ALL {
        let mut rig = Rig::start(seam).await;
        open(&mut rig).await.reset().unwrap();
        assert_eq!(verdicts(&rig.all(STREAMS).await), [Reason::Reset], "{seam:?}");
        rig.recorder.disconnected(1).await;
    }
}

#[tokio::test]
async fn a_ping_without_answer_fails_the_transport_of_all() {
    leave_a_ping_without_answer().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_without_answer_fails_the_transport_of_streams_on_other_threads() {
    leave_a_ping_without_answer().await;
}

async fn leave_a_ping_without_answer() {
    for seam in Seam::DRIVEN {
        let mut builder = builder();
        let soon = Duration::from_millis(500);
        builder.http2().keep_alive_interval(soon).keep_alive_timeout(soon);
        let mut rig = Rig::with(seam, builder, |lifecycle| lifecycle, |app| app).await;
        // It reads nothing, and so answers nothing.
        let _client = open(&mut rig).await;
        let exchanges = rig.all(STREAMS).await;
        // Without driving the connection one sees that the server has dropped it.
        let expected = if seam == Seam::Serve { Reason::TransportFailed } else { Reason::Shutdown };
        assert_eq!(verdicts(&exchanges), [expected], "{seam:?}");
        rig.recorder.disconnected(1).await;
    }
}

/// As far as destructors run: tasks are dropped in any order, on the threads that had them.
#[test]
fn a_runtime_that_is_dropped_closes_all_and_none_as_reset() {
    for seam in Seam::ALL {
        for workers in [1, 2] {
            let listener = StdListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let serves = runtime::Builder::new_multi_thread()
                .worker_threads(workers)
                .enable_all()
                .build()
                .unwrap();
            let calls = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut rig = {
                let _entered = serves.enter();
                let listener = TcpListener::from_std(listener).unwrap();
                Rig::on(listener, seam, builder(), |lifecycle| lifecycle, |app| app)
            };
            let client = calls.block_on(open(&mut rig));
            drop(serves);
            let exchanges = calls.block_on(rig.all(STREAMS));
            calls.block_on(rig.recorder.disconnected(1));
            let ours = [Reason::Shutdown, Reason::Unknown];
            let verdicts = verdicts(&exchanges);
            assert!(verdicts.iter().all(|reason| ours.contains(reason)), "{seam:?} {verdicts:?}");
            drop(client);
        }
    }
}
