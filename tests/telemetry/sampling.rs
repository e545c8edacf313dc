//! What a sampler sees when a span begins.

use std::sync::{Arc, Mutex};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId},
};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, SdkTracerProvider, ShouldSample};
use tower_lifecycle::{
    LifecycleLayer,
    otel::Otel,
    testing::{Client, MockBody},
};

use crate::support::{
    facts::FACTS,
    memory::{exchange, get, ok},
    site::{Seam, Site},
    stand::Stand,
};

/// Samples nothing, and remembers what it was asked.
#[derive(Clone, Debug, Default)]
struct Sees(Arc<Mutex<Seen>>);

#[derive(Clone, Debug, Default)]
struct Seen {
    name: String,
    attributes: Vec<String>,
}

impl ShouldSample for Sees {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let names = attributes.iter().map(|attribute| attribute.key.to_string()).collect();
        *self.0.lock().unwrap() = Seen { name: name.to_owned(), attributes: names };
        Sampler::AlwaysOff.should_sample(parent, trace, name, kind, attributes, links)
    }
}

impl Sees {
    fn otel(&self, stand: &Stand) -> Otel {
        let provider = SdkTracerProvider::builder().with_sampler(self.clone()).build();
        stand.builder().tracer_provider(&provider).build()
    }

    fn assert_saw(&self, kind: &str, name: &str) -> Seen {
        let seen = self.0.lock().unwrap().clone();
        assert_eq!(seen.name, name);
        let mut wanted = FACTS.sampling_relevant(kind);
        // Nobody asked for headers.
        wanted.remove("http.request.header");
        for name in wanted {
            assert!(seen.attributes.iter().any(|seen| seen == name), "no {name} in {seen:?}");
        }
        seen
    }
}

/// `http.route` is there from the start where it is known by then, and not before.
#[tokio::test]
async fn a_sampler_sees_of_a_server_what_the_conventions_want_it_to() {
    for (seam, name) in [(Seam::Server, "GET"), (Seam::None, "GET /users/{id}")] {
        let (stand, sees) = (Stand::new(), Sees::default());
        let site = Site::serve(seam, sees.otel(&stand)).await;
        let mut client = Client::connect(site.addr).await.unwrap();
        let request = "GET /users/7?a=1 HTTP/1.1\r\nhost: localhost:80\r\nuser-agent: a\r\n\r\n";
        client.send(request).await.unwrap();
        client.read_until("hello").await.unwrap();
        let asked = sees.assert_saw("server", name);
        let has_route = asked.attributes.iter().any(|name| name == "http.route");
        assert_eq!(has_route, seam == Seam::None);
    }
}

#[tokio::test]
async fn a_sampler_sees_of_a_client_what_the_conventions_want_it_to() {
    let (stand, sees) = (Stand::new(), Sees::default());
    let layer = LifecycleLayer::new(sees.otel(&stand)).client();
    exchange(&layer, get("http://localhost:81/a?b"), ok(MockBody::empty())).await;
    sees.assert_saw("client", "GET");
    // It sampled nothing, and the metrics have it all the same.
    assert_eq!(stand.durations().len(), 1);
}
