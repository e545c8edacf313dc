//! A filter lets through what it says, whatever stands beside it: against a model that asks one question after the other.

use std::{collections::BTreeSet, env, time::Duration};

use http::{Method, StatusCode};
use proptest::{option, prelude::*, sample::select, test_runner::TestRunner};
use tower_lifecycle::{
    ExchangeHandle, ExchangeId, LifecycleLayer, Stage,
    inflight::{Closed, Filter, InFlight, LiveState, Open},
    testing::{ManualClock, MockBody, Step},
};

use crate::rig::{Answer, Held, answer, request, send};

/// What is asked of a filter.
#[derive(Clone, Debug, Default)]
struct Asked {
    method: Option<&'static str>,
    path: Option<&'static str>,
    route: Option<&'static str>,
    text: Option<&'static str>,
    stage: Option<Stage>,
    state: Option<LiveState>,
    status: Option<u16>,
    class: Option<u16>,
    connection: Option<u64>,
    older_than: Option<u64>,
    limit: Option<usize>,
}

/// What there is of an exchange, open or closed.
struct Row<'a> {
    id: ExchangeId,
    method: &'a str,
    path: &'a str,
    route: Option<&'a str>,
    stage: Stage,
    state: Option<LiveState>,
    status: Option<u16>,
    age: Duration,
}

impl Asked {
    fn filter(&self) -> Filter {
        let mut filter = Filter::new();
        if let Some(method) = self.method {
            filter = filter.method(method.parse().unwrap());
        }
        if let Some(path) = self.path {
            filter = filter.path(path);
        }
        if let Some(route) = self.route {
            filter = filter.route(route);
        }
        if let Some(text) = self.text {
            filter = filter.text(text);
        }
        if let Some(stage) = self.stage {
            filter = filter.stage(stage);
        }
        if let Some(state) = self.state {
            filter = filter.state(state);
        }
        if let Some(status) = self.status {
            filter = filter.status(StatusCode::from_u16(status).unwrap());
        }
        // The later counts.
        if let Some(class) = self.class {
            filter = filter.status_class(class);
        }
        if let Some(connection) = self.connection {
            filter = filter.connection(connection);
        }
        if let Some(seconds) = self.older_than {
            filter = filter.older_than(Duration::from_secs(seconds));
        }
        if let Some(limit) = self.limit {
            filter = filter.limit(limit);
        }
        filter
    }

    fn lets(&self, row: &Row<'_>) -> bool {
        let has = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        let route_has = |part: &str| row.route.is_some_and(|route| has(route, part));
        let status = match (self.class, self.status) {
            (Some(class), _) => row.status.is_some_and(|status| status / 100 == class),
            (None, Some(status)) => row.status == Some(status),
            (None, None) => true,
        };
        let text = |text: &str| {
            has(row.path, text)
                || route_has(text)
                || has(row.method, text)
                || row.id.to_string() == text
        };
        // There are no connections in memory.
        status
            && self.connection.is_none()
            && self.method.is_none_or(|method| method == row.method)
            && self.path.is_none_or(|path| has(row.path, path))
            && self.route.is_none_or(route_has)
            && self.text.is_none_or(text)
            && self.stage.is_none_or(|stage| stage == row.stage)
            && self.state.is_none_or(|state| row.state == Some(state))
            && self.older_than.is_none_or(|seconds| row.age >= Duration::from_secs(seconds))
    }
}

fn open(open: &Open) -> Row<'_> {
    Row {
        id: open.id,
        method: open.method.as_str(),
        path: open.path(),
        route: open.route.as_deref(),
        stage: open.stage,
        state: Some(open.state),
        status: open.status.map(|status| status.as_u16()),
        age: open.age,
    }
}

fn closed(closed: &Closed) -> Row<'_> {
    Row {
        id: closed.id,
        method: closed.summary.method.as_str(),
        path: closed.path(),
        route: closed.summary.route.as_deref(),
        stage: closed.summary.close.stage,
        state: None,
        status: closed.summary.status.map(|status| status.as_u16()),
        age: closed.duration,
    }
}

/// Exchanges of every kind.
fn crowd() -> (InFlight, Vec<Held>) {
    let (inflight, clock) = (InFlight::new(), ManualClock::new());
    let layer = LifecycleLayer::new(inflight.clone()).with_handle().with_clock(clock.clone());
    let mut held = Vec::new();
    let never = || MockBody::new(&[Step::Never]).streamed();
    for (n, method) in ["GET", "POST", "GET", "DELETE", "get"].iter().cycle().take(120).enumerate()
    {
        let path = ["/", "/Users/7", "/users/%37", "/a/b/c", "/get"][n / 3 % 5];
        let asked = match n % 6 {
            0 => request(method, path, Answer::None),
            1 => request(method, path, answer(200, MockBody::hangs_after(2))),
            2 => request(method, path, answer(404, MockBody::hangs_after(0))),
            3 => request(method, path, answer(503, MockBody::hangs_after(1))),
            4 => {
                let reads = Answer::Reads(Box::new(Answer::None));
                request(method, path, reads).map(|_| never())
            }
            _ => request(method, path, Answer::Marks(&["parked"])).map(|_| never()),
        };
        let mut exchange = send(&layer, asked);
        if n % 4 == 0 {
            exchange = exchange.poll();
        }
        held.push(exchange);
        clock.advance(Duration::from_millis(500));
    }
    (inflight, held)
}

fn asked() -> impl Strategy<Value = Asked> {
    let texts =
        ["", "/", "users", "USERS", "7", "get", "GeT", "%37", "none", "/{id}", "12", "post"];
    let part = || option::weighted(0.2, select(texts.to_vec()));
    let stages = vec![Stage::Request, Stage::Handler, Stage::Response, Stage::Flush, Stage::Done];
    let first = (
        option::weighted(0.2, select(vec!["GET", "POST", "get", "PUT"])),
        part(),
        part(),
        part(),
        option::weighted(0.2, select(stages)),
        option::weighted(0.2, select(LiveState::ALL.to_vec())),
    );
    let second = (
        option::weighted(0.2, select(vec![200, 404, 503, 204])),
        option::weighted(0.2, select(vec![1, 2, 4, 5, 0, 9])),
        option::weighted(0.05, select(vec![0, 1, u64::MAX])),
        option::weighted(0.2, 0..70_u64),
        option::weighted(0.3, 0..50_usize),
    );
    (first, second).prop_map(|((method, path, route, text, stage, state), second)| {
        let (status, class, connection, older_than, limit) = second;
        Asked {
            method,
            path,
            route,
            text,
            stage,
            state,
            status,
            class,
            connection,
            older_than,
            limit,
        }
    })
}

#[test]
fn any_filter_lets_through_what_a_model_of_it_does() {
    let (inflight, mut held) = crowd();
    let mut keep = [true, true, false, true, false].into_iter().cycle();
    held.retain(|_| keep.next().unwrap());
    let all = inflight.snapshot().exchanges;
    let states: BTreeSet<_> = all.iter().map(|open| open.state.as_char()).collect();
    assert!(all.len() > 40 && states.len() > 3, "{states:?}");
    let past = inflight.recent();
    assert!(past.len() > 40);

    let cases = env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(ProptestConfig { cases: cases.unwrap_or(3_000), ..config })
        .run(&asked(), |asked| {
            let filter = asked.filter();
            let mut expected: Vec<_> =
                all.iter().filter(|it| asked.lets(&open(it))).map(|open| open.id).collect();
            let more = expected.split_off(expected.len().min(asked.limit.unwrap_or(10_000)));
            let snapshot = inflight.select(&filter);
            let listed: Vec<_> = snapshot.exchanges.iter().map(|open| open.id).collect();
            prop_assert_eq!(listed, expected);
            prop_assert_eq!(snapshot.not_listed, more.len());
            prop_assert_eq!(snapshot.counts, inflight.counts());
            for it in &past {
                prop_assert_eq!(filter.lets_closed(it), asked.lets(&closed(it)), "{:?}", it);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_id_is_found_as_a_whole() {
    let (inflight, held) = crowd();
    for open in &inflight.snapshot().exchanges {
        let found = inflight.select(&Filter::new().text(&open.id.to_string())).exchanges;
        assert!(found.iter().any(|it| it.id == open.id));
        let other = |it: &&Open| it.id != open.id && !it.path().contains(&open.id.to_string());
        assert_eq!(found.iter().filter(other).count(), 0);
    }
    drop(held);
}

#[test]
fn a_route_is_looked_for_where_there_is_one() {
    let inflight = InFlight::new();
    let layer = LifecycleLayer::new(inflight.clone()).with_handle();
    let routed = tower::Layer::layer(
        &layer,
        tower::service_fn(
            async |request: http::Request<tower_lifecycle::RequestBody<MockBody>>| {
                let handle = request.extensions().get::<ExchangeHandle>().unwrap();
                if request.uri().path() != "/other" {
                    handle.set_route("/Users/{id}");
                }
                std::future::pending::<Result<http::Response<MockBody>, std::convert::Infallible>>()
                    .await
            },
        ),
    );
    let mut held = Vec::new();
    for path in ["/users/7", "/other"] {
        let mut call = Box::pin(tower::ServiceExt::oneshot(
            routed.clone(),
            http::Request::get(path).body(MockBody::empty()).unwrap(),
        ));
        assert!(crate::support::polls::poll_once(call.as_mut()).is_pending());
        held.push(call);
    }
    let found = |filter: Filter| {
        let found = inflight.select(&filter).exchanges;
        found.iter().map(|open| open.path().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(Filter::new().route("users/{")), ["/users/7"]);
    assert_eq!(found(Filter::new().route("/users/7")), [""; 0]);
    assert_eq!(found(Filter::new().route("")), ["/users/7"]);
    assert_eq!(found(Filter::new().text("{ID}")), ["/users/7"]);
    assert_eq!(found(Filter::new().method(Method::GET)).len(), 2);
    drop(held);
    let routed =
        inflight.recent().iter().filter(|it| Filter::new().route("{id}").lets_closed(it)).count();
    assert_eq!(routed, 1);
}
