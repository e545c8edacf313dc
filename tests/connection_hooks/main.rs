//! How connections end, and who hears of it: also those that never had an exchange.
#![cfg(all(feature = "axum", feature = "hyper"))]

#[path = "../support/mod.rs"]
mod support;

mod early;
mod ends;
mod hooks;
mod locks;
mod shutdown;
mod streams;
