//! Each side of each direction, moved by hand.

use std::{sync::Arc, task::Poll};

use http::{Method, Request, Response, Version, header::CONTENT_LENGTH};
use tower_lifecycle::{
    Hooks, Interest, LifecycleLayer,
    Party::{Consumer, Producer},
    Reason, RequestBody, RequestClose, ResponseBody,
    testing::{HintClaim, ManualClock, Step},
};

use crate::{
    rig::{CHUNK, HEAD, Held, Made, Mock, Notes, PENDING, Rig, empty, ms, stream, stream_of},
    support::{
        panics::{drop_unwinding, quiet},
        polls::poll_body,
    },
};

// ===== a response, its producer and its consumer =====

#[test]
fn the_producer_is_waited_for_from_the_poll_that_was_not_ready() {
    let mut rig = Rig::answered(stream(&[PENDING, CHUNK, PENDING]));
    rig.poll().after(5).poll().poll().after(2).poll();
    rig.response_waited(7, 0, Producer);
}

#[test]
fn the_consumer_is_waited_for_after_each_frame() {
    let mut rig = Rig::answered(stream(&[CHUNK, CHUNK]));
    rig.poll().after(5).poll().after(2).poll();
    rig.response_waited(0, 7, Producer);
}

#[test]
fn each_side_is_told_its_own_share() {
    let mut rig = Rig::answered(stream(&[PENDING, CHUNK, PENDING, CHUNK, PENDING]));
    rig.after(1).poll().after(10).poll().after(100);
    rig.poll().after(1_000).poll().after(10_000).poll().after(100_000).poll();
    rig.response_waited(101_010, 10_101, Producer);
}

#[test]
fn polling_again_while_nothing_is_ready_counts_once() {
    let mut rig = Rig::answered(stream(&[PENDING, PENDING, PENDING, CHUNK]));
    rig.poll().after(2).poll().poll().after(3).poll().after(4).poll();
    rig.response_waited(5, 4, Producer);
}

#[test]
fn a_poll_that_takes_its_time_is_the_producers() {
    let mut rig = Rig::over(Version::HTTP_11, Method::GET);
    let busy = Some((rig.clock.clone(), ms(4)));
    rig.respond(Response::new(Made { inner: stream_of(&[CHUNK, CHUNK]), busy }));
    rig.poll().after(1).poll().poll();
    rig.response_waited(12, 1, Producer);
}

#[test]
fn who_never_asks_is_waited_for_all_the_time() {
    let mut rig = Rig::answered(stream(&[CHUNK]));
    rig.after(9).drop_response();
    rig.response_waited(0, 9, Consumer);
}

#[test]
fn dropped_while_nothing_is_ready_it_was_the_producers_turn() {
    let mut rig = Rig::answered(stream(&[CHUNK, Step::Never]));
    rig.poll().after(2).poll().after(5).drop_response();
    let told = rig.response_waited(5, 2, Producer);
    assert_eq!(told.summary().close.reason, Reason::Unknown);
}

#[test]
fn dropped_after_a_frame_it_was_the_consumers_turn() {
    let mut rig = Rig::answered(stream(&[PENDING, CHUNK, CHUNK]));
    rig.poll().after(2).poll().after(5).drop_response();
    rig.response_waited(2, 5, Consumer);
}

#[test]
fn a_body_that_fails_was_waited_for_until_then() {
    let mut rig = Rig::answered(stream(&[CHUNK, PENDING, Step::Error]));
    rig.poll().after(2).poll().after(5).poll().after(100).drop_response();
    let told = rig.response_waited(5, 2, Producer);
    assert!(!told.response.is_empty(), "on_response_error is told");
}

#[test]
fn a_body_that_panics_was_waited_for_until_it_is_dropped() {
    quiet();
    let mut rig = Rig::answered(stream(&[CHUNK, PENDING, Step::Panic]));
    rig.poll().after(2).poll().after(5).poll().after(1).drop_response();
    let told = rig.response_waited(6, 2, Producer);
    assert_eq!(told.summary().close.reason, Reason::Panicked);
}

#[test]
fn a_body_dropped_by_a_panic_is_told_like_any() {
    quiet();
    let mut rig = Rig::answered(stream(&[PENDING, CHUNK]));
    rig.poll().after(2).poll().after(5);
    drop_unwinding(rig.response.take());
    let told = rig.response_waited(2, 5, Consumer);
    assert_eq!(told.summary().close.reason, Reason::Panicked);
}

#[test]
fn trailers_end_the_wait_for_them() {
    let mut rig = Rig::answered(stream(&[CHUNK, PENDING, Step::Trailers]));
    rig.poll().after(2).poll().after(5).poll().after(100).drop_response();
    rig.response_waited(5, 2, Producer);
}

#[test]
fn a_last_frame_that_says_so_ends_the_wait_without_a_none() {
    let body = Mock::new(&[CHUNK, PENDING, CHUNK]).hint(HintClaim::Unknown);
    let mut rig = Rig::answered(Response::new(body).map(Made::from));
    rig.poll().after(2).poll().after(5).poll().after(100).drop_response();
    rig.response_waited(5, 2, Producer);
}

#[test]
fn the_declared_length_ends_the_wait_on_http1() {
    let mut response = stream(&[CHUNK, PENDING, CHUNK]);
    response.headers_mut().insert(CONTENT_LENGTH, 6.into());
    let mut rig = Rig::answered(response);
    rig.poll().after(2).poll().after(5).poll().after(100).drop_response();
    rig.response_waited(5, 2, Producer);
}

#[test]
fn dropped_at_its_declared_length_on_http2_it_was_the_consumers_turn() {
    let mut response = stream(&[PENDING, CHUNK]);
    response.headers_mut().insert(CONTENT_LENGTH, 3.into());
    let mut rig = Rig::over(Version::HTTP_2, Method::GET).answer(response);
    rig.poll().after(2).poll().after(5).drop_response();
    let told = rig.response_waited(2, 5, Consumer);
    assert!(!told.response.is_empty(), "on_response_end is told");
}

#[test]
fn a_response_without_a_body_waits_for_nobody() {
    let mut rig = Rig::over(Version::HTTP_11, Method::HEAD).answer(stream(&[CHUNK]));
    rig.after(100).drop_response();
    rig.response_waited(0, 0, Consumer);

    let mut response = stream(&[CHUNK]);
    *response.status_mut() = http::StatusCode::NO_CONTENT;
    let mut rig = Rig::answered(response);
    rig.after(100).drop_response();
    rig.response_waited(0, 0, Consumer);
}

#[test]
fn a_single_frame_that_is_ready_waits_for_nobody() {
    let mut rig = Rig::answered(Response::new(Mock::new(&[CHUNK])).map(Made::from));
    rig.poll().after(100).drop_response();
    rig.response_waited(0, 0, Producer);
}

#[test]
fn without_a_head_there_is_no_wait_of_a_response() {
    for end in [Rig::fail, Rig::drop_future] {
        let mut rig = Rig::new(stream_of(&[CHUNK]));
        rig.after(3);
        end(&mut rig);
        assert_eq!(rig.told().summary().response.wait(), None);
        assert!(rig.told().response.iter().all(Option::is_none));
        rig.request_waited(0, 3, Consumer);
    }
}

#[test]
fn the_wait_of_a_response_begins_with_its_head() {
    let mut rig = Rig::new(stream_of(&[]));
    rig.after(1_000).respond(stream(&[PENDING]));
    rig.after(2).poll().after(5).poll();
    rig.response_waited(5, 2, Producer);
}

// ===== a request, its client and its handler =====

#[test]
fn a_slow_client_is_the_producer() {
    let mut rig = Rig::new(stream_of(&[PENDING, CHUNK, PENDING]));
    rig.ask().after(5).ask().ask().after(2).ask().after(100).finish();
    rig.request_waited(7, 0, Producer);
}

#[test]
fn a_slow_handler_is_the_consumer() {
    let mut rig = Rig::new(stream_of(&[CHUNK, CHUNK]));
    rig.after(1).ask().after(5).ask().after(2).ask().after(100).finish();
    rig.request_waited(0, 8, Producer);
}

#[test]
fn an_unread_request_waits_for_the_handler_until_it_is_dropped() {
    let mut rig = Rig::new(stream_of(&[CHUNK]));
    rig.after(4).drop_request().after(100).finish();
    let told = rig.request_waited(0, 4, Consumer);
    assert_eq!(told.summary().request_close, RequestClose::Unread);
}

#[test]
fn a_partly_read_request_waits_until_it_is_dropped() {
    let mut rig = Rig::new(stream_of(&[PENDING, CHUNK, CHUNK]));
    rig.ask().after(2).ask().after(4).drop_request().after(100).finish();
    let told = rig.request_waited(2, 4, Consumer);
    assert_eq!(told.summary().request_close, RequestClose::Partial);
}

#[test]
fn a_request_given_up_while_its_client_is_slow_waited_for_the_client() {
    let mut rig = Rig::new(stream_of(&[CHUNK, Step::Never]));
    rig.ask().after(2).ask().after(4).drop_request().after(100).finish();
    rig.request_waited(4, 2, Producer);
}

#[test]
fn a_request_that_a_task_waits_for_waits_until_the_close() {
    let mut rig = Rig::new(stream_of(&[CHUNK, PENDING, CHUNK]));
    rig.ask().after(2).ask().after(4).finish();
    let told = rig.request_waited(4 + HEAD, 2, Producer);
    assert_eq!(told.summary().request_close, RequestClose::Detached);
    rig.after(100).ask().after(100).drop_request();
    rig.request_waited(4 + HEAD, 2, Producer);
}

#[test]
fn a_request_that_a_task_holds_after_a_frame_waits_for_the_task_until_the_close() {
    let mut rig = Rig::new(stream_of(&[PENDING, CHUNK, CHUNK]));
    rig.ask().after(2).ask().after(4).finish();
    let told = rig.request_waited(2, 4 + HEAD, Consumer);
    assert_eq!(told.summary().request_close, RequestClose::Detached);
}

#[test]
fn a_request_that_fails_waited_until_then() {
    let mut rig = Rig::new(stream_of(&[CHUNK, PENDING, Step::Error]));
    rig.ask().after(2).ask().after(4).ask().after(100).finish();
    let told = rig.request_waited(4, 2, Producer);
    assert!(!told.request.is_empty(), "on_request_error is told");
    assert_eq!(told.summary().request_close, RequestClose::Failed);
}

#[test]
fn a_request_that_falls_short_waited_until_then() {
    let mut rig = Rig::new(Mock::new(&[CHUNK, PENDING]).streamed().hint(HintClaim::Exact(6)));
    rig.ask().after(2).ask().after(4).ask().after(100).finish();
    let told = rig.request_waited(4, 2, Producer);
    assert!(!told.request.is_empty(), "on_request_error is told");
}

#[test]
fn a_request_read_to_its_trailers_waited_until_then() {
    let mut rig = Rig::new(stream_of(&[CHUNK, PENDING, Step::Trailers]));
    rig.ask().after(2).ask().after(4).ask().after(100).finish();
    rig.request_waited(4, 2, Producer);
}

#[test]
fn a_request_without_a_body_waits_for_nobody() {
    let mut rig = Rig::new(Mock::new(&[]));
    rig.after(5).finish();
    rig.request_waited(0, 0, Consumer);
}

#[test]
fn the_two_directions_know_nothing_of_each_other() {
    let mut rig = Rig::new(stream_of(&[PENDING, CHUNK, PENDING]));
    rig.ask().after(1).respond(stream(&[CHUNK, PENDING]));
    rig.after(10).ask().after(100).poll().after(1_000).ask();
    rig.after(10_000).poll().after(100_000).ask().after(1_000_000).poll();
    // Asked at 0 and from 1111 on, delivered at 11, over at 111,111.
    rig.request_waited(11 + 110_000, 1_100, Producer);
    // From its head at 1, delivered at 111, asked from 11,111 on, over at 1,111,111.
    rig.response_waited(1_100_000, 11_110, Producer);
}

// ===== what is asked for =====

#[test]
fn who_does_not_ask_for_waits_is_told_of_none() {
    let mut rig = Rig::with(Interest::ALL - Interest::WAITS, stream_of(&[PENDING]));
    rig.ask().after(1).ask().respond(stream(&[PENDING]));
    rig.poll().after(1).poll();
    let told = rig.told();
    assert_eq!((&*told.request, &*told.response), (&[None][..], &[None][..]));
    let summary = told.summary();
    assert_eq!((summary.request.wait(), summary.response.wait()), (None, None));
}

#[test]
fn waits_bring_marks_and_need_no_interest_in_data() {
    let hooks = [
        Interest::CLOSE,
        Interest::CLOSE | Interest::REQUEST_END | Interest::RESPONSE_END,
        Interest::CLOSE | Interest::DATA,
    ];
    for hooks in hooks {
        let mut rig = Rig::with(Interest::WAITS | hooks, stream_of(&[PENDING, CHUNK]));
        rig.ask().after(5).ask().after(1).ask().respond(stream(&[CHUNK, PENDING]));
        rig.poll().after(2).poll().after(4).poll();
        rig.request_waited(5, 1, Producer);
        rig.response_waited(4, 2, Producer);
        assert!(rig.told().summary().duration().is_some(), "{hooks:?}");
    }
}

#[test]
fn in_the_client_role_the_response_waits_as_it_does_for_a_server() {
    let clock = ManualClock::new();
    let notes = Notes::new(Interest::ALL);
    let layer = LifecycleLayer::new(notes.clone()).client().with_clock(clock.clone());
    let rig = Rig::of(&layer, clock, notes, empty(Version::HTTP_11, Method::GET));
    let mut rig = rig.answer(stream(&[PENDING, CHUNK, CHUNK]));
    rig.poll().after(2).poll().after(5).drop_response();
    let told = rig.response_waited(2, 5, Consumer);
    assert_eq!(told.summary().close.reason, Reason::Cancelled);
}

// ===== hooks that report from inside =====

#[test]
fn a_direction_that_ends_inside_a_hook_waited_until_then() {
    let clock = ManualClock::new();
    let notes = Notes::new(Interest::ALL);
    let held: Held<RequestBody<Made>> = Held::default();
    let ends = {
        let (clock, held) = (clock.clone(), Arc::clone(&held));
        Hooks::new().on_response(move |_| {
            let mut body = held.lock().unwrap().take().expect("the handler has left it");
            clock.advance(ms(3));
            assert!(matches!(poll_body(&mut body), Poll::Ready(None)));
            clock.advance(ms(50));
        })
    };
    let layer = LifecycleLayer::new((ends, notes.clone())).with_clock(clock.clone());
    let request = Request::new(Made::from(stream_of(&[PENDING])));
    let mut rig = Rig::of(&layer, clock, notes, request);
    rig.after(1).ask().after(2);
    *held.lock().unwrap() = rig.request.take();
    rig.respond(stream(&[])).poll();
    rig.request_waited(5, 1, Producer);
    rig.response_waited(0, 53, Producer);
}

#[test]
fn an_exchange_that_closes_inside_a_hook_waited_until_then() {
    let clock = ManualClock::new();
    let notes = Notes::new(Interest::ALL);
    let held: Held<ResponseBody<Made>> = Held::default();
    let ends = {
        let (clock, held) = (clock.clone(), Arc::clone(&held));
        Hooks::new().on_request_data(move |_| {
            clock.advance(ms(3));
            drop(held.lock().unwrap().take());
            clock.advance(ms(50));
        })
    };
    let layer = LifecycleLayer::new((ends, notes.clone())).with_clock(clock.clone());
    let request = Request::new(Made::from(stream_of(&[PENDING, CHUNK])));
    let mut rig = Rig::of(&layer, clock, notes, request);
    rig.ask().respond(stream(&[Step::Never])).poll().after(2);
    *held.lock().unwrap() = rig.response.take();
    rig.ask();
    rig.request_waited(2, 3, Consumer);
    rig.response_waited(5, 0, Producer);
}

#[test]
fn a_hook_that_takes_its_time_after_a_frame_keeps_the_consumer() {
    let clock = ManualClock::new();
    let notes = Notes::new(Interest::ALL);
    let slow = {
        let clock = clock.clone();
        Hooks::new().on_response_data(move |_| clock.advance(ms(4)))
    };
    let layer = LifecycleLayer::new((slow, notes.clone())).with_clock(clock.clone());
    let rig = Rig::of(&layer, clock, notes, empty(Version::HTTP_11, Method::GET));
    let mut rig = rig.answer(stream(&[PENDING, CHUNK]));
    rig.poll().after(2).poll().after(1).drop_response();
    rig.response_waited(2, 5, Consumer);
}
