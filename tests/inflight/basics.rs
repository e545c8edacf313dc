use std::{convert::Infallible, future::pending, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer, Service as _, ServiceExt as _, service_fn};
use tower_lifecycle::{
    Class, LifecycleLayer, Reason, RequestBody, Stage,
    inflight::{Change, Filter, InFlight, LiveState, Story},
    testing::ManualClock,
};

use crate::rig::pass;

type Asked = Request<RequestBody<Full<Bytes>>>;

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::default()).unwrap()
}

async fn answers(request: Asked) -> Result<Response<Full<Bytes>>, Infallible> {
    let _ = request.into_body().collect().await;
    Ok(Response::new(Full::from("hello")))
}

#[test]
fn an_exchange_is_there_while_it_is_open_and_remembered_when_it_has_closed() {
    let inflight = InFlight::new();
    let clock = ManualClock::new();
    let layer = LifecycleLayer::new(inflight.clone()).with_clock(clock.clone());
    let mut waits =
        layer.layer(service_fn(|_: Asked| pending::<Result<Response<Full<Bytes>>, Infallible>>()));
    let mut call = waits.call(get("/slow?secret=1"));
    assert!((&mut call).now_or_never().is_none());
    clock.advance(Duration::from_secs(7));

    let snapshot = inflight.snapshot();
    let [open] = &snapshot.exchanges[..] else { panic!("one is open") };
    assert_eq!((open.path(), open.method.as_str()), ("/slow", "GET"));
    assert_eq!(
        (open.age, open.stage, open.state),
        (Duration::from_secs(7), Stage::Handler, LiveState::Handler)
    );
    assert_eq!((snapshot.counts.open, snapshot.counts.opened, snapshot.counts.closed), (1, 1, 0));
    assert_eq!(snapshot.counts.state(LiveState::Handler), 1);
    assert!(matches!(inflight.story(open.id), Some(Story::Open(_))));

    drop(call);
    assert!(inflight.snapshot().exchanges.is_empty());
    let [closed] = &inflight.recent()[..] else { panic!("one has closed") };
    assert_eq!((closed.path(), closed.duration), ("/slow", Duration::from_secs(7)));
    assert_eq!((closed.summary.close.reason, closed.class), (Reason::Unknown, Class::Cancelled));
    assert!(matches!(inflight.story(open.id), Some(Story::Closed(_))));
    assert!(inflight.failed().is_empty());
    assert_eq!(inflight.slowest().len(), 1);
    assert_eq!((inflight.counts().open, inflight.counts().closed), (0, 1));
}

#[tokio::test]
async fn without_times_all_but_times_is_known() {
    let inflight = InFlight::builder().without_times().build();
    let mut changes = inflight.subscribe().unwrap();
    let service = LifecycleLayer::new(inflight.clone()).layer(service_fn(answers));
    let response = service.oneshot(get("/")).await.unwrap();
    let open = &inflight.select(&Filter::new().status(StatusCode::OK)).exchanges[0];
    assert_eq!((open.stage, open.state), (Stage::Response, LiveState::Unknown));
    assert!(open.request_wait.is_none() && open.times.response.is_none());
    drop(response.collect().await);
    inflight.idle().await;
    assert!(inflight.recent()[0].duration > Duration::ZERO);
    assert!(matches!(changes.recv().await, Some(Change::Opened(_))));
    assert!(matches!(changes.recv().await, Some(Change::Closed(_))));
}

#[test]
fn how_many_have_opened_never_grows_less() {
    let inflight = InFlight::new();
    let layer = LifecycleLayer::new(inflight.clone());
    std::thread::scope(|scope| {
        let passes = scope.spawn(|| (0..5_000).for_each(|_| pass(&layer, "/")));
        let mut before = 0;
        while !passes.is_finished() {
            let opened = inflight.counts().opened;
            assert!(opened >= before, "{before} had opened, and now {opened}");
            before = opened;
        }
    });
    assert_eq!(inflight.counts().opened, 5_000);
}
