//! What users may choose, and where servers may stand: what that changes, and that it changes nothing else.

use std::{future::pending, panic::panic_any, time::Duration};

use axum::{Router, body::Body, response::IntoResponse, routing::get as route_get};
use http::{Method, Request, Response, StatusCode};
use opentelemetry::{Context, global, trace::Status};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn, timeout::Timeout, util::MapResult};
use tower_lifecycle::{
    LifecycleLayer, ResponseBody, Server,
    otel::Otel,
    semconv::{Conventions, DisconnectPolicy, ForwardedPolicy},
    testing::{BoxError, Client, Leaver, MockBody, PANIC, Phase, Way},
};

use crate::support::{
    facts::FACTS,
    memory::{exchange, get, ok},
    quiet_panics,
    show::told,
    site::{Seam, Site},
    stand::{Stand, attribute},
};

/// `error.type`, on span and metric alike, the termination, and whether the span has failed.
async fn end(stand: &Stand) -> (Option<String>, String, bool) {
    let (span, sample) = stand.only().await;
    FACTS.check_span(&span, &[]);
    FACTS.check_point(&sample, &[]);
    let error = |of: &_| attribute(of, "error.type");
    assert_eq!(error(&span.attributes), error(&sample.attributes));
    let termination = attribute(&span.attributes, "tower_lifecycle.termination").unwrap();
    (error(&span.attributes), termination, span.status != Status::Unset)
}

#[tokio::test]
async fn a_timeout_further_out_is_what_can_be_known_of_it() {
    let forever = service_fn(async |_: Request<_>| {
        pending::<()>().await;
        ok(MockBody::empty())
    });
    // In memory nothing tells.
    let stand = Stand::new();
    let service = LifecycleLayer::new(stand.otel()).layer(forever);
    let timed = Timeout::new(service, Duration::from_millis(1));
    assert!(timed.oneshot(get("/")).await.is_err());
    assert_eq!(end(&stand).await, (Some("unknown".to_owned()), "?H".to_owned(), true));

    // A client's own caller it is.
    let stand = Stand::new();
    let service = LifecycleLayer::new(stand.otel()).client().layer(forever);
    let timed = Timeout::new(service, Duration::from_millis(1));
    assert!(timed.oneshot(get("http://localhost/")).await.is_err());
    assert_eq!(end(&stand).await, (None, "CH".to_owned(), false));

    // The connection lives: so it was somebody here.
    let stand = Stand::new();
    let app: Router = Router::new().route("/", route_get(pending::<()>));
    let service = LifecycleLayer::new(stand.otel()).layer(app);
    let timed = Timeout::new(service, Duration::from_millis(1));
    let answers =
        MapResult::new(timed, |result: Result<Response<ResponseBody<Body>>, BoxError>| {
            let late = || StatusCode::GATEWAY_TIMEOUT.into_response();
            Ok::<_, BoxError>(result.map_or_else(|_| late(), |response| response.map(Body::new)))
        });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let seam = LifecycleLayer::new(()).with_connection();
    let server = tokio::spawn(Server::new(listener, seam).serve(answers));
    let mut client = Client::connect(addr).await.unwrap();
    client.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    client.read_until("HTTP/1.1 504").await.unwrap();
    assert_eq!(end(&stand).await, (Some("cancelled".to_owned()), "TH".to_owned(), true));
    server.abort();
}

/// A client that leaves is no error of the server's, and all else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnects_are_no_errors_where_a_user_says_so() {
    let rows = [
        (Leaver::http1(Phase::Handler, Way::Fin).path("/waits"), "CH", None),
        (Leaver::http1(Phase::Handler, Way::Reset).path("/waits"), "CH", None),
        (Leaver::http1(Phase::Response, Way::Fin).path("/endless"), "CD", None),
        (Leaver::http2(Phase::Handler, Way::StreamReset(8)).path("/waits"), "CH", None),
        // Its status was an error before.
        (Leaver::http1(Phase::Response, Way::Fin).path("/endless-500"), "CD", Some("500")),
    ];
    for seam in Seam::ALL {
        for (leaver, code, error) in &rows {
            let stand = Stand::new();
            let conventions = Conventions::new().disconnects(DisconnectPolicy::Unset);
            let site = Site::serve(seam, stand.builder().conventions(conventions).build()).await;
            let _client = leaver.leave_when(site.addr, site.waits()).await.unwrap();
            let code = if seam == Seam::None { code.replace('C', "?") } else { (*code).to_owned() };
            let expected = (error.map(str::to_owned), code, error.is_some());
            assert_eq!(end(&stand).await, expected, "{leaver}, {seam:?}");
        }
    }
    for (answer, error, code) in [
        (Err("no".into()), "service_failed", "SH"),
        (ok(MockBody::fails_after(1)), "response_failed", "BD"),
    ] {
        let stand = Stand::new();
        let conventions = Conventions::new().disconnects(DisconnectPolicy::Unset);
        let otel = stand.builder().conventions(conventions).build();
        exchange(&LifecycleLayer::new(otel), get("/"), answer).await;
        assert_eq!(end(&stand).await, (Some(error.to_owned()), code.to_owned(), true));
    }
}

#[tokio::test]
async fn a_trusted_proxy_tells_of_the_original_request() {
    let stand = Stand::new();
    let trust = ForwardedPolicy::trust_peers(["127.0.0.0/8", "10.0.0.0/8"]).unwrap();
    let conventions = Conventions::new().forwarded(trust);
    let site = Site::serve(Seam::Server, stand.builder().conventions(conventions).build()).await;
    let mut client = Client::connect(site.addr).await.unwrap();
    let forwarded = "x-forwarded-for: 198.51.100.1, 203.0.113.9, 10.1.2.3\r\nx-forwarded-proto: https\r\n\
        x-forwarded-host: example.org:8443\r\n";
    let request = format!("GET /users/7 HTTP/1.1\r\nhost: localhost\r\n{forwarded}\r\n");
    client.send(request).await.unwrap();
    client.read_until("hello").await.unwrap();
    let (span, sample) = stand.only().await;
    FACTS.check_span(&span, &[]);
    let of = |name| attribute(&span.attributes, name);
    // The right-most that is no proxy of ours: what is left of it a client may have made up.
    assert_eq!(of("client.address").as_deref(), Some("203.0.113.9"));
    assert_eq!(of("network.peer.address").as_deref(), Some("127.0.0.1"));
    assert_eq!(of("server.address").as_deref(), Some("example.org"));
    assert_eq!(of("server.port").as_deref(), Some("8443"));
    assert_eq!(of("url.scheme").as_deref(), Some("https"));
    assert_eq!(attribute(&sample.attributes, "url.scheme").as_deref(), Some("https"));
    assert_eq!(attribute(&sample.attributes, "server.address"), None, "anybody may write it");
}

#[tokio::test]
async fn the_methods_that_are_known_are_those_that_a_user_lists() {
    let rows = [("FOO", "FOO", "FOO", None), ("GET", "_OTHER", "HTTP", Some("GET"))];
    for (method, known, name, original) in rows {
        let stand = Stand::new();
        let conventions = Conventions::new().known_methods(["FOO"]);
        let layer = LifecycleLayer::new(stand.builder().conventions(conventions).build());
        let mut request = get("/");
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        exchange(&layer, request, ok(MockBody::empty())).await;
        let (span, sample) = stand.only().await;
        assert_eq!(span.name, name);
        for attributes in [&span.attributes, &sample.attributes] {
            assert_eq!(attribute(attributes, "http.request.method").as_deref(), Some(known));
        }
        assert_eq!(
            attribute(&span.attributes, "http.request.method_original").as_deref(),
            original
        );
    }
}

#[tokio::test]
async fn a_port_that_a_client_leaves_out_is_that_of_the_scheme() {
    let rows = [
        ("http://localhost/", "localhost", 80),
        ("https://localhost/", "localhost", 443),
        ("https://[::1]:81/", "::1", 81),
    ];
    for (uri, address, port) in rows {
        let stand = Stand::new();
        let layer = LifecycleLayer::new(stand.otel()).client();
        exchange(&layer, get(uri), ok(MockBody::empty())).await;
        let (span, sample) = stand.only().await;
        FACTS.check_span(&span, &[]);
        FACTS.check_point(&sample, &[]);
        let attributes = told(&sample.attributes);
        assert_eq!(attributes["server.address"], address.into());
        assert_eq!(attributes["server.port"], port.into());
        assert_eq!(told(&span.attributes)["url.full"], uri.into());
    }
}

#[tokio::test]
async fn each_signal_stands_alone() {
    let stand = Stand::new();
    let layer = LifecycleLayer::new(stand.builder().without_spans().all_metrics().build());
    exchange(&layer, get("/"), ok(MockBody::stream(1))).await;
    assert_eq!((stand.started(), stand.durations().len()), (0, 1));

    let stand = Stand::new();
    let layer = LifecycleLayer::new(stand.builder().without_metrics().all_metrics().build());
    exchange(&layer, get("/"), ok(MockBody::stream(1))).await;
    assert_eq!((stand.spans().len(), stand.points().len()), (1, 0));
}

#[tokio::test]
async fn providers_that_are_shut_down_break_nothing() {
    let stand = Stand::new();
    let layer = LifecycleLayer::new(stand.builder().all_metrics().build());
    stand.tracer_provider.shutdown().unwrap();
    stand.meter_provider.shutdown().unwrap();
    exchange(&layer, get("/"), ok(MockBody::stream(1))).await;
    assert_eq!((stand.started(), layer.observer_panics()), (0, 0));
}

/// Or an exporter's own requests would be exported.
#[tokio::test]
async fn where_telemetry_is_suppressed_there_is_none() {
    let stand = Stand::new();
    let layer = LifecycleLayer::new(stand.builder().all_metrics().build());
    let suppressed = Context::enter_telemetry_suppressed_scope();
    exchange(&layer, get("/"), ok(MockBody::stream(1))).await;
    drop(suppressed);
    assert_eq!((stand.started(), stand.points().len()), (0, 0));
}

/// It costs its own answer, and nothing else.
#[tokio::test]
async fn a_users_function_that_panics_takes_no_span_and_no_sample_along() {
    quiet_panics();
    let panics: [fn(Conventions) -> Conventions; 3] = [
        |it| it.route(|_| panic_any(PANIC)),
        |it| it.streams_if(|_| panic_any(PANIC)),
        |it| it.errors(|_| panic_any(PANIC)),
    ];
    for panics in panics {
        let stand = Stand::new();
        let otel = stand.builder().conventions(panics(Conventions::new())).active_requests();
        let layer = LifecycleLayer::new(otel.build());
        exchange(&layer, get("/"), Err("no".into())).await;
        let (span, sample) = stand.only().await;
        FACTS.check_span(&span, &[]);
        FACTS.check_point(&sample, &[]);
        assert_eq!(attribute(&span.attributes, "error.type").as_deref(), Some("service_failed"));
        assert_eq!(layer.observer_panics(), 1, "and it is told of");
        let active = stand.of("http.server.active_requests");
        assert!(active.iter().all(|point| point.value == 0.0));
    }
}

/// The only test that touches what is global.
#[tokio::test]
async fn the_global_providers_are_those_of_the_moment_it_is_built() {
    let early = LifecycleLayer::new(Otel::new());
    let stand = Stand::new();
    global::set_tracer_provider(stand.tracer_provider.clone());
    global::set_meter_provider(stand.meter_provider.clone());
    exchange(&early, get("/"), ok(MockBody::empty())).await;
    assert_eq!((stand.started(), stand.points().len()), (0, 0));
    exchange(&LifecycleLayer::new(Otel::new()), get("/"), ok(MockBody::empty())).await;
    let (span, sample) = stand.only().await;
    FACTS.check_span(&span, &[]);
    FACTS.check_point(&sample, &[]);
}
