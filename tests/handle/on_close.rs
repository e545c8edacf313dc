//! Callbacks that wait for the close.

use super::*;

#[test]
fn callbacks_run_after_the_observers_in_the_order_of_registration() {
    let log = Log::default();
    let logs = Arc::clone(&log);
    let named = |name: &'static str| {
        let logs = Arc::clone(&logs);
        Spy::new(move |hook| {
            if hook == "on_close" {
                logs.lock().unwrap().push(name.to_owned());
            }
        })
    };
    let layer = LifecycleLayer::new((named("outer"), named("inner"))).with_handle();
    let open = Open::new(&layer);
    let kept: Vec<OnClose> = (0..5)
        .map(|n| open.handle.clone().on_close(logging(&log, &format!("callback {n}"))).unwrap())
        .collect();
    open.complete();
    let expected = ["inner", "outer"].map(str::to_owned).into_iter();
    let callbacks = (0..5).map(|n| format!("callback {n}(complete)"));
    assert_eq!(entries(&log), expected.chain(callbacks).collect::<Vec<_>>());
    drop(kept);
    assert_eq!(entries(&log).len(), 7, "once");
}

#[test]
fn who_waits_is_woken_before_callbacks_run_and_the_verdict_is_there() {
    let open = Open::new(&unobserved());
    let log = Log::default();
    let logs = Arc::clone(&log);
    let waker = waker(move || logs.lock().unwrap().push("woken".to_owned()));
    let mut closed = Box::pin(open.handle.closed());
    assert!(poll_with(closed.as_mut(), &waker).is_pending());
    let (handle, logs) = (open.handle.clone(), Arc::clone(&log));
    open.handle
        .on_close(move |close| {
            assert_eq!(handle.close_reason(), Some(close));
            assert_eq!(handle.stage(), Stage::Done);
            assert_eq!(at_once(handle.closed()), Some(close));
            assert!(at_once(handle.finished()).is_some());
            assert!(at_once(handle.disconnected()).is_some());
            logs.lock().unwrap().push("called".to_owned());
        })
        .unwrap()
        .keep();
    open.complete();
    assert_eq!(entries(&log), ["woken", "called"]);
}

#[test]
fn dropping_what_was_returned_takes_the_callback_back_and_what_it_holds() {
    let log = Log::default();
    let open = Open::new(&unobserved());
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    let first = open.handle.on_close(logging(&log, "first")).unwrap();
    let second = open.handle.on_close(move |_| drop(inside)).unwrap();
    let third = open.handle.on_close(logging(&log, "third")).unwrap();
    drop(second);
    assert_eq!(Arc::strong_count(&held), 1, "at once");
    drop(third);
    open.handle.on_close(logging(&log, "fourth")).unwrap().keep();
    open.complete();
    assert_eq!(entries(&log), ["first(complete)", "fourth(complete)"]);
    drop(first);
}

#[test]
fn after_the_close_a_callback_runs_at_once_in_this_thread() {
    let handle = Open::new(&unobserved()).complete();
    let here = thread::current().id();
    let (called, is_called) = mpsc::channel();
    let returned =
        handle.on_close(move |close| called.send((close, thread::current().id())).unwrap());
    assert_eq!(is_called.try_recv(), Ok((handle.close_reason().unwrap(), here)));
    drop(returned.unwrap());
    // Those that were called need no room.
    for _ in 0..200 {
        handle.on_close(|_| ()).unwrap().keep();
    }
}

#[test]
fn a_callback_may_take_back_another_that_has_not_been_called() {
    let log = Log::default();
    let open = Open::new(&unobserved());
    let slot: Arc<Mutex<Option<OnClose>>> = Arc::default();
    let takes = Arc::clone(&slot);
    let logs = Arc::clone(&log);
    open.handle
        .on_close(move |_| {
            let other = takes.lock().unwrap().take();
            drop(other);
            logs.lock().unwrap().push("first".to_owned());
        })
        .unwrap()
        .keep();
    *slot.lock().unwrap() = Some(open.handle.on_close(logging(&log, "second")).unwrap());
    open.handle.on_close(logging(&log, "third")).unwrap().keep();
    open.complete();
    assert_eq!(entries(&log), ["first", "third(complete)"]);
}

#[test]
fn a_callback_may_drop_its_own_registration() {
    within_patience(|| {
        let open = Open::new(&unobserved());
        let slot: Arc<Mutex<Option<OnClose>>> = Arc::default();
        let own = Arc::clone(&slot);
        let (called, is_called) = mpsc::channel();
        let registered = open.handle.on_close(move |_| {
            let registered = own.lock().unwrap().take();
            drop(registered);
            called.send(()).unwrap();
        });
        *slot.lock().unwrap() = Some(registered.unwrap());
        open.complete();
        assert!(is_called.try_recv().is_ok());
    });
}

/// What a callback holds may be a registration of its own.
#[test]
fn a_callback_that_is_taken_back_may_take_back_others_by_its_drop() {
    within_patience(|| {
        let log = Log::default();
        let open = Open::new(&unobserved());
        let inner = open.handle.on_close(logging(&log, "inner")).unwrap();
        let outer = open.handle.on_close(move |_| inner.keep()).unwrap();
        drop(outer);
        open.complete();
        assert_eq!(entries(&log), [""; 0]);
    });
}

#[test]
fn a_callback_may_drop_the_bodies_and_register_another() {
    within_patience(|| {
        let log = Log::default();
        let mut open = Open::new(&unobserved());
        let handle = open.handle.clone();
        let (upload, logs) = (open.upload.take(), Arc::clone(&log));
        open.handle
            .on_close(move |_| {
                drop(upload);
                logs.lock().unwrap().push("first".to_owned());
                handle.on_close(logging(&logs, "nested")).unwrap().keep();
                logs.lock().unwrap().push("first is over".to_owned());
            })
            .unwrap()
            .keep();
        open.handle.on_close(logging(&log, "second")).unwrap().keep();
        open.complete();
        let log = entries(&log);
        let at = |entry: &str| log.iter().position(|logged| logged == entry).expect("called");
        assert_eq!(log.len(), 4, "{log:?}");
        assert!(at("first") < at("second(complete)"));
        assert!(at("first") < at("nested(complete)"));
    });
}

#[test]
fn a_callback_that_panics_is_caught_counted_and_handed_on_with_its_name() {
    quiet();
    let (told, tells) = mpsc::channel();
    let recorder = Recorder::new();
    let layer = observed(&recorder).on_observer_panic(move |panic| {
        let payload = panic.payload.downcast_ref::<&str>() == Some(&PANIC);
        told.send((panic.observer.to_owned(), panic.hook, payload)).unwrap();
    });
    let log = Log::default();
    let open = Open::new(&layer);
    open.handle.on_close(logging(&log, "before")).unwrap().keep();
    open.handle.on_close(|_| boom()).unwrap().keep();
    open.handle.on_close(logging(&log, "after")).unwrap().keep();
    let handle = open.complete();
    assert_eq!(entries(&log), ["before(complete)", "after(complete)"]);
    assert_eq!(layer.observer_panics(), 1);
    let (name, hook, payload) = tells.try_recv().unwrap();
    assert!(name.contains("a_callback_that_panics_is_caught"), "{name}");
    assert_eq!((hook, payload), ("callback", true));
    recorder.only();
    // After the close too.
    handle.on_close(|_| boom()).unwrap().keep();
    assert_eq!(layer.observer_panics(), 2);
    assert!(tells.try_recv().is_ok());
    assert_eq!(at_once(handle.closed()).unwrap().reason, Reason::Complete);
}

#[test]
fn callbacks_that_panic_in_a_drop_that_unwinds_do_not_abort() {
    quiet();
    let layer = unobserved();
    let Open { handle, upload, future, answer, .. } = Open::new(&layer);
    for _ in 0..3 {
        handle.on_close(|_| boom()).unwrap().keep();
    }
    drop_unwinding((future, upload));
    assert_eq!(layer.observer_panics(), 3);
    drop(answer);
}

/// What a callback holds is dropped with it, and that may panic too.
#[test]
fn a_callback_whose_drop_panics_does_not_break_the_exchange() {
    struct Mine;
    impl Drop for Mine {
        fn drop(&mut self) {
            boom();
        }
    }
    quiet();
    let log = Log::default();
    let recorder = Recorder::new();
    let layer = observed(&recorder);
    let open = Open::new(&layer);
    let mine = Mine;
    open.handle.on_close(move |_| drop(mine)).unwrap().keep();
    open.handle.on_close(logging(&log, "after")).unwrap().keep();
    open.complete();
    assert_eq!(entries(&log), ["after(complete)"]);
    assert_eq!(layer.observer_panics(), 1);
    recorder.only();
}

#[test]
fn sixty_four_callbacks_wait_and_a_drop_makes_room() {
    let open = Open::new(&unobserved());
    let called = Arc::new(AtomicUsize::new(0));
    let counting = || {
        let called = Arc::clone(&called);
        move |_| {
            called.fetch_add(1, Ordering::SeqCst);
        }
    };
    let mut kept: Vec<_> = (0..64).map(|_| open.handle.on_close(counting()).unwrap()).collect();
    let refused: Result<OnClose, TooManyCallbacks> = open.handle.on_close(counting());
    let refused = refused.unwrap_err();
    assert!(refused.to_string().contains("64"), "{refused}");
    drop(kept.remove(17));
    open.handle.on_close(counting()).unwrap().keep();
    assert!(open.handle.on_close(counting()).is_err());
    open.complete();
    assert_eq!(called.load(Ordering::SeqCst), 64);
}

#[test]
fn callbacks_that_were_refused_are_dropped() {
    let open = Open::new(&unobserved());
    let held = Arc::new(());
    let results: Vec<_> = (0..70)
        .map(|_| {
            let inside = Arc::clone(&held);
            open.handle.on_close(move |_| drop(inside))
        })
        .collect();
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 6);
    assert_eq!(Arc::strong_count(&held), 65);
    drop(results);
    assert_eq!(Arc::strong_count(&held), 1);
}

/// What a refused callback holds is dropped: its drop may use the handle.
#[test]
fn a_callback_that_is_refused_or_taken_back_may_use_the_handle_in_its_drop() {
    struct Uses(ExchangeHandle, Arc<AtomicUsize>);
    impl Drop for Uses {
        fn drop(&mut self) {
            let _ = (self.0.stage(), self.0.mark("dropped"), self.0.on_close(|_| ()));
            make_token(&self.0);
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    within_patience(|| {
        let open = Open::new(&unobserved());
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut results: Vec<_> = (0..70)
            .map(|_| {
                let uses = Uses(open.handle.clone(), Arc::clone(&dropped));
                open.handle.on_close(move |_| drop(uses))
            })
            .collect();
        assert_eq!(dropped.load(Ordering::SeqCst), 6, "refused");
        results.truncate(60);
        assert_eq!(dropped.load(Ordering::SeqCst), 10, "taken back");
        open.complete();
        assert_eq!(dropped.load(Ordering::SeqCst), 70, "called");
        drop(results);
    });
}

#[test]
fn callbacks_registered_in_a_race_with_the_close_are_called_exactly_once() {
    for _ in 0..500 {
        let open = Open::new(&unobserved());
        let called = Arc::new(AtomicUsize::new(0));
        let start = Arc::new(Barrier::new(3));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (handle, start) = (open.handle.clone(), Arc::clone(&start));
                let called = Arc::clone(&called);
                thread::spawn(move || {
                    start.wait();
                    for _ in 0..10 {
                        let called = Arc::clone(&called);
                        let count = move |_| {
                            called.fetch_add(1, Ordering::SeqCst);
                        };
                        handle.on_close(count).unwrap().keep();
                    }
                })
            })
            .collect();
        start.wait();
        drop(open.leave());
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(called.load(Ordering::SeqCst), 20);
    }
}

/// Either it is called, or what it holds is dropped by the drop; never both, never neither.
#[test]
fn callbacks_taken_back_in_a_race_with_the_close_are_called_once_or_not_at_all() {
    for _ in 0..500 {
        let open = Open::new(&unobserved());
        let called = Arc::new(AtomicUsize::new(0));
        let registered: Vec<_> = (0..20)
            .map(|_| {
                let called = Arc::clone(&called);
                open.handle.on_close(counting(&called)).unwrap()
            })
            .collect();
        let start = Arc::new(Barrier::new(2));
        let starts = Arc::clone(&start);
        let thread = thread::spawn(move || {
            starts.wait();
            drop(registered);
        });
        start.wait();
        let handle = open.leave();
        thread.join().unwrap();
        assert!(called.load(Ordering::SeqCst) <= 20);
        drop(handle);
        assert_eq!(Arc::strong_count(&called), 1);
    }
}

#[test]
fn a_hook_may_use_the_handle_in_every_way() {
    for hook in HOOKS.into_iter().filter(|hook| *hook != "begin") {
        within_patience(move || {
            let kept: Arc<Mutex<Option<ExchangeHandle>>> = Arc::default();
            let uses = Arc::clone(&kept);
            let called = Arc::new(AtomicUsize::new(0));
            let counts = Arc::clone(&called);
            let spy = Spy::new(move |at| {
                let handle = uses.lock().unwrap().clone();
                if let (true, Some(handle)) = (at == hook, handle) {
                    let _ = (
                        handle.stage(),
                        handle.request_progress(),
                        handle.response_progress(),
                        handle.id(),
                    );
                    assert_eq!(handle.close_reason(), at_once(handle.closed()));
                    let _ = (at_once(handle.finished()), at_once(handle.disconnected()));
                    handle.mark("in a hook");
                    drop(handle.on_close(|_| ()).unwrap());
                    let counts = Arc::clone(&counts);
                    let count = counting(&counts);
                    handle.on_close(count).unwrap().keep();
                    drop(format!("{handle:?}"));
                    make_token(&handle);
                }
            });
            let layer = LifecycleLayer::new(spy).with_handle();
            let open = Open::new(&layer);
            *kept.lock().unwrap() = Some(open.handle.clone());
            open.complete();
            assert_eq!(layer.observer_panics(), 0, "{hook}");
            let expected = match hook {
                "on_request_error" | "on_response_error" => 0,
                "on_request_data" | "on_response_data" => 2,
                _ => 1,
            };
            assert_eq!(called.load(Ordering::SeqCst), expected, "{hook}");
        });
    }
}

/// In `begin` there is a handle, though the exchange is yet to be made.
#[test]
fn an_observer_may_use_the_handle_in_begin() {
    #[derive(Clone, Default)]
    struct Uses(Arc<AtomicUsize>);
    impl Observer for Uses {
        type State = ();
        fn begin(&self, head: &RequestHead<'_>) -> Option<()> {
            let handle = head.extensions.get::<ExchangeHandle>().expect("it is there").clone();
            assert_eq!(handle.id(), head.id());
            assert_eq!(handle.stage(), Stage::Request);
            assert_eq!(handle.close_reason(), None);
            assert_eq!(at_once(handle.closed()), None);
            assert_eq!(
                (handle.request_progress().bytes, handle.response_progress().frames),
                (0, 0)
            );
            let called = Arc::clone(&self.0);
            let count = counting(&called);
            handle.on_close(count).unwrap().keep();
            make_token(&handle);
            Some(())
        }
    }
    let uses = Uses::default();
    let layer = LifecycleLayer::new(uses.clone()).with_handle();
    Open::new(&layer).complete();
    assert_eq!((layer.observer_panics(), uses.0.load(Ordering::SeqCst)), (0, 1));
}
