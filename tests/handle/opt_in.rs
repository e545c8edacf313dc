//! Who has a handle, and what it is called.

use super::*;

#[test]
fn without_with_handle_a_request_has_none() {
    let mut service =
        LifecycleLayer::new(Recorder::new()).layer(service_fn(async |request: Incoming| {
            assert!(request.extensions().get::<ExchangeHandle>().is_none());
            Outcome::Ok(two_frames())
        }));
    assert!(now(service.call(post())).is_ok());
}

#[test]
fn with_handle_a_request_has_one_though_nobody_observes() {
    let open = Open::new(&unobserved());
    assert_eq!(open.handle.close_reason(), None);
    let handle = open.complete();
    let close = handle.close_reason().expect("closed");
    assert_eq!((close.reason, close.stage), (Reason::Complete, Stage::Done));
    assert_eq!(at_once(handle.closed()), Some(close));
}

#[test]
fn an_observer_that_is_silent_for_an_exchange_leaves_it_its_handle() {
    struct Silent;
    impl Observer for Silent {
        type State = ();
        fn begin(&self, _: &RequestHead<'_>) -> Option<()> {
            None
        }
    }
    let open = Open::new(&LifecycleLayer::new(Silent).with_handle());
    assert_eq!(open.complete().close_reason().unwrap().reason, Reason::Complete);
}

#[test]
fn an_observer_that_panics_in_begin_leaves_the_exchange_its_handle() {
    quiet();
    let layer = LifecycleLayer::new(Spy::new(|_| boom())).with_handle();
    let open = Open::new(&layer);
    assert_eq!(open.complete().close_reason().unwrap().reason, Reason::Complete);
    assert_eq!(layer.observer_panics(), 1);
}

/// Asks for the id, and finds the handle, in `begin`.
#[derive(Clone, Default)]
struct Asks(Arc<Mutex<Vec<Asked>>>);

#[derive(Default)]
struct Asked {
    head: Option<ExchangeId>,
    handle: Option<ExchangeId>,
    summary: Option<ExchangeId>,
    closed: bool,
}

struct Asking {
    asks: Asks,
    at: usize,
}

impl Observer for Asks {
    type State = Asking;
    fn begin(&self, head: &RequestHead<'_>) -> Option<Asking> {
        let mut asked = self.0.lock().unwrap();
        asked.push(Asked {
            head: Some(head.id()),
            handle: head.extensions.get::<ExchangeHandle>().map(ExchangeHandle::id),
            ..Asked::default()
        });
        assert_eq!(asked.last().unwrap().head, Some(head.id()), "the same for whoever asks");
        Some(Asking { asks: self.clone(), at: asked.len() - 1 })
    }
}

impl Listener for Asking {
    fn on_close(&mut self, summary: &Summary) {
        let asked = &mut self.asks.0.lock().unwrap()[self.at];
        (asked.summary, asked.closed) = (summary.id, true);
    }
}

#[test]
fn the_id_is_that_of_head_and_summary_and_of_no_other_exchange() {
    let asks = Asks::default();
    let layer = LifecycleLayer::new(asks.clone()).with_handle();
    let mut ids = HashSet::new();
    for _ in 0..100 {
        let open = Open::new(&layer);
        let id = open.handle.id();
        assert!(ids.insert(id), "unique");
        assert_eq!(open.complete().id(), id);
        let asked = asks.0.lock().unwrap().pop().unwrap();
        assert_eq!(asked.head, Some(id));
        assert_eq!(asked.handle, Some(id), "the handle is there in begin");
        assert_eq!((asked.summary, asked.closed), (Some(id), true));
    }
}

#[test]
fn the_summary_has_the_handles_id_though_nobody_asked_in_begin() {
    let recorder = Recorder::new();
    let handle = Open::new(&observed(&recorder)).complete();
    assert_eq!(recorder.only().summary().unwrap().id, Some(handle.id()));
}

#[test]
fn without_a_handle_the_id_is_in_the_summary_if_somebody_asked_for_it() {
    fn run<O: Observer>(observer: O) {
        let mut service = LifecycleLayer::new(observer)
            .layer(service_fn(async |_: Incoming| Outcome::Ok(two_frames())));
        read(now(service.call(post())).unwrap().into_body()).unwrap();
    }
    let (asks, recorder) = (Asks::default(), Recorder::new());
    run((recorder.clone(), asks.clone()));
    let asked = asks.0.lock().unwrap().pop().unwrap();
    assert!(asked.head.is_some() && asked.handle.is_none());
    assert!(asked.closed);
    assert_eq!(asked.summary, asked.head);
    assert_eq!(recorder.only().summary().unwrap().id, asked.head);

    let recorder = Recorder::new();
    run(recorder.clone());
    assert_eq!(recorder.only().summary().unwrap().id, None);
}

#[test]
fn ids_are_unique_across_threads() {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(|| {
                (0..200).map(|_| Open::new(&unobserved()).leave().id()).collect::<Vec<_>>()
            })
        })
        .collect();
    let ids: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 800);
}

#[test]
fn a_handle_that_a_request_brought_along_is_replaced_by_that_of_its_own_exchange() {
    let first = Open::new(&unobserved()).complete();
    let mut request = post();
    request.extensions_mut().insert(first.clone());
    let second = Open::with(&unobserved(), request);
    assert_ne!(second.handle.id(), first.id());
    assert_eq!(second.handle.close_reason(), None);
}

#[test]
fn handle_and_waiters_go_everywhere() {
    fn anywhere<T: Send + 'static>(_: &T) {}
    fn shared<T: Sync>(_: &T) {}
    assert_impl_all!(ExchangeHandle: Clone, fmt::Debug, Send, Sync, Unpin);
    assert_impl_all!(ExchangeHandle: UnwindSafe, RefUnwindSafe);
    assert_impl_all!(OnClose: fmt::Debug, Send, Sync, Unpin);
    assert_impl_all!(TooManyCallbacks: std::error::Error, Clone, Copy, Send, Sync);
    let open = Open::new(&unobserved());
    // The futures do not borrow the handle.
    let (closed, finished, disconnected) = {
        let handle = open.handle.clone();
        (handle.closed(), handle.finished(), handle.disconnected())
    };
    anywhere(&closed);
    anywhere(&finished);
    anywhere(&disconnected);
    shared(&closed);
    shared(&finished);
    shared(&disconnected);
}

#[test]
fn what_is_printed_of_a_handle_says_where_its_exchange_is() {
    let open = Open::new(&unobserved());
    let id = open.handle.id();
    let said = format!("{:?}", open.handle);
    assert!(said.contains("ExchangeHandle") && said.contains(&format!("{id}")), "{said}");
    assert!(said.contains("Request"), "{said}");
    let registered = open.handle.on_close(|_| ()).unwrap();
    assert!(format!("{registered:?}").contains("OnClose"));
    let said = format!("{:?}", open.complete());
    assert!(said.contains("Done") && said.contains("Complete"), "{said}");
    assert_eq!(id.to_string(), id.get().to_string());
}
