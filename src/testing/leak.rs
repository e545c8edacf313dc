//! An observer that says what is still open.

use std::{collections::BTreeMap, fmt, time::Duration};

use http::Method;

use super::book::{Book, PATIENCE};
use crate::{
    ExchangeId, Interest, Listener, Observer, RequestClose, RequestHead, ResponseHead, Stage,
    Summary,
};

/// Observer that checks that every exchange comes to its close and lets go of its listener. Clones check together.
///
/// An exchange is open as long as somebody holds the response's future or body: a leak is a future in a list that nobody
/// clears, a body in a reference cycle, a task that waits for ever. It keeps only what is open, so it may stay in a test
/// that runs long, and stands beside other observers in a tuple. Each exchange is given an [id](RequestHead::id).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body, extract::Request, routing::get};
/// use tower::ServiceExt;
/// use tower_lifecycle::{Hooks, LifecycleLayer, testing::LeakCheck};
///
/// let leaks = LeakCheck::new();
/// let log = Hooks::new().on_close(|summary| println!("{}", summary.close));
/// let app: Router = Router::new()
///     .route("/", get(async || "Hello"))
///     .layer(LifecycleLayer::new((log, leaks.clone())));
/// let response = app.oneshot(Request::get("/").body(Body::empty())?).await?;
///
/// assert_eq!(leaks.open()[0].to_string(), "GET / (exchange 1), last heard of in response");
/// drop(response);
/// leaks.assert_none();
/// assert_eq!((leaks.begun(), leaks.closed()), (1, 1));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct LeakCheck {
    patience: Duration,
    book: Book<Ledger>,
}

/// An exchange that is not over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenExchange {
    /// Its id, which is also in its summary and in the events of a channel.
    pub id: ExchangeId,
    /// The request's method.
    pub method: Method,
    /// The request's path, without a query.
    pub path: String,
    /// Where it was last heard of; [`Stage::Done`] when it is closed, but its listener is not dropped.
    pub stage: Stage,
}

#[derive(Debug, Default)]
struct Ledger {
    begun: u64,
    closed: u64,
    /// By how many had begun: where layers join, two listeners hear of an exchange with the same id.
    open: BTreeMap<u64, OpenExchange>,
}

/// The leak check's state for one exchange.
struct Watch {
    book: Book<Ledger>,
    key: u64,
}

impl LeakCheck {
    /// With nothing begun.
    pub fn new() -> Self {
        Self { patience: PATIENCE, book: Book::default() }
    }

    /// How long [`settled`](Self::settled) waits: ten seconds unless told.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How many exchanges have begun.
    pub fn begun(&self) -> u64 {
        self.book.read(|ledger| ledger.begun)
    }

    /// How many exchanges were told to be over.
    pub fn closed(&self) -> u64 {
        self.book.read(|ledger| ledger.closed)
    }

    /// What is open now, the oldest first.
    pub fn open(&self) -> Vec<OpenExchange> {
        self.book.read(|ledger| ledger.open.values().cloned().collect())
    }

    /// Waits until at least `count` exchanges have begun: when a server has seen a request. It needs tokio's timer.
    ///
    /// Cancel safe: it only looks.
    ///
    /// # Panics
    /// After the [patience](Self::with_patience).
    pub async fn until_begun(&self, count: u64) {
        let begun = self.book.wait(self.patience, |ledger| ledger.begun >= count).await;
        assert!(begun, "only {} of {count} begun after {:?}", self.begun(), self.patience);
    }

    /// Nothing is open now. Where servers run in tasks of their own, what is to close may not have yet: see
    /// [`settled`](Self::settled).
    ///
    /// # Panics
    /// With the names of those that are open.
    #[track_caller]
    pub fn assert_none(&self) {
        let open = self.open();
        assert!(open.is_empty(), "{} of {} are open:{}", open.len(), self.begun(), Lines(&open));
    }

    /// Waits until nothing is open. It needs tokio's timer.
    ///
    /// It holds at once before the first exchange has [begun](Self::until_begun). Cancel safe: it only looks.
    ///
    /// # Panics
    /// After the [patience](Self::with_patience), with the names of those that are open.
    pub async fn settled(&self) {
        // Whether it did is looked at again, to name them.
        self.book.wait(self.patience, |ledger| ledger.open.is_empty()).await;
        self.assert_none();
    }
}

impl Default for LeakCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for LeakCheck {
    type State = Box<dyn Listener>;

    fn interest(&self) -> Interest {
        Interest::REQUEST_CLOSE | Interest::RESPONSE | Interest::CLOSE
    }

    fn begin(&self, head: &RequestHead<'_>) -> Option<Self::State> {
        let open = OpenExchange {
            id: head.id(),
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            stage: Stage::Request,
        };
        let mut key = 0;
        self.book.write(|ledger| {
            ledger.begun += 1;
            key = ledger.begun;
            ledger.open.insert(key, open);
        });
        Some(Box::new(Watch { book: self.book.clone(), key }))
    }
}

impl fmt::Debug for LeakCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeakCheck").field("open", &self.open()).finish_non_exhaustive()
    }
}

impl Watch {
    fn reach(&self, stage: Stage) {
        self.book.write(|ledger| {
            ledger.closed += u64::from(stage == Stage::Done);
            if let Some(open) = ledger.open.get_mut(&self.key) {
                // A request body that is read on after the head does not bring the handler back.
                if open.stage != Stage::Response || stage != Stage::Handler {
                    open.stage = stage;
                }
            }
        });
    }
}

impl Listener for Watch {
    fn on_request_close(&mut self, _: RequestClose) {
        self.reach(Stage::Handler);
    }

    fn on_response(&mut self, _: &ResponseHead<'_>) {
        self.reach(Stage::Response);
    }

    fn on_close(&mut self, _: &Summary) {
        self.reach(Stage::Done);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.book.write(|ledger| {
            // Dropped without a close, it stays and is reported.
            if ledger.open.get(&self.key).is_some_and(|open| open.stage == Stage::Done) {
                ledger.open.remove(&self.key);
            }
        });
    }
}

/// `GET /path (exchange 7), last heard of in handler`.
impl fmt::Display for OpenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, method, path, stage } = self;
        write!(f, "{method} {path} (exchange {id}), last heard of in {stage}")
    }
}

/// How many of those that are open are named.
const NAMED: usize = 20;

struct Lines<'a>(&'a [OpenExchange]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for open in self.0.iter().take(NAMED) {
            write!(f, "\n  {open}")?;
        }
        if self.0.len() > NAMED {
            write!(f, "\n  and {} more", self.0.len() - NAMED)?;
        }
        Ok(())
    }
}
