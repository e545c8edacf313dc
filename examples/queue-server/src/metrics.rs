//! What `/metrics` shows.

use std::{fmt, sync::atomic::Ordering};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tower_lifecycle::{Summary, park::Unparked};

use crate::queues::{Queues, Sent};

/// Counters and gauges. All labels are of closed sets.
pub struct Metrics {
    registry: Registry,
    parked: Gauge,
    queues: Gauge,
    park: Family<ByOutcome, Histogram>,
    refused: Family<ByReason, Counter>,
    exchanges: Family<Exchange, Counter>,
    duration: Family<ByRoute, Histogram>,
    sent: Counter,
    queued: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoute {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Exchange {
    route: &'static str,
    /// 0 where there was no answer.
    status: u16,
    /// How it ended: a reason of tower-lifecycle.
    close: &'static str,
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 4.0, 9));
        let metrics = Self {
            registry: Registry::with_prefix("queue_server"),
            parked: Gauge::default(),
            queues: Gauge::default(),
            park: Family::new_with_constructor(seconds),
            refused: Family::default(),
            exchanges: Family::default(),
            duration: Family::new_with_constructor(seconds),
            sent: Counter::default(),
            queued: Counter::default(),
        };
        metrics.register()
    }

    fn register(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("parked_polls", "Polls that are parked now", self.parked.clone());
        registry.register(
            "queues",
            "Queues that there are, where the store knows",
            self.queues.clone(),
        );
        let help = "How long polls were parked, by how that ended";
        registry.register_with_unit("park", help, Unit::Seconds, self.park.clone());
        let help = "Polls that were not parked since the start, by why";
        registry.register("refused_polls", help, self.refused.clone());
        let help = "Exchanges that are over, by route, status and how they ended";
        registry.register("exchanges", help, self.exchanges.clone());
        let help = "From the head of a request to the close of its exchange";
        registry.register_with_unit(
            "exchange_duration",
            help,
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register("sent_events", "Events that were stored", self.sent.clone());
        let help = "Events times queues that have them";
        registry.register("queued_events", help, self.queued.clone());
        self
    }

    /// A poll was unparked.
    pub fn unparked(&self, unparked: &Unparked) {
        if unparked.waited {
            let by = ByOutcome { outcome: unparked.outcome.as_str() };
            self.park.get_or_create(&by).observe(unparked.parked.as_secs_f64());
        }
    }

    /// An exchange is over.
    pub fn closed(&self, summary: &Summary) {
        let route = route(summary);
        let status = summary.status.map_or(0, |status| status.as_u16());
        let close = summary.close.reason.as_str();
        if let Some(duration) = summary.duration() {
            self.duration.get_or_create(&ByRoute { route }).observe(duration.as_secs_f64());
        }
        self.exchanges.get_or_create(&Exchange { route, status, close }).inc();
    }

    /// An event was stored.
    pub fn sent(&self, sent: Sent) {
        self.sent.inc();
        self.queued.inc_by(sent.queued as u64);
    }

    /// As text.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn encode(&self, queues: &Queues) -> Result<String, fmt::Error> {
        let counts = queues.lot().counts();
        self.parked.set(signed(counts.parked as u64));
        if let Some(queues) = queues.store().stats().queues {
            self.queues.set(signed(queues));
        }
        for (reason, refused) in [
            ("full", counts.full),
            ("key_full", counts.key_full),
            ("draining", counts.refused_draining),
        ] {
            self.refused
                .get_or_create(&ByReason { reason })
                .inner()
                .store(refused, Ordering::Relaxed);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// One of few, whatever a client asks for, and without the query, which has the id of a queue.
pub fn route(summary: &Summary) -> &'static str {
    const ROUTES: [&str; 5] =
        ["/api/v1/events", "/api/v1/register", "/api/v1/send", "/healthz", "/metrics"];
    let path = summary.uri.as_ref().map_or("", |uri| uri.path());
    ROUTES.into_iter().find(|route| *route == path).unwrap_or("other")
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
