//! Alarms: when there is too much of something, and no more often than is wanted.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    task::{AbortHandle, yield_now},
    time::{self, advance},
};
use tower_lifecycle::{
    LifecycleLayer,
    inflight::{Alarm, Alarms, InFlight},
    testing::{ManualClock, MockBody},
};

use crate::{
    rig::{Answer, Held, answer, open, request, send},
    support::panics::{boom, quiet},
};

const SECOND: Duration = Duration::from_secs(1);
const PARKED: Answer = Answer::Marks(&["parked"]);

struct Watched {
    layer: LifecycleLayer<InFlight>,
    clock: ManualClock,
    alarms: mpsc::UnboundedReceiver<Alarm>,
    task: AbortHandle,
    held: Vec<Held>,
}

impl Watched {
    /// Looks once a second, and just has.
    async fn by(alarms: Alarms) -> Self {
        let inflight = InFlight::new();
        let clock = ManualClock::new();
        let layer = LifecycleLayer::new(inflight.clone()).with_handle().with_clock(clock.clone());
        let (tell, hears) = mpsc::unbounded_channel();
        let watch = alarms.watch(&inflight, move |alarm| tell.send(alarm.clone()).unwrap());
        let task = tokio::spawn(watch).abort_handle();
        yield_now().await;
        Self { layer, clock, alarms: hears, task, held: Vec::new() }
    }

    fn open(&mut self, answer: &Answer, count: usize) {
        for _ in 0..count {
            self.held.push(send(&self.layer, request("GET", "/path", answer.clone())));
        }
    }

    /// What it says within the next second.
    async fn look(&mut self) -> Vec<String> {
        self.clock.advance(SECOND);
        advance(SECOND).await;
        yield_now().await;
        let mut told = Vec::new();
        while let Ok(alarm) = self.alarms.try_recv() {
            told.push(match alarm {
                Alarm::Open(open, limit) => format!("{open} open of {limit}"),
                Alarm::Parked(parked, limit) => format!("{parked} parked of {limit}"),
                Alarm::Oldest(open, limit) => format!("{:?} old of {limit:?}", open.age),
                other => panic!("{other:?}"),
            });
        }
        told
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_told_when_so_many_are_open_and_not_before() {
    let mut watched = Watched::by(Alarms::new().open(3)).await;
    watched.open(&Answer::None, 2);
    assert!(watched.look().await.is_empty());
    watched.open(&PARKED, 1);
    assert_eq!(watched.look().await, ["3 open of 3"]);
}

#[tokio::test(start_paused = true)]
async fn it_is_told_when_so_many_are_parked_and_not_before() {
    let mut watched = Watched::by(Alarms::new().parked(2)).await;
    watched.open(&Answer::None, 5);
    watched.open(&Answer::Marks(&["parked", "unparked"]), 5);
    watched.open(&PARKED, 1);
    assert!(watched.look().await.is_empty());
    watched.open(&PARKED, 1);
    assert_eq!(watched.look().await, ["2 parked of 2"]);
}

#[tokio::test(start_paused = true)]
async fn it_is_told_when_one_is_so_old_and_not_before() {
    let mut watched = Watched::by(Alarms::new().oldest(SECOND * 3)).await;
    watched.open(&Answer::None, 1);
    watched.open(&answer(200, MockBody::hangs_after(1)), 1);
    assert!(watched.look().await.is_empty());
    assert!(watched.look().await.is_empty());
    assert_eq!(watched.look().await, ["3s old of 3s"]);
}

#[tokio::test(start_paused = true)]
async fn a_parked_poll_is_not_the_oldest() {
    let mut watched = Watched::by(Alarms::new().oldest(SECOND * 3)).await;
    watched.open(&PARKED, 10);
    for _ in 0..5 {
        assert!(watched.look().await.is_empty());
    }
    watched.open(&Answer::Marks(&["parked", "unparked"]), 1);
    for _ in 0..2 {
        assert!(watched.look().await.is_empty());
    }
    assert_eq!(watched.look().await, ["3s old of 3s"], "it was parked, and is at work since");
}

#[tokio::test(start_paused = true)]
async fn the_oldest_is_found_behind_any_number_of_parked_polls() {
    let mut watched = Watched::by(Alarms::new().oldest(SECOND)).await;
    watched.open(&PARKED, 10_001);
    watched.clock.advance(SECOND);
    watched.open(&Answer::None, 1);
    assert_eq!(watched.look().await, ["1s old of 1s"]);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_repeated_after_the_cool_down_and_not_before() {
    let mut watched = Watched::by(Alarms::new().open(1).cool_down(SECOND * 3)).await;
    watched.open(&Answer::None, 1);
    let mut told = Vec::new();
    for _ in 0..7 {
        told.push(watched.look().await.len());
    }
    assert_eq!(told, [1, 0, 0, 1, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_within_the_cool_down_is_not_told_again() {
    let mut watched = Watched::by(Alarms::new().open(1).cool_down(SECOND * 3)).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        watched.open(&Answer::None, 1);
        told.push(watched.look().await.len());
        watched.held.clear();
    }
    assert_eq!(told, [1, 0, 0, 1]);
    assert!(watched.look().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn kinds_are_told_and_cool_down_by_themselves() {
    let alarms = Alarms::new().open(1).parked(1).oldest(SECOND * 2).cool_down(SECOND * 10);
    let mut watched = Watched::by(alarms).await;
    watched.open(&Answer::None, 1);
    assert_eq!(watched.look().await, ["1 open of 1"]);
    assert_eq!(watched.look().await, ["2s old of 2s"]);
    watched.open(&PARKED, 1);
    assert_eq!(watched.look().await, ["1 parked of 1"]);
    assert!(watched.look().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn by_default_it_looks_once_a_second_and_repeats_itself_once_a_minute() {
    let mut watched = Watched::by(Alarms::default().open(1)).await;
    watched.open(&Answer::None, 1);
    let mut at = Vec::new();
    for second in 1..=121 {
        if !watched.look().await.is_empty() {
            at.push(second);
        }
    }
    assert_eq!(at, [1, 61, 121]);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nothing_is_too_much() {
    let mut watched = Watched::by(Alarms::new()).await;
    watched.open(&Answer::None, 100);
    watched.clock.advance(SECOND * 1_000_000);
    assert!(watched.look().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn there_may_be_reason_at_once() {
    let inflight = InFlight::new();
    let layer = LifecycleLayer::new(inflight.clone());
    let held = open(&layer, "/");
    let (tell, mut hears) = mpsc::unbounded_channel();
    let watch = Alarms::new().open(1).watch(&inflight, move |alarm| {
        tell.send(alarm.to_string()).unwrap();
    });
    let start = time::Instant::now();
    tokio::spawn(watch);
    assert_eq!(hears.recv().await.unwrap(), "1 exchanges are open (limit 1)");
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_goes_on_being_called() {
    quiet();
    let inflight = InFlight::new();
    let layer = LifecycleLayer::new(inflight.clone());
    let held = open(&layer, "/");
    let (tell, mut hears) = mpsc::unbounded_channel();
    let alarms = Alarms::new().open(1).oldest(Duration::ZERO).cool_down(SECOND);
    tokio::spawn(alarms.watch(&inflight, move |_| {
        tell.send(time::Instant::now()).unwrap();
        boom()
    }));
    let start = time::Instant::now();
    for second in 0..5 {
        for _ in 0..2 {
            assert_eq!(hears.recv().await.unwrap() - start, SECOND * second, "both kinds");
        }
    }
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_it_is_dropped_and_lets_go_of_the_registry() {
    let mut watched = Watched::by(Alarms::new().open(1)).await;
    watched.task.abort();
    watched.open(&Answer::None, 1);
    assert!(watched.look().await.is_empty());
    assert!(watched.alarms.is_closed(), "the function is dropped with it");
}

#[tokio::test(start_paused = true)]
async fn a_period_of_zero_is_a_millisecond() {
    let inflight = InFlight::new();
    let layer = LifecycleLayer::new(inflight.clone());
    let held = open(&layer, "/");
    let (tell, mut hears) = mpsc::unbounded_channel();
    let alarms = Alarms::new().open(0).every(Duration::ZERO).cool_down(Duration::ZERO);
    tokio::spawn(alarms.watch(&inflight, move |_| tell.send(time::Instant::now()).unwrap()));
    let (first, second) = (hears.recv().await.unwrap(), hears.recv().await.unwrap());
    assert_eq!(second - first, Duration::from_millis(1));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_period_may_be_as_long_as_can_be_said() {
    let mut watched = Watched::by(Alarms::new().open(1).every(Duration::MAX)).await;
    watched.open(&Answer::None, 1);
    assert!(watched.look().await.is_empty());
    assert!(!watched.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_one_line_whatever_was_asked_for() {
    let inflight = InFlight::new();
    let clock = ManualClock::new();
    let layer = LifecycleLayer::new(inflight.clone()).with_clock(clock.clone());
    let held = open(&layer, "/caf\u{e9}?secret");
    clock.advance(SECOND * 5);
    let (tell, mut hears) = mpsc::unbounded_channel();
    let watch = Alarms::new().oldest(Duration::from_micros(500)).watch(&inflight, move |alarm| {
        tell.send(alarm.to_string()).unwrap();
    });
    tokio::spawn(watch);
    let line = hears.recv().await.unwrap();
    let id = inflight.snapshot().exchanges[0].id;
    assert!(line.chars().all(|char| matches!(char, ' '..='~')), "{line:?}");
    assert!(!line.contains("secret"), "{line:?}");
    assert!(
        line.contains(&format!("(exchange {id}, handler) is open for 5.0s (limit 0.0005s)")),
        "{line:?}"
    );
    drop(held);
}
