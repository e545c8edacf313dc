//! 10,000 clients that come together: how long they stay together.
//!
//! The measure is the busiest second over the mean of the clients' rate, which is their number over how long one is parked.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};
use tower_lifecycle::park::{Lot, Outcome, Policy};

use crate::rig::{SECOND, WITHIN, nothing};

const CLIENTS: u32 = 10_000;

/// All are parked at the same moment, and each comes back as soon as it is answered. Returns the answers of each second.
async fn herd(policy: Policy, within: Duration, seconds: usize) -> Vec<u32> {
    let lot: Lot<u32> = Lot::new(policy);
    let end = Instant::now() + Duration::from_secs(seconds as u64);
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let lot = lot.clone();
        clients.spawn(async move {
            let mut answers = Vec::new();
            loop {
                let outcome = lot.park(client).unwrap().wait(within, nothing).await;
                assert_eq!(outcome, Outcome::Deadline);
                if Instant::now() >= end {
                    return answers;
                }
                answers.push(begun.elapsed());
            }
        });
    }
    let mut all = vec![0; seconds];
    while let Some(answers) = clients.join_next().await {
        for answer in answers.unwrap() {
            all[usize::try_from(answer.as_secs()).unwrap()] += 1;
        }
    }
    all
}

/// The busiest of these seconds over the mean.
fn peak(answers: &[u32], parked: f64) -> f64 {
    f64::from(*answers.iter().max().unwrap()) * parked / f64::from(CLIENTS)
}

/// The first answers are spread over as much as half of the time that one is parked: that is what it takes.
#[tokio::test(start_paused = true)]
async fn with_full_jitter_a_herd_is_dispersed_by_its_first_answer() {
    let answers = herd(Policy::new().jitter(1.0), WITHIN, 300).await;
    // From 25 to 50 seconds.
    let peak = peak(&answers, 37.5);
    println!("jitter 1: {peak:.2}");
    assert!(peak <= 2.0, "{peak}");
}

#[tokio::test(start_paused = true)]
async fn with_half_jitter_a_herd_is_dispersed_after_three_answers() {
    let answers = herd(Policy::new().jitter(0.5), WITHIN, 400).await;
    // From 30 to 45 seconds.
    let (first, later) = (peak(&answers[..60], 37.5), peak(&answers[115..], 37.5));
    println!("jitter 0.5: {first:.2}, then {later:.2}");
    assert!(first > 2.0 && later <= 2.0, "{first} {later}");
}

/// A random walk: the spread grows with the root of the rounds, and a sixth of the period is needed.
#[tokio::test(start_paused = true)]
async fn with_the_default_jitter_alone_a_herd_needs_half_an_hour() {
    let answers = herd(Policy::new(), WITHIN, 2600).await;
    // From 30 to 33 seconds.
    let (first, later) = (peak(&answers[..40], 31.5), peak(&answers[2100..], 31.5));
    println!("jitter 0.1: {first:.2}, then {later:.2}");
    assert!(first > 8.0 && later <= 2.0, "{first} {later}");
}

/// What to do instead when everybody is sent away by the server: a window.
#[tokio::test(start_paused = true)]
async fn clients_that_are_drained_over_a_window_come_back_evenly_and_stay_so() {
    let lot: Lot<u32> = Lot::new(Policy::new());
    let next: Lot<u32> = Lot::new(Policy::new());
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (slot, next) = (lot.park(client).unwrap(), next.clone());
        clients.spawn(async move {
            assert_eq!(slot.wait(WITHIN, nothing).await, Outcome::Draining);
            let mut answers = vec![begun.elapsed()];
            for _ in 0..3 {
                next.park(client).unwrap().wait(WITHIN, nothing).await;
                answers.push(begun.elapsed());
            }
            answers
        });
    }
    tokio::task::yield_now().await;
    let drained = lot.drain(25 * SECOND, SECOND).await;
    assert_eq!((drained.ended, drained.parked), (CLIENTS as usize, 0));
    let mut seconds = [0; 130];
    while let Some(answers) = clients.join_next().await {
        for answer in answers.unwrap() {
            seconds[usize::try_from(answer.as_secs()).unwrap()] += 1;
        }
    }
    let (window, later) = (peak(&seconds[..25], 25.0), peak(&seconds, 31.5));
    println!("drained: {window:.2}, then {later:.2}");
    assert!(window <= 1.1 && later <= 2.0, "{window} {later}");
}
