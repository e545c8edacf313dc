//! The end.

use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::ExchangeHandle;

const REASONS: [Reason; 14] = [
    Reason::Complete,
    Reason::Upgraded,
    Reason::Disconnected,
    Reason::Reset,
    Reason::StreamReset,
    Reason::TransportFailed,
    Reason::RequestFailed,
    Reason::ServiceFailed,
    Reason::ResponseFailed,
    Reason::LengthMismatch,
    Reason::Panicked,
    Reason::Cancelled,
    Reason::Shutdown,
    Reason::Unknown,
];

#[test]
fn a_status_is_an_error_from_500_on_at_a_server_and_from_400_on_at_a_client() {
    let told =
        |role, status| error_type(&Conventions::new(), &summary(role, Reason::Complete, status));
    for (status, server, client) in [
        (200, None, None),
        (302, None, None),
        (404, None, Some("404")),
        (451, None, Some("451")),
        (500, Some("500"), Some("500")),
        (599, Some("599"), Some("599")),
        (999, Some("999"), Some("999")),
    ] {
        assert_eq!(told(Role::Server, status).as_deref(), server);
        assert_eq!(told(Role::Client, status).as_deref(), client);
    }
}

#[test]
fn a_reason_that_is_not_complete_wins_over_the_status() {
    for reason in REASONS {
        for status in [0, 200, 500] {
            let told = error_type(&Conventions::new(), &summary(Role::Server, reason, status));
            let expected = match (reason.is_complete(), status) {
                (true, 500) => Some("500"),
                (true, _) => None,
                (false, _) => Some(reason.as_str()),
            };
            assert_eq!(told.as_deref(), expected);
        }
    }
}

#[test]
fn a_client_whose_caller_lost_interest_is_no_error() {
    for reason in REASONS {
        let summary = summary(Role::Client, reason, 200);
        let outcome = Conventions::new().outcome(&summary, Seen::default());
        let cancelled = reason == Reason::Cancelled;
        assert_eq!(outcome.cancelled_by_caller, cancelled);
        assert_eq!(outcome.is_error(), !reason.is_complete() && !cancelled);
    }
    let server = summary(Role::Server, Reason::Cancelled, 200);
    assert_eq!(error_type(&Conventions::new(), &server).as_deref(), Some("cancelled"));
}

#[test]
fn a_disconnect_is_no_error_on_request() {
    let unset = Conventions::new().disconnects(DisconnectPolicy::Unset);
    let excused = |role, reason| error_type(&unset, &summary(role, reason, 200)).is_none();
    let left = [
        Reason::Disconnected,
        Reason::Reset,
        Reason::StreamReset,
        Reason::Unknown,
        Reason::TransportFailed,
    ];
    for reason in REASONS {
        assert_eq!(excused(Role::Server, reason), reason.is_complete() || left.contains(&reason));
        // The peer of a client is a server, and one that leaves has failed.
        let cancelled = reason == Reason::Cancelled;
        assert_eq!(excused(Role::Client, reason), reason.is_complete() || cancelled);
    }
    let mut ours = summary(Role::Server, Reason::TransportFailed, 200);
    ours.close.initiator = Initiator::Local;
    assert_eq!(error_type(&unset, &ours).as_deref(), Some("transport_failed"));
    let status = summary(Role::Server, Reason::Disconnected, 503);
    assert_eq!(error_type(&unset, &status).as_deref(), Some("503"));
}

/// An exchange whose handler has marked it.
fn parked() -> Summary {
    let (hooks, close) = closes();
    let service = service_fn(|request: Request<crate::RequestBody<MockBody>>| {
        request.extensions().get::<ExchangeHandle>().unwrap().mark("parked");
        std::future::pending::<Result<Response<MockBody>, BoxError>>()
    });
    let layer = LifecycleLayer::new(hooks).with_handle();
    drop(layer.layer(service).call(Request::new(MockBody::empty())));
    close.lock().unwrap().take().expect("closed")
}

#[test]
fn streams_are_told_apart_unless_together() {
    let is_stream = |conventions: &Conventions, summary: &Summary, kind: &'static str| {
        let mut seen = Seen::default();
        let kind = HeaderValue::from_static(kind);
        seen.response(&HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]));
        conventions.outcome(summary, seen).is_stream
    };
    let complete = summary(Role::Server, Reason::Complete, 200);
    let upgraded = summary(Role::Server, Reason::Upgraded, 101);
    let parked = parked();
    let [apart, named, together] = [
        Conventions::new(),
        Conventions::new().streams_if(|summary| summary.response.bytes == 0),
        Conventions::new().streams(StreamPolicy::Together).streams_if(|_| true),
    ];
    for (summary, kind, expected) in [
        (&complete, "text/html", false),
        (&complete, "text/event-streams", false),
        (&complete, "Text/Event-Stream ; charset=utf-8", true),
        (&complete, "multipart/x-mixed-replace;boundary=x", true),
        (&upgraded, "text/html", true),
        (&parked, "text/html", true),
    ] {
        assert_eq!(is_stream(&apart, summary, kind), expected, "{kind}");
        assert!(is_stream(&named, summary, kind));
        assert!(!is_stream(&together, summary, kind));
    }
}

#[test]
fn a_span_is_named_by_method_and_target() {
    let shared = Text::from("PROPFIND".to_owned());
    assert_eq!(span_name(&"GET".into(), Some("/users/{id}")), "GET /users/{id}");
    assert_eq!(span_name(&"_OTHER".into(), Some("/users/{id}")), "HTTP /users/{id}");
    assert_eq!(span_name(&"_OTHER".into(), None), "HTTP");
    assert_eq!(span_name(&shared, None), "PROPFIND");
    assert!(matches!(span_name(&"GET".into(), None), std::borrow::Cow::Borrowed("GET")));
}
