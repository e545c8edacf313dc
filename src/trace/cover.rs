//! The span of an exchange, which covers it until its close and not longer.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use tracing::Span;

use crate::observe::{Scope, shield};

/// Holds the span until the exchange is over. A task that holds the request's body beyond that holds this, and no span.
pub(super) struct Cover(Mutex<Option<Arc<Span>>>);

impl Cover {
    pub(super) fn new(span: Arc<Span>) -> Self {
        Self(Mutex::new(Some(span)))
    }

    /// No code of a subscriber runs under the lock.
    fn span(&self) -> Option<Arc<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on nobody enters it.
    pub(super) fn lift(&self) {
        let span = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(span);
    }
}

thread_local! {
    /// What this thread has entered and not left; `None` where there was no span any more, or it was inside already.
    static ENTERED: RefCell<Vec<Option<Arc<Span>>>> = const { RefCell::new(Vec::new()) };
}

fn is_inside(entered: &[Option<Arc<Span>>], span: &Arc<Span>) -> bool {
    let last = entered.iter().rev().flatten().next();
    last.is_some_and(|last| Arc::ptr_eq(last, span))
}

/// A span that is left is the one that was entered, whether or not it was lifted meanwhile. A thread whose locals are
/// gone enters none, because it could not leave it.
impl Scope for Cover {
    /// A handler that reads the request's body is inside already.
    fn enter(&self) {
        let _ = ENTERED.try_with(|entered| {
            let span = self.span().filter(|span| !is_inside(&entered.borrow(), span));
            if let Some(span) = &span {
                span.with_subscriber(|(id, subscriber)| subscriber.enter(id));
            }
            entered.borrow_mut().push(span);
        });
    }

    fn exit(&self) {
        let span = ENTERED.try_with(|entered| entered.borrow_mut().pop());
        if let Ok(Some(Some(span))) = span {
            span.with_subscriber(|(id, subscriber)| subscriber.exit(id));
        }
    }
}

/// Ends it now: `tracing-opentelemetry` ends a span where it was last exited, not where it is closed, which for a stream may be
/// long before.
pub(super) fn end(span: Arc<Span>) {
    shield(|| span.in_scope(|| {}));
    // A subscriber that has thrown may throw again, and two panics at once would abort.
    if thread::panicking() {
        shield(|| drop(span));
    }
}
