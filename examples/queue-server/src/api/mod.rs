//! The endpoints: what comes in is checked here, what goes out is written here.

mod answer;
mod body;
mod events;
mod params;
mod register;
mod send;
mod status;

use axum::{
    Router,
    http::{
        HeaderValue,
        header::{ALLOW, CACHE_CONTROL},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};

pub use self::body::Bodies;
use crate::{error::ApiError, server::App, web};

/// All of them.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/api/v1/register", post(register::register))
        // A poll has effects: by HEAD, whose answer nobody reads, it is none.
        .route("/api/v1/events", get(events::poll).head(no_head).delete(events::remove))
        .route("/api/v1/send", post(send::send))
        .route("/healthz", get(status::healthz))
        .route("/metrics", get(status::metrics))
        .merge(web::router())
        .fallback(async || ApiError::NoSuchPath)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .with_state(app)
}

async fn no_head() -> impl IntoResponse {
    ([(ALLOW, "GET,DELETE")], ApiError::MethodNotAllowed)
}

/// Says that an answer is for one client and one moment.
fn no_store(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
