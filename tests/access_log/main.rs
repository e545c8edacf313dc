//! The access log: what its lines tell, that no peer can forge one, and that nobody waits for them to be written.
//!
//! A tenth of `PROPTEST_CASES` are the cases of hostile input, 2,000 unless told.
#![cfg(feature = "access-log")]

#[path = "../support/mod.rs"]
mod support;

mod allocations;
mod hostile;
mod lines;
mod rig;
#[cfg(all(feature = "axum", feature = "hyper"))]
mod wire;
mod writer;
