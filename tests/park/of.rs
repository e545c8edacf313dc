//! The exchange that a slot is of, without sockets.

use std::{
    convert::Infallible,
    fmt,
    future::ready,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifecycle::{
    ExchangeHandle, LifecycleLayer, RequestBody, RequestClose,
    park::{Outcome, drain_or_reject},
    testing::{MockBody, Recorder},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::rig::{Lot, SECOND, Source, WITHIN, lot, nothing};

/// Serves one request, by a handler that does so with the body and then parks.
async fn serve(lot: &Lot, source: Source, body: MockBody, with_body: With) -> Recorder {
    let recorder = Recorder::new();
    let layer = LifecycleLayer::new(recorder.clone()).with_handle();
    let service = layer.layer(service_fn(async |request: Request<RequestBody<MockBody>>| {
        let exchange = request.extensions().get::<ExchangeHandle>().unwrap().clone();
        let body = request.into_body();
        let held = match with_body {
            With::Holds => Some(body),
            With::Drops => {
                drop(body);
                assert_eq!(exchange.request_close(), Some(RequestClose::Unread));
                None
            }
            With::Reads => {
                drain_or_reject(body, 100).await.unwrap();
                None
            }
        };
        let slot = lot.park_for(1, 1).unwrap().of(&exchange);
        tokio::time::advance(SECOND).await;
        slot.wait(3 * SECOND, source.after(0)).await;
        tokio::time::advance(SECOND).await;
        drop(held);
        Ok::<_, Infallible>(Response::new(MockBody::empty()))
    }));
    service.oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
    recorder
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum With {
    Holds,
    Drops,
    Reads,
}

#[tokio::test(start_paused = true)]
async fn a_summary_shows_when_its_exchange_was_parked_and_when_not_any_more() {
    let recorder =
        serve(&lot(|policy| policy), Source::default(), MockBody::empty(), With::Reads).await;
    let recording = recorder.only();
    let marks = &recording.summary().unwrap().marks;
    let names: Vec<_> = marks.names().map(|(name, _)| name).collect();
    assert_eq!(names, ["parked", "unparked"]);
    assert!(marks.named("parked") <= marks.named("unparked"));
}

#[tokio::test(start_paused = true)]
async fn what_did_not_wait_is_not_marked() {
    let source = Source::default();
    source.publish();
    let lot = lot(|policy| policy);
    let recorder = serve(&lot, source, MockBody::stream(1), With::Holds).await;
    assert_eq!(recorder.only().summary().unwrap().marks.names().count(), 0);
    assert_eq!((lot.counts().unread, lot.counts().at_once), (0, 1));
}

/// Takes down the levels and messages of one target.
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "tower_lifecycle::park"
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push((*event.metadata().level(), message.0));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_body_left_unread_is_counted_and_where_nothing_watches_told_once_as_a_warning() {
    let told: Arc<Mutex<Vec<_>>> = Arc::default();
    let _log = tracing::subscriber::set_default(Log(Arc::clone(&told)));
    let lot = lot(|policy| policy);
    for with_body in [With::Reads, With::Holds, With::Drops, With::Holds] {
        serve(&lot, Source::default(), MockBody::stream(1), with_body).await;
    }
    assert_eq!(lot.counts().unread, 3);
    let told = told.lock().unwrap();
    let levels: Vec<_> = told.iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, [Level::WARN, Level::DEBUG, Level::DEBUG]);
    assert!(told.iter().all(|(_, message)| message.contains("drain_or_reject")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_in_a_task_of_its_own_ends_with_its_exchange() {
    let lot = lot(|policy| policy);
    let layer = LifecycleLayer::new(()).with_handle();
    let (parks, parked) = (lot.clone(), Arc::new(Mutex::new(None)));
    let task = Arc::clone(&parked);
    let service = layer.layer(service_fn(move |request: Request<RequestBody<MockBody>>| {
        let exchange = request.extensions().get::<ExchangeHandle>().unwrap();
        let slot = parks.park_for(1, 1).unwrap().of(exchange);
        *task.lock().unwrap() = Some(tokio::spawn(slot.wait(WITHIN, nothing)));
        ready(Ok::<_, Infallible>(Response::new(MockBody::empty())))
    }));
    let response = service.oneshot(Request::new(MockBody::empty())).await.unwrap();
    tokio::task::yield_now().await;
    drop(response);
    let task = parked.lock().unwrap().take().unwrap();
    assert_eq!(task.await.unwrap(), Outcome::Closed);
    assert_eq!(lot.parked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_exchange_and_reports_one_that_stays_open() {
    for stays_open in [false, true] {
        let lot = lot(|policy| policy);
        let layer = LifecycleLayer::new(()).with_handle();
        let parks = lot.clone();
        let service = layer.layer(service_fn(move |request: Request<RequestBody<MockBody>>| {
            let exchange = request.extensions().get::<ExchangeHandle>().unwrap();
            let wait = parks.park_for(1, 1).unwrap().of(exchange).wait(WITHIN, nothing);
            async {
                assert_eq!(wait.await, Outcome::Draining);
                Ok::<_, Infallible>(Response::new(MockBody::stream(1)))
            }
        }));
        let response = tokio::spawn(service.oneshot(Request::new(MockBody::empty())));
        tokio::task::yield_now().await;
        let begun = tokio::time::Instant::now();
        let drain = tokio::spawn(lot.drain(SECOND, 2 * SECOND));
        let response = response.await.unwrap().unwrap();
        let held = stays_open.then_some(response);
        let drained = drain.await.unwrap();
        assert_eq!(
            (drained.ended, drained.parked, drained.open.len()),
            (1, 0, usize::from(stays_open))
        );
        assert_eq!(
            begun.elapsed(),
            if stays_open { 3 * SECOND } else { std::time::Duration::ZERO }
        );
        drop(held);
    }
}
