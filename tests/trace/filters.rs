//! Levels and targets, and what nobody listens to.

use tower_lifecycle::{Interest, LifecycleLayer, Observer, testing::MockBody, trace::Trace};
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt};

use super::capture::{Capture, exchange, get, reply, text};

const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

async fn run(trace: Trace) {
    exchange(LifecycleLayer::new(trace), get("/a/b?c"), reply(200, MockBody::stream(1))).await;
}

#[tokio::test]
async fn every_level_can_be_that_of_the_span_and_of_the_events() {
    for level in LEVELS {
        let (capture, _guard) = Capture::start();
        let trace = Trace::new().level(level).event_level(level).summary_level(level);
        run(trace.target("app::http")).await;
        let span = capture.only();
        assert_eq!((span.level, &*span.target), (level, "app::http"));
        for event in &capture.seen().events {
            let finer = LEVELS.into_iter().find(|finer| *finer > level).unwrap_or(level);
            let expected = if event.name.ends_with("data") { finer } else { level };
            assert_eq!((event.level, &*event.target), (expected, "app::http"));
        }
    }
}

#[tokio::test]
async fn a_filter_sees_level_and_target() {
    for most in LEVELS {
        for level in LEVELS {
            for (target, wanted) in [("tower_lifecycle", false), ("shop", true)] {
                let capture = Capture::default();
                let filter = Targets::new().with_target("shop", most);
                // As a layer's own filter and as that of all.
                for own in [true, false] {
                    let registry = tracing_subscriber::registry();
                    let dispatch = if own {
                        tracing::Dispatch::new(
                            registry.with(capture.clone().with_filter(filter.clone())),
                        )
                    } else {
                        tracing::Dispatch::new(registry.with(capture.clone()).with(filter.clone()))
                    };
                    let _guard = tracing::dispatcher::set_default(&dispatch);
                    run(Trace::new().level(level).event_level(LevelFilter::OFF).target(target))
                        .await;
                    let span = wanted && level <= most;
                    let spans = capture.seen().spans.len();
                    assert_eq!(spans, usize::from(span), "{level} of {target} at {most}");
                    let summary = wanted && most >= Level::INFO;
                    assert_eq!(capture.events().len(), usize::from(summary));
                    *capture.seen() = super::capture::Seen::default();
                }
            }
        }
    }
}

#[tokio::test]
async fn without_a_span_the_summary_tells_what_it_would() {
    let (capture, _guard) = Capture::start();
    run(Trace::new().level(LevelFilter::OFF).event_level(LevelFilter::OFF)).await;
    assert!(capture.seen().spans.is_empty());
    let close = capture.event("lifecycle.close");
    assert_eq!(text(&close.values, "method"), "GET");
    assert_eq!(text(&close.values, "path"), "/a/b");
    assert_eq!(close.span, None);
}

#[tokio::test]
async fn without_a_span_the_events_are_those_of_the_span_around_the_service() {
    use tracing::Instrument;
    let (capture, _guard) = Capture::start();
    let around = tracing::info_span!("around");
    run(Trace::new().level(LevelFilter::OFF)).instrument(around).await;
    assert!(capture.seen().events.iter().all(|event| event.span == Some(0)));
}

#[test]
fn only_what_is_configured_is_asked_for() {
    let off = LevelFilter::OFF;
    let nothing = Trace::new().level(off).event_level(off).summary_level(off).failure_level(off);
    assert_eq!(nothing.interest(), Interest::NONE);
    let span = nothing.clone().level(Level::INFO).interest();
    assert!(span.contains(Interest::SCOPE | Interest::CLOSE | Interest::MARKS));
    assert!(!span.intersects(Interest::DATA | Interest::WAITS | Interest::URI | Interest::FINISH));
    assert!(nothing.clone().level(Level::INFO).waits().interest().contains(Interest::WAITS));
    assert!(!nothing.clone().waits().interest().contains(Interest::WAITS));
    let summary = nothing.clone().summary_level(Level::INFO).interest();
    assert!(summary.contains(Interest::URI) && !summary.contains(Interest::SCOPE));
    let events = nothing.event_level(Level::DEBUG).interest();
    assert!(events.contains(Interest::FINISH | Interest::DATA | Interest::DISCONNECT));
    assert!(!Trace::new().interest().intersects(Interest::CONNECTION | Interest::IO_TIMES));
}

#[tokio::test]
async fn a_subscriber_that_comes_late_hears_of_the_exchanges_from_there_on() {
    let trace = Trace::new();
    {
        let _guard = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
        run(trace.clone()).await;
    }
    let (capture, _guard) = Capture::start();
    run(trace).await;
    capture.only().assert_closed();
}

#[test]
fn a_span_is_three_allocations_beside_the_exchange_s_own() {
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let allocations = |trace: Trace| {
        let layer = LifecycleLayer::new(trace);
        let once = || {
            let exchange = exchange(layer.clone(), get("/"), reply(200, MockBody::empty()));
            runtime.block_on(exchange);
        };
        once();
        allocation_counter::measure(once).count_total
    };
    let without = allocations(Trace::new().level(LevelFilter::OFF));
    assert_eq!(allocations(Trace::new()) - without, 3);
}
