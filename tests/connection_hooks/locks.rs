//! Nothing of ours runs under a lock of h2: a hook may drop what asks for that lock, such as a request body of another stream.

use std::{
    mem,
    net::TcpListener as StdListener,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, body::Body, routing::post};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    sync::{Semaphore, mpsc},
};
use tower_lifecycle::{
    Disconnect, LifecycleLayer, Listener, Observer, RequestClose, RequestHead, Summary,
    testing::{Client, Http2Frame, Recorder},
};

use crate::support::seams::{Seam, app, builder, within};

/// Request bodies that their handlers have left here.
type Held = Arc<Mutex<Vec<Body>>>;

/// Drops what is held when the exchange of a `GET` is gone, and tells when that is done.
struct Drops {
    held: Held,
    tells: mpsc::UnboundedSender<usize>,
}

impl Observer for Drops {
    type State = Self;

    fn begin(&self, head: &RequestHead<'_>) -> Option<Self> {
        let Self { held, tells } = self;
        (head.method == "GET").then(|| Self { held: held.clone(), tells: tells.clone() })
    }
}

impl Drops {
    fn drop_all(&self) {
        let held = mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        let count = held.len();
        drop(held);
        // The test may have heard enough.
        let _ = self.tells.send(count);
    }
}

impl Listener for Drops {
    fn on_disconnect(&mut self, _: Disconnect) {
        self.drop_all();
    }

    fn on_close(&mut self, _: &Summary) {
        self.drop_all();
    }
}

/// A runtime whose threads may hang, without whoever drops it.
struct Apart(Option<Runtime>);

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    StreamReset,
    Fin,
    Reset,
}

/// Has two request bodies held, and a third stream's answer to `path` wait for its window, which then comes to its end.
async fn end(seam: Seam, path: &str, how: How) {
    let serves = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let serves = Apart(Some(serves.unwrap()));
    let (held, (tells, mut dropped)) = (Held::default(), mpsc::unbounded_channel());
    let (tells_held, mut is_held) = mpsc::unbounded_channel();
    let holds = Arc::clone(&held);
    let handler = async move |body: Body| {
        holds.lock().unwrap().push(body);
        tells_held.send(()).unwrap();
        std::future::pending::<()>().await;
    };
    let app: Router = app(&Arc::new(Semaphore::new(0))).route("/hold", post(handler));
    let recorder = Recorder::new();
    let lifecycle = LifecycleLayer::new((Drops { held, tells }, recorder.clone()));
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let serving = {
        let _entered = serves.0.as_ref().unwrap().enter();
        seam.serve_on(TcpListener::from_std(listener).unwrap(), builder(), &lifecycle, app)
    };

    let mut client = Client::connect(serving.addr).await.unwrap();
    client.preface(Some(10)).await.unwrap();
    for stream in [1, 3] {
        client.request(stream, "POST", "/hold", [], false).await.unwrap();
        client.data(stream, "hello", false).await.unwrap();
        within("a held body", is_held.recv()).await.unwrap();
    }
    client.request(5, "GET", path, [], true).await.unwrap();
    client.read_frames_until(|frame| frame.kind == Http2Frame::DATA).await.unwrap();
    match how {
        How::StreamReset => client.rst_stream(5, Http2Frame::CANCEL).await.unwrap(),
        How::Fin => client.close().unwrap(),
        How::Reset => client.reset().unwrap(),
    }
    let what = format!("the end of {path} by {how:?} through {seam:?}");
    assert_eq!(within(&what, dropped.recv()).await, Some(2), "{what}");
    if how == How::StreamReset {
        client.request(7, "GET", "/empty", [], true).await.unwrap();
        client.read_frames_until(|frame| frame.stream == 7 && frame.ends_stream()).await.unwrap();
        client.close().unwrap();
    }
    let count = if how == How::StreamReset { 4 } else { 3 };
    for exchange in recorder.settled(count).await {
        exchange.assert_grammar();
        // Where the connection is lost they may be over before.
        if how == How::StreamReset && exchange.name() == "POST /hold" {
            let close = exchange.summary().unwrap().request_close;
            assert_eq!(close, RequestClose::Unread, "{what}: {exchange}");
        }
    }
    recorder.disconnected(1).await;
}

const ALL: [How; 3] = [How::StreamReset, How::Fin, How::Reset];

#[tokio::test]
async fn a_hook_may_drop_request_bodies_when_a_stream_that_waits_for_its_window_ends() {
    for seam in Seam::ALL {
        for how in ALL {
            end(seam, "/endless", how).await;
        }
    }
}

/// h2 drops its last buffer under a lock.
#[tokio::test]
async fn a_hook_may_drop_request_bodies_when_an_answer_that_waits_for_its_window_ends() {
    for how in ALL {
        end(Seam::Serve, "/size/100", how).await;
    }
}
