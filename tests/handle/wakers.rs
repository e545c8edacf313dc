//! Wakers are an executor's code, and it may panic.

use super::*;

#[test]
fn a_waker_that_panics_does_not_break_the_exchange() {
    quiet();
    for (way, reason, _) in WAYS {
        let recorder = Recorder::new();
        let open = Open::new(&observed(&recorder));
        let handle = open.handle.clone();
        let log = Log::default();
        let mines: Vec<_> = (0..80).map(|_| mined(handle.closed())).collect();
        handle.on_close(logging(&log, "called")).unwrap().keep();
        way(open);
        assert_eq!(recorder.only().reason(), reason);
        assert_eq!(handle.close_reason().unwrap().reason, reason);
        assert_eq!(entries(&log), [format!("called({reason})")]);
        for mine in mines {
            assert_eq!(now(mine).reason, reason);
        }
    }
}

/// Who waits behind it may stay unwoken. What is not lost is the verdict, for whoever polls again.
#[test]
fn whoever_polls_again_has_the_verdict_though_a_waker_panicked() {
    quiet();
    for before in [true, false] {
        for (way, reason, _) in WAYS {
            let recorder = Recorder::new();
            let open = Open::new(&observed(&recorder));
            let handle = open.handle.clone();
            let log = Log::default();
            let wakes: Vec<_> = (0..40).map(|_| Arc::new(Wakes::default())).collect();
            let (mut mines, mut waiters) = (Vec::new(), Vec::new());
            for turn in 0..80 {
                if (turn % 2 == 0) == before {
                    mines.push(mined(handle.closed()));
                } else {
                    let mut closed = Box::pin(handle.closed());
                    let counting = Arc::clone(&wakes[waiters.len()]).into();
                    assert!(poll_with(closed.as_mut(), &counting).is_pending());
                    waiters.push(closed);
                }
            }
            handle.on_close(logging(&log, "called")).unwrap().keep();
            way(open);
            let close = recorder.only().close();
            assert_eq!(close.reason, reason);
            assert_eq!(handle.close_reason(), Some(close));
            assert_eq!(entries(&log), [format!("called({reason})")]);
            assert!(wakes.iter().all(|wakes| wakes.count() <= 1), "{reason}");
            for waiter in waiters.into_iter().chain(mines) {
                assert_eq!(now(waiter), close);
            }
            assert_eq!(at_once(handle.closed()), Some(close));
        }
    }
}

#[test]
fn a_waker_that_panics_does_not_keep_those_who_wait_for_something_else_from_being_woken() {
    type Waiting = Pin<Box<dyn Future<Output = ()>>>;
    fn wait(handle: &ExchangeHandle, what: usize) -> Waiting {
        let (closed, finished, gone) = (handle.closed(), handle.finished(), handle.disconnected());
        match what {
            0 => Box::pin(async { _ = closed.await }),
            1 => Box::pin(async { _ = finished.await }),
            _ => Box::pin(async { _ = gone.await }),
        }
    }
    quiet();
    for (way, reason, _) in WAYS {
        for panics in 0..3 {
            let open = Open::new(&unobserved());
            let mine = mined(wait(&open.handle, panics));
            let others: Vec<_> = (0..3)
                .filter(|what| *what != panics)
                .map(|what| {
                    let (mut waiting, wakes) = (wait(&open.handle, what), Arc::default());
                    let counting: Waker = Arc::<Wakes>::clone(&wakes).into();
                    assert!(poll_with(waiting.as_mut(), &counting).is_pending());
                    (waiting, wakes)
                })
                .collect();
            way(open);
            for (waiting, wakes) in others {
                assert_eq!(wakes.count(), 1, "{reason} {panics}");
                now(waiting);
            }
            now(mine);
        }
    }
}

#[test]
fn a_waker_that_panics_in_a_drop_that_unwinds_does_not_abort() {
    quiet();
    let Open { handle, upload, future, answer, .. } = Open::new(&unobserved());
    let mines = (mined(handle.closed()), mined(handle.finished()), mined(handle.disconnected()));
    drop_unwinding((future, upload));
    assert_eq!(handle.close_reason().unwrap().reason, Reason::Panicked);
    drop((mines, answer));
}

#[test]
fn a_waker_of_finished_that_panics_does_not_keep_the_exchange_from_its_close() {
    quiet();
    let recorder = Recorder::new();
    let open = Open::new(&observed(&recorder));
    let mines = (mined(open.handle.finished()), mined(open.handle.disconnected()));
    let handle = open.complete();
    recorder.only();
    assert_eq!(at_once(handle.finished()), Some(Some(Finish::Released)));
    assert_eq!(at_once(handle.disconnected()), Some(None));
    assert_eq!(at_once(handle.closed()).unwrap().reason, Reason::Complete);
    drop(mines);
}

/// Who waits for the disconnect would wait for ever.
#[test]
fn a_waker_of_finished_that_panics_does_not_keep_disconnected_from_its_answer() {
    quiet();
    let open = Open::new(&unobserved());
    let mine = mined(open.handle.finished());
    let handle = open.leave();
    assert_eq!(at_once(handle.disconnected()), Some(None));
    drop(mine);
}

/// A waker whose drop panics is held by the waiter that is woken.
#[test]
fn a_waker_whose_drop_panics_does_not_break_the_exchange() {
    struct Mine(Arc<AtomicBool>);
    impl Wake for Mine {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Mine {
        fn drop(&mut self) {
            if self.0.load(Ordering::SeqCst) {
                boom();
            }
        }
    }
    quiet();
    let recorder = Recorder::new();
    let open = Open::new(&observed(&recorder));
    let handle = open.handle.clone();
    let armed = Arc::new(AtomicBool::new(true));
    let mut mine = Box::pin(handle.closed());
    assert!(poll_with(mine.as_mut(), &Arc::new(Mine(Arc::clone(&armed))).into()).is_pending());
    let mut closed = Box::pin(handle.closed());
    let wakes = Arc::new(Wakes::default());
    assert!(poll_with(closed.as_mut(), &Arc::clone(&wakes).into()).is_pending());
    open.complete();
    armed.store(false, Ordering::SeqCst);
    recorder.only();
    assert!(wakes.count() <= 1);
    assert!(at_once(closed).is_some() && at_once(mine).is_some());
}
