//! Observers made of observers.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use super::{
    Guarded,
    scope::{Scope, nest},
};
use crate::{
    Connection, ConnectionSummary, Data, Disconnect, End, ExchangeView, Failure, Finish, Interest,
    Listener, Observer, RequestClose, RequestHead, ResponseHead, Summary, UpgradeSummary,
};

/// Observes nothing: the identity of composition.
impl Observer for () {
    type State = ();

    fn interest(&self) -> Interest {
        Interest::NONE
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<()> {
        None
    }
}

impl Listener for () {}

/// `None` observes nothing.
impl<O: Observer> Observer for Option<O> {
    type State = O::State;

    fn interest(&self) -> Interest {
        self.as_ref().map_or(Interest::NONE, Observer::interest)
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<O::State> {
        self.as_ref()?.begin(head)
    }

    fn on_connection_open(&self, connection: &Connection) {
        if let Some(observer) = self {
            observer.on_connection_open(connection);
        }
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        if let Some(observer) = self {
            observer.on_connection_close(summary);
        }
    }

    fn on_upgrade_close(&self, summary: &UpgradeSummary) {
        if let Some(observer) = self {
            observer.on_upgrade_close(summary);
        }
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    type State = O::State;

    fn interest(&self) -> Interest {
        (**self).interest()
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<O::State> {
        (**self).begin(head)
    }

    fn on_connection_open(&self, connection: &Connection) {
        (**self).on_connection_open(connection);
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        (**self).on_connection_close(summary);
    }

    fn on_upgrade_close(&self, summary: &UpgradeSummary) {
        (**self).on_upgrade_close(summary);
    }
}

impl<O: Observer + ?Sized> Observer for Box<O> {
    type State = O::State;

    fn interest(&self) -> Interest {
        (**self).interest()
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<O::State> {
        (**self).begin(head)
    }

    fn on_connection_open(&self, connection: &Connection) {
        (**self).on_connection_open(connection);
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        (**self).on_connection_close(summary);
    }

    fn on_upgrade_close(&self, summary: &UpgradeSummary) {
        (**self).on_upgrade_close(summary);
    }
}

/// An observer whose type is not known: chosen at run time, or to give a layer a short type.
///
/// Each exchange costs one allocation more than with the observer itself.
///
/// ```
/// use tower_lifecycle::{BoxObserver, Hooks, LifecycleLayer};
///
/// let quiet = std::env::var_os("QUIET").is_some();
/// let observer = if quiet {
///     BoxObserver::new(())
/// } else {
///     BoxObserver::new(Hooks::new().on_close(|summary| println!("{}", summary.close)))
/// };
/// let layer: LifecycleLayer<BoxObserver> = LifecycleLayer::new(observer);
/// ```
pub struct BoxObserver(Box<dyn Observer<State = Box<dyn Listener>>>);

/// Boxes the state of an observer.
struct Erased<O>(O);

impl BoxObserver {
    /// Boxes `observer`.
    pub fn new(observer: impl Observer) -> Self {
        Self(Box::new(Erased(observer)))
    }
}

impl Observer for BoxObserver {
    type State = Box<dyn Listener>;

    fn interest(&self) -> Interest {
        self.0.interest()
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Self::State> {
        self.0.begin(head)
    }

    fn on_connection_open(&self, connection: &Connection) {
        self.0.on_connection_open(connection);
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        self.0.on_connection_close(summary);
    }

    fn on_upgrade_close(&self, summary: &UpgradeSummary) {
        self.0.on_upgrade_close(summary);
    }
}

impl fmt::Debug for BoxObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxObserver").field("interest", &self.interest()).finish_non_exhaustive()
    }
}

impl<O: Observer> Observer for Erased<O> {
    type State = Box<dyn Listener>;

    fn interest(&self) -> Interest {
        self.0.interest()
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Self::State> {
        Some(Box::new(self.0.begin(head)?))
    }

    fn on_connection_open(&self, connection: &Connection) {
        self.0.on_connection_open(connection);
    }

    fn on_connection_close(&self, summary: &ConnectionSummary) {
        self.0.on_connection_close(summary);
    }

    fn on_upgrade_close(&self, summary: &UpgradeSummary) {
        self.0.on_upgrade_close(summary);
    }
}

/// Implements every hook by the same hook of an `Option<&mut impl Listener>`.
macro_rules! forward {
    ($self:ident => $to:expr) => {
        #[inline]
        fn scope(&mut $self) -> Option<::std::sync::Arc<dyn $crate::observe::Scope>> {
            $to?.scope()
        }
        fn opened(&mut $self, view: &$crate::ExchangeView) {
            if let Some(to) = $to { to.opened(view); }
        }
        fn on_disconnect(&mut $self, disconnect: Disconnect) {
            if let Some(to) = $to { to.on_disconnect(disconnect); }
        }
        #[inline]
        fn on_request_data(&mut $self, data: Data) {
            if let Some(to) = $to { to.on_request_data(data); }
        }
        fn on_request_end(&mut $self, end: &End<'_>) {
            if let Some(to) = $to { to.on_request_end(end); }
        }
        fn on_request_error(&mut $self, failure: &Failure<'_>) {
            if let Some(to) = $to { to.on_request_error(failure); }
        }
        fn on_request_close(&mut $self, close: RequestClose) {
            if let Some(to) = $to { to.on_request_close(close); }
        }
        fn on_response(&mut $self, head: &ResponseHead<'_>) {
            if let Some(to) = $to { to.on_response(head); }
        }
        #[inline]
        fn on_response_data(&mut $self, data: Data) {
            if let Some(to) = $to { to.on_response_data(data); }
        }
        fn on_response_end(&mut $self, end: &End<'_>) {
            if let Some(to) = $to { to.on_response_end(end); }
        }
        fn on_response_error(&mut $self, failure: &Failure<'_>) {
            if let Some(to) = $to { to.on_response_error(failure); }
        }
        fn on_finish(&mut $self, finish: Finish) {
            if let Some(to) = $to { to.on_finish(finish); }
        }
        fn on_close(&mut $self, summary: &Summary) {
            if let Some(to) = $to { to.on_close(summary); }
        }
    };
}

pub(super) use forward;

impl<L: Listener + ?Sized> Listener for Box<L> {
    forward!(self => Some(&mut **self));
}

impl<L: Listener> Listener for Option<L> {
    forward!(self => self.as_mut());
}

/// What the first panicking member of a tuple threw: it goes on once all were called.
#[derive(Default)]
struct Panicked(Option<Box<dyn Any + Send>>);

impl Panicked {
    fn of(&mut self, member: impl FnOnce()) {
        if let Err(thrown) = catch_unwind(AssertUnwindSafe(member)) {
            self.0.get_or_insert(thrown);
        }
    }
}

impl Drop for Panicked {
    fn drop(&mut self) {
        if let Some(thrown) = self.0.take() {
            resume_unwind(thrown);
        }
    }
}

/// Members are guarded one by one, so that the panic of one silences no other.
macro_rules! tuples {
    ($($O:ident $n:tt),+ ; $($reverse:tt),+) => {
        impl<$($O: Observer),+> Observer for ($($O,)+) {
            type State = ($(Option<Guarded<$O::State>>,)+);

            fn interest(&self) -> Interest {
                Interest::NONE $(| self.$n.interest())+
            }

            fn begin(&self, head: &RequestHead<'_>) -> Option<Self::State> {
                let state = ($(
                    Guarded::asked(&self.$n, head),
                )+);
                let observed = false $(|| state.$n.is_some())+;
                observed.then_some(state)
            }

            fn on_connection_open(&self, connection: &Connection) {
                let mut panics = Panicked::default();
                $(panics.of(|| self.$n.on_connection_open(connection));)+
            }

            fn on_connection_close(&self, summary: &ConnectionSummary) {
                let mut panics = Panicked::default();
                $(panics.of(|| self.$reverse.on_connection_close(summary));)+
            }

            fn on_upgrade_close(&self, summary: &UpgradeSummary) {
                let mut panics = Panicked::default();
                $(panics.of(|| self.$reverse.on_upgrade_close(summary));)+
            }
        }

        impl<$($O: Listener),+> Listener for ($(Option<Guarded<$O>>,)+) {
            #[inline]
            fn scope(&mut self) -> Option<Arc<dyn Scope>> {
                let scope = None;
                $(let scope = nest(scope, self.$n.scope());)+
                scope
            }
            fn opened(&mut self, view: &ExchangeView) {
                $(self.$n.opened(view);)+
            }
            fn on_disconnect(&mut self, disconnect: Disconnect) {
                $(self.$n.on_disconnect(disconnect);)+
            }
            #[inline]
            fn on_request_data(&mut self, data: Data) {
                $(self.$n.on_request_data(data);)+
            }
            fn on_request_end(&mut self, end: &End<'_>) {
                $(self.$n.on_request_end(end);)+
            }
            fn on_request_error(&mut self, failure: &Failure<'_>) {
                $(self.$n.on_request_error(failure);)+
            }
            fn on_request_close(&mut self, close: RequestClose) {
                $(self.$n.on_request_close(close);)+
            }
            fn on_response(&mut self, head: &ResponseHead<'_>) {
                $(self.$reverse.on_response(head);)+
            }
            #[inline]
            fn on_response_data(&mut self, data: Data) {
                $(self.$reverse.on_response_data(data);)+
            }
            fn on_response_end(&mut self, end: &End<'_>) {
                $(self.$reverse.on_response_end(end);)+
            }
            fn on_response_error(&mut self, failure: &Failure<'_>) {
                $(self.$reverse.on_response_error(failure);)+
            }
            fn on_finish(&mut self, finish: Finish) {
                $(self.$reverse.on_finish(finish);)+
            }
            fn on_close(&mut self, summary: &Summary) {
                $(self.$reverse.on_close(summary);)+
            }
        }
    };
}

tuples!(A 0; 0);
tuples!(A 0, B 1; 1, 0);
tuples!(A 0, B 1, C 2; 2, 1, 0);
tuples!(A 0, B 1, C 2, D 3; 3, 2, 1, 0);
tuples!(A 0, B 1, C 2, D 3, E 4; 4, 3, 2, 1, 0);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5; 5, 4, 3, 2, 1, 0);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6; 6, 5, 4, 3, 2, 1, 0);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7; 7, 6, 5, 4, 3, 2, 1, 0);
