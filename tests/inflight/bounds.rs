//! Everything is bounded by what the builder was told: what is shown, what is remembered, what is kept of each.

use std::{collections::HashSet, time::Duration};

use http::{HeaderName, HeaderValue, Request, header};
use tower_lifecycle::{
    LifecycleLayer,
    inflight::{Closed, Filter, InFlight, InFlightBuilder, Story, TooManySubscribers},
    testing::{ManualClock, MockBody},
};

use crate::rig::{Answer, Held, answer, open, pass, request, send};

const SECOND: Duration = Duration::from_secs(1);

struct Kept {
    inflight: InFlight,
    layer: LifecycleLayer<InFlight>,
    clock: ManualClock,
}

fn kept(builder: InFlightBuilder) -> Kept {
    let (inflight, clock) = (builder.build(), ManualClock::new());
    let layer = LifecycleLayer::new(inflight.clone()).with_clock(clock.clone());
    Kept { inflight, layer, clock }
}

impl Kept {
    /// An exchange that takes so long.
    fn takes(&self, path: &str, time: Duration) {
        let held = open(&self.layer, path);
        self.clock.advance(time);
        drop(held);
    }

    fn fails(&self, path: &str) {
        assert!(matches!(send(&self.layer, request("GET", path, Answer::Fails)), Held::Over));
    }
}

fn paths(closed: &[std::sync::Arc<Closed>]) -> Vec<&str> {
    closed.iter().map(|closed| closed.path()).collect()
}

// ===== what is open =====

#[test]
fn one_that_is_shown_is_never_put_out_and_one_that_is_not_is_counted_and_remembered() {
    let Kept { inflight, layer, .. } = kept(InFlight::builder().max_open(3));
    let mut shown: Vec<_> = ["/a", "/b", "/c"].map(|path| open(&layer, path)).into();
    let hidden: Vec<_> = ["/d", "/e"].map(|path| open(&layer, path)).into();
    let look = || {
        let snapshot = inflight.snapshot();
        let paths: Vec<_> = snapshot.exchanges.iter().map(|open| open.path().to_owned()).collect();
        assert_eq!(snapshot.counts, inflight.counts());
        (paths.join(""), snapshot.counts.open, snapshot.counts.not_shown, snapshot.not_listed)
    };
    assert_eq!(look(), ("/a/b/c".into(), 5, 2, 0));

    drop(shown.remove(0));
    assert_eq!(look(), ("/b/c".into(), 4, 2, 0), "who was not shown is not shown later");
    shown.push(open(&layer, "/f"));
    assert_eq!(look(), ("/b/c/f".into(), 5, 2, 0), "but who comes when there is room is");

    drop(hidden);
    assert_eq!(look(), ("/b/c/f".into(), 3, 0, 0));
    assert_eq!(paths(&inflight.recent()), ["/e", "/d", "/a"], "what was not shown is remembered");
    assert!(matches!(inflight.story(inflight.recent()[0].id), Some(Story::Closed(_))));
    drop(shown);
    assert_eq!(look(), (String::new(), 0, 0, 0));
    assert_eq!((inflight.counts().opened, inflight.counts().closed), (6, 6));
}

#[test]
fn of_what_is_open_the_oldest_are_listed_up_to_the_limit() {
    let Kept { inflight, layer, clock } = kept(InFlight::builder());
    let mut held = Vec::new();
    for n in 0..100 {
        held.push(open(&layer, &format!("/{n}")));
        clock.advance(SECOND);
    }
    for (limit, not_listed) in [(0, 100), (1, 99), (99, 1), (100, 0), (1_000, 0)] {
        let snapshot = inflight.select(&Filter::new().limit(limit));
        assert_eq!((snapshot.exchanges.len(), snapshot.not_listed), (100 - not_listed, not_listed));
        let listed = snapshot.exchanges.iter().map(|open| open.path().to_owned());
        assert!(listed.eq((0..100 - not_listed).map(|n| format!("/{n}"))));
        assert_eq!(snapshot.counts.open, 100, "counts are of all");
    }
}

/// It stands twice in the stack, by mistake: each exchange is there twice, and a connection once.
#[cfg(feature = "conn")]
#[test]
fn a_connection_that_is_told_of_twice_is_counted_once() {
    for max_open in [0, 10] {
        let inflight = InFlight::builder().max_open(max_open).build();
        let layer = LifecycleLayer::new((inflight.clone(), inflight.clone()));
        let (io, service) = layer.connection(tokio::io::duplex(1).0, ());
        assert_eq!(inflight.counts().connections, 1);
        assert_eq!(inflight.snapshot().connections.len(), max_open.min(1));
        drop((io, service));
        assert_eq!(inflight.counts().connections, 0);
    }
}

// ===== what has closed =====

#[test]
fn so_many_that_closed_last_are_remembered_newest_first() {
    for recent in [0, 1, 3, 7] {
        let Kept { inflight, layer, .. } = kept(InFlight::builder().recent(recent).notable(0));
        let mut ids = Vec::new();
        for n in 0..20_usize {
            let held = open(&layer, &format!("/{n}"));
            ids.push(inflight.snapshot().exchanges[0].id);
            drop(held);
            let there = inflight.recent();
            let expected = (0..=n).rev().take(recent).map(|n| format!("/{n}"));
            assert!(there.iter().map(|closed| closed.path()).eq(expected), "{:?}", paths(&there));
        }
        let known = |id: &&_| inflight.story(**id).is_some();
        let remembered: Vec<_> = ids.iter().filter(known).collect();
        assert!(remembered.into_iter().eq(&ids[20 - recent..]));
        assert_eq!(inflight.counts().closed, 20);
    }
}

#[test]
fn the_slowest_and_the_failed_are_remembered_longer_than_the_rest() {
    let kept = kept(InFlight::builder().recent(1).notable(3));
    for (n, seconds) in [3, 9, 1, 7, 5, 2, 8].into_iter().enumerate() {
        kept.takes(&format!("/slow/{n}"), SECOND * seconds);
    }
    for n in 0..5 {
        kept.fails(&format!("/failed/{n}"));
    }
    pass(&kept.layer, "/last");
    let Kept { inflight, .. } = &kept;
    assert_eq!(paths(&inflight.recent()), ["/last"]);
    assert_eq!(paths(&inflight.slowest()), ["/slow/1", "/slow/6", "/slow/3"]);
    assert_eq!(paths(&inflight.failed()), ["/failed/4", "/failed/3", "/failed/2"]);
    for closed in inflight.slowest().iter().chain(&inflight.failed()) {
        assert!(matches!(inflight.story(closed.id), Some(Story::Closed(_))));
    }
}

#[test]
fn a_failure_that_grpc_tells_is_one_with_times_and_without() {
    for builder in [InFlight::builder(), InFlight::builder().without_times()] {
        let Kept { inflight, layer, .. } = kept(builder);
        let mut failed = http::Response::new(MockBody::empty());
        failed.headers_mut().insert("grpc-status", HeaderValue::from_static("13"));
        send(&layer, request("POST", "/call", Answer::With(failed)));
        assert_eq!(paths(&inflight.failed()), ["/call"]);
    }
}

#[test]
fn what_failed_goes_with_the_window() {
    let kept = kept(InFlight::builder().window(SECOND * 10));
    for n in 0..4 {
        kept.fails(&format!("/{n}"));
        kept.clock.advance(SECOND * 3);
    }
    // They are 12, 9, 6 and 3 seconds old.
    assert_eq!(paths(&kept.inflight.failed()), ["/3", "/2", "/1"]);
    kept.clock.advance(SECOND);
    assert_eq!(paths(&kept.inflight.failed()), ["/3", "/2", "/1"], "exactly as old as may be");
    kept.clock.advance(Duration::from_nanos(1));
    assert_eq!(paths(&kept.inflight.failed()), ["/3", "/2"]);
    kept.clock.advance(SECOND * 10);
    assert!(kept.inflight.failed().is_empty());
}

/// A fifth more than the window, at most.
#[test]
fn the_slowest_go_with_the_window_and_a_little_later() {
    for offset in 0..20 {
        let kept = kept(InFlight::builder().window(SECOND * 10).notable(2));
        pass(&kept.layer, "/first");
        kept.clock.advance(Duration::from_millis(offset * 100));
        kept.takes("/slow", SECOND * 100);
        let mut gone = None;
        for tenth in 0..200 {
            kept.takes("/fast", Duration::from_millis(100));
            let slowest = kept.inflight.slowest();
            assert!(slowest.len() <= 2);
            assert!(slowest.is_sorted_by(|a, b| a.duration >= b.duration));
            let there = slowest.iter().any(|closed| closed.path() == "/slow");
            match gone {
                None if !there => gone = Some(tenth + 1),
                Some(_) => assert!(!there, "it comes back"),
                None => {}
            }
        }
        let gone = gone.expect("it goes");
        assert!((100..=120).contains(&gone), "gone after {gone} tenths of a second");
    }
}

#[test]
fn the_slowest_of_a_window_are_exact() {
    let kept = kept(InFlight::builder().notable(5));
    let mut durations: Vec<u64> = (0..200).map(|n| (n * 7919) % 211).collect();
    for millis in &durations {
        kept.takes("/", Duration::from_millis(*millis));
    }
    durations.sort_unstable_by_key(|millis| std::cmp::Reverse(*millis));
    let told = kept.inflight.slowest();
    let told: Vec<_> = told.iter().map(|closed| closed.duration.as_millis()).collect();
    let expected: Vec<_> = durations.iter().take(5).map(|millis| u128::from(*millis)).collect();
    assert_eq!(told, expected);
}

#[test]
fn as_long_as_there_is_room_even_those_that_took_no_time_are_among_the_slowest() {
    let kept = kept(InFlight::builder().notable(3));
    for path in ["/a", "/b", "/c", "/d"] {
        kept.takes(path, Duration::ZERO);
    }
    assert_eq!(paths(&kept.inflight.slowest()), ["/a", "/b", "/c"]);
}

#[test]
fn who_is_told_of_nothing_remembers_nothing_and_counts_all() {
    let builder = InFlight::builder().max_open(0).recent(0).notable(0).window(Duration::ZERO);
    let kept = kept(builder.max_subscribers(0));
    let held = open(&kept.layer, "/");
    kept.takes("/slow", SECOND);
    kept.fails("/failed");
    let Kept { inflight, .. } = &kept;
    let snapshot = inflight.snapshot();
    assert!(snapshot.exchanges.is_empty() && snapshot.connections.is_empty());
    let counts = snapshot.counts;
    assert_eq!((counts.open, counts.not_shown, counts.opened, counts.closed), (1, 1, 3, 2));
    assert!(inflight.recent().is_empty() && inflight.slowest().is_empty());
    assert!(inflight.failed().is_empty());
    assert_eq!(inflight.subscribe().unwrap_err(), TooManySubscribers { max: 0 });
    drop(held);
    assert_eq!(inflight.counts().open, 0);
}

#[test]
fn a_window_of_zero_remembers_what_closes_now() {
    let kept = kept(InFlight::builder().window(Duration::ZERO));
    kept.fails("/a");
    assert_eq!(paths(&kept.inflight.failed()), ["/a"]);
    kept.clock.advance(Duration::from_nanos(1));
    assert!(kept.inflight.failed().is_empty());
    kept.clock.advance(SECOND);
    assert!(kept.inflight.slowest().is_empty());
}

#[test]
fn a_window_without_end_is_one() {
    let kept = kept(InFlight::builder().window(Duration::MAX).notable(2));
    kept.fails("/failed");
    kept.takes("/slow", SECOND);
    kept.clock.advance(SECOND * 1_000_000_000);
    assert_eq!(paths(&kept.inflight.failed()), ["/failed"]);
    assert_eq!(paths(&kept.inflight.slowest()), ["/slow", "/failed"]);
}

// ===== what is kept of each =====

#[test]
fn of_a_path_a_kilobyte_is_kept_and_nothing_of_the_query() {
    let Kept { inflight, layer, .. } = kept(InFlight::builder());
    for long in
        ["x".repeat(10_000), "\u{e4}".repeat(5_000), format!("a{}", "\u{1f600}".repeat(2_500))]
    {
        let path = format!("/{long}?token=secret");
        let Ok(uri) = path.parse::<http::Uri>() else { panic!("a URI may have these") };
        let mut asked = request("GET", "/", Answer::None);
        *asked.uri_mut() = uri;
        let held = send(&layer, asked);
        let kept = inflight.snapshot().exchanges[0].path().to_owned();
        assert!((1021..=1024).contains(&kept.len()), "{} bytes", kept.len());
        assert!(path.starts_with(&kept));
        drop(held);
        assert_eq!(inflight.recent()[0].path(), kept);
        assert!(inflight.recent()[0].summary.uri.is_none(), "the target has the query");
        assert!(!format!("{:?}", inflight.recent()[0]).contains("secret"));
    }
}

#[test]
fn a_long_method_is_another() {
    let Kept { inflight, layer, .. } = kept(InFlight::builder());
    let longest = "M".repeat(32);
    for (method, told) in [
        ("QUERY", "QUERY"),
        (&*longest, &*longest),
        (&*"M".repeat(33), "_OTHER"),
        (&*"X".repeat(10_000), "_OTHER"),
    ] {
        let held = send(&layer, request(method, "/", Answer::None));
        assert_eq!(inflight.snapshot().exchanges[0].method, told);
        drop(held);
        assert_eq!(inflight.recent()[0].summary.method, told);
    }
}

fn asking(headers: &[(HeaderName, HeaderValue)], answer: Answer) -> Request<MockBody> {
    let mut asked = request("GET", "/", answer);
    for (name, value) in headers {
        asked.headers_mut().append(name, value.clone());
    }
    asked
}

#[test]
fn headers_are_kept_where_they_are_allowed_and_nowhere_else() {
    let [x, y] = ["x", "y"].map(HeaderName::from_static);
    let value = HeaderValue::from_static;
    let headers = [
        (x.clone(), value("1")),
        (header::COOKIE, value("secret")),
        (x.clone(), value("2")),
        (y.clone(), value("3")),
    ];
    let with = |response: bool| {
        let Answer::With(mut answered) = answer(200, MockBody::hangs_after(1)) else { panic!() };
        if response {
            answered.headers_mut().insert(y.clone(), value("answer"));
            answered.headers_mut().insert(header::SET_COOKIE, value("secret"));
        }
        Answer::With(answered)
    };

    let Kept { inflight, layer, .. } = kept(InFlight::builder());
    let held = send(&layer, asking(&headers, with(true)));
    assert!(inflight.snapshot().exchanges[0].headers().request.is_empty());
    drop(held);
    assert!(inflight.recent()[0].headers().request.is_empty());

    let builder = InFlight::builder().request_headers([y.clone(), x.clone()]);
    let Kept { inflight, layer, .. } = kept(builder.response_headers([y.clone()]));
    let waits = send(&layer, asking(&headers, Answer::None));
    let open = inflight.snapshot().exchanges.remove(0);
    let request = vec![(y.clone(), value("3")), (x.clone(), value("1")), (x.clone(), value("2"))];
    assert_eq!(open.headers().request, request);
    assert!(open.headers().response.is_empty(), "there is none");
    drop(waits);
    let held = send(&layer, asking(&headers, with(true)));
    let open = inflight.snapshot().exchanges.remove(0);
    assert_eq!(open.headers().request, request);
    assert_eq!(open.headers().response, [(y.clone(), value("answer"))]);
    drop(held);
    let closed = inflight.recent().remove(0);
    assert_eq!(closed.headers(), open.headers());

    let Kept { inflight, layer, .. } = kept(InFlight::builder().response_headers([y.clone()]));
    drop(send(&layer, asking(&headers, with(true))));
    let closed = inflight.recent().remove(0);
    assert!(closed.headers().request.is_empty());
    assert_eq!(closed.headers().response, [(y, value("answer"))]);
}

/// Also of those that are not shown.
#[test]
fn headers_of_the_response_are_kept_of_one_that_is_not_shown() {
    let builder = InFlight::builder().max_open(0).response_headers([header::VARY]);
    let Kept { inflight, layer, .. } = kept(builder);
    let Answer::With(mut answered) = answer(200, MockBody::empty()) else { panic!() };
    answered.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    send(&layer, request("GET", "/", Answer::With(answered)));
    let closed = inflight.recent().remove(0);
    assert_eq!(closed.headers().response[0].1, "accept");
}

#[test]
fn of_headers_so_many_are_kept_and_so_much_of_each() {
    let name = HeaderName::from_static("x");
    let mut sensitive = HeaderValue::from_static("secret");
    sensitive.set_sensitive(true);
    let odd = HeaderValue::from_bytes(b"\xff\xfe\x80").unwrap();
    let long = HeaderValue::from_bytes(&vec![0xc3; 100_000]).unwrap();
    let mut headers =
        vec![(name.clone(), sensitive), (name.clone(), odd.clone()), (name.clone(), long)];
    headers.extend((0..100).map(|n| (name.clone(), HeaderValue::from(n))));
    let Kept { inflight, layer, .. } = kept(InFlight::builder().request_headers([name]));
    let held = send(&layer, asking(&headers, Answer::None));
    let open = inflight.snapshot().exchanges.remove(0);
    let values: Vec<_> = open.headers().request.iter().map(|(_, value)| value).collect();
    assert_eq!(values.len(), 32);
    assert_eq!(values[0], "REDACTED");
    assert_eq!(values[1], odd);
    assert_eq!(values[2].as_bytes(), [0xc3; 1024]);
    assert_eq!(values[31], "28");
    assert!(!format!("{open:?}").contains("secret"));
    drop(held);
}

// ===== who subscribes =====

#[test]
fn subscribers_are_refused_beyond_the_limit_and_let_in_again() {
    let Kept { inflight, layer, .. } = kept(InFlight::builder().max_subscribers(3));
    let mut there: Vec<_> = (0..3).map(|_| inflight.subscribe().unwrap()).collect();
    for _ in 0..1_000 {
        let refused = inflight.subscribe().unwrap_err();
        assert_eq!(refused, TooManySubscribers { max: 3 });
        let said = refused.to_string();
        assert!(said.contains('3') && said.contains("max_subscribers"), "{said}");
    }
    for _ in 0..10 {
        there.remove(0);
        there.push(inflight.subscribe().unwrap());
        assert!(inflight.subscribe().is_err());
    }
    pass(&layer, "/");
    there.clear();
    assert!((0..3).map(|_| inflight.subscribe()).collect::<Result<Vec<_>, _>>().is_ok());
}

#[test]
fn no_two_exchanges_have_the_same_id() {
    let Kept { inflight, layer, .. } = kept(InFlight::builder());
    let held: Vec<_> = (0..500).map(|_| open(&layer, "/")).collect();
    let mut ids: HashSet<_> = inflight.snapshot().exchanges.iter().map(|open| open.id).collect();
    drop(held);
    (0..500).for_each(|_| pass(&layer, "/"));
    ids.extend(inflight.recent().iter().map(|closed| closed.id));
    assert_eq!(ids.len(), 1_000);
}
