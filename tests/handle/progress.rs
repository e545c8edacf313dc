//! Where the exchange is, and what has passed.

use super::*;

#[test]
fn the_stage_is_where_the_exchange_is() {
    fn run<O: Observer>(layer: &LifecycleLayer<O>) {
        let mut open = Open::new(layer);
        let handle = open.handle.clone();
        assert_eq!(handle.stage(), Stage::Request);
        assert!(poll_body(open.upload.as_mut().unwrap()).is_ready());
        assert_eq!(handle.stage(), Stage::Request);
        read(open.upload.take().unwrap()).unwrap();
        assert_eq!(handle.stage(), Stage::Handler);
        assert!(poll_once(Pin::new(open.future.as_mut().unwrap())).is_pending());
        assert_eq!(handle.stage(), Stage::Handler);
        open.answer(Ok(two_frames()));
        assert_eq!(handle.stage(), Stage::Response);
        assert!(poll_body(open.response.as_mut().unwrap()).is_ready());
        assert_eq!(handle.stage(), Stage::Response);
        open.complete();
        assert_eq!(handle.stage(), Stage::Done);
    }
    run(&unobserved());
    for interest in [Interest::ALL, Interest::CLOSE, Interest::DATA, Interest::NONE] {
        run(&LifecycleLayer::new(Recorder::with_interest(interest)).with_handle());
    }
}

#[test]
fn the_stage_of_a_bodiless_request_or_of_one_dropped_unread_is_the_handler() {
    let open = Open::with(&unobserved(), posting(Mock::new(&[])));
    assert_eq!(open.handle.stage(), Stage::Handler);
    let mut open = Open::new(&unobserved());
    open.upload = None;
    assert_eq!(open.handle.stage(), Stage::Handler);
}

/// A task holds the request body: the response goes its way.
#[test]
fn the_stage_is_the_response_while_the_upload_goes_on() {
    let mut open = Open::new(&unobserved());
    open.answer(Ok(two_frames()));
    assert_eq!(open.handle.stage(), Stage::Response);
    assert!(poll_body(open.upload.as_mut().unwrap()).is_ready());
    assert_eq!(open.handle.stage(), Stage::Response);
    read(open.response.take().unwrap()).unwrap();
    assert_eq!(open.handle.stage(), Stage::Done);
}

#[test]
fn what_is_dropped_is_done() {
    let handle = Open::new(&unobserved()).leave();
    assert_eq!(handle.stage(), Stage::Done);
    // The request body was dropped first.
    assert_eq!(handle.close_reason().unwrap().stage, Stage::Handler);
}

#[test]
fn the_counters_are_right_whoever_is_interested_in_data() {
    fn of(progress: Progress) -> (u64, u64) {
        (progress.bytes, progress.frames)
    }
    fn run<O: Observer>(layer: &LifecycleLayer<O>) {
        let mut open = Open::new(layer);
        let handle = open.handle.clone();
        assert_eq!(
            (of(handle.request_progress()), of(handle.response_progress())),
            ((0, 0), (0, 0))
        );
        assert!(poll_body(open.upload.as_mut().unwrap()).is_ready());
        assert_eq!(of(handle.request_progress()), (3, 1));
        read(open.upload.take().unwrap()).unwrap();
        assert_eq!(
            (of(handle.request_progress()), of(handle.response_progress())),
            ((6, 2), (0, 0))
        );
        open.answer(Ok(two_frames()));
        assert!(poll_body(open.response.as_mut().unwrap()).is_ready());
        assert_eq!(
            (of(handle.request_progress()), of(handle.response_progress())),
            ((6, 2), (3, 1))
        );
        open.complete();
        assert_eq!(
            (of(handle.request_progress()), of(handle.response_progress())),
            ((6, 2), (6, 2))
        );
    }
    run(&unobserved());
    let interests = [
        Interest::ALL,
        Interest::DATA,
        Interest::REQUEST_DATA,
        Interest::RESPONSE_DATA,
        Interest::ALL - Interest::DATA,
        Interest::CLOSE,
    ];
    for interest in interests {
        let recorder = Recorder::with_interest(interest);
        run(&observed(&recorder));
        if let Some(summary) = &recorder.exchanges()[0].summary() {
            assert_eq!((summary.request.bytes, summary.request.frames), (6, 2), "{interest:?}");
            assert_eq!((summary.response.bytes, summary.response.frames), (6, 2), "{interest:?}");
        }
    }
}

/// What passes after the close is the task's own business, in the counters too.
#[test]
fn the_counters_equal_the_summary_though_a_task_reads_on_after_the_close() {
    for interest in [Interest::ALL, Interest::ALL - Interest::DATA, Interest::CLOSE] {
        let recorder = Recorder::with_interest(interest);
        let mut open = Open::new(&observed(&recorder));
        assert!(poll_body(open.upload.as_mut().unwrap()).is_ready());
        open.answer(Ok(two_frames()));
        read(open.response.take().unwrap()).unwrap();
        let summary = recorder.exchanges()[0].summary().cloned().expect("closed");
        assert_eq!(summary.request_close, RequestClose::Detached);
        read(open.upload.take().unwrap()).unwrap();
        let request = open.handle.request_progress();
        assert_eq!(
            (request.bytes, request.frames),
            (summary.request.bytes, summary.request.frames),
            "{interest:?}"
        );
    }
}

#[test]
fn the_counters_equal_the_summary_though_a_task_reads_on_while_on_close_runs() {
    let upload: Arc<Mutex<Option<RequestBody<Mock>>>> = Arc::default();
    let reads = Arc::clone(&upload);
    let spy = Spy::new(move |hook| {
        if hook == "on_close" {
            // As another thread can do as well.
            read(reads.lock().unwrap().take().unwrap()).unwrap();
        }
    });
    let recorder = Recorder::new();
    let mut open = Open::new(&LifecycleLayer::new((spy, recorder.clone())).with_handle());
    *upload.lock().unwrap() = open.upload.take();
    open.answer(Ok(two_frames()));
    let handle = open.complete();
    let request = recorder.only().summary().unwrap().request.clone();
    assert_eq!(
        (handle.request_progress().bytes, handle.request_progress().frames),
        (request.bytes, request.frames)
    );
}

#[test]
fn the_counters_of_a_failed_transfer_are_kept() {
    let recorder = Recorder::new();
    let body = Mock::new(&[CHUNK, Step::Error]).streamed();
    let mut open = Open::with(&observed(&recorder), posting(body));
    assert!(read(open.upload.take().unwrap()).is_err());
    open.answer(Err(Broken.into()));
    assert_eq!(
        (open.handle.request_progress().bytes, open.handle.request_progress().frames),
        (3, 1)
    );
    assert_eq!(recorder.only().summary().unwrap().request.bytes, 3);
}

/// Each hook looks at the counters: they are never behind what it was told.
#[test]
fn in_a_hook_the_counters_are_never_behind_what_was_told() {
    #[derive(Clone, Copy)]
    struct Looks;
    struct Looking(ExchangeHandle, u64, u64);
    impl Observer for Looks {
        type State = Looking;
        fn begin(&self, head: &RequestHead<'_>) -> Option<Looking> {
            Some(Looking(head.extensions.get::<ExchangeHandle>()?.clone(), 0, 0))
        }
    }
    impl Listener for Looking {
        fn on_request_data(&mut self, data: tower_lifecycle::Data) {
            self.1 += data.bytes;
            assert_eq!(self.0.request_progress().bytes, self.1);
        }
        fn on_response_data(&mut self, data: tower_lifecycle::Data) {
            self.2 += data.bytes;
            assert_eq!(self.0.response_progress().bytes, self.2);
        }
        fn on_close(&mut self, summary: &Summary) {
            assert_eq!(self.0.request_progress().bytes, summary.request.bytes);
            assert_eq!(self.0.response_progress().frames, summary.response.frames);
        }
    }
    let layer = LifecycleLayer::new(Looks).with_handle();
    Open::new(&layer).complete();
    assert_eq!(layer.observer_panics(), 0);
}

/// Both sides report, tasks look, wait and register: the handle says nothing that is not so.
#[test]
fn whoever_looks_sees_a_stage_and_counters_that_only_go_on() {
    fn rank(stage: Stage) -> u8 {
        match stage {
            Stage::Request => 0,
            Stage::Handler => 1,
            Stage::Response => 2,
            Stage::Flush => 3,
            Stage::Done => 4,
        }
    }
    for _ in 0..300 {
        let recorder = Recorder::new();
        let mut open = Open::new(&observed(&recorder));
        open.answer(Ok(two_frames()));
        let Open { handle, upload, response, .. } = open;
        let start = Arc::new(Barrier::new(3));
        let (one, other) = (Arc::clone(&start), Arc::clone(&start));
        let looks = handle.clone();
        let threads = [
            thread::spawn(move || {
                one.wait();
                drop(read(upload.unwrap()));
            }),
            thread::spawn(move || {
                other.wait();
                drop(read(response.unwrap()));
            }),
        ];
        start.wait();
        let (mut stage, mut bytes) = (0, 0);
        loop {
            let closed = looks.close_reason().is_some();
            let (now_at, now_bytes) = (rank(looks.stage()), looks.response_progress().bytes);
            assert!(now_at >= stage && now_bytes >= bytes);
            assert!(!closed || now_at == 4, "done once there is a verdict");
            (stage, bytes) = (now_at, now_bytes);
            if closed {
                break;
            }
            thread::yield_now();
        }
        for thread in threads {
            thread.join().unwrap();
        }
        let summary = recorder.only().summary().unwrap().clone();
        assert_eq!(handle.response_progress().bytes, summary.response.bytes);
        assert!(handle.request_progress().bytes >= summary.request.bytes);
        assert_eq!(handle.close_reason(), Some(summary.close));
    }
}

#[test]
fn the_stage_is_done_and_no_other_once_and_only_when_there_is_a_verdict() {
    for _ in 0..500 {
        let open = Open::new(&unobserved());
        let looks = open.handle.clone();
        let closing = thread::spawn(move || drop(open.leave()));
        while looks.stage() != Stage::Done {
            thread::yield_now();
        }
        let verdict = looks.close_reason();
        closing.join().unwrap();
        assert!(verdict.is_some(), "done before there was a verdict");
    }
}

#[test]
fn a_recorder_beside_a_handle_hears_what_it_hears_without() {
    let recorder = Recorder::new();
    Open::new(&observed(&recorder)).complete();
    let with = recorder.only();
    assert_eq!(
        with.words(),
        "begin req.data req.end req.close(complete) response(200) res.data res.end \
         finish(released) close(complete)"
    );
    assert!(matches!(with.hooks.last(), Some(EventKind::Close(_))));
}
