//! When a response is in the operating system's hands, and how that is known, over real sockets.
#![cfg(all(feature = "axum", feature = "hyper"))]

#[path = "../support/mod.rs"]
mod support;

mod departures;
mod http1;
mod http2;
mod inner;
mod starved;
