//! What the tests share.

#[path = "../../../examples/tls/src/certificate.rs"]
pub(crate) mod certificate;
pub(crate) mod facts;
pub(crate) mod memory;
#[allow(dead_code, reason = "others need more of it")]
#[path = "../../leaks_and_fuzz/seeded.rs"]
pub(crate) mod seeded;
pub(crate) mod show;
pub(crate) mod site;
pub(crate) mod stand;

use std::{future::Future, panic, sync::Once, time::Duration};

use tokio::time::{sleep, timeout};
use tower_lifecycle::testing::PANIC;

/// Nothing in a test takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what}: it takes too long"))
}

/// Looks until it is so: for what nobody is told of.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    within(what, async {
        while !is() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Panics that are meant are not printed.
pub(crate) fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&PANIC) {
                before(info);
            }
        }));
    });
}
