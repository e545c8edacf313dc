//! The spans of `Trace`, as OpenTelemetry has them by the bridge: they say what those of `Otel` say.

use opentelemetry::trace::{SpanKind, Status, TracerProvider};
use tower_lifecycle::trace::Trace;
use tracing::{level_filters::LevelFilter, subscriber};
use tracing_subscriber::layer::SubscriberExt;

use crate::{
    conformance::rows::{ROWS, Row},
    support::{
        facts::FACTS,
        quiet_panics,
        show::told,
        site::{Seam, Site},
        stand::Stand,
        until, within,
    },
};

/// What passed is told always, with no metric to tell it.
const SIZES: [&str; 2] = ["http.request.body.size", "http.response.body.size"];

/// Spans alone.
fn trace() -> Trace {
    let off = LevelFilter::OFF;
    Trace::new().event_level(off).summary_level(off).failure_level(off)
}

#[tokio::test]
async fn each_situation_is_told_through_the_bridge_as_without_it() {
    quiet_panics();
    for row in ROWS {
        for seam in Seam::ALL {
            let what = format!("{}, {seam:?}", row.what);
            let stand = Stand::new();
            let bridge = tracing_opentelemetry::layer()
                .with_tracer(stand.tracer_provider.tracer("app"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_level(false)
                .with_target(false);
            let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO).with(bridge);
            // Of this thread, which has all tasks.
            let _default = subscriber::set_default(subscriber);
            let site = Site::serve(seam, trace()).await;
            let _client = within(&what, row.play(&site)).await;
            until(&what, || !stand.spans().is_empty()).await;
            let spans = stand.spans();
            let [span] = &spans[..] else { panic!("{what}: {spans:#?}") };

            // The bridge does not take over a name that is told late.
            let late = seam != Seam::None;
            assert_eq!(
                span.name,
                if late { Row { route: None, ..*row }.name() } else { row.name() },
                "{what}"
            );
            assert_eq!(span.span_kind, SpanKind::Server, "{what}");
            let failed = row.end(seam).0.map_or(Status::Unset, |_| Status::error(""));
            assert_eq!(span.status, failed, "{what}");
            let mut attributes = told(&span.attributes);
            let [request, response] = SIZES.map(|size| attributes.remove(size).is_some());
            assert_eq!((request, response), (true, row.status.is_some()), "{what}");
            assert_eq!(attributes, row.span(seam), "{what}");
            FACTS.check_bridged(span, &SIZES);
        }
    }
}
