//! One situation on stage: what it is, how it is played, and what has been observed while it was.

use std::{future::Future, net::SocketAddr, pin::Pin, time::Duration};

use axum::BoxError;
use tokio::{sync::mpsc, time};
use tower_lifecycle::{Close, Reason, RequestClose};

use crate::{
    client::{Http1, Http2},
    observer::Call,
};

/// No situation takes longer, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something that happens to HTTP exchanges.
pub(crate) struct Situation {
    pub(crate) title: &'static str,
    /// What is being done.
    pub(crate) story: &'static str,
    /// What is worth noticing in what comes of it.
    pub(crate) notice: &'static str,
    /// How each exchange of it ends, and how the request side of each does.
    pub(crate) expected: &'static [(Reason, RequestClose)],
    /// Plays the client's part.
    pub(crate) play: Play,
}

/// Answers what the client saw.
pub(crate) type Play =
    for<'s> fn(&'s mut Scene) -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + 's>>;

/// Where a situation is played.
pub(crate) struct Scene {
    server: SocketAddr,
    calls: mpsc::UnboundedReceiver<Call>,
    /// The calls of the situation so far.
    seen: Vec<Call>,
    /// The last exchange of the situations before. One that is left open is none of this one's.
    past: u64,
}

/// What came of a situation.
pub(crate) struct Outcome {
    pub(crate) calls: Vec<Call>,
    /// What the client saw, if it got through.
    pub(crate) client: Option<String>,
    /// Why it is not as expected.
    pub(crate) wrong: Option<String>,
}

impl Scene {
    pub(crate) fn new(server: SocketAddr, calls: mpsc::UnboundedReceiver<Call>) -> Self {
        Self { server, calls, seen: Vec::new(), past: 0 }
    }

    /// Plays a situation until all its exchanges are closed.
    pub(crate) async fn run(&mut self, situation: &Situation) -> Outcome {
        let mut client = None;
        let played = time::timeout(PATIENCE, async {
            client = Some((situation.play)(self).await?);
            let count = situation.expected.len();
            self.until(|seen| closes(seen).count() >= count).await;
            Ok::<_, BoxError>(())
        })
        .await;
        let closed = closes(&self.seen).count();
        while let Ok(call) = self.calls.try_recv() {
            self.accept(call);
        }
        let calls = std::mem::take(&mut self.seen);
        self.past = calls.iter().map(|call| call.exchange).fold(self.past, u64::max);
        let wrong = match played {
            Ok(Ok(())) => compare(&calls, situation.expected),
            Ok(Err(error)) => Some(format!("the client failed: {error}")),
            Err(_) => Some(format!(
                "given up after {PATIENCE:?}, when {closed} of {} exchanges had closed",
                situation.expected.len(),
            )),
        };
        Outcome { calls, client, wrong }
    }

    pub(crate) async fn http1(&self) -> Result<Http1, BoxError> {
        Ok(Http1::connect(self.server).await?)
    }

    pub(crate) async fn http2(&self) -> Result<Http2, BoxError> {
        Http2::connect(self.server).await
    }

    /// Waits until a hook was called.
    pub(crate) async fn called(&mut self, hook: &str) {
        self.until(|seen| seen.iter().any(|call| call.hook == hook)).await;
    }

    async fn until(&mut self, enough: impl Fn(&[Call]) -> bool) {
        while !enough(&self.seen) {
            let Some(call) = self.calls.recv().await else { return };
            self.accept(call);
        }
    }

    fn accept(&mut self, call: Call) {
        if call.exchange > self.past {
            self.seen.push(call);
        }
    }
}

pub(crate) fn closes(calls: &[Call]) -> impl Iterator<Item = (Close, RequestClose)> {
    calls.iter().filter_map(|call| call.close)
}

fn compare(calls: &[Call], expected: &[(Reason, RequestClose)]) -> Option<String> {
    let observed: Vec<_> = closes(calls).map(|(close, request)| (close.reason, request)).collect();
    let words = |closes: &[(Reason, RequestClose)]| {
        let words: Vec<_> = closes
            .iter()
            .map(|(reason, request)| format!("{reason} with the request {request}"))
            .collect();
        words.join(", ")
    };
    (observed != expected)
        .then(|| format!("expected {}, observed {}", words(expected), words(&observed)))
}
