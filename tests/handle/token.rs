//! The bridge to the tokens of tokio-util.

use super::*;

#[test]
fn a_token_is_cancelled_when_the_exchange_is_over_however_it_ended() {
    quiet();
    for (way, reason, _) in WAYS {
        let open = Open::new(&unobserved());
        let handle = open.handle.clone();
        let token = handle.cancellation_token();
        let mut cancelled = Box::pin(token.cancelled());
        let wakes = Arc::new(Wakes::default());
        assert!(poll_with(cancelled.as_mut(), &Arc::clone(&wakes).into()).is_pending());
        assert!(!token.is_cancelled());
        way(open);
        assert!(token.is_cancelled(), "{reason}");
        assert_eq!(wakes.count(), 1);
        assert!(at_once(cancelled).is_some());
        assert!(handle.cancellation_token().is_cancelled(), "after the close");
    }
}

#[test]
fn a_token_is_cancelled_after_on_close_and_before_callbacks() {
    let kept: Arc<Mutex<Option<tokio_util_token::Token>>> = Arc::default();
    let sees = Arc::clone(&kept);
    let spy = Spy::new(move |hook| {
        if hook == "on_close" {
            assert!(!sees.lock().unwrap().as_ref().unwrap().is_cancelled());
        }
    });
    let layer = LifecycleLayer::new(spy).with_handle();
    let open = Open::new(&layer);
    *kept.lock().unwrap() = Some(open.handle.cancellation_token());
    let token = open.handle.cancellation_token();
    let (told, tells) = mpsc::channel();
    open.handle.on_close(move |_| told.send(token.is_cancelled()).unwrap()).unwrap().keep();
    open.complete();
    assert_eq!(layer.observer_panics(), 0);
    assert_eq!(tells.try_recv(), Ok(true));
}

mod tokio_util_token {
    pub(super) type Token = tokio_util::sync::CancellationToken;
}

#[test]
fn a_token_is_a_child_whose_cancellation_is_its_own() {
    let recorder = Recorder::new();
    let open = Open::new(&observed(&recorder));
    let [one, other] = [open.handle.cancellation_token(), open.handle.cancellation_token()];
    one.cancel();
    assert!(one.is_cancelled());
    assert!(!other.is_cancelled());
    assert!(!open.handle.cancellation_token().is_cancelled());
    assert_eq!(open.handle.close_reason(), None);
    open.complete();
    assert!(other.is_cancelled());
    assert_eq!(recorder.only().reason(), Reason::Complete);
}

#[test]
fn tokens_that_were_dropped_leave_nothing_behind() {
    let open = Open::new(&unobserved());
    for _ in 0..1000 {
        drop(open.handle.cancellation_token());
    }
    let token = open.handle.cancellation_token();
    let child = token.child_token();
    drop(token);
    open.complete();
    assert!(child.is_cancelled());
}

/// A token outlives handle and exchange, and keeps nothing of it.
#[test]
fn a_token_keeps_nothing_of_its_exchange_alive() {
    let state = Arc::new(());
    let layer = LifecycleLayer::new(Holds(Arc::clone(&state))).with_handle();
    let open = Open::new(&layer);
    let token = open.handle.cancellation_token();
    drop(open);
    assert_eq!(Arc::strong_count(&state), 2);
    assert!(token.is_cancelled());
}

#[test]
fn tokens_made_in_a_race_with_the_close_are_cancelled() {
    for _ in 0..500 {
        let open = Open::new(&unobserved());
        let start = Arc::new(Barrier::new(3));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (handle, start) = (open.handle.clone(), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    handle.cancellation_token()
                })
            })
            .collect();
        start.wait();
        drop(open.leave());
        for thread in threads {
            assert!(thread.join().unwrap().is_cancelled());
        }
    }
}

#[test]
fn a_waker_of_a_token_that_panics_breaks_neither_the_exchange_nor_other_tokens() {
    quiet();
    let recorder = Recorder::new();
    let open = Open::new(&observed(&recorder));
    let tokens: Vec<_> = (0..4).map(|_| open.handle.cancellation_token()).collect();
    let mines: Vec<_> =
        tokens.iter().step_by(2).map(|token| mined(token.clone().cancelled_owned())).collect();
    let log = Log::default();
    open.handle.on_close(logging(&log, "called")).unwrap().keep();
    let mut closed = Box::pin(open.handle.closed());
    let wakes = Arc::new(Wakes::default());
    assert!(poll_with(closed.as_mut(), &Arc::clone(&wakes).into()).is_pending());
    let handle = open.complete();
    recorder.only();
    assert_eq!(wakes.count(), 1);
    assert_eq!(entries(&log), ["called(complete)"]);
    assert!(handle.cancellation_token().is_cancelled());
    for token in &tokens {
        assert!(token.is_cancelled());
    }
    drop(mines);
}

/// As an executor does that runs a task where it is woken.
#[test]
fn a_waker_of_a_token_may_use_the_handle() {
    within_patience(|| {
        let open = Open::new(&unobserved());
        let (uses, log) = (open.handle.clone(), Log::default());
        let logs = Arc::clone(&log);
        let waker = waker(move || {
            let cancelled = uses.cancellation_token().is_cancelled();
            logs.lock().unwrap().push(format!("{cancelled} {:?}", uses.stage()));
        });
        let token = open.handle.cancellation_token();
        let mut cancelled = Box::pin(token.cancelled());
        assert!(poll_with(cancelled.as_mut(), &waker).is_pending());
        open.complete();
        assert_eq!(entries(&log), ["true Done"]);
    });
}

/// Who waits behind it may stay unwoken. That the exchange is over is not lost, for whoever polls again.
#[test]
fn every_token_is_cancelled_though_a_waker_of_one_panicked() {
    quiet();
    for of_one_token in [false, true] {
        let (recorder, log) = (Recorder::new(), Log::default());
        let open = Open::new(&observed(&recorder));
        open.handle.on_close(logging(&log, "called")).unwrap().keep();
        let tokens: Vec<_> = (0..10).map(|_| open.handle.cancellation_token()).collect();
        let token = |at: usize| tokens[if of_one_token { 0 } else { at }].clone();
        let wakes: Vec<_> = (0..10).map(|_| Arc::new(Wakes::default())).collect();
        let mut waiting = Vec::new();
        for (at, wakes) in wakes.iter().enumerate() {
            let mut cancelled = Box::pin(token(at).cancelled_owned());
            let called = if at % 2 == 0 { Arc::new(Bomb).into() } else { Arc::clone(wakes).into() };
            assert!(poll_with(cancelled.as_mut(), &called).is_pending());
            waiting.push(cancelled);
        }
        let mut closed = Box::pin(open.handle.closed());
        let told = Arc::new(Wakes::default());
        assert!(poll_with(closed.as_mut(), &Arc::clone(&told).into()).is_pending());
        let handle = open.complete();
        assert_eq!(recorder.only().reason(), Reason::Complete);
        assert_eq!(entries(&log), ["called(complete)"]);
        assert_eq!((told.count(), handle.close_reason()), (1, at_once(closed)));
        assert!(wakes.iter().all(|wakes| wakes.count() <= 1));
        assert!(tokens.iter().all(tokio_util_token::Token::is_cancelled), "{of_one_token}");
        assert!(waiting.into_iter().all(|cancelled| at_once(cancelled).is_some()));
    }
}
