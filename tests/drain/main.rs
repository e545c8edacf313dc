//! Stopping a server: what is refused, what is cancelled, what is cut, and who is named.
#![cfg(all(feature = "inflight", feature = "testing"))]

#[cfg(all(feature = "axum", feature = "hyper", feature = "park"))]
mod cut;
#[cfg(all(feature = "axum", feature = "hyper", feature = "park"))]
mod everything;
mod layer;
mod report;
mod rig;
#[cfg(all(feature = "axum", feature = "hyper", feature = "park"))]
mod servers;
#[cfg(all(feature = "axum", feature = "hyper", feature = "park"))]
mod site;
mod timing;
