//! The invariants for every sequence of facts, and the verdict of each ending.

use super::*;

const CUT: Cause =
    Cause { reason: Reason::Disconnected, initiator: Initiator::Peer, evidence: Evidence::Return };
const BROKEN: Cause = Cause {
    reason: Reason::ResponseFailed,
    initiator: Initiator::Local,
    evidence: Evidence::Return,
};

/// Over HTTP/2 nothing tells at first why a stream is gone.
const UNTOLD: View = View { sight: ALIVE, http2: true, outermost: true };
const ALIVE: Sight = Sight::NONE;
const GONE: Sight = Sight::EOF.and(Sight::DROPPED);

const FACTS: [Fact; 19] = [
    Fact::RequestData,
    Fact::RequestEnd,
    Fact::RequestError(CUT),
    Fact::RequestDropped { read: false, unwinding: false },
    Fact::RequestDropped { read: true, unwinding: true },
    Fact::Head,
    Fact::ServiceError,
    Fact::ResponseData,
    Fact::ResponseEnd(Evidence::Frame, Outlet::Released),
    Fact::ResponseEnd(Evidence::Frame, Outlet::Seen),
    Fact::Upgraded(Outlet::Seen),
    Fact::ResponseError(BROKEN),
    Fact::Dropping,
    Fact::Dropped { unwinding: false, view: None },
    Fact::Dropped { unwinding: false, view: Some(UNTOLD) },
    Fact::Dropped { unwinding: true, view: Some(UNTOLD) },
    Fact::PeerGone(CUT),
    Fact::Flushed,
    Fact::Settled(Some(GONE)),
];

/// Single hooks in the order in which a step calls them.
const HOOKS: [Calls; 11] = [
    Calls::DISCONNECT,
    Calls::REQUEST_DATA,
    Calls::REQUEST_END,
    Calls::REQUEST_ERROR,
    Calls::RESPONSE,
    Calls::RESPONSE_DATA,
    Calls::RESPONSE_END,
    Calls::RESPONSE_ERROR,
    Calls::FINISH,
    Calls::REQUEST_CLOSE,
    Calls::CLOSE,
];

fn run(role: Role, facts: &[Fact]) -> (Machine, Vec<Calls>) {
    let mut machine = Machine::new(role);
    let mut called = Vec::new();
    for fact in facts {
        let calls = machine.apply(*fact);
        called.extend(HOOKS.into_iter().filter(|hook| calls.contains(*hook)));
    }
    (machine, called)
}

fn check(role: Role, facts: &[Fact]) {
    let (machine, called) = run(role, facts);
    let places = |of: Calls| -> Vec<usize> {
        (0..called.len()).filter(|at| called[*at].intersects(of)).collect()
    };
    let before = |a: Calls, b: Calls| places(a).iter().all(|a| places(b).iter().all(|b| a < b));
    let once = |of| places(of).len() <= 1;
    let row = || format!("{role:?} {facts:?} -> {called:?}");

    let request_over = Calls::REQUEST_END | Calls::REQUEST_ERROR;
    let response_over = Calls::RESPONSE_END | Calls::RESPONSE_ERROR;
    for hook in [request_over, response_over, Calls::RESPONSE, Calls::FINISH] {
        assert!(once(hook), "{hook:?} twice: {}", row());
    }
    assert!(once(Calls::DISCONNECT), "{}", row());
    assert!(before(Calls::DISCONNECT, Calls::RESPONSE_END), "{}", row());
    assert!(once(Calls::REQUEST_CLOSE) && once(Calls::CLOSE), "{}", row());
    assert!(before(Calls::REQUEST_DATA, request_over | Calls::REQUEST_CLOSE), "{}", row());
    assert!(before(request_over, Calls::REQUEST_CLOSE), "{}", row());
    assert!(before(Calls::RESPONSE, Calls::RESPONSE_DATA | response_over), "{}", row());
    assert!(before(Calls::RESPONSE_DATA, response_over), "{}", row());
    assert!(before(Calls::RESPONSE_END, Calls::FINISH), "{}", row());
    assert!(before(Calls::ALL - Calls::CLOSE, Calls::CLOSE), "{}", row());
    if !places(Calls::RESPONSE_DATA | Calls::RESPONSE_END).is_empty() {
        assert!(!places(Calls::RESPONSE).is_empty(), "{}", row());
    }

    let closed = !places(Calls::CLOSE).is_empty();
    assert_eq!(machine.verdict().is_some(), closed, "{}", row());
    assert_eq!(machine.stage() == Stage::Done, closed, "{}", row());
    assert_eq!(machine.request_close().is_some(), !places(Calls::REQUEST_CLOSE).is_empty());
    if closed {
        assert!(!places(Calls::REQUEST_CLOSE).is_empty(), "{}", row());
    }
    if let Some(close) = machine.verdict().filter(|close| close.reason.is_complete()) {
        let failed = places(Calls::REQUEST_ERROR | Calls::RESPONSE_ERROR);
        assert!(failed.is_empty() && !places(Calls::RESPONSE_END).is_empty(), "{close}: {}", row());
    }
}

#[test]
fn the_invariants_hold_for_every_sequence_of_four_facts_and_after_a_head() {
    for role in [Role::Server, Role::Client] {
        let count = FACTS.len();
        for mut number in 0..count.pow(4) {
            let mut facts = [Fact::Head; 5];
            for fact in &mut facts[1..] {
                *fact = FACTS[number % count];
                number /= count;
            }
            check(role, &facts[1..]);
            check(role, &facts);
        }
    }
}

#[test]
fn the_verdict_of_each_ending() {
    use Fact::{
        Dropped, Dropping, Flushed, Head, PeerGone, Released, RequestData, RequestDropped,
        RequestEnd, RequestError, ResponseData, ResponseEnd, ResponseError, ServiceError, Settled,
        Upgraded,
    };
    use Role::{Client, Server};
    const END: Fact = ResponseEnd(Evidence::Frame, Outlet::Released);
    const HELD: Fact = ResponseEnd(Evidence::Frame, Outlet::Seen);
    const DROP: Fact = Dropped { unwinding: false, view: None };
    const LOST: Fact = Dropped { unwinding: false, view: Some(UNTOLD) };
    const UNWIND: Fact = Dropped { unwinding: true, view: None };
    const fn seen(sight: Sight, http2: bool, outermost: bool) -> Fact {
        Dropped { unwinding: false, view: Some(View { sight, http2, outermost }) }
    }

    #[rustfmt::skip]
    let rows: [(Role, &[Fact], &str); 37] = [
        (Server, &[RequestEnd, Head, ResponseData, END], "complete, by local, known by frame"),
        (Client, &[RequestEnd, Head, ResponseData, END], "complete, by peer, known by frame"),
        (Server, &[RequestEnd, Head, ResponseEnd(Evidence::Return, Outlet::Released)], "complete, by local, known by return"),
        (Server, &[Head, END], "complete, by local, known by frame"),
        (Server, &[RequestEnd, Head, Upgraded(Outlet::Released)], "upgraded, by local, known by return"),
        (Server, &[DROP], "unknown in request, by unknown, known by drop"),
        (Server, &[Dropping, RequestDropped { read: true, unwinding: false }, DROP], "unknown in request, by unknown, known by drop"),
        (Server, &[RequestDropped { read: true, unwinding: true }, Dropping, UNWIND], "panicked in request, by local, known by unwind"),
        (Server, &[RequestDropped { read: true, unwinding: true }, Dropping, DROP], "unknown in handler, by unknown, known by drop"),
        (Server, &[RequestEnd, DROP], "unknown in handler, by unknown, known by drop"),
        (Server, &[RequestEnd, Head, DROP], "unknown in response, by unknown, known by drop"),
        (Client, &[RequestEnd, DROP], "cancelled in handler, by local, known by drop"),
        (Server, &[RequestEnd, UNWIND], "panicked in handler, by local, known by unwind"),
        (Server, &[RequestEnd, ServiceError], "service_failed in handler, by local, known by return"),
        (Client, &[RequestEnd, ServiceError], "service_failed in handler, by unknown, known by return"),
        (Server, &[RequestEnd, Head, ResponseError(BROKEN)], "response_failed in response, by local, known by return"),
        // The first failure decides, whatever is answered after it, but no panic is hidden.
        (Server, &[RequestData, RequestError(CUT), Head, END], "disconnected in request, by peer, known by return"),
        (Server, &[RequestError(CUT), ServiceError], "disconnected in request, by peer, known by return"),
        (Server, &[RequestError(CUT), UNWIND], "panicked in handler, by local, known by unwind"),
        // What is seen of the connection at a drop.
        (Server, &[RequestEnd, seen(GONE, false, true)], "disconnected in handler, by peer, known by io"),
        (Server, &[RequestEnd, Head, seen(Sight::EOF, true, false)], "disconnected in response, by peer, known by io"),
        (Server, &[RequestEnd, seen(GONE.and(Sight::RESET), false, true)], "reset in handler, by peer, known by io"),
        (Server, &[RequestEnd, seen(GONE.and(Sight::FAILED), true, true)], "transport_failed in handler, by unknown, known by io"),
        (Server, &[RequestEnd, seen(Sight::DROPPED, false, true)], "shutdown in handler, by local, known by io"),
        (Server, &[RequestEnd, seen(ALIVE, false, true)], "cancelled in handler, by local, known by drop"),
        (Server, &[RequestEnd, seen(ALIVE, false, false)], "cancelled in handler, by local, known by drop"),
        (Server, &[RequestEnd, seen(ALIVE, true, false)], "unknown in handler, by unknown, known by drop"),
        // What it shows next.
        (Server, &[RequestEnd, LOST, Settled(Some(ALIVE))], "stream_reset in handler, by peer, known by io"),
        (Server, &[RequestEnd, Head, LOST, Settled(Some(Sight::DROPPED))], "shutdown in response, by local, known by io"),
        (Server, &[RequestEnd, LOST, Settled(Some(GONE))], "disconnected in handler, by peer, known by io"),
        (Server, &[RequestEnd, LOST, Settled(None)], "unknown in handler, by unknown, known by drop"),
        // A complete response is over when it is flushed, whoever has left by then, or cut.
        (Server, &[RequestEnd, Head, HELD, Flushed], "complete, by local, known by io"),
        (Server, &[RequestEnd, PeerGone(CUT), Head, HELD, Flushed], "complete, by local, known by io"),
        (Server, &[RequestEnd, Head, Upgraded(Outlet::Seen), Flushed], "upgraded, by local, known by io"),
        (Server, &[RequestEnd, Head, HELD, Released], "complete, by local, known by frame"),
        (Server, &[RequestEnd, Head, HELD, Settled(Some(GONE))], "disconnected in flush, by peer, known by io"),
        (Server, &[RequestError(CUT), Head, HELD, Flushed], "disconnected in request, by peer, known by return"),
    ];
    for (role, facts, verdict) in rows {
        let (machine, _) = run(role, facts);
        assert_eq!(machine.verdict().unwrap().to_string(), verdict, "{role:?} {facts:?}");
    }
}

#[test]
fn after_the_close_nothing_is_called() {
    for last in [Fact::Dropped { unwinding: false, view: None }, Fact::ServiceError] {
        for late in FACTS {
            let (mut machine, _) = run(Role::Server, &[last]);
            assert_eq!(machine.apply(late), Calls::NONE, "{late:?} after {last:?}");
        }
    }
}
