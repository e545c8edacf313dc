//! What a line costs in allocations.

use allocation_counter::measure;
use http::Uri;
use tower_lifecycle::{
    Interest, LifecycleLayer, Listener, Observer, RequestHead,
    access_log::{AccessLog, Format},
};

use crate::rig::get;

/// Asks for what the log asks for.
struct Nothing;
struct State;

impl Observer for Nothing {
    type State = State;

    fn interest(&self) -> Interest {
        Interest::CLOSE | Interest::MARKS
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<State> {
        Some(State)
    }
}

impl Listener for State {}

fn allocations<O: Observer>(observer: O) -> u64 {
    let layer = LifecycleLayer::new(observer);
    // As of a server, whose targets are shared with what was received, a copy of it is none.
    let uri = || Uri::from_static("/path?query=1");
    // A thread grows its buffer once.
    get(&layer, uri());
    measure(|| get(&layer, uri())).count_total
}

#[test]
fn an_ordinary_line_allocates_nothing() {
    let without = allocations(Nothing);
    for format in [Format::Text, Format::Json] {
        let log = AccessLog::new(format, |line| assert!(line.contains("/path")));
        assert_eq!(allocations(log), without, "{format:?}");
    }
}
