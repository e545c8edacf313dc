//! Every situation, left in every way: who notices, what is told, and what becomes of the handler.

use std::fmt;

use tokio::task::LocalSet;
use tower_lifecycle::{
    Close, ConnectionReason, Disconnect, Evidence, Initiator, LifecycleLayer, Reason, Stage,
    handle::{Blind, DisconnectWatch},
    testing::Recorder,
};

use crate::{
    rig::{Scene, Via, a_while, observed, until, within},
    situations::{ANSWERS, Hyper, SITUATIONS, Situation, WAYS, Way},
};

/// One cell of the matrix.
#[derive(Clone, Copy, Debug)]
struct Cell {
    situation: Situation,
    way: Way,
    http2: bool,
    via: Via,
}

fn cells(http2: bool, via: &[Via]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &situation in SITUATIONS {
        for way in WAYS {
            for &via in via {
                let fits = !http2 || !situation.http2.is_empty();
                let can = via == Via::Hyper || !situation.half_close;
                cells.extend((fits && can).then_some(Cell { situation, way, http2, via }));
            }
        }
    }
    cells
}

/// Plays all cells at once, and names those that fail.
async fn all<F: Future<Output = ()> + 'static>(cells: Vec<Cell>, play: impl Fn(Cell) -> F) {
    let stage = LocalSet::new();
    let playing: Vec<_> =
        cells.into_iter().map(|cell| (cell, stage.spawn_local(play(cell)))).collect();
    stage.await;
    let mut wrong = Vec::new();
    for (cell, played) in playing {
        if let Err(error) = played.await {
            let panic = error.into_panic();
            let why = panic.downcast_ref::<String>().map_or("see above", String::as_str);
            wrong.push(format!("\n{cell}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

impl Cell {
    /// Whether hyper itself drops the handler.
    fn drops(&self) -> bool {
        self.http2 || self.situation.hyper == Hyper::Drops
    }

    fn reason(&self) -> Reason {
        if self.way == Way::Reset { Reason::Reset } else { Reason::Disconnected }
    }

    /// What cut the exchange, or its request.
    fn cut(&self) -> Close {
        self.failed(self.situation.stage)
    }

    fn failed(&self, stage: Stage) -> Close {
        let (initiator, evidence) = (Initiator::Peer, Evidence::Io);
        Close { reason: self.reason(), stage, initiator, evidence }
    }

    async fn begin(&self, layer: Option<LifecycleLayer<impl tower_lifecycle::Observer>>) -> Scene {
        Scene::begin(self.situation, self.http2, self.via, layer).await
    }

    async fn bare(self) {
        let mut scene = self.begin(None::<LifecycleLayer<()>>).await;
        scene.leave(self.way).await;
        if self.drops() {
            return scene.until_gone().await;
        }
        if self.situation.hyper == Hyper::Tells {
            scene.until_parked().await;
        }
        a_while().await;
        assert!(!scene.is_gone(), "hyper has learned to notice this: mend the table, and the docs");
    }

    async fn watched(self) {
        let recorder = Recorder::new();
        let (layer, mut told) = observed(&recorder);
        let mut scene = self.begin(Some(layer)).await;
        scene.leave(self.way).await;
        if self.drops() {
            scene.until_gone().await;
        }
        self.is_told(within(told.recv()).await);
        if !self.drops() {
            if self.situation.hyper == Hyper::Tells {
                scene.until_parked().await;
            }
            assert!(!scene.is_gone(), "observing changes nothing");
            scene.release();
        }
        self.ends(scene, &recorder, !self.drops()).await;
    }

    async fn cancelled(self) {
        let recorder = Recorder::new();
        let (layer, mut told) = observed(&recorder);
        let mut scene = self.begin(Some(layer.cancel_on_disconnect())).await;
        scene.leave(self.way).await;
        scene.until_gone().await;
        self.is_told(within(told.recv()).await);
        self.ends(scene, &recorder, false).await;
    }

    fn is_told(&self, disconnect: Option<Disconnect>) {
        let Disconnect { reason, evidence, .. } = disconnect.expect("it is told");
        assert_eq!((reason, evidence), (self.reason(), Evidence::Io));
    }

    /// The exchange is over, `answered` or cut, and nothing else is made of it on the wire.
    async fn ends(&self, mut scene: Scene, recorder: &Recorder, answered: bool) {
        if self.way == Way::HalfClose {
            assert_eq!(scene.is_answered().await, answered, "what the client receives");
        }
        let exchange = recorder.settled(1).await.swap_remove(0);
        exchange.assert_grammar();
        let flushed = Close {
            reason: Reason::Complete,
            stage: Stage::Done,
            initiator: Initiator::Local,
            evidence: Evidence::Io,
        };
        let expected = match self.way {
            _ if !answered || self.situation.hyper == Hyper::Tells => self.cut(),
            // The write finds it broken.
            Way::Reset => self.failed(Stage::Flush),
            Way::Fin | Way::HalfClose => flushed,
        };
        assert_eq!(exchange.close(), expected, "{exchange}");
        let words = exchange.words();
        assert_eq!(words.matches("disconnect(").count(), 1, "{words}");
        let finishes = answered && self.way != Way::Reset;
        assert_eq!(words.contains("finish("), finishes, "{words}");
        if self.http2 {
            return;
        }
        let connection = recorder.disconnected(1).await.swap_remove(0);
        if !answered {
            let expected = match self.way {
                Way::Reset => ConnectionReason::Reset,
                Way::Fin | Way::HalfClose => ConnectionReason::Disconnected,
            };
            let close = connection.close;
            assert_eq!((close.reason, close.initiator), (expected, Initiator::Peer));
        }
        if answered && self.way == Way::Reset {
            assert!(connection.os_error.is_some(), "the watch has taken the error away");
        }
    }
}

impl Cell {
    /// hyper and the layer both allow closed sides.
    async fn allowed(self, cancel: bool) {
        let recorder = Recorder::new();
        let (layer, mut told) = observed(&recorder);
        let layer = layer.half_close(true).with_handle();
        let layer = if cancel { layer.cancel_on_disconnect() } else { layer };
        let mut scene = self.begin(Some(layer)).await;
        let handle = scene.handle();
        assert_eq!(handle.disconnect_watch(), DisconnectWatch::Armed);
        scene.leave(self.way).await;
        if self.way == Way::Reset {
            self.is_told(within(told.recv()).await);
            if cancel {
                scene.until_gone().await;
            } else {
                scene.release();
            }
            return self.ends(scene, &recorder, !cancel).await;
        }
        let half_closed = DisconnectWatch::Blind(Blind::HalfClosed);
        until(|| handle.disconnect_watch() == half_closed).await;
        a_while().await;
        assert!(!scene.is_gone(), "what is allowed is no reason to cancel");
        scene.release();
        if self.way == Way::HalfClose {
            assert!(scene.is_answered().await, "the client waits for it");
        }
        let exchange = recorder.settled(1).await.swap_remove(0);
        exchange.assert_grammar();
        assert_eq!((exchange.reason(), exchange.close().stage), (Reason::Complete, Stage::Done));
        assert!(told.try_recv().is_err(), "{exchange}");
        assert_eq!(within(handle.disconnected()).await.map(|disconnect| disconnect.reason), None);
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { situation, way, http2, via } = self;
        let version = if *http2 { 2 } else { 1 };
        write!(f, "{}, {way:?}, HTTP/{version}, {via:?}", situation.name)
    }
}

const BOTH: &[Via] = &[Via::Axum, Via::Hyper];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_hyper_notices_what_the_table_says_over_http1() {
    all(cells(false, BOTH), Cell::bare).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_hyper_notices_everything_over_http2() {
    all(cells(true, BOTH), Cell::bare).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seam_sees_every_client_leave_and_the_handler_goes_on_as_without_it() {
    all(cells(false, BOTH), Cell::watched).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seam_sees_every_client_leave_over_http2() {
    all(cells(true, BOTH), Cell::watched).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handler_outlives_its_client_where_that_is_asked_for() {
    all(cells(false, BOTH), Cell::cancelled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handler_outlives_its_client_over_http2() {
    all(cells(true, BOTH), Cell::cancelled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_side_that_is_allowed_is_no_disconnect_and_a_reset_is_one() {
    let allowed =
        || cells(false, &[Via::Hyper]).into_iter().filter(|cell| cell.situation.half_close);
    all(allowed().collect(), |cell| cell.allowed(false)).await;
    all(allowed().collect(), |cell| cell.allowed(true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_thread_and_then_answers_is_not_told() {
    for way in [Way::Fin, Way::HalfClose] {
        let recorder = Recorder::new();
        let (layer, _told) = observed(&recorder);
        let layer = layer.cancel_on_disconnect();
        let mut scene = Scene::begin(ANSWERS, false, Via::Axum, Some(layer)).await;
        scene.leave(way).await;
        if way == Way::HalfClose {
            assert!(scene.is_answered().await);
        }
        let exchange = recorder.settled(1).await.swap_remove(0);
        let words = "begin req.end req.close(complete) response(200) res.data res.end \
                     finish(flushed) close(complete)";
        assert_eq!(exchange.words(), words, "{way:?}");
    }
}

/// Over HTTP/2 nobody closes one side: whoever does is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_side_is_never_allowed_over_http2() {
    let recorder = Recorder::new();
    let (layer, mut told) = observed(&recorder);
    let situation = Situation { half_close: true, ..SITUATIONS[0] };
    let layer = layer.half_close(true);
    let mut scene = Scene::begin(situation, true, Via::Hyper, Some(layer)).await;
    scene.leave(Way::Fin).await;
    scene.until_gone().await;
    let exchange = recorder.settled(1).await.swap_remove(0);
    assert_eq!(exchange.reason(), Reason::Disconnected, "{exchange}");
    assert!(told.try_recv().is_ok(), "{exchange}");
}
