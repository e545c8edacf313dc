//! What a drain does when, by tokio's clock.

use std::{sync::mpsc, thread, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tower_lifecycle::inflight::LiveState;

use crate::rig::{Rig, SECOND};

const MILLI: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_drain_with_nothing_open_ends_at_once() {
    let rig = Rig::new();
    let begun = Instant::now();
    let report = rig.drain.run(10 * SECOND).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!((report.ended, report.refused, report.is_clean()), (0, 0, true));
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_last_exchange_does() {
    let rig = Rig::new();
    let (first, second) = (rig.begin("/never"), rig.begin("/never"));
    let begun = Instant::now();
    let run = rig.drain.run(10 * SECOND);
    let ends = async {
        sleep(SECOND).await;
        drop(first);
        sleep(2 * SECOND).await;
        drop(second);
    };
    let (report, ()) = tokio::join!(run, ends);
    assert_eq!(begun.elapsed(), 3 * SECOND);
    assert_eq!((report.ended, report.is_clean()), (2, true), "{report}");
}

#[tokio::test(start_paused = true)]
async fn what_is_open_is_cancelled_half_a_second_before_the_deadline() {
    let rig = Rig::new();
    let mut request = rig.begin("/never");
    let begun = Instant::now();
    let answers = async {
        while request.wakes() == 0 {
            sleep(MILLI).await;
        }
        assert!((9500..=9502).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        let reply = request.poll().unwrap().unwrap();
        assert_eq!(reply.status(), 503);
        drop(reply);
    };
    let (report, ()) = tokio::join!(rig.drain.run(10 * SECOND), answers);
    assert!(begun.elapsed() < 9600 * MILLI, "it waits no longer than it must");
    let [cancelled] = &report.cancelled[..] else { panic!("{report}") };
    assert_eq!((cancelled.path(), cancelled.state), ("/never", LiveState::Handler));
    assert!(report.left.is_empty() && !report.is_clean());
    assert_eq!(report.ended, 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_short_time_a_tenth_is_for_cancelling() {
    let rig = Rig::new();
    let request = rig.begin("/never");
    let begun = Instant::now();
    let mut run = Box::pin(rig.drain.run(SECOND));
    assert!(timeout(899 * MILLI, &mut run).await.is_err());
    assert_eq!(request.wakes(), 0);
    assert!(timeout(3 * MILLI, &mut run).await.is_err());
    assert_eq!(request.wakes(), 1);
    let report = run.await;
    assert_eq!(begun.elapsed().as_millis(), 1000);
    assert_eq!((report.cancelled.len(), report.left.len()), (1, 1), "nobody polls it");
    drop(request);
}

#[tokio::test(start_paused = true)]
async fn a_drain_without_time_cancels_at_once() {
    let rig = Rig::new();
    let request = rig.begin("/never");
    let begun = Instant::now();
    let report = rig.drain.run(Duration::ZERO).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!((request.wakes(), report.left.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_drain_may_have_as_long_as_can_be_said() {
    let rig = Rig::new();
    let request = rig.begin("/never");
    assert!(timeout(1000 * SECOND, rig.drain.run(Duration::MAX)).await.is_err());
    assert_eq!(request.wakes(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_runs_share_a_course_and_a_report() {
    let rig = Rig::new();
    let request = rig.begin("/never");
    let begun = Instant::now();
    let first = rig.drain.run(10 * SECOND);
    sleep(SECOND).await;
    let second = rig.drain.clone().run(100 * SECOND);
    let (first, second) = tokio::join!(second, first);
    assert_eq!(begun.elapsed().as_millis(), 10_000, "the first has said how long");
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    drop(request);
    let third = rig.drain.run(SECOND).await;
    assert_eq!(format!("{first:?}"), format!("{third:?}"), "also when it is over");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_is_gone_on_with_by_another() {
    let rig = Rig::new();
    let request = rig.begin("/never");
    let begun = Instant::now();
    assert!(timeout(SECOND, rig.drain.run(10 * SECOND)).await.is_err());
    sleep(20 * SECOND).await;
    assert_eq!(request.wakes(), 0, "nobody is there to cancel");
    assert!(rig.get("/").poll().unwrap().is_ok_and(|reply| reply.status() == 503));
    let report = rig.drain.run(100 * SECOND).await;
    assert_eq!(begun.elapsed().as_secs(), 21, "its time is over");
    assert_eq!((request.wakes(), report.left.len(), report.refused), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn of_two_runs_either_may_be_dropped() {
    let rig = Rig::new();
    let request = rig.begin("/never");
    let mut first = Box::pin(rig.drain.run(10 * SECOND));
    assert!(timeout(SECOND, &mut first).await.is_err());
    let second = tokio::spawn(rig.drain.run(10 * SECOND));
    sleep(SECOND).await;
    drop(first);
    sleep(SECOND).await;
    drop(request);
    let begun = Instant::now();
    let report = second.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn those_that_begin_and_end_meanwhile_are_not_counted_as_ended() {
    let rig = Rig::new();
    let old = rig.begin("/never");
    let run = tokio::spawn(rig.drain.run(10 * SECOND));
    for _ in 0..3 {
        assert_eq!(rig.get("/").poll().unwrap().unwrap().status(), 503);
    }
    drop(old);
    let report = run.await.unwrap();
    assert_eq!((report.ended, report.refused), (1, 3));
}

#[cfg(feature = "park")]
#[tokio::test(start_paused = true)]
async fn lots_are_emptied_over_their_windows_and_within_the_time() {
    use tower_lifecycle::park::{Lot, Outcome, Policy};

    let lots: [Lot<u32>; 2] =
        std::array::from_fn(|_| Lot::new(Policy::new().longest(1000 * SECOND)));
    let rig = Rig::with(|drain| drain.lot(&lots[0], 4 * SECOND).lot(&lots[1], 100 * SECOND));
    let begun = Instant::now();
    let mut polls = Vec::new();
    for lot in &lots {
        for key in 0..4 {
            let wait = lot.park(key).unwrap().wait(500 * SECOND, async || None::<()>);
            polls.push(tokio::spawn(async move { (wait.await, begun.elapsed().as_millis()) }));
        }
    }
    tokio::task::yield_now().await;
    let run = rig.drain.run(10 * SECOND);
    assert!(lots.iter().all(|lot| lot.park(9).is_err()), "at the call");
    let report = run.await;
    assert!(report.is_clean());
    assert_eq!(report.lots.iter().map(|lot| lot.ended).collect::<Vec<_>>(), [4, 4]);
    let mut ends = Vec::new();
    for poll in polls {
        let (outcome, at) = poll.await.unwrap();
        assert_eq!(outcome, Outcome::Draining);
        ends.push(at / 100);
    }
    ends.sort_unstable();
    assert_eq!(ends, [0, 0, 10, 20, 23, 30, 47, 71], "the second has 9.5 seconds");
}

/// It blocks the only thread that would wait for the driver.
#[test]
fn a_drain_ends_by_its_deadline_though_no_timer_of_the_runtime_fires() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (go_on, blocked) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    runtime.spawn(async move {
        tell.send(()).unwrap();
        let _ = blocked.recv();
    });
    told.recv().unwrap();
    let rig = Rig::new();
    let request = rig.begin("/never");
    let (run, handle) = (rig.drain.run(Duration::from_millis(200)), runtime.handle().clone());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(handle.block_on(run)).is_ok());
    let report = told.recv_timeout(30 * SECOND).expect("it waits for a timer");
    assert_eq!((report.cancelled.len(), report.left.len(), request.wakes()), (1, 1, 1));
    drop(go_on);
}
