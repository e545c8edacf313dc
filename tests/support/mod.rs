//! What the tests share. Each test file is a crate of its own and uses a part of it.
#![allow(dead_code, unreachable_pub, reason = "no test uses all of it")]

pub mod choices;
pub mod client;
pub mod panics;
pub mod polls;
pub mod rows;
#[cfg(all(feature = "axum", feature = "hyper"))]
pub mod seams;
pub mod server;
pub mod spy;

use tower_lifecycle::{LifecycleLayer, Observer};

/// Lets the layer read what errors of hyper it can: with the feature `hyper` those of HTTP/2 streams too.
pub fn reads_hyper<O: Observer>(layer: LifecycleLayer<O>) -> LifecycleLayer<O> {
    #[cfg(feature = "hyper")]
    let layer = layer.hyper_errors();
    layer.known_error::<hyper::Error>()
}
