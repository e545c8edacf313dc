//! An observer that runs one closure in every hook, told which hook it is: to log, to panic, to block, to drop things.

use std::{fmt, sync::Arc};

use tower_lifecycle::{
    Data, End, Failure, Finish, Interest, Listener, Observer, RequestClose, RequestHead,
    ResponseHead, Summary,
};

/// Every hook by the name it has in an `ObserverPanic`, and the state's drop, in the order of an ordinary exchange.
pub const HOOKS: [&str; 12] = [
    "begin",
    "on_request_data",
    "on_request_end",
    "on_request_error",
    "on_request_close",
    "on_response",
    "on_response_data",
    "on_response_end",
    "on_response_error",
    "on_finish",
    "on_close",
    "drop",
];

type Act = Arc<dyn Fn(&'static str) + Send + Sync>;

#[derive(Clone)]
pub struct Spy {
    act: Act,
    interest: Interest,
}

/// The spy's state for one exchange.
pub struct Watch(Act);

impl Spy {
    pub fn new(act: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        Self { act: Arc::new(act), interest: Interest::ALL }
    }

    pub fn interest(mut self, interest: Interest) -> Self {
        self.interest = interest;
        self
    }
}

impl Observer for Spy {
    type State = Watch;

    fn interest(&self) -> Interest {
        self.interest
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Watch> {
        (self.act)("begin");
        Some(Watch(Arc::clone(&self.act)))
    }
}

impl Listener for Watch {
    fn on_request_data(&mut self, _: Data) {
        (self.0)("on_request_data");
    }
    fn on_request_end(&mut self, _: &End<'_>) {
        (self.0)("on_request_end");
    }
    fn on_request_error(&mut self, _: &Failure<'_>) {
        (self.0)("on_request_error");
    }
    fn on_request_close(&mut self, _: RequestClose) {
        (self.0)("on_request_close");
    }
    fn on_response(&mut self, _: &ResponseHead<'_>) {
        (self.0)("on_response");
    }
    fn on_response_data(&mut self, _: Data) {
        (self.0)("on_response_data");
    }
    fn on_response_end(&mut self, _: &End<'_>) {
        (self.0)("on_response_end");
    }
    fn on_response_error(&mut self, _: &Failure<'_>) {
        (self.0)("on_response_error");
    }
    fn on_finish(&mut self, _: Finish) {
        (self.0)("on_finish");
    }
    fn on_close(&mut self, _: &Summary) {
        (self.0)("on_close");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        (self.0)("drop");
    }
}

impl fmt::Debug for Spy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spy").field("interest", &self.interest).finish_non_exhaustive()
    }
}
