//! The client in the browser: one page, its style and its scripts, served by the program itself.

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};

use crate::server::App;

/// Nothing from elsewhere, nothing inline, and no text that becomes markup: an event is what a stranger wrote.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/", get(async || file(HTML, include_str!("page.html"))))
        .route("/page.css", get(async || file(STYLE, include_str!("page.css"))))
        .route("/page.js", get(async || file(SCRIPT, include_str!("page.js"))))
        .route("/follow.js", get(async || file(SCRIPT, include_str!("follow.js"))))
}

/// `no-cache`: they are small, and fit together only if they are of the same build.
fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}
