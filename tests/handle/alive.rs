//! What a handle that is kept for ever does not keep.

use super::*;

#[test]
fn a_handle_kept_for_ever_keeps_nothing_of_its_exchange_alive() {
    quiet();
    let mut upload = Mock::new(&[CHUNK]);
    let mut reply = Mock::new(&[CHUNK]).streamed();
    let probes: [Probe; 2] = [upload.probe(), reply.probe()];
    let [state, service, future, closure] = std::array::from_fn(|_| Arc::new(()));
    let weak: Vec<Weak<()>> = [&state, &service, &future, &closure].map(Arc::downgrade).into();
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);

    let layer = LifecycleLayer::new(Holds(state)).with_handle();
    let reply = Mutex::new(Some(reply));
    let mut stack = layer.layer(service_fn(move |request: Incoming| {
        assert!(Arc::strong_count(&service) > 0, "held by the service");
        let handle = handle_of(&request);
        let (reply, future) = (reply.lock().unwrap().take().unwrap(), Arc::clone(&future));
        *keep.lock().unwrap() = Some(handle);
        async move {
            read(request.into_body())?;
            drop(future);
            Outcome::Ok(Response::new(reply))
        }
    }));
    let response = now(stack.call(posting(upload))).unwrap();
    let handle: ExchangeHandle = kept.lock().unwrap().take().unwrap();
    // What waits is no reason to live on either.
    let waiting = (handle.closed(), handle.finished(), handle.disconnected());
    let held = Arc::clone(&closure);
    let registered = handle.on_close(move |_| drop(held)).unwrap();
    drop(closure);
    read(response.into_body()).unwrap();
    drop(stack);
    drop(layer);
    for (at, weak) in weak.iter().enumerate() {
        assert_eq!(weak.strong_count(), 0, "{at}");
    }
    for probe in probes {
        assert!(probe.is_dropped());
    }
    assert!(handle.close_reason().is_some());
    drop((waiting, registered));
}

/// While the exchange is open too: the handle keeps neither bodies nor state, so a drop of all else closes it.
#[test]
fn an_exchange_closes_by_the_drop_of_all_but_its_handle() {
    let state = Arc::new(());
    let layer = LifecycleLayer::new(Holds(Arc::clone(&state))).with_handle();
    let mut upload = Mock::new(&[CHUNK]);
    let probe = upload.probe();
    let open = Open::with(&layer, posting(upload));
    assert_eq!(Arc::strong_count(&state), 3);
    let clones: Vec<_> = (0..10).map(|_| open.handle.clone()).collect();
    let handle = open.leave();
    assert_eq!(Arc::strong_count(&state), 2, "the layer's and ours");
    assert!(probe.is_dropped());
    assert!(clones.iter().all(|clone| clone.close_reason() == handle.close_reason()));
}

/// An observer's state holds the handle of its own exchange: no circle keeps it.
#[test]
fn a_state_that_holds_the_handle_of_its_exchange_is_dropped() {
    struct Circular(Arc<()>);
    struct Circle(#[expect(dead_code, reason = "held")] (ExchangeHandle, Arc<()>));
    impl Observer for Circular {
        type State = Circle;
        fn begin(&self, head: &RequestHead<'_>) -> Option<Circle> {
            let handle = head.extensions.get::<ExchangeHandle>()?.clone();
            Some(Circle((handle, Arc::clone(&self.0))))
        }
    }
    impl Listener for Circle {}
    let state = Arc::new(());
    let layer = LifecycleLayer::new(Circular(Arc::clone(&state))).with_handle();
    let open = Open::new(&layer);
    assert_eq!(Arc::strong_count(&state), 3);
    drop(open.leave());
    assert_eq!(Arc::strong_count(&state), 2);
}

#[test]
fn a_callback_that_holds_the_handle_of_its_exchange_is_dropped() {
    let held = Arc::new(());
    let open = Open::new(&unobserved());
    let (handle, inside) = (open.handle.clone(), Arc::clone(&held));
    open.handle
        .on_close(move |_| {
            drop((handle, inside));
        })
        .unwrap()
        .keep();
    assert_eq!(Arc::strong_count(&held), 2);
    drop(open.leave());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_task_that_holds_the_request_body_and_awaits_closed_wakes() {
    let runtime = multi_threaded();
    let recorder = Recorder::new();
    let layer = observed(&recorder);
    let close = runtime.block_on(async {
        let (told, tells) = oneshot::channel();
        let told = Mutex::new(Some(told));
        let mut service = layer.layer(service_fn(move |request: Incoming| {
            let (handle, told) = (handle_of(&request), told.lock().unwrap().take().unwrap());
            tokio::spawn(async move {
                let close = handle.closed().await;
                drop(request);
                told.send(close).unwrap();
            });
            future::ready(Outcome::Ok(two_frames()))
        }));
        let response = service.call(post()).await.unwrap();
        read(response.into_body()).unwrap();
        tokio::time::timeout(PATIENCE, tells).await.unwrap().unwrap()
    });
    let exchange = recorder.only();
    assert_eq!(exchange.close(), close);
    assert_eq!(exchange.summary().unwrap().request_close, RequestClose::Detached);
}
