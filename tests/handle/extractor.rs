//! The handle as an extractor of axum.

use super::*;

use axum::{Router, body::Body, routing::get};
use http::StatusCode;
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_lifecycle::handle::MissingHandle;

async fn id(exchange: ExchangeHandle) -> String {
    exchange.id().to_string()
}

async fn maybe(exchange: Option<ExchangeHandle>) -> String {
    format!("{}", exchange.is_some())
}

fn router() -> Router {
    Router::new().route("/id", get(id)).route("/maybe", get(maybe))
}

async fn ask(router: Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn with_the_layer_it_is_extracted() {
    let recorder = Recorder::new();
    let (status, text) = ask(router().layer(observed(&recorder)), "/id").await;
    let id = recorder.only().summary().unwrap().id.unwrap();
    assert_eq!((status, text), (StatusCode::OK, id.to_string()));
    let (status, text) = ask(router().layer(unobserved()), "/maybe").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "true"));
}

#[tokio::test]
async fn without_the_layer_it_is_refused_with_a_500_that_names_it() {
    for router in [router(), router().layer(LifecycleLayer::new(Recorder::new()))] {
        let (status, text) = ask(router, "/id").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(text.contains("LifecycleLayer") && text.contains("with_handle"), "{text}");
    }
    assert_impl_all!(MissingHandle: std::error::Error, Send, Sync);
}

#[tokio::test]
async fn without_the_layer_an_option_of_it_is_none() {
    let (status, text) = ask(router(), "/maybe").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "false"));
}

#[tokio::test]
async fn a_layer_on_the_route_alone_is_enough() {
    let router =
        Router::new().route("/with", get(maybe).layer(unobserved())).route("/without", get(maybe));
    assert_eq!(ask(router.clone(), "/with").await.1, "true");
    assert_eq!(ask(router, "/without").await.1, "false");
}
