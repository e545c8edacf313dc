//! A layer further in that joins an exchange, and wants waits where the outer one may not.

use std::{future, task::Poll};

use http::Request;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_lifecycle::{
    Interest, LifecycleLayer,
    Party::Producer,
    RequestBody,
    testing::{BoxError, ManualClock, Step},
};
use tower_service::Service;

use crate::{
    rig::{CHUNK, Made, Notes, PENDING, Told, ms, parts, stream, stream_of},
    support::polls::{now, poll_body},
};

/// What of the request is asked for between two layers, before the inner one joins.
type Between = &'static [Play];

#[derive(Clone, Copy, Debug)]
enum Play {
    Ask,
    After(u64),
}
use Play::{After, Ask};

/// The waits of a request that is read to its end behind a layer that joins, as the inner one is told of them.
fn joined(outer: Interest, inner: Interest, steps: &[Step], between: Between) -> (Told, Told) {
    let clock = ManualClock::new();
    let (outside, inside) = (Notes::new(outer), Notes::new(inner));
    let join = LifecycleLayer::new(inside.clone());
    let outer = LifecycleLayer::new(outside.clone()).with_handle().with_clock(clock.clone());

    let handler = service_fn({
        let clock = clock.clone();
        move |request: Request<RequestBody<RequestBody<Made>>>| {
            let mut body = request.into_body();
            clock.advance(ms(1));
            while !matches!(poll_body(&mut body), Poll::Ready(None)) {
                clock.advance(ms(10));
            }
            let response = stream(&[PENDING, CHUNK]);
            future::ready(Ok::<_, BoxError>(response))
        }
    });
    let middle = service_fn({
        let clock = clock.clone();
        move |mut request: Request<RequestBody<Made>>| {
            for play in between {
                match play {
                    Ask => {
                        let _ = poll_body(request.body_mut());
                    }
                    After(millis) => clock.advance(ms(*millis)),
                }
            }
            join.layer(handler.clone()).oneshot(request)
        }
    });
    let mut service = outer.layer(middle);
    let response = now(service.call(Request::new(stream_of(steps).into())));
    let mut body = response.unwrap().into_body();
    let _ = poll_body(&mut body);
    clock.advance(ms(2));
    let _ = poll_body(&mut body);
    clock.advance(ms(5));
    let _ = poll_body(&mut body);
    let (outside, inside) = (outside.told(), inside.told());
    outside.assert_consistent();
    inside.assert_consistent();
    (outside, inside)
}

#[test]
fn a_layer_that_joins_before_the_body_is_asked_for_is_told_the_waits() {
    let late = Interest::ALL - Interest::WAITS;
    let steps = &[PENDING, CHUNK];
    for outer in [Interest::ALL, late, Interest::CLOSE, Interest::NONE] {
        let (_, inside) = joined(outer, Interest::ALL, steps, &[After(3)]);
        // Pending for 10 after 4, delivered, asked again after 10.
        assert_eq!(inside.summary().request.wait().map(parts), Some((ms(10), ms(14), Producer)));
        assert_eq!(inside.summary().response.wait().map(parts), Some((ms(2), ms(5), Producer)));
    }
}

#[test]
fn the_outer_layer_is_told_the_waits_whoever_joins() {
    for inner in [Interest::NONE, Interest::CLOSE, Interest::ALL] {
        let between = &[Ask, After(3), Ask];
        let (outside, inside) = joined(Interest::ALL, inner, &[PENDING, CHUNK, PENDING], between);
        // Pending for 3, delivered, asked again after 1, pending for 10.
        let expected = Some((ms(13), ms(1), Producer));
        assert_eq!(outside.summary().request.wait().map(parts), expected);
        if inner == Interest::ALL {
            assert_eq!(inside.summary().request.wait().map(parts), expected);
        }
    }
}

#[test]
fn a_layer_that_joins_behind_a_body_that_was_read_is_told_no_wait_of_it() {
    let late = Interest::ALL - Interest::WAITS;
    let between = &[Ask, After(3), Ask, Ask];
    let (outside, inside) = joined(late, Interest::ALL, &[PENDING, CHUNK], between);
    for told in [outside, inside] {
        assert_eq!(told.summary().request.wait(), None);
        assert_eq!(told.summary().response.wait().map(parts), Some((ms(2), ms(5), Producer)));
    }
}

/// What was waited before nobody has seen.
#[test]
fn a_layer_that_joins_while_a_frame_is_asked_for_is_told_no_wait_that_is_wrong() {
    let late = Interest::ALL - Interest::WAITS;
    for outer in [late, Interest::CLOSE, Interest::NONE] {
        let (_, inside) =
            joined(outer, Interest::ALL, &[PENDING, PENDING, CHUNK], &[Ask, After(3)]);
        let right = (ms(3 + 1 + 10), ms(10), Producer);
        let wait = inside.summary().request.wait().map(parts);
        assert!(wait.is_none_or(|wait| wait == right), "{wait:?} {outer:?}");
    }
}

#[test]
fn a_layer_that_joins_between_two_frames_is_told_no_wait_that_is_wrong() {
    let late = Interest::ALL - Interest::WAITS;
    for outer in [late, Interest::CLOSE, Interest::NONE] {
        let steps = &[PENDING, CHUNK, PENDING, CHUNK];
        let (_, inside) = joined(outer, Interest::ALL, steps, &[Ask, After(3), Ask]);
        let right = (ms(3 + 10), ms(1 + 10), Producer);
        let wait = inside.summary().request.wait().map(parts);
        assert!(wait.is_none_or(|wait| wait == right), "{wait:?} {outer:?}");
    }
}
