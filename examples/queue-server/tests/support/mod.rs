//! What the tests of the program share. Each test is a crate of its own and uses a part of it.
#![allow(dead_code, unreachable_pub, reason = "no test uses all of it")]

pub mod client;
pub mod redis;
pub mod server;

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Waits until `condition` holds; it is asked again and again, and not for ever.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !condition().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let held = timeout(Duration::from_secs(20), asked).await;
    assert!(held.is_ok(), "in vain waited for: {what}");
}
