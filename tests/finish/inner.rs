//! A layer inside of a router: what is around it may hold a response back, so a flush proves nothing to it.

use axum::Router;
use tower_lifecycle::{
    LifecycleLayer,
    testing::{Client, Recorder},
};

use crate::support::seams::{Seam, builder};

const RELEASED: &str = "begin req.end req.close(complete) \
     response(200) res.data res.end finish(released) close(complete)";

fn app(recorder: &Recorder) -> Router {
    let inner = LifecycleLayer::new(recorder.clone()).standalone();
    Router::new().fallback(async || "hello").layer(inner)
}

async fn get(addr: std::net::SocketAddr) {
    let mut client = Client::connect(addr).await.unwrap();
    client.send("GET / HTTP/1.1\r\n\r\n").await.unwrap();
    client.read_until("hello").await.unwrap();
}

#[tokio::test]
async fn without_a_seam_an_answer_is_released() {
    let recorder = Recorder::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = app(&recorder);
    let serving = tokio::spawn(async { axum::serve(listener, app).await });
    get(addr).await;
    recorder.settled(1).await;
    let exchange = recorder.only();
    assert_eq!(exchange.words(), RELEASED);
    assert_eq!(exchange.close().to_string(), "complete, by local, known by frame");
    assert!(exchange.summary().unwrap().connection.is_none());
    serving.abort();
}

#[tokio::test]
async fn with_a_seam_further_out_it_is_released_and_knows_its_connection() {
    for seam in Seam::ALL {
        let recorder = Recorder::new();
        let outer = LifecycleLayer::new(()).with_connection();
        let serving = seam.serve(builder(), &outer, app(&recorder)).await;
        get(serving.addr).await;
        recorder.settled(1).await;
        let exchange = recorder.only();
        assert_eq!(exchange.words(), RELEASED, "{seam:?}");
        assert_eq!(exchange.close().to_string(), "complete, by local, known by frame", "{seam:?}");
        assert!(exchange.summary().unwrap().connection.is_some(), "{seam:?}");
        assert_eq!(recorder.opened(), 0, "connections are told to the layer of the seam");
    }
}
