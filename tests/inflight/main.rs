//! What is open, and what has closed: the registry.
#![cfg(all(feature = "inflight", feature = "testing"))]

#[path = "../support/mod.rs"]
mod support;

mod alarms;
mod basics;
mod bounds;
mod changes;
mod churn;
mod filter;
mod idle;
mod memory;
mod model;
mod rig;
#[cfg(all(feature = "axum", feature = "hyper", feature = "park"))]
mod states;
