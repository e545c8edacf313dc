//! Observers made of observers.

use std::{fmt, sync::Arc};

use super::Guarded;
use crate::{
    Data, End, Failure, Finish, Interest, Listener, Observer, RequestClose, RequestHead,
    ResponseHead, Summary,
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
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    type State = O::State;

    fn interest(&self) -> Interest {
        (**self).interest()
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<O::State> {
        (**self).begin(head)
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
}

/// Implements every hook by the same hook of an `Option<&mut impl Listener>`.
macro_rules! forward {
    ($self:ident => $to:expr) => {
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
        }

        impl<$($O: Listener),+> Listener for ($(Option<Guarded<$O>>,)+) {
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
