//! Exchanges without a socket.

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_lifecycle::{
    LifecycleLayer, Observer,
    testing::{BoxError, MockBody},
};

/// One request to a service that answers this, and whose body is read to its end.
pub(crate) async fn exchange<O: Observer>(
    layer: &LifecycleLayer<O>,
    request: Request<MockBody>,
    answer: Result<Response<MockBody>, BoxError>,
) {
    let service = layer.layer(service_fn(|_: Request<_>| std::future::ready(answer_of(&answer))));
    if let Ok(response) = service.oneshot(request).await {
        // It may fail.
        let _ = response.into_body().collect().await;
    }
}

fn answer_of(
    answer: &Result<Response<MockBody>, BoxError>,
) -> Result<Response<MockBody>, BoxError> {
    match answer {
        Ok(response) => Ok(response.clone()),
        Err(error) => Err(error.to_string().into()),
    }
}

pub(crate) fn get(uri: &str) -> Request<MockBody> {
    Request::get(uri).body(MockBody::empty()).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a service answers")]
pub(crate) fn ok(body: MockBody) -> Result<Response<MockBody>, BoxError> {
    Ok(Response::new(body))
}
