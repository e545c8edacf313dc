//! Lots that are emptied while a drain waits.

#[cfg(feature = "park")]
pub(super) use self::parked::{Empties, Emptying, Lots};

#[cfg(feature = "park")]
mod parked {
    use std::{
        future::Future,
        hash::Hash,
        pin::Pin,
        sync::Arc,
        task::{Context, Poll},
        time::Duration,
    };

    use crate::park::{Drained, Lot};

    /// Begins to empty a lot, within a time.
    pub(in super::super) type Empties = Arc<dyn Fn(Duration) -> Emptying + Send + Sync>;

    /// Each is being emptied, or was.
    pub(in super::super) struct Lots(Vec<Emptying>);

    pub(in super::super) struct Emptying {
        drain: Option<Pin<Box<dyn Future<Output = Drained> + Send>>>,
        drained: Drained,
        parked: Box<dyn Fn() -> usize + Send>,
    }

    impl Emptying {
        pub(in super::super) fn begin<K, O>(
            lot: &Lot<K, O>,
            window: Duration,
            time: Duration,
        ) -> Self
        where
            K: Hash + Eq + Clone + Send + Sync + 'static,
            O: Hash + Eq + Clone + Send + Sync + 'static,
        {
            let window = window.min(time);
            let drain = lot.drain(window, time.saturating_sub(window));
            let lot = lot.clone();
            Self {
                drain: Some(Box::pin(drain)),
                drained: Drained::default(),
                parked: Box::new(move || lot.parked()),
            }
        }
    }

    impl Lots {
        pub(in super::super) fn begin(lots: &[Empties], time: Duration) -> Self {
            Self(lots.iter().map(|empty| empty(time)).collect())
        }

        pub(in super::super) fn poll(&mut self, task: &mut Context<'_>) -> Poll<()> {
            let mut all = Poll::Ready(());
            for Emptying { drain, drained, .. } in &mut self.0 {
                let Some(emptying) = drain else { continue };
                match emptying.as_mut().poll(task) {
                    Poll::Ready(done) => (*drain, *drained) = (None, done),
                    Poll::Pending => all = Poll::Pending,
                }
            }
            all
        }

        /// What has become of each by now.
        pub(in super::super) fn drained(&self) -> Vec<Drained> {
            let mut lots: Vec<_> = self.0.iter().map(|lot| lot.drained.clone()).collect();
            for (drained, lot) in lots.iter_mut().zip(&self.0) {
                // What was parked at the end of its patience has been cancelled since.
                drained.parked = (lot.parked)();
                drained.open.retain(|exchange| exchange.close_reason().is_none());
            }
            lots
        }
    }
}

#[cfg(not(feature = "park"))]
pub(super) struct Lots;

#[cfg(not(feature = "park"))]
impl Lots {
    #[expect(clippy::unused_self, reason = "there are none")]
    pub(super) fn poll(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        std::task::Poll::Ready(())
    }
}
