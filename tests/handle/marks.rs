//! Marks with names of their own.

use super::*;

#[test]
fn a_mark_is_set_once_and_found_in_the_summary() {
    let (recorder, clock) = (Recorder::new(), ManualClock::new());
    let open = Open::new(&observed(&recorder).with_clock(clock.clone()));
    let millis = Duration::from_millis;
    clock.advance(millis(5));
    assert!(open.handle.mark("db"));
    clock.advance(millis(5));
    assert!(!open.handle.mark("db"), "set once");
    assert!(open.handle.clone().mark("cache"));
    clock.advance(millis(5));
    let handle = open.complete();
    assert!(!handle.mark("late"), "over");
    let marks = recorder.only().summary().unwrap().marks.clone();
    assert_eq!(marks.named("db"), Some(millis(5)));
    assert_eq!(marks.named("cache"), Some(millis(10)));
    assert_eq!(marks.named("late"), None);
    assert_eq!(marks.get(Mark::Close), Some(millis(15)));
    assert_eq!(marks.names().collect::<Vec<_>>(), [("db", millis(5)), ("cache", millis(10))]);
}

#[test]
fn a_handle_marks_also_where_no_observer_wants_marks() {
    let recorder = Recorder::with_interest(Interest::CLOSE);
    let open = Open::new(&observed(&recorder));
    assert!(open.handle.mark("db"));
    open.complete();
    let marks = recorder.exchanges()[0].summary().unwrap().marks.clone();
    assert!(marks.named("db") <= marks.get(Mark::Close));
    let open = Open::new(&unobserved());
    assert!(open.handle.mark("db"));
}

#[test]
fn thirty_two_marks_are_set_and_no_more() {
    const NAMES: [&str; 40] = [
        "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14",
        "15", "16", "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29",
        "30", "31", "32", "33", "34", "35", "36", "37", "38", "39",
    ];
    let recorder = Recorder::with_interest(Interest::CLOSE | Interest::MARKS);
    let open = Open::new(&observed(&recorder));
    let set = NAMES.iter().filter(|name| open.handle.mark(name)).count();
    assert_eq!(set, 32);
    open.complete();
    let marks = recorder.exchanges()[0].summary().cloned().unwrap().marks;
    assert_eq!(marks.names().map(|(name, _)| name).collect::<Vec<_>>(), NAMES[..32]);
}

#[test]
fn marks_of_many_threads_are_monotone() {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for _ in 0..50 {
        let recorder = Recorder::new();
        let open = Open::new(&observed(&recorder));
        let start = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (handle, start) = (open.handle.clone(), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    NAMES.iter().filter(|name| handle.mark(name)).count()
                })
            })
            .collect();
        let set: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(set, NAMES.len(), "each by one thread");
        open.complete();
        let marks = recorder.only().summary().unwrap().marks.clone();
        let times: Vec<_> = marks.names().map(|(_, at)| at).collect();
        assert!(times.is_sorted(), "{times:?}");
        assert!(times.iter().all(|at| *at <= marks.get(Mark::Close).unwrap()), "{marks:?}");
    }
}

/// A mark that says it was set is in the summary, also where it races with the close.
#[test]
fn a_mark_that_was_set_is_in_the_summary() {
    for _ in 0..500 {
        let recorder = Recorder::new();
        let open = Open::new(&observed(&recorder));
        let start = Arc::new(Barrier::new(2));
        let (handle, starts) = (open.handle.clone(), Arc::clone(&start));
        let marker = thread::spawn(move || {
            starts.wait();
            handle.mark("race")
        });
        start.wait();
        drop(open.leave());
        let set = marker.join().unwrap();
        let marks = recorder.only().summary().unwrap().marks.clone();
        assert_eq!(marks.named("race").is_some(), set);
    }
}

/// Who closes the exchange has read the clock before: here in a hook, which the close follows; else on another thread.
#[test]
fn no_mark_is_later_than_the_close() {
    let reach: Arc<Mutex<Option<(Answering, ExchangeHandle)>>> = Arc::default();
    let (recorder, clock) = (Recorder::new(), ManualClock::new());
    let (from_hook, ticks) = (Arc::clone(&reach), clock.clone());
    let spy = Spy::new(move |hook| {
        if hook == "on_request_close" {
            let (future, handle) = from_hook.lock().unwrap().take().unwrap();
            drop(future);
            ticks.advance(Duration::from_millis(5));
            assert!(handle.mark("late"));
        }
    });
    let layer = LifecycleLayer::new((spy, recorder.clone())).with_handle();
    let mut open = Open::new(&layer.with_clock(clock));
    *reach.lock().unwrap() = Some((open.future.take().unwrap(), open.handle.clone()));
    read(open.upload.take().unwrap()).unwrap();
    let marks = recorder.only().summary().unwrap().marks.clone();
    assert!(marks.named("late") <= marks.get(Mark::Close), "{marks:?}");
}

#[test]
fn a_mark_set_while_on_close_runs_says_that_it_is_too_late() {
    let kept: Arc<Mutex<Option<ExchangeHandle>>> = Arc::default();
    let uses = Arc::clone(&kept);
    let marked = Arc::new(AtomicBool::new(false));
    let marks = Arc::clone(&marked);
    let recorder = Recorder::new();
    let spy = Spy::new(move |hook| {
        if hook == "on_close" {
            let handle = uses.lock().unwrap().clone().unwrap();
            marks.store(handle.mark("late"), Ordering::SeqCst);
        }
    });
    let layer = LifecycleLayer::new((recorder.clone(), spy)).with_handle();
    let open = Open::new(&layer);
    *kept.lock().unwrap() = Some(open.handle.clone());
    open.complete();
    let named = recorder.only().summary().unwrap().marks.clone().named("late");
    assert_eq!(named.is_some(), marked.load(Ordering::SeqCst));
}

/// The mark was read before what followed it.
#[test]
fn marks_with_names_and_without_are_in_one_order_of_time() {
    let (recorder, clock) = (Recorder::new(), ManualClock::new());
    let mut open = Open::new(&observed(&recorder).with_clock(clock.clone()));
    let tick = || clock.advance(Duration::from_millis(1));
    tick();
    read(open.upload.take().unwrap()).unwrap();
    tick();
    assert!(open.handle.mark("between"));
    tick();
    open.complete();
    let marks = recorder.only().summary().unwrap().marks.clone();
    assert!(marks.get(Mark::RequestEnd) < marks.named("between"));
    assert!(marks.named("between") < marks.get(Mark::Response));
}
