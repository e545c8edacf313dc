//! Parked polls: in memory with tokio's paused clock, in several threads, and over the real hyper.
#![cfg(feature = "park")]

#[path = "../support/mod.rs"]
mod support;

mod body;
mod deadline;
mod drain;
mod herd;
mod limits;
mod model;
mod observed;
mod of;
mod outcomes;
#[cfg(all(feature = "axum", feature = "hyper"))]
mod real;
mod rig;
mod second;
mod sizes;
mod stress;
mod wake;
