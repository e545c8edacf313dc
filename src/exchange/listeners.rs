//! Who listens to one exchange: the layer that made it, and those further in that joined it.

use crate::{
    Data, Disconnect, End, ExchangeView, Failure, Finish, Listener, RequestClose, ResponseHead,
    Summary,
};

/// In the order of the layers, from the outermost in; for response, finish and close in reverse.
pub(super) struct Listeners<L> {
    own: L,
    #[expect(clippy::box_collection, reason = "hardly ever there, and small when not")]
    joined: Option<Box<Vec<Joined>>>,
}

struct Joined {
    listener: Box<dyn Listener>,
    /// It came when there was a response: of that it hears the close alone.
    late: bool,
}

impl<L> Listeners<L> {
    #[inline]
    pub(super) fn new(own: L) -> Self {
        Self { own, joined: None }
    }

    pub(super) fn join(&mut self, listener: Box<dyn Listener>, late: bool) {
        self.joined.get_or_insert_default().push(Joined { listener, late });
    }

    #[cold]
    fn inwards(&mut self, hook: impl Fn(&mut dyn Listener)) {
        for joined in self.joined.iter_mut().flat_map(|joined| joined.iter_mut()) {
            hook(&mut *joined.listener);
        }
    }

    #[cold]
    fn outwards(&mut self, hook: impl Fn(&mut dyn Listener)) {
        let joined = self.joined.iter_mut().flat_map(|joined| joined.iter_mut());
        for joined in joined.rev().filter(|joined| !joined.late) {
            hook(&mut *joined.listener);
        }
    }
}

macro_rules! inwards {
    ($($hook:ident: $argument:ty;)+) => {$(
        #[inline]
        fn $hook(&mut self, argument: $argument) {
            self.own.$hook(argument);
            if self.joined.is_some() {
                self.inwards(|joined| joined.$hook(argument));
            }
        }
    )+};
}

macro_rules! outwards {
    ($($hook:ident: $argument:ty;)+) => {$(
        #[inline]
        fn $hook(&mut self, argument: $argument) {
            if self.joined.is_some() {
                self.outwards(|joined| joined.$hook(argument));
            }
            self.own.$hook(argument);
        }
    )+};
}

impl<L: Listener> Listener for Listeners<L> {
    /// Of the layer that made the exchange, which is alone so far.
    fn opened(&mut self, view: &ExchangeView) {
        self.own.opened(view);
    }

    inwards! {
        on_disconnect: Disconnect;
        on_request_data: Data;
        on_request_end: &End<'_>;
        on_request_error: &Failure<'_>;
        on_request_close: RequestClose;
    }

    outwards! {
        on_response: &ResponseHead<'_>;
        on_response_data: Data;
        on_response_end: &End<'_>;
        on_response_error: &Failure<'_>;
        on_finish: Finish;
    }

    fn on_close(&mut self, summary: &Summary) {
        for joined in self.joined.iter_mut().flat_map(|joined| joined.iter_mut()).rev() {
            joined.listener.on_close(summary);
        }
        self.own.on_close(summary);
    }
}
