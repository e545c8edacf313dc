//! The table of causes, each row by a real event on a real socket.
#![cfg(all(feature = "axum", feature = "hyper"))]

#[path = "../support/mod.rs"]
mod support;

mod fifty;
mod http1;
mod http2;
mod inner;
mod late;
