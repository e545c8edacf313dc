//! Ten thousand exchanges in which handlers, bodies and hooks panic at random, on several threads: the process lives,
//! every exchange that began is closed, and observers that do not panic miss nothing.

mod support;

use std::{
    future::{self, Future},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
};

use http::{Method, Request, Response, Version};
use tower::service_fn;
use tower_layer::Layer;
use tower_lifecycle::{
    LifecycleLayer, RequestBody,
    testing::{BoxError, Broken, EndClaim, HintClaim, MockBody, Recorder, Recording, Step},
};
use tower_service::Service;

use support::{
    panics::{boom, catch, drop_unwinding, quiet},
    polls::{poll_body, poll_once},
    spy::Spy,
};

const THREADS: u64 = 4;
const EXCHANGES: u64 = 10_000;

/// Marsaglia's xorshift: the same panics in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.roll() >> 32) % n
    }

    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn body(&mut self) -> MockBody {
        let steps: Vec<_> = (0..self.below(5))
            .map(|_| match self.below(12) {
                0..6 => Step::Data(3),
                6..8 => Step::Pending,
                8 => Step::Trailers,
                9 => Step::Error,
                _ => Step::Panic,
            })
            .collect();
        let body = MockBody::new(&steps);
        match self.below(8) {
            0..3 => body.streamed(),
            3 => body.end(EndClaim::Panics),
            4 => body.hint(HintClaim::Panics),
            _ => body,
        }
    }
}

/// A handler that panics in its poll, or holds a request body while it does.
struct Handling {
    dice: Dice,
    upload: Option<RequestBody<MockBody>>,
}

impl Future for Handling {
    type Output = Result<Response<MockBody>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.dice.below(16) {
                0..8 => {
                    if let Some(upload) = &mut self.upload {
                        let _ = poll_body(upload);
                    }
                }
                8 => self.upload = None,
                9 => {
                    if let Some(upload) = self.upload.take() {
                        // Outlives us, on a thread of its own.
                        thread::spawn(move || catch(move || poll_body(&mut { upload })).is_ok());
                    }
                }
                10 => boom(),
                11 => return Poll::Ready(Err(Broken.into())),
                12 => return Poll::Pending,
                _ => return Poll::Ready(Ok(Response::new(self.dice.body()))),
            }
        }
    }
}

fn exchange<S>(service: &mut S, dice: &mut Dice)
where
    S: Service<
            Request<MockBody>,
            Response = Response<tower_lifecycle::ResponseBody<MockBody>>,
            Error = BoxError,
        >,
{
    let version = if dice.once_in(2) { Version::HTTP_2 } else { Version::HTTP_11 };
    let request =
        Request::builder().method(Method::POST).version(version).body(dice.body()).unwrap();
    let mut future = Box::pin(service.call(request));
    let polls = dice.below(4);
    for _ in 0..polls {
        match catch(|| poll_once(future.as_mut())) {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(Ok(response))) => {
                drop(future);
                let mut body = response.into_body();
                for _ in 0..dice.below(6) {
                    if catch(|| poll_body(&mut body)).is_err() {
                        break;
                    }
                }
                if dice.once_in(3) {
                    drop_unwinding(body);
                }
                return;
            }
            Ok(Poll::Ready(Err(_))) | Err(_) => break,
        }
    }
    if dice.once_in(3) {
        drop_unwinding(future);
    }
}

#[test]
fn ten_thousand_exchanges_with_random_panics_are_all_closed_and_none_aborts() {
    quiet();
    let begun = Arc::new(AtomicU64::new(0));
    let mut dropped = Vec::new();
    let recorder = Recorder::new();
    // Every hook of this one panics now and then, its drop too, and so does who is told of it.
    let rolls = Arc::new(AtomicU64::new(1));
    let chance = move |n: u64| {
        let at = rolls.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        if Dice(at | 1).once_in(n) {
            boom();
        }
    };
    let told = chance.clone();
    let bomb = Spy::new(move |_| chance(5));
    let layer = LifecycleLayer::new((bomb, recorder.clone())).on_observer_panic(move |_| told(2));
    for thread in 0..THREADS {
        let (layer, begun) = (layer.clone(), Arc::clone(&begun));
        dropped.push(thread::spawn(move || {
            let mut dice = Dice(0xD1CE + thread);
            for _ in 0..EXCHANGES / THREADS {
                let seed = dice.roll();
                let panics_in_call = dice.once_in(20);
                let mut service =
                    layer.layer(service_fn(move |request: Request<RequestBody<MockBody>>| {
                        if panics_in_call {
                            boom();
                        }
                        Handling { dice: Dice(seed), upload: Some(request.into_body()) }
                    }));
                begun.fetch_add(1, Ordering::Relaxed);
                let _ = catch(|| exchange(&mut service, &mut dice));
            }
        }));
    }
    for thread in dropped {
        thread.join().expect("only panics on purpose");
    }
    let exchanges =
        recorder.wait_closed(usize::try_from(begun.load(Ordering::Relaxed)).unwrap_or(usize::MAX));
    exchanges.iter().for_each(Recording::assert_grammar);
    assert!(layer.observer_panics() > EXCHANGES / 10, "{} panics", layer.observer_panics());
}

#[test]
fn hints_that_panic_are_the_bodys_own_panic_and_close_the_exchange() {
    quiet();
    for claim in [EndClaim::Panics, EndClaim::Honest] {
        let lie = move || {
            let body = MockBody::new(&[Step::Data(3)]).end(claim);
            if claim == EndClaim::Honest { body.hint(HintClaim::Panics) } else { body }
        };
        let recorder = Recorder::new();
        let layer = LifecycleLayer::new(recorder.clone());
        let mut service = layer.layer(service_fn(move |_: Request<RequestBody<MockBody>>| {
            future::ready(Ok::<_, BoxError>(Response::new(lie())))
        }));
        let mut future = Box::pin(service.call(Request::new(MockBody::new(&[]))));
        assert!(catch(|| poll_once(future.as_mut()).is_ready()).is_err());
        drop(future);
        assert!(!recorder.only().reason().is_complete());
        // Of the request: before or in the call, and nothing stays open.
        let _ = catch(|| drop(service.call(Request::new(lie()))));
        recorder.exchanges().iter().for_each(Recording::assert_grammar);
    }
}
