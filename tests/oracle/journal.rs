//! What the server under test has to tell the client's script: events by the names that Node has for them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{self, Instant},
};
use tower_lifecycle::{
    Data, Disconnect, End, ExchangeId, Failure, Finish, Listener, Observer, RequestClose,
    RequestHead, Summary,
};

/// Clones write into the same journal.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Shared>);

struct Shared {
    pages: Mutex<Pages>,
    told: Notify,
}

struct Pages {
    events: Vec<Event>,
    exchanges: Vec<ExchangeId>,
    last: Instant,
}

struct Event {
    exchange: Option<usize>,
    name: String,
}

/// The journal of one exchange.
#[derive(Clone)]
pub(crate) struct Page {
    journal: Journal,
    exchange: usize,
}

// ===== impl Journal =====

impl Journal {
    pub(crate) fn new() -> Self {
        let pages = Pages { events: Vec::new(), exchanges: Vec::new(), last: Instant::now() };
        Self(Arc::new(Shared { pages: Mutex::new(pages), told: Notify::new() }))
    }

    pub(crate) fn tell(&self, name: &str) {
        self.write(None, name);
    }

    /// The page of an exchange that has begun.
    pub(crate) fn page(&self, id: ExchangeId) -> Page {
        let mut pages = self.0.pages.lock().unwrap();
        let known = pages.exchanges.iter().position(|exchange| *exchange == id);
        let exchange = known.unwrap_or_else(|| {
            pages.exchanges.push(id);
            pages.exchanges.len() - 1
        });
        drop(pages);
        Page { journal: self.clone(), exchange }
    }

    /// Waits until there were `count` such events, of this exchange if one is named.
    pub(crate) async fn wait(&self, name: &str, exchange: Option<usize>, count: usize) {
        loop {
            // Made before the look, so that no event after it is missed.
            let told = self.0.told.notified();
            if self.count(name, exchange) >= count {
                return;
            }
            told.await;
        }
    }

    /// For how long nothing has happened.
    pub(crate) fn quiet(&self) -> Duration {
        self.0.pages.lock().unwrap().last.elapsed()
    }

    /// Waits until nothing has happened for so long.
    pub(crate) async fn wait_quiet(&self, quiet: Duration) {
        while let Some(left) = quiet.checked_sub(self.quiet()).filter(|left| !left.is_zero()) {
            time::sleep(left).await;
        }
    }

    fn count(&self, name: &str, exchange: Option<usize>) -> usize {
        let pages = self.0.pages.lock().unwrap();
        let of_it = |event: &&Event| exchange.is_none() || exchange == event.exchange;
        pages.events.iter().filter(of_it).filter(|event| event.name == name).count()
    }

    fn write(&self, exchange: Option<usize>, name: &str) {
        let mut pages = self.0.pages.lock().unwrap();
        pages.events.push(Event { exchange, name: name.to_owned() });
        pages.last = Instant::now();
        drop(pages);
        self.0.told.notify_waiters();
    }
}

impl Observer for Journal {
    type State = Page;

    fn begin(&self, head: &RequestHead<'_>) -> Option<Page> {
        let page = self.page(head.id());
        page.tell("srv.request");
        Some(page)
    }
}

// ===== impl Page =====

impl Page {
    pub(crate) fn tell(&self, name: &str) {
        self.journal.write(Some(self.exchange), name);
    }

    /// Waits for an event of this exchange.
    pub(crate) async fn wait(&self, name: &str) {
        self.journal.wait(name, Some(self.exchange), 1).await;
    }
}

impl Listener for Page {
    fn on_request_data(&mut self, _: Data) {
        self.tell("req.data");
    }

    fn on_request_end(&mut self, _: &End<'_>) {
        self.tell("req.end");
    }

    fn on_request_error(&mut self, _: &Failure<'_>) {
        self.tell("req.aborted");
        self.tell("req.error");
    }

    fn on_request_close(&mut self, _: RequestClose) {
        self.tell("req.close");
    }

    fn on_response_end(&mut self, _: &End<'_>) {
        self.tell("res.prefinish");
    }

    fn on_finish(&mut self, _: Finish) {
        self.tell("res.finish");
    }

    fn on_disconnect(&mut self, _: Disconnect) {
        self.tell("req.aborted");
    }

    fn on_close(&mut self, _: &Summary) {
        self.tell("res.close");
    }
}
