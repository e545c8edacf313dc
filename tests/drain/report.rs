//! How a report reads.

use std::time::Duration;

use tower_lifecycle::inflight::InFlight;

use crate::rig::{Rig, SECOND};

#[tokio::test(start_paused = true)]
async fn a_report_says_once_of_each_what_became_of_it_and_why_it_was_open() {
    let rig = Rig::new();
    let never = rig.begin("/never");
    let hang = rig.get("/hang").poll().unwrap().unwrap();
    let mut report = rig.drain.run(Duration::ZERO).await;
    report.left.truncate(1);
    report.took = Duration::from_millis(9_600);
    let cancelled = report.cancelled.iter_mut().zip([4_212_345, 42_000]);
    for (open, millis) in cancelled.chain([(&mut report.left[0], 4_212_400)]) {
        open.age = Duration::from_millis(millis);
        if let Some(wait) = &mut open.response_wait {
            wait.consumer = 40 * SECOND;
        }
    }
    let [never_id, hang_id] = [0, 1].map(|n| report.cancelled[n].id);
    let expected = format!(
        "\
drained in 9.6s: 0 ended, 0 refused, 1 cancelled, 0 cut, 1 left
  left       4212.4s  GET /never: waits for its handler; exchange {never_id}
  cancelled    42.0s  GET /hang: it is not known what it waits for; response 200, 0 bytes so far; exchange {hang_id}"
    );
    assert_eq!(report.to_string(), expected);
    assert_eq!(report.to_string(), format!("{report:#}"));
    drop((never, hang));
}

#[tokio::test(start_paused = true)]
async fn a_long_report_lists_a_hundred_and_counts_the_rest() {
    let rig = Rig::new();
    let open: Vec<_> = (0..103).map(|_| rig.begin("/never")).collect();
    let report = rig.drain.run(Duration::ZERO).await;
    let text = report.to_string();
    assert_eq!(text.lines().count(), 1 + 100 + 1, "{text}");
    assert!(text.ends_with("\n  3 more, not listed here"), "{text}");
    assert_eq!(format!("{report:#}").lines().count(), 1 + 103);
    drop(open);
}

#[tokio::test(start_paused = true)]
async fn what_the_registry_does_not_show_has_not_ended_and_is_not_clean() {
    let rig = Rig::of(InFlight::builder().max_open(1).build(), |drain| drain);
    let (shown, mut hidden) = (rig.begin("/never"), [rig.begin("/never"), rig.begin("/never")]);
    let run = tokio::spawn(rig.drain.run(10 * SECOND));
    drop(shown);
    while hidden[0].wakes() == 0 {
        tokio::time::sleep(SECOND / 10).await;
    }
    assert_eq!(hidden[0].poll().unwrap().unwrap().status(), 503);
    let report = run.await.unwrap();
    assert_eq!((report.ended, report.cancelled_not_shown, report.not_shown), (1, 2, 1));
    assert!(report.cancelled.is_empty() && !report.is_clean());
    let text = report.to_string();
    assert!(text.contains(": 1 ended, 0 refused, 1 cancelled, 0 cut, 1 left\n"), "{text}");
}

/// By nobody who polls it: it is left, and which lot it is in is known by its place.
#[cfg(feature = "park")]
#[tokio::test(start_paused = true)]
async fn a_lot_that_could_not_be_emptied_has_its_place_and_is_not_clean() {
    use tower_lifecycle::park::{Lot, Policy};

    let lots: [Lot<u32>; 2] = std::array::from_fn(|_| Lot::new(Policy::new()));
    let rig = Rig::with(|drain| drain.lot(&lots[0], SECOND).lot(&lots[1], SECOND));
    let held = lots[0].park(1).unwrap();
    let report = rig.drain.run(Duration::ZERO).await;
    assert_eq!(report.lots.iter().map(|lot| lot.parked).collect::<Vec<_>>(), [1, 0]);
    assert!(!report.is_clean() && !report.has_nothing_left());
    assert!(report.to_string().ends_with("\n  1 polls left in a lot"), "{report}");
    drop(held);
}

/// A poll that is not dropped in time is cancelled like others: it is parked no more at the end.
#[cfg(feature = "park")]
#[tokio::test(start_paused = true)]
async fn what_was_cancelled_is_not_left_in_a_lot() {
    use tower_lifecycle::park::{Lot, Policy};

    let lot: Lot<u32> = Lot::new(Policy::new());
    let rig = Rig::with(|drain| drain.lot(&lot, SECOND));
    let held = lot.park(1).unwrap();
    let mut request = rig.begin("/never");
    let run = tokio::spawn(rig.drain.run(10 * SECOND));
    while request.wakes() == 0 {
        tokio::time::sleep(SECOND / 10).await;
    }
    drop((held, request.poll()));
    let report = run.await.unwrap();
    assert_eq!((report.lots[0].parked, report.cancelled.len()), (0, 1), "{report}");
    assert!(report.has_nothing_left());
}

#[tokio::test(start_paused = true)]
async fn a_clean_report_is_one_line() {
    let report = Rig::new().drain.run(SECOND).await;
    assert!(report.is_clean());
    assert_eq!(report.to_string().lines().count(), 1);
}

/// ESC, a C1 control, a bidirectional override, a line separator: a URI may have all that is not ASCII.
#[tokio::test(start_paused = true)]
async fn a_hostile_path_writes_nothing_but_itself() {
    let rig = Rig::new();
    let paths = ["/\u{9b}31m", "/\u{202e}gnp", "/\u{2028}left", "/'\"\\", "/%1b[31m"];
    let requests: Vec<_> = paths
        .iter()
        .filter_map(|path| http::Uri::try_from(*path).ok())
        .map(|uri| rig.hostile(uri))
        .collect();
    assert!(requests.len() >= 2, "the types let some of it through");
    let report = rig.drain.run(Duration::ZERO).await;
    let text = report.to_string();
    assert_eq!(text.lines().count(), 1 + requests.len(), "{text:?}");
    assert!(text.chars().all(|it| it == '\n' || matches!(it, ' '..='~')), "{text:?}");
}
