//! The layer.

use std::time::Duration;

use tower_layer::Layer;

use super::{Detach, Detached};

/// Layer that applies [`Detach`], which lets a handler outlive its client by a bounded time.
///
/// See the [module docs](super) for what moves, and for an example.
#[derive(Clone, Debug)]
pub struct DetachLayer {
    grace: Duration,
    detached: Detached,
}

impl DetachLayer {
    /// Lets a handler go on for at most `grace` after its response future was dropped; nothing is bounded before.
    ///
    /// With [`Duration::ZERO`] it is dropped without another poll, as without this layer; with [`Duration::MAX`] it runs
    /// to its end.
    pub fn new(grace: Duration) -> Self {
        Self { grace, detached: Detached::default() }
    }

    /// What runs in tasks of its own because of this layer, its clones and its services: for a program that shuts down.
    pub fn detached(&self) -> Detached {
        self.detached.clone()
    }
}

impl<S> Layer<S> for DetachLayer {
    type Service = Detach<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Detach::new(inner, self.grace, self.detached.clone())
    }
}
