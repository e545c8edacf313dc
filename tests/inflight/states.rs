//! What each exchange and each connection is doing, through hyper on loopback: by every seam, and without one.

use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ws::WebSocketUpgrade,
    routing::{any, get},
};
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};
use tower_lifecycle::{
    Connection, ExchangeHandle, LifecycleLayer, Server, Stage,
    inflight::{Change, Filter, InFlight, LiveState, Open, OpenConnection, Snapshot},
    park::{Lot, Outcome},
    testing::{Client, Http2Frame, MockBody},
};

use crate::{
    rig::{Answer, answer, request, send, within},
    support::seams::{self, Seam, Serving, builder},
};

const HALF: &[u8] = b"hello";

fn app(lot: Lot<u64>) -> Router {
    let parks = async move |exchange: ExchangeHandle| {
        let slot = lot.park(7).unwrap().of(&exchange);
        let mut looked = false;
        let check = || {
            let found = std::mem::replace(&mut looked, true).then_some(());
            async move { found }
        };
        let outcome = slot.wait(Duration::from_secs(40), check).await;
        assert_eq!(outcome, Outcome::Woken(()));
        pending::<()>().await;
    };
    let upgrades = async |exchange: ExchangeHandle, upgrade: WebSocketUpgrade| {
        let guard = exchange.connection().map(Connection::guard_upgrade);
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(_)) = socket.recv().await {}
            drop(guard);
        })
    };
    // Holds the body, as one who is at something else.
    let holds = async |body: Body| {
        pending::<()>().await;
        drop(body);
    };
    let gate = Arc::new(Semaphore::new(0));
    seams::app(&gate)
        .route("/holds", any(holds))
        .route("/parks", get(parks))
        .route("/ws", any(upgrades))
        .route("/drops", any(async || pending::<()>().await))
}

/// How a request comes to the layer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Through(Seam),
    /// In a router that hyper serves.
    Without,
    /// In a router behind a seam that hands on its connection.
    Inside,
}

const WAYS: [Way; 5] = [
    Way::Through(Seam::Axum),
    Way::Through(Seam::Connection),
    Way::Through(Seam::Serve),
    Way::Without,
    Way::Inside,
];

struct Site {
    inflight: InFlight,
    lot: Lot<u64>,
    addr: SocketAddr,
    _serving: Option<Serving>,
}

impl Site {
    async fn by(way: Way) -> Self {
        let (inflight, lot) = (InFlight::new(), Lot::default());
        let layer = LifecycleLayer::new(inflight.clone()).with_handle();
        let app = app(lot.clone());
        let mut builder = builder();
        builder.http2().enable_connect_protocol();
        let (addr, serving) = match way {
            Way::Through(seam) => {
                let serving = seam.serve(builder, &layer, app).await;
                (serving.addr, Some(serving))
            }
            Way::Inside => {
                let outer = LifecycleLayer::new(()).with_connection();
                let serving = Seam::Connection.serve(builder, &outer, app.layer(layer)).await;
                (serving.addr, Some(serving))
            }
            Way::Without => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let addr = listener.local_addr().unwrap();
                tokio::spawn(async { axum::serve(listener, app.layer(layer)).await });
                (addr, None)
            }
        };
        Self { inflight, lot, addr, _serving: serving }
    }

    /// Sends a request, with the first half of its body if it has one.
    async fn ask(&self, http2: bool, method: &str, path: &str) -> Client {
        let mut client = Client::connect(self.addr).await.unwrap();
        let uploads = method == "POST";
        if http2 {
            let length = uploads.then_some(("content-length", "10"));
            client.request(1, method, path, length, !uploads).await.unwrap();
            if uploads {
                client.data(1, HALF, false).await.unwrap();
            }
        } else {
            let length = if uploads { "content-length: 10\r\n" } else { "" };
            let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{length}\r\n");
            client.send(head).await.unwrap();
            if uploads {
                client.send(HALF).await.unwrap();
            }
        }
        client
    }

    /// Waits until the only exchange is in this state, and goes on being in it with nothing that passes.
    async fn settles(&self, state: LiveState) -> Open {
        let mut last = None;
        let mut same = 0;
        let found = async {
            loop {
                let snapshot = self.inflight.snapshot();
                if let [open] = &snapshot.exchanges[..] {
                    let now = (open.state, open.request, open.response);
                    same = if last == Some(now) { same + 1 } else { 0 };
                    if same == 10 && open.state == state {
                        return open.clone();
                    }
                    last = Some(now);
                }
                sleep(Duration::from_millis(3)).await;
            }
        };
        let found = tokio::time::timeout(crate::rig::PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("not {state}, but {:#?}", self.inflight.snapshot()))
    }

    async fn shows(&self, what: &str, is: impl Fn(&Snapshot) -> bool) -> Snapshot {
        within(what, async {
            loop {
                let snapshot = self.inflight.snapshot();
                if is(&snapshot) {
                    return snapshot;
                }
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await
    }
}

/// In which state a request settles, at which stage, and whether that is known where the server does not call the layer.
type Row = (&'static str, &'static str, LiveState, Stage, bool);

const ROWS: [Row; 7] = [
    ("POST", "/careless", LiveState::Reading, Stage::Request, false),
    ("POST", "/holds", LiveState::Unread, Stage::Request, true),
    ("POST", "/drops", LiveState::Handler, Stage::Handler, true),
    ("GET", "/park", LiveState::Handler, Stage::Handler, true),
    ("GET", "/parks", LiveState::Parked, Stage::Handler, true),
    ("GET", "/hang", LiveState::Producer, Stage::Response, true),
    ("GET", "/endless", LiveState::Client, Stage::Response, false),
];

async fn check(way: Way, http2: bool, (method, path, state, at, everywhere): Row) {
    let what = format!("{way:?}, HTTP/2: {http2}, {method} {path}");
    let site = Site::by(way).await;
    let client = site.ask(http2, method, path).await;
    let through = matches!(way, Way::Through(_));
    let state = if everywhere || through { state } else { LiveState::Unknown };
    let open = site.settles(state).await;
    assert_eq!((open.method.as_str(), open.path(), open.stage), (method, path, at), "{what}");
    assert_eq!(open.connection.is_some(), way != Way::Without, "{what}");
    let (received, sent) = (open.request.bytes, open.response.bytes);
    assert_eq!(received, if path == "/careless" { 5 } else { 0 }, "{what}");
    match path {
        "/hang" => assert_eq!((sent, open.response.frames), (5, 1), "{what}"),
        "/endless" => assert!(sent > 0 && sent % 10_000 == 0, "{what}"),
        _ => assert_eq!(sent, 0, "{what}"),
    }

    let snapshot = site.inflight.select(&Filter::new().state(state).stage(at));
    assert_eq!(snapshot.exchanges.len(), 1, "{what}");
    assert_eq!((snapshot.counts.state(state), snapshot.counts.stage(at)), (1, 1), "{what}");
    let connections: Vec<_> = snapshot.connections.iter().map(|it| it.state).collect();
    // Of a layer that is inside another the connections are none of its business.
    let expected: &[LiveState] = if through { &[LiveState::Busy] } else { &[] };
    assert_eq!(connections, expected, "{what}");
    if let (true, Some(connection)) = (through, &open.connection) {
        let id = connection.id().get();
        assert_eq!(site.inflight.select(&Filter::new().connection(id)).exchanges.len(), 1);
        assert_eq!(site.inflight.select(&Filter::new().connection(id + 1)).exchanges.len(), 0);
    }

    if state == LiveState::Parked {
        assert!(open.marks.iter().any(|(name, _)| *name == "parked"));
        site.lot.wake(&7);
        let open = site.settles(LiveState::Handler).await;
        assert!(open.marks.iter().any(|(name, _)| *name == "unparked"), "{what}");
    }
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_what_is_seen_over_http1() {
    for way in WAYS {
        for row in ROWS {
            check(way, false, row).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_what_is_seen_over_http2() {
    for way in WAYS {
        for row in ROWS {
            check(way, true, row).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_on_is_not_waited_for_any_more() {
    for seam in Seam::ALL {
        let site = Site::by(Way::Through(seam)).await;
        let mut client = site.ask(false, "GET", "/endless").await;
        let open = site.settles(LiveState::Client).await;
        let before = open.response.bytes;
        client.read_until("\r\n\r\n").await.unwrap();
        let more = |snapshot: &Snapshot| {
            snapshot.exchanges.iter().all(|open| open.response.bytes > before + 100_000)
        };
        tokio::select! {
            _ = client.read_to_end() => panic!("it is endless"),
            _ = site.shows("more", more) => {}
        }
        site.settles(LiveState::Client).await;
        let open = &site.inflight.snapshot().exchanges[0];
        let wait = open.response_wait.unwrap();
        assert!(wait.consumer > wait.producer, "{seam:?}: {wait:?}");
    }
}

/// All of a response that is too large for what the system buffers.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_complete_and_not_handed_over_is_flushing() {
    for seam in Seam::ALL {
        for http2 in [false, true] {
            // Over HTTP/2 only one who drives the connection sees that.
            if http2 && seam != Seam::Serve {
                continue;
            }
            let site = Site::by(Way::Through(seam)).await;
            let mut client = Client::connect(site.addr).await.unwrap();
            if http2 {
                client.request(1, "GET", "/size/30000000", [], true).await.unwrap();
            } else {
                let head = "GET /size/30000000 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
                client.send(head).await.unwrap();
            }
            let open = site.settles(LiveState::Flushing).await;
            assert_eq!((open.stage, open.response.bytes), (Stage::Flush, 30_000_000), "{seam:?}");
            assert!(open.times.response_end.is_some());
            if http2 {
                client.reset().unwrap();
            } else {
                assert!(client.read_to_end().await.unwrap().len() > 30_000_000);
            }
            within("idle", site.inflight.idle()).await;
        }
    }
}

fn only(snapshot: &Snapshot) -> Option<&OpenConnection> {
    let [connection] = &snapshot.connections[..] else { return None };
    Some(connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_idle_and_busy_and_idle_again() {
    for seam in Seam::ALL {
        for http2 in [false, true] {
            let site = Site::by(Way::Through(seam)).await;
            let mut changes = site.inflight.subscribe().unwrap();
            let mut client = Client::connect(site.addr).await.unwrap();
            let is = |state| {
                move |snapshot: &Snapshot| only(snapshot).is_some_and(|it| it.state == state)
            };
            let idle = site.shows("a connection", is(LiveState::Idle)).await;
            assert_eq!(
                (idle.counts.connections, idle.counts.idle, idle.counts.upgraded),
                (1, 1, 0)
            );
            assert!(idle.exchanges.is_empty() && only(&idle).unwrap().upgraded().is_none());
            if http2 {
                client.request(1, "GET", "/full", [], true).await.unwrap();
                client.read_frames_until(Http2Frame::ends_stream).await.unwrap();
            } else {
                client.send("GET /full HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
                client.read_until("\r\n\r\nhello").await.unwrap();
            }
            let closed = |snapshot: &Snapshot| snapshot.counts.closed == 1;
            site.shows("the close", closed).await;
            site.shows("an idle connection", is(LiveState::Idle)).await;
            if http2 {
                client.request(3, "GET", "/park", [], true).await.unwrap();
            } else {
                client.send("GET /park HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            }
            let busy = site.shows("a busy connection", is(LiveState::Busy)).await;
            assert_eq!((busy.counts.connections, busy.counts.idle), (1, 0), "{seam:?}");
            assert_eq!(busy.counts.state(LiveState::Busy), 1);
            client.close().unwrap();
            let gone = |snapshot: &Snapshot| snapshot.connections.is_empty();
            let gone = site.shows("the end", gone).await;
            assert_eq!((gone.counts.connections, gone.counts.open), (0, 0));

            let mut told = Vec::new();
            while told.len() < 6 {
                told.push(match within("a change", changes.recv()).await.unwrap() {
                    Change::Connected(_) => "connected",
                    Change::Disconnected(_) => "disconnected",
                    Change::Opened(_) => "opened",
                    Change::Closed(_) => "closed",
                    other => panic!("{other:?}"),
                });
            }
            let expected = ["connected", "opened", "closed", "opened", "closed", "disconnected"];
            assert_eq!(told, expected, "{seam:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_speaks_websocket_is_upgraded_and_says_what_was_asked_for() {
    const UPGRADE: &str = "GET /ws?secret HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                           sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for seam in Seam::ALL {
        for http2 in [false, true] {
            // axum's own builder does not offer it.
            if http2 && seam == Seam::Axum {
                continue;
            }
            let site = Site::by(Way::Through(seam)).await;
            let mut client = Client::connect(site.addr).await.unwrap();
            if http2 {
                let fields = [
                    (":scheme", "http"),
                    (":path", "/ws?secret"),
                    (":protocol", "websocket"),
                    ("sec-websocket-version", "13"),
                ];
                client.request(1, "CONNECT", "/ws", fields, false).await.unwrap();
            } else {
                client.send(UPGRADE).await.unwrap();
            }
            let upgraded = |snapshot: &Snapshot| {
                only(snapshot).is_some_and(|it| it.upgraded().is_some())
                    && snapshot.exchanges.is_empty()
            };
            let snapshot = site.shows("an upgrade", upgraded).await;
            let connection = only(&snapshot).unwrap();
            assert_eq!(connection.state, LiveState::Upgraded, "{seam:?}, HTTP/2: {http2}");
            let (method, path) = connection.upgraded().unwrap();
            assert_eq!((method.as_str(), path), (if http2 { "CONNECT" } else { "GET" }, "/ws"));
            assert_eq!((snapshot.counts.upgraded, snapshot.counts.idle), (1, 0));
            assert!(!site.inflight.is_idle());
            assert_eq!(site.inflight.recent()[0].summary.close.reason.as_str(), "upgraded");
            client.close().unwrap();
            within("idle", site.inflight.idle()).await;
            let gone = |snapshot: &Snapshot| snapshot.counts.connections == 0;
            site.shows("the end", gone).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_shows_the_same() {
    let (inflight, lot) = (InFlight::new(), Lot::default());
    // hyper does not notice all who leave.
    let layer = LifecycleLayer::new(inflight.clone()).with_handle().cancel_on_disconnect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(Server::new(listener, layer).serve(app(lot.clone())));
    for http2 in [false, true] {
        for (method, path, state, at, _) in ROWS {
            let (inflight, lot) = (inflight.clone(), lot.clone());
            let site = Site { inflight, lot, addr, _serving: None };
            let mut client = site.ask(http2, method, path).await;
            assert_eq!(site.settles(state).await.stage, at);
            client.reset().unwrap();
            within("idle", site.inflight.idle()).await;
        }
    }
}

// ===== in memory =====

#[test]
fn of_a_client_only_a_parked_poll_is_known() {
    let inflight = InFlight::new();
    let layer = LifecycleLayer::new(inflight.clone()).client().with_handle();
    let streams = |answer| request("POST", "/", answer).map(|_| MockBody::hangs_after(1));
    let held = [
        send(&layer, streams(Answer::None)),
        send(&layer, streams(Answer::Reads(Box::new(Answer::Reads(Box::new(Answer::None)))))),
        send(&layer, request("GET", "/", Answer::None)),
        send(&layer, request("GET", "/", answer(200, MockBody::hangs_after(1)))),
        send(&layer, request("GET", "/", answer(200, MockBody::hangs_after(0)))).poll(),
    ];
    let states: Vec<_> = inflight.snapshot().exchanges.iter().map(|open| open.state).collect();
    assert_eq!(states, [LiveState::Unknown; 5]);
    let parked = send(&layer, request("GET", "/", Answer::Marks(&["parked"])));
    assert_eq!(inflight.counts().state(LiveState::Parked), 1);
    drop((held, parked));
}

#[test]
fn each_state_has_a_word_and_a_character_of_its_own() {
    let words: std::collections::BTreeSet<_> =
        LiveState::ALL.iter().map(|state| state.as_str()).collect();
    let chars: std::collections::BTreeSet<_> =
        LiveState::ALL.iter().map(|state| state.as_char()).collect();
    assert_eq!((words.len(), chars.len()), (LiveState::ALL.len(), LiveState::ALL.len()));
    let all: String = LiveState::ALL.iter().map(|state| state.as_char()).collect();
    assert_eq!(all, "rqhzpwf?bku");
    assert!(LiveState::ALL.iter().all(|state| state.to_string() == state.as_str()));
}
