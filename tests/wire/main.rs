//! Observing through a seam changes nothing: not what a client receives, not what hyper is told, not what a transport is
//! asked for; and ordinary traffic has no disconnects.

// What errors say, and when a socket is reset, is Linux's.
#![cfg(all(
    feature = "axum",
    feature = "hyper",
    feature = "inflight",
    any(target_os = "linux", target_os = "android")
))]

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod ends;
mod ordinary;
mod rows;
mod served;
mod tally;
mod tape;
