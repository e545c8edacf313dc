//! The verdict, for whoever waits: before, during and after, on any thread.

use super::*;

#[test]
fn before_during_and_after_the_close_closed_has_the_same_verdict() {
    quiet();
    for (way, reason, evidence) in WAYS {
        let recorder = Recorder::new();
        let open = Open::new(&observed(&recorder));
        let handle = open.handle.clone();
        assert_eq!(handle.close_reason(), None);
        let mut before = Box::pin(handle.closed());
        let unpolled = handle.closed();
        let wakes = Arc::new(Wakes::default());
        assert!(poll_with(before.as_mut(), &Arc::clone(&wakes).into()).is_pending());
        assert_eq!(at_once(handle.closed()), None);
        way(open);
        assert_eq!(wakes.count(), 1, "{reason}");
        let close = recorder.only().close();
        assert_eq!((close.reason, close.evidence), (reason, evidence));
        assert_eq!(now(before), close);
        assert_eq!(at_once(unpolled), Some(close));
        assert_eq!(at_once(handle.closed()), Some(close));
        assert_eq!(at_once(handle.clone().closed()), Some(close));
        assert_eq!(handle.close_reason(), Some(close));
        assert_eq!(handle.stage(), Stage::Done);
        assert_eq!(wakes.count(), 1, "{reason}");
    }
}

#[test]
fn an_unpolled_future_that_is_dropped_closes_for_the_handle_too() {
    let Open { handle, upload, future, .. } = Open::new(&unobserved());
    drop(upload);
    assert_eq!(handle.close_reason(), None);
    drop(future);
    let close = handle.close_reason().unwrap();
    assert_eq!((close.reason, close.stage), (Reason::Unknown, Stage::Handler));
}

#[test]
fn a_panic_in_call_closes_for_the_handle_too() {
    quiet();
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let mut service = unobserved().layer(service_fn(move |request: Incoming| {
        *keep.lock().unwrap() = Some(handle_of(&request));
        boom();
        #[expect(unreachable_code, reason = "for its type")]
        future::ready(Outcome::Ok(two_frames()))
    }));
    assert!(catch(|| drop(service.call(post()))).is_err());
    let handle = kept.lock().unwrap().take().unwrap();
    assert_eq!(handle.close_reason().unwrap().reason, Reason::Panicked);
    assert!(at_once(handle.closed()).is_some());
}

#[test]
fn a_client_has_handles_too_and_no_finish() {
    let layer = unobserved().client();
    let handle = Open::new(&layer).complete();
    assert_eq!(handle.close_reason().unwrap().reason, Reason::Complete);
    assert_eq!(at_once(handle.finished()), Some(None));
    let handle = Open::new(&layer).leave();
    assert_eq!(handle.close_reason().unwrap().reason, Reason::Cancelled);
}

#[test]
fn a_closed_future_that_was_ready_is_not_ready_for_ever_and_a_new_one_is() {
    let handle = Open::new(&unobserved()).complete();
    let first = now(handle.closed());
    for _ in 0..10 {
        assert_eq!(now(handle.closed()), first);
    }
}

/// Never before `on_close` of the observers has run, and its state is gone.
#[test]
fn closed_resolves_after_on_close_of_every_observer_has_run() {
    let (entered, has_entered) = mpsc::channel();
    let (go, go_on) = mpsc::channel();
    let go_on = Mutex::new(go_on);
    let first = Spy::new(|_| {});
    let slow = Spy::new(move |hook| {
        if hook == "on_close" || hook == "drop" {
            entered.send(hook).unwrap();
            go_on.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
    });
    let layer = LifecycleLayer::new((slow, first)).with_handle();
    let open = Open::new(&layer);
    let handle = open.handle.clone();
    let (called, is_called) = mpsc::channel();
    handle.on_close(move |_| called.send(()).unwrap()).unwrap().keep();
    let mut closed = Box::pin(handle.closed());
    let wakes = Arc::new(Wakes::default());
    assert!(poll_with(closed.as_mut(), &Arc::clone(&wakes).into()).is_pending());
    let closing = thread::spawn(move || drop(open.leave()));
    assert_eq!(has_entered.recv_timeout(PATIENCE), Ok("on_close"));
    assert_eq!(at_once(handle.closed()), None, "an observer is in on_close");
    assert_eq!(handle.close_reason(), None);
    assert_ne!(handle.stage(), Stage::Done);
    assert_eq!(wakes.count(), 0);
    assert!(is_called.try_recv().is_err());
    go.send(()).unwrap();
    assert_eq!(has_entered.recv_timeout(PATIENCE), Ok("drop"));
    go.send(()).unwrap();
    closing.join().unwrap();
    assert!(is_called.try_recv().is_ok());
    assert_eq!(wakes.count(), 1);
    assert!(at_once(closed).is_some());
    assert_eq!(layer.observer_panics(), 0);
}

/// The close comes from a hook: it follows the hook.
#[test]
fn a_hook_that_drops_the_rest_of_its_exchange_closes_it_after_itself() {
    for hook in ["on_request_data", "on_request_end", "on_request_close"] {
        let reach: Arc<Mutex<Option<Answering>>> = Arc::default();
        let kept: Arc<Mutex<Option<ExchangeHandle>>> = Arc::default();
        let (from_hook, seen) = (Arc::clone(&reach), Arc::clone(&kept));
        let spy = Spy::new(move |called| {
            if called == hook {
                let future = from_hook.lock().unwrap().take();
                drop(future);
                let handle = seen.lock().unwrap().clone().unwrap();
                assert_eq!(handle.close_reason(), None, "not over before the hook is");
                assert_eq!(at_once(handle.closed()), None);
            }
        });
        let recorder = Recorder::new();
        let layer = LifecycleLayer::new((spy, recorder.clone())).with_handle();
        let mut open = Open::new(&layer);
        *kept.lock().unwrap() = Some(open.handle.clone());
        *reach.lock().unwrap() = open.future.take();
        read(open.upload.take().unwrap()).unwrap();
        assert_eq!(layer.observer_panics(), 0, "{hook}");
        assert_eq!(open.handle.close_reason(), Some(recorder.only().close()), "{hook}");
    }
}

#[test]
fn hundreds_of_tasks_on_many_threads_have_one_verdict() {
    let runtime = multi_threaded();
    for round in 0..20_u64 {
        let recorder = Recorder::new();
        let open = Open::new(&observed(&recorder));
        let handle = open.handle.clone();
        let closing = handle.clone();
        let verdicts = runtime.block_on(async move {
            let waiting: Vec<_> = (0..500)
                .map(|waiter| {
                    let handle = closing.clone();
                    tokio::spawn(async move {
                        for _ in 0..(waiter * 7 + round) % 5 {
                            tokio::task::yield_now().await;
                        }
                        handle.closed().await
                    })
                })
                .collect();
            let end = tokio::task::spawn_blocking(move || drop(open.complete()));
            let mut verdicts = HashSet::new();
            for task in waiting {
                let verdict = tokio::time::timeout(PATIENCE, task);
                verdicts.insert(verdict.await.expect("no wake-up is lost").unwrap());
            }
            end.await.unwrap();
            verdicts
        });
        assert_eq!(verdicts, HashSet::from([recorder.only().close()]));
    }
}

/// Register, look again and close race on threads of their own, so that nothing but the wake-up helps.
#[test]
fn no_wake_up_is_lost_to_a_close_at_the_same_time() {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        let waker = Arc::new(Unpark(thread::current())).into();
        loop {
            if let Poll::Ready(output) = poll_with(future.as_mut(), &waker) {
                return output;
            }
            thread::park();
        }
    }
    within_patience(|| {
        for _ in 0..1000 {
            let open = Open::new(&unobserved());
            let start = Arc::new(Barrier::new(3));
            let waiters: Vec<_> = (0..2)
                .map(|waiter| {
                    let (handle, start) = (open.handle.clone(), Arc::clone(&start));
                    thread::spawn(move || {
                        start.wait();
                        if waiter == 0 {
                            block_on(handle.closed())
                        } else {
                            assert_eq!(block_on(handle.disconnected()), None);
                            assert_eq!(block_on(handle.finished()), None);
                            block_on(handle.closed())
                        }
                    })
                })
                .collect();
            start.wait();
            let handle = open.leave();
            for waiter in waiters {
                assert_eq!(Some(waiter.join().unwrap()), handle.close_reason());
            }
        }
    });
}

#[test]
fn waiters_that_are_dropped_leave_the_others_waiting() {
    let open = Open::new(&unobserved());
    let wakes: Vec<_> = (0..300).map(|_| Arc::new(Wakes::default())).collect();
    let mut waiting: Vec<_> = wakes
        .iter()
        .map(|wakes| {
            let mut closed = Box::pin(open.handle.closed());
            assert!(poll_with(closed.as_mut(), &Arc::clone(wakes).into()).is_pending());
            Some(closed)
        })
        .collect();
    for waiter in waiting.iter_mut().step_by(3) {
        *waiter = None;
    }
    open.complete();
    for (at, (wakes, waiter)) in wakes.iter().zip(waiting).enumerate() {
        assert_eq!(wakes.count(), usize::from(at % 3 != 0), "{at}");
        if let Some(waiter) = waiter {
            assert_eq!(now(waiter).reason, Reason::Complete);
        }
    }
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_is_woken() {
    let open = Open::new(&unobserved());
    let [first, second] = [Arc::new(Wakes::default()), Arc::new(Wakes::default())];
    let mut closed = Box::pin(open.handle.closed());
    assert!(poll_with(closed.as_mut(), &Arc::clone(&first).into()).is_pending());
    assert!(poll_with(closed.as_mut(), &Arc::clone(&second).into()).is_pending());
    open.complete();
    assert_eq!((first.count(), second.count()), (0, 1));
}

#[test]
fn a_waiter_that_is_dropped_after_it_was_woken_takes_nothing_from_others() {
    let open = Open::new(&unobserved());
    let mut one = Box::pin(open.handle.closed());
    let mut other = Box::pin(open.handle.closed());
    let wakes = Arc::new(Wakes::default());
    assert!(poll_once(one.as_mut()).is_pending());
    assert!(poll_with(other.as_mut(), &Arc::clone(&wakes).into()).is_pending());
    open.complete();
    drop(one);
    assert_eq!(wakes.count(), 1);
    assert_eq!(now(other).reason, Reason::Complete);
}

/// A waiter that is woken drops others that wait, as a `select` in one task does.
#[test]
fn a_waker_may_drop_other_waiters() {
    within_patience(|| {
        let open = Open::new(&unobserved());
        let others: Arc<Mutex<Vec<_>>> = Arc::default();
        let drops = Arc::clone(&others);
        let dropping = waker(move || {
            let others = std::mem::take(&mut *drops.lock().unwrap());
            drop(others);
        });
        let mut first = Box::pin(open.handle.closed());
        assert!(poll_with(first.as_mut(), &dropping).is_pending());
        for _ in 0..100 {
            let mut other = Box::pin(open.handle.closed());
            assert!(poll_once(other.as_mut()).is_pending());
            others.lock().unwrap().push(other);
        }
        open.complete();
        assert!(others.lock().unwrap().is_empty());
        assert_eq!(now(first).reason, Reason::Complete);
    });
}

#[test]
fn a_waker_may_use_the_handle() {
    within_patience(|| {
        let open = Open::new(&unobserved());
        let handle = open.handle.clone();
        let (seen, was_seen) = mpsc::channel();
        let uses = handle.clone();
        let mut futures: [Pin<Box<dyn Future<Output = ()>>>; 3] = [
            Box::pin(async {
                let _ = open.handle.closed().await;
            }),
            Box::pin(async {
                let _ = handle.finished().await;
            }),
            Box::pin(async {
                let _ = handle.disconnected().await;
            }),
        ];
        let waker = waker(move || {
            let _ = (uses.stage(), uses.id(), uses.request_progress(), uses.mark("woken"));
            let _ = uses.on_close(|_| ());
            let ready = at_once(uses.closed()).is_some();
            assert_eq!(ready, uses.close_reason().is_some());
            seen.send(ready).unwrap();
        });
        for future in &mut futures {
            assert!(poll_with(Pin::new(future), &waker).is_pending());
        }
        drop(futures);
        let mut closed = Box::pin(handle.closed());
        assert!(poll_with(closed.as_mut(), &waker).is_pending());
        open.complete();
        assert_eq!(was_seen.try_recv(), Ok(true), "who is woken sees why");
    });
}

/// Runs `act` in the waker of a waiter, and says what it returned when the exchange closed.
fn seen_by_the_waker_of<F, T>(
    wait: impl FnOnce(&ExchangeHandle) -> F,
    act: impl Fn(&ExchangeHandle) -> T + Send + Sync + 'static,
) -> T
where
    F: Future,
    T: Send + 'static,
{
    let open = Open::new(&unobserved());
    let (seen, was_seen) = mpsc::channel();
    let (handle, seen) = (open.handle.clone(), Mutex::new(seen));
    let waker = waker(move || seen.lock().unwrap().send(act(&handle)).unwrap());
    let mut waiting = Box::pin(wait(&open.handle));
    assert!(poll_with(waiting.as_mut(), &waker).is_pending());
    drop(open.leave());
    was_seen.try_recv().expect("woken")
}

/// Another thread can do the same as soon as `closed` has resolved there.
#[test]
fn once_there_is_a_verdict_a_callback_runs_at_once() {
    let (closed, called) = seen_by_the_waker_of(ExchangeHandle::closed, |handle| {
        let called = Arc::new(AtomicBool::new(false));
        let calls = Arc::clone(&called);
        drop(handle.on_close(move |_| calls.store(true, Ordering::SeqCst)).unwrap());
        (handle.close_reason().is_some(), called.load(Ordering::SeqCst))
    });
    assert!(closed);
    assert!(called, "over already: called at once");
}

#[test]
fn once_there_is_a_verdict_no_callback_is_refused() {
    let (closed, refused) = seen_by_the_waker_of(ExchangeHandle::closed, |handle| {
        let refused = (0..100).filter(|_| handle.on_close(|_| ()).map(OnClose::keep).is_err());
        (handle.close_reason().is_some(), refused.count())
    });
    assert_eq!((closed, refused), (true, 0));
}

#[test]
fn who_hears_none_because_of_the_close_finds_the_verdict() {
    let closed = |handle: &ExchangeHandle| handle.close_reason().is_some();
    assert!(seen_by_the_waker_of(ExchangeHandle::finished, closed));
    assert!(seen_by_the_waker_of(ExchangeHandle::disconnected, closed));
}

#[cfg(feature = "tokio-util")]
#[test]
fn once_there_is_a_verdict_a_token_is_cancelled() {
    let cancelled = |handle: &ExchangeHandle| {
        assert!(handle.close_reason().is_some());
        handle.cancellation_token().is_cancelled()
    };
    assert!(seen_by_the_waker_of(ExchangeHandle::closed, cancelled));
    assert!(seen_by_the_waker_of(ExchangeHandle::finished, cancelled));
    assert!(seen_by_the_waker_of(ExchangeHandle::disconnected, cancelled));
}

/// One that was made before.
#[cfg(feature = "tokio-util")]
#[test]
fn who_waits_finds_its_token_cancelled() {
    let kept: Arc<Mutex<Option<tokio_util::sync::CancellationToken>>> = Arc::default();
    for wait in 0..3 {
        let (keeps, sees) = (Arc::clone(&kept), Arc::clone(&kept));
        let waits = move |handle: &ExchangeHandle| {
            *keeps.lock().unwrap() = Some(handle.cancellation_token());
            let (closed, finished) = (handle.closed(), handle.finished());
            let disconnected = handle.disconnected();
            async move {
                match wait {
                    0 => _ = closed.await,
                    1 => _ = finished.await,
                    _ => _ = disconnected.await,
                }
            }
        };
        let cancelled =
            move |_: &ExchangeHandle| sees.lock().unwrap().as_ref().unwrap().is_cancelled();
        assert!(seen_by_the_waker_of(waits, cancelled), "{wait}");
    }
}
