//! Any schedule of asks, deliveries, ends and time on both sides, against a stopwatch in each hand.

use std::{env, time::Duration};

use http::{Request, Response, Version};
use http_body::Body;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use tower_lifecycle::{
    Party::{Consumer, Producer},
    testing::{EndClaim, HintClaim, Step},
};

use crate::{
    rig::{CHUNK, Made, Mock, PENDING, Parts, Polled, Rig, parts, watch},
    support::panics::quiet,
};

/// What happens next to either side.
#[derive(Clone, Copy, Debug)]
enum Op {
    Advance(u64),
    Ask,
    DropRequest,
    Respond,
    Fail,
    DropFuture,
    Poll,
    DropResponse,
}

/// What a stopwatch in each hand would show: time goes to whoever's turn it is.
#[derive(Clone, Copy, Debug, Default)]
struct Model {
    running: bool,
    asked: bool,
    producer: u64,
    consumer: u64,
}

impl Model {
    fn start() -> Self {
        Self { running: true, ..Self::default() }
    }

    fn advance(&mut self, nanos: u64) {
        match (self.running, self.asked) {
            (true, true) => self.producer += nanos,
            (true, false) => self.consumer += nanos,
            (false, _) => {}
        }
    }

    /// After a poll.
    fn polled(&mut self, polled: Polled) {
        if self.running {
            self.asked = polled != Polled::Frame;
            self.running = polled != Polled::Over;
        }
    }

    fn wait(self) -> Parts {
        let last = if self.asked { Producer } else { Consumer };
        (Duration::from_nanos(self.producer), Duration::from_nanos(self.consumer), last)
    }
}

#[derive(Clone, Debug)]
struct Case {
    request: (Vec<Step>, EndClaim),
    response: (Vec<Step>, EndClaim),
    ops: Vec<Op>,
    version: Version,
}

fn cases() -> impl Strategy<Value = Case> {
    let step = prop_oneof![
        5 => Just(CHUNK),
        5 => Just(PENDING),
        1 => Just(Step::Error),
        1 => Just(Step::Trailers),
        1 => Just(Step::End),
        1 => Just(Step::Panic),
        1 => Just(Step::Data(0)),
    ];
    let end = prop_oneof![
        Just(EndClaim::Honest),
        Just(EndClaim::Never),
        Just(EndClaim::Always),
        Just(EndClaim::Flips),
    ];
    let body = (vec(step, 0..8), end);
    let op = prop_oneof![
        10 => prop_oneof![0..10u64, 0..10_000_000_000u64].prop_map(Op::Advance),
        6 => Just(Op::Ask),
        1 => Just(Op::DropRequest),
        3 => Just(Op::Respond),
        1 => Just(Op::Fail),
        1 => Just(Op::DropFuture),
        6 => Just(Op::Poll),
        1 => Just(Op::DropResponse),
    ];
    let version = prop_oneof![Just(Version::HTTP_11), Just(Version::HTTP_2)];
    (body.clone(), body, vec(op, 0..40), version)
        .prop_map(|(request, response, ops, version)| Case { request, response, ops, version })
}

fn scripted((steps, end): &(Vec<Step>, EndClaim)) -> Made {
    Mock::new(steps).end(*end).hint(HintClaim::Unknown).into()
}

fn play(case: &Case) {
    let mut request = Request::new(scripted(&case.request));
    *request.version_mut() = case.version;
    let mut of_request = Model::start();
    of_request.running = !request.body().is_end_stream();
    let mut of_response = None;

    let mut rig = Rig::send(request);
    let ops = case.ops.iter().copied();
    for op in ops.chain([Op::DropFuture, Op::DropResponse, Op::DropRequest]) {
        match op {
            Op::Advance(nanos) => {
                rig.clock.advance(Duration::from_nanos(nanos));
                of_request.advance(nanos);
                if let Some(response) = &mut of_response {
                    Model::advance(response, nanos);
                }
            }
            Op::Ask => {
                if let Some(polled) = rig.request.as_mut().map(watch) {
                    of_request.polled(polled);
                }
            }
            Op::DropRequest => {
                of_request.running &= rig.request.is_none();
                rig.drop_request();
            }
            Op::Respond if rig.future.is_some() => {
                let response = Response::new(scripted(&case.response));
                let mut model = Model::start();
                model.running = !response.body().is_end_stream();
                of_response = Some(model);
                rig.respond(response);
            }
            Op::Respond => {}
            Op::Fail => {
                rig.fail();
            }
            Op::DropFuture => {
                rig.drop_future();
            }
            Op::Poll => {
                if let Some(polled) = rig.response.as_mut().map(watch) {
                    of_response.as_mut().expect("it is there").polled(polled);
                }
            }
            Op::DropResponse => {
                if rig.response.take().is_some() {
                    of_response.as_mut().expect("it is there").running = false;
                }
            }
        }
        // Whatever ends the response side closes the exchange.
        of_request.running &= match of_response {
            Some(response) => response.running,
            None => rig.future.is_some(),
        };
    }

    let told = rig.told();
    told.assert_consistent();
    let summary = told.summary();
    assert_eq!(summary.request.wait().map(parts), Some(of_request.wait()), "request");
    assert_eq!(summary.response.wait().map(parts), of_response.map(Model::wait), "response");
}

#[test]
fn any_schedule_is_told_as_it_was() {
    quiet();
    let told = env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(ProptestConfig { cases: told.unwrap_or(5_000), ..config })
        .run(&cases(), |case| {
            play(&case);
            Ok(())
        })
        .unwrap();
}
