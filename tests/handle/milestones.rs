//! What else can be waited for.

use super::*;

#[test]
fn finished_says_released_for_a_response_that_was_handed_over() {
    let mut open = Open::new(&unobserved());
    let mut before = Box::pin(open.handle.finished());
    let wakes = Arc::new(Wakes::default());
    assert!(poll_with(before.as_mut(), &Arc::clone(&wakes).into()).is_pending());
    open.answer(Ok(two_frames()));
    assert_eq!(wakes.count(), 0);
    let handle = open.complete();
    assert_eq!(wakes.count(), 1);
    assert_eq!(now(before), Some(Finish::Released));
    assert_eq!(at_once(handle.finished()), Some(Some(Finish::Released)));
}

#[test]
fn finished_says_none_when_the_exchange_closed_without() {
    quiet();
    for (way, reason, _) in WAYS {
        let open = Open::new(&unobserved());
        let handle = open.handle.clone();
        let mut before = Box::pin(handle.finished());
        let wakes = Arc::new(Wakes::default());
        assert!(poll_with(before.as_mut(), &Arc::clone(&wakes).into()).is_pending());
        way(open);
        let finish = (reason == Reason::Complete).then_some(Finish::Released);
        assert_eq!(wakes.count(), 1);
        assert_eq!(now(before), finish, "{reason}");
        assert_eq!(at_once(handle.finished()), Some(finish), "{reason}");
    }
}

#[test]
fn finished_and_disconnected_resolve_after_the_hooks_of_the_observers() {
    let log = Log::default();
    let kept: Arc<Mutex<Option<ExchangeHandle>>> = Arc::default();
    let (logs, uses) = (Arc::clone(&log), Arc::clone(&kept));
    let spy = Spy::new(move |hook| {
        let handle = uses.lock().unwrap().clone();
        if let ("on_finish", Some(handle)) = (hook, handle) {
            assert_eq!(at_once(handle.finished()), None);
            logs.lock().unwrap().push(hook.to_owned());
        }
    });
    let layer = LifecycleLayer::new(spy).with_handle();
    let open = Open::new(&layer);
    *kept.lock().unwrap() = Some(open.handle.clone());
    let mut finished = Box::pin(open.handle.finished());
    let logs = Arc::clone(&log);
    let waker = waker(move || logs.lock().unwrap().push("woken".to_owned()));
    assert!(poll_with(finished.as_mut(), &waker).is_pending());
    open.complete();
    assert_eq!(entries(&log), ["on_finish", "woken"]);
    assert_eq!(layer.observer_panics(), 0);
}

/// A request body whose error has an end of file, or a reset, as its source.
fn cut(kind: io::ErrorKind) -> impl http_body::Body<Data = bytes::Bytes, Error = Wrapped> + Unpin {
    struct Cut(io::ErrorKind, bool);
    impl http_body::Body for Cut {
        type Data = bytes::Bytes;
        type Error = Wrapped;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Wrapped>>> {
            if std::mem::replace(&mut self.1, true) {
                return Poll::Ready(Some(Err(Wrapped(self.0.into()))));
            }
            Poll::Ready(Some(Ok(http_body::Frame::data(support::polls::data(3)))))
        }
    }
    Cut(kind, false)
}

#[derive(Debug)]
struct Wrapped(io::Error);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn disconnected_says_what_told_of_it_when_an_upload_is_cut() {
    let kinds = [
        (io::ErrorKind::UnexpectedEof, Reason::Disconnected),
        (io::ErrorKind::ConnectionReset, Reason::Reset),
        (io::ErrorKind::BrokenPipe, Reason::Reset),
    ];
    for (kind, reason) in kinds {
        let layer = unobserved().known_error::<Wrapped>();
        let kept = Mutex::new(None);
        let mut service = layer.layer(service_fn(|request: Request<RequestBody<_>>| {
            *kept.lock().unwrap() = Some((handle_of(&request), request.into_body()));
            future::pending::<Outcome>()
        }));
        let request = Request::builder().method(Method::POST).body(cut(kind)).unwrap();
        let mut future = Box::pin(service.call(request));
        assert!(poll_once(Pin::new(&mut future)).is_pending());
        let (handle, mut upload) = kept.lock().unwrap().take().unwrap();
        let mut before = Box::pin(handle.disconnected());
        let wakes = Arc::new(Wakes::default());
        assert!(poll_with(before.as_mut(), &Arc::clone(&wakes).into()).is_pending());
        assert!(poll_body(&mut upload).is_ready());
        assert_eq!(wakes.count(), 0);
        assert!(matches!(poll_body(&mut upload), Poll::Ready(Some(Err(Wrapped(_))))));
        assert_eq!(wakes.count(), 1, "while the exchange is alive");
        assert_eq!(handle.close_reason(), None);
        let disconnect = now(before).expect("cut");
        assert_eq!((disconnect.reason, disconnect.evidence), (reason, Evidence::Return));
        drop((future, upload));
        assert_eq!(now(handle.disconnected()), Some(disconnect), "level-triggered");
        assert_eq!(handle.close_reason().unwrap().reason, reason);
    }
}

#[test]
fn disconnected_says_none_when_the_exchange_closed_without_that_being_known() {
    quiet();
    for (way, reason, _) in WAYS {
        let open = Open::new(&unobserved());
        let handle = open.handle.clone();
        let mut before = Box::pin(handle.disconnected());
        let wakes = Arc::new(Wakes::default());
        assert!(poll_with(before.as_mut(), &Arc::clone(&wakes).into()).is_pending());
        way(open);
        assert_eq!(wakes.count(), 1, "{reason}");
        assert_eq!(now(before), None, "{reason}");
        assert_eq!(at_once(handle.disconnected()), Some(None), "{reason}");
    }
}

#[test]
fn an_upload_that_fails_for_another_reason_is_no_disconnect() {
    let body = Mock::new(&[CHUNK, Step::Error]).streamed();
    let mut open = Open::with(&unobserved(), posting(body));
    assert!(read(open.upload.take().unwrap()).is_err());
    assert_eq!(at_once(open.handle.disconnected()), None);
    let handle = open.complete();
    assert_eq!(at_once(handle.disconnected()), Some(None));
    assert_eq!(handle.close_reason().unwrap().reason, Reason::RequestFailed);
}

#[test]
fn without_a_view_of_the_connection_a_disconnect_is_seen_blindly() {
    let open = Open::new(&unobserved());
    let blind = DisconnectWatch::Blind(Blind::NoConnection);
    assert_eq!(open.handle.disconnect_watch(), blind);
    let over = DisconnectWatch::Blind(Blind::Over);
    assert_eq!(open.complete().disconnect_watch(), over);
    assert_eq!(Blind::NoConnection.to_string(), "no_connection");
}
