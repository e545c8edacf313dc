//! The only place that calls an observer's code, and what keeps a panic of it, or of an error's, from going further.

use std::{
    any::{Any, type_name},
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::scope::{Scope, Scoped};
use crate::{
    Data, Disconnect, End, ExchangeView, Failure, Finish, Interest, Listener, Observer,
    RequestClose, RequestHead, ResponseHead, Summary,
};

/// A panic of an observer that was caught.
#[non_exhaustive]
pub struct ObserverPanic<'a> {
    /// The type that panicked: the observer's for `begin` and `interest`, a callback's own, else that of the observer's state.
    pub observer: &'static str,
    /// The hook: `begin`, `on_close`, `on_connection_open`, …; `interest` of a tuple's member; `scope`, also of a scope that is
    /// entered or left; `drop` of the state; `callback` for what
    /// [`ExchangeHandle::on_close`](crate::ExchangeHandle::on_close) was given.
    pub hook: &'static str,
    /// What it panicked with, usually a `&str` or a `String`.
    pub payload: &'a (dyn Any + Send),
}

type OnPanic = Box<dyn Fn(&ObserverPanic<'_>) + Send + Sync>;

/// Counts the panics of a layer's observers and passes them on.
#[derive(Clone, Default)]
pub(crate) struct Panics(Arc<Sink>);

#[derive(Default)]
struct Sink {
    caught: AtomicU64,
    on_panic: Option<OnPanic>,
}

/// An observer's state for one exchange, silenced by its first panic.
pub struct Guarded<S> {
    state: Option<S>,
    interest: Interest,
    panics: Panics,
}

// ===== impl Panics =====

impl Panics {
    pub(crate) fn with(on_panic: impl Fn(&ObserverPanic<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Sink { caught: AtomicU64::new(0), on_panic: Some(Box::new(on_panic)) }))
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.caught.load(Ordering::Relaxed)
    }

    /// Runs `user`, also while the thread unwinds already: a panic that does not leave a destructor does not abort.
    #[inline]
    fn catch<T>(
        &self,
        observer: fn() -> &'static str,
        hook: &'static str,
        user: impl FnOnce() -> T,
    ) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(user)) {
            Ok(value) => Some(value),
            Err(payload) => {
                self.caught(observer(), hook, payload);
                None
            }
        }
    }

    /// Runs a hook of a connection.
    #[cfg(feature = "conn")]
    pub(crate) fn catch_connection<O>(&self, hook: &'static str, user: impl FnOnce()) {
        let _ = self.catch(type_name::<O>, hook, user);
    }

    /// Enters a scope, or leaves it. Whether that went well.
    pub(super) fn catch_scope(&self, observer: fn() -> &'static str, user: impl FnOnce()) -> bool {
        self.catch(observer, "scope", user).is_some()
    }

    /// Runs a function that a handle was given.
    pub(crate) fn catch_callback(&self, name: &'static str, user: impl FnOnce()) {
        let _ = catch_unwind(AssertUnwindSafe(user))
            .map_err(|payload| self.caught(name, "callback", payload));
    }

    #[cold]
    fn caught(&self, observer: &'static str, hook: &'static str, payload: Box<dyn Any + Send>) {
        self.0.caught.fetch_add(1, Ordering::Relaxed);
        let report = AssertUnwindSafe(|| {
            if let Some(on_panic) = &self.0.on_panic {
                on_panic(&ObserverPanic { observer, hook, payload: &*payload });
            }
        });
        // Even the function that hears of panics may panic.
        for thrown in [catch_unwind(report).err(), Some(payload)].into_iter().flatten() {
            discard(thrown);
        }
    }
}

/// Runs a user's code that is no hook, and goes on without its answer when it panics.
pub(crate) fn shield<T>(user: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(user)).map_err(discard).ok()
}

/// What was thrown may panic when it is dropped; what that throws is not dropped.
fn discard(thrown: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(thrown))) {
        mem::forget(again);
    }
}

// ===== impl Guarded =====

impl<S: Listener> Guarded<S> {
    /// Asks `observer` for its state; `None` also when it panics.
    #[inline]
    pub(crate) fn begin<O>(observer: &O, interest: Interest, head: &RequestHead<'_>) -> Option<Self>
    where
        O: Observer<State = S>,
    {
        let state = head.panics.catch(type_name::<O>, "begin", || observer.begin(head))??;
        Some(Self { state: Some(state), interest, panics: head.panics.clone() })
    }

    /// The same for a member of a tuple, which is asked for its interest too: a panic of that must not reach the others.
    #[inline]
    pub(crate) fn asked<O>(observer: &O, head: &RequestHead<'_>) -> Option<Self>
    where
        O: Observer<State = S>,
    {
        match head.panics.catch(type_name::<O>, "interest", || observer.interest())? {
            Interest::NONE => None,
            interest => Self::begin(observer, interest, head),
        }
    }

    /// What surrounds the exchange.
    #[inline]
    pub(crate) fn scoped(&mut self) -> Option<Arc<Scoped>> {
        let scope = self.scope()?;
        Some(Arc::new(Scoped::new(scope, self.panics.clone(), type_name::<S>)))
    }

    /// Hears nothing.
    pub(crate) fn silent(panics: &Panics) -> Self {
        Self { state: None, interest: Interest::NONE, panics: panics.clone() }
    }

    #[inline]
    fn call(&mut self, wanted: Interest, hook: &'static str, user: impl FnOnce(&mut S)) {
        if !self.interest.contains(wanted) {
            return;
        }
        if let Some(state) = &mut self.state {
            if self.panics.catch(type_name::<S>, hook, || user(state)).is_none() {
                self.silence();
            }
        }
    }

    #[inline]
    fn silence(&mut self) {
        if let Some(state) = self.state.take() {
            self.panics.catch(type_name::<S>, "drop", || drop(state));
        }
    }
}

impl<S: Listener> Listener for Guarded<S> {
    #[inline]
    fn scope(&mut self) -> Option<Arc<dyn Scope>> {
        let mut scope = None;
        self.call(Interest::SCOPE, "scope", |state| scope = state.scope());
        scope
    }

    fn opened(&mut self, view: &ExchangeView) {
        self.call(Interest::VIEW, "opened", |state| state.opened(view));
    }

    fn on_disconnect(&mut self, disconnect: Disconnect) {
        self.call(Interest::DISCONNECT, "on_disconnect", |state| state.on_disconnect(disconnect));
    }

    #[inline]
    fn on_request_data(&mut self, data: Data) {
        self.call(Interest::REQUEST_DATA, "on_request_data", |state| state.on_request_data(data));
    }

    fn on_request_end(&mut self, end: &End<'_>) {
        self.call(Interest::REQUEST_END, "on_request_end", |state| state.on_request_end(end));
    }

    fn on_request_error(&mut self, failure: &Failure<'_>) {
        self.call(Interest::REQUEST_ERROR, "on_request_error", |state| {
            state.on_request_error(failure);
        });
    }

    fn on_request_close(&mut self, close: RequestClose) {
        self.call(Interest::REQUEST_CLOSE, "on_request_close", |state| {
            state.on_request_close(close);
        });
    }

    fn on_response(&mut self, head: &ResponseHead<'_>) {
        self.call(Interest::RESPONSE, "on_response", |state| state.on_response(head));
    }

    #[inline]
    fn on_response_data(&mut self, data: Data) {
        self.call(Interest::RESPONSE_DATA, "on_response_data", |state| {
            state.on_response_data(data);
        });
    }

    fn on_response_end(&mut self, end: &End<'_>) {
        self.call(Interest::RESPONSE_END, "on_response_end", |state| state.on_response_end(end));
    }

    fn on_response_error(&mut self, failure: &Failure<'_>) {
        self.call(Interest::RESPONSE_ERROR, "on_response_error", |state| {
            state.on_response_error(failure);
        });
    }

    fn on_finish(&mut self, finish: Finish) {
        self.call(Interest::FINISH, "on_finish", |state| state.on_finish(finish));
    }

    /// Drops the state too, so that whoever still holds the exchange holds nothing of the observer's.
    fn on_close(&mut self, summary: &Summary) {
        self.call(Interest::CLOSE, "on_close", |state| state.on_close(summary));
        self.silence();
    }
}

// ===== impl Debug =====

impl fmt::Debug for ObserverPanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self
            .payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| self.payload.downcast_ref::<String>().map(String::as_str));
        f.debug_struct("ObserverPanic")
            .field("observer", &self.observer)
            .field("hook", &self.hook)
            .field("message", &message)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panics").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("silenced", &self.state.is_none())
            .field("interest", &self.interest)
            .finish_non_exhaustive()
    }
}
