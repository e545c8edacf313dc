//! Where hyper does not see its client leave, what the watch sees there, and on what it rests.

// The watch is Linux's.
#![cfg(all(feature = "axum", feature = "hyper", any(target_os = "linux", target_os = "android")))]

#[path = "../support/mod.rs"]
mod support;

mod handle;
mod late;
mod matrix;
mod priority;
mod rig;
mod situations;
mod sockets;
