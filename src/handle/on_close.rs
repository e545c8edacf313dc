//! A callback that waits for the close, and is taken back by dropping what registered it.

use std::{any::type_name, error::Error, fmt, sync::Arc};

use crate::{
    Close,
    exchange::{Callback, Live, Registered},
};

/// A callback that waits for the close: [`ExchangeHandle::on_close`](crate::ExchangeHandle::on_close).
///
/// Dropping it takes the callback back, unless it has been called or is being called by another thread.
#[derive(Debug)]
#[must_use = "dropping it takes the callback back; `keep` leaves it"]
pub struct OnClose(Option<Waiting>);

struct Waiting {
    live: Arc<Live>,
    key: u64,
}

/// As many callbacks wait for the close of an exchange as can: 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyCallbacks;

impl OnClose {
    pub(super) fn register<F>(live: &Arc<Live>, callback: F) -> Result<Self, TooManyCallbacks>
    where
        F: FnOnce(Close) + Send + 'static,
    {
        let callback = Callback { name: type_name::<F>(), run: Box::new(callback) };
        match live.register(callback) {
            Registered::Waiting(key) => Ok(Self(Some(Waiting { live: Arc::clone(live), key }))),
            Registered::Called => Ok(Self(None)),
            Registered::Refused => Err(TooManyCallbacks),
        }
    }

    /// Leaves the callback to wait for the close.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for OnClose {
    fn drop(&mut self) {
        if let Some(Waiting { live, key }) = &self.0 {
            live.deregister(*key);
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl fmt::Display for TooManyCallbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = Live::MAX_CALLBACKS;
        write!(f, "{max} callbacks wait for the close of this exchange; await `closed()` instead")
    }
}

impl Error for TooManyCallbacks {}
