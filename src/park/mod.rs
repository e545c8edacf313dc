//! Parked long polls: register, check the source, wait, and one outcome each.
//!
//! A client asks for events and there are none: its request is *parked*, and answered when there are, or after a while with
//! nothing. A [`Lot`] is where that is done. Its [`Slot`]s are given by key, and free themselves: when the wait is over, and
//! when the handler is dropped because its client has left, at whatever await.
//!
//! **Register, check the source, wait**: in this order, because what comes between a look and a registration would be lost
//! until the deadline. So [`Slot::wait`] looks itself, by a function that it is given, at once and after each wake; a wake that
//! comes before or while it looks is remembered.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::{sync::{Arc, Mutex}, time::Duration};
//!
//! use axum::{Router, body::Body, extract::{Path, State}, http::{Request, StatusCode}, routing::get};
//! use tower::ServiceExt;
//! use tower_lifecycle::park::{Lot, Outcome, Refused};
//!
//! #[derive(Clone, Default)]
//! struct App {
//!     events: Arc<Mutex<Vec<String>>>, // the source: it says what there is, and keeps it until it is acknowledged
//!     lot: Lot<u64>,
//! }
//!
//! async fn poll(State(app): State<App>, Path(queue): Path<u64>) -> (StatusCode, String) {
//!     let slot = match app.lot.park(queue) {
//!         Ok(slot) => slot,
//!         Err(Refused::KeyFull) => return (StatusCode::CONFLICT, String::new()),
//!         Err(refused) => return (StatusCode::SERVICE_UNAVAILABLE, refused.to_string()),
//!     };
//!     let check = || async { app.events.lock().unwrap().last().cloned() };
//!     match slot.wait(Duration::from_secs(30), check).await {
//!         Outcome::Woken(event) => (StatusCode::OK, event),
//!         Outcome::Deadline | Outcome::Closed | Outcome::Draining => (StatusCode::OK, String::new()),
//!         Outcome::Superseded => (StatusCode::CONFLICT, "there is a newer poll".to_owned()),
//!     }
//! }
//!
//! async fn send(State(app): State<App>, Path(queue): Path<u64>, event: String) {
//!     app.events.lock().unwrap().push(event); // first the source,
//!     app.lot.wake(&queue); // then the wake
//! }
//!
//! let app: Router =
//!     Router::new().route("/{queue}", get(poll).post(send)).with_state(App::default());
//!
//! let polls = tokio::spawn(app.clone().oneshot(Request::get("/7").body(Body::empty()).unwrap()));
//! tokio::time::sleep(Duration::from_secs(10)).await;
//! app.oneshot(Request::post("/7").body(Body::from("hello")).unwrap()).await.unwrap();
//! let response = polls.await.unwrap().unwrap();
//! assert_eq!(axum::body::to_bytes(response.into_body(), 100).await.unwrap(), "hello");
//! # }
//! ```
//!
//! A wake carries no data. The waiter reads its source again, so one that dies takes nothing with it, and what it was to have
//! is there for the next poll. A response that was handed over is not delivered either: a source forgets what its client has
//! acknowledged, by the next poll, and nothing else.
//!
//! # Outcomes
//!
//! | outcome | when | what a server answers |
//! |---|---|---|
//! | [`Woken`](Outcome::Woken) | a check found something, at once or after a wake | that |
//! | [`Deadline`](Outcome::Deadline) | it took as long as it may | an empty list: ask again |
//! | [`Superseded`](Outcome::Superseded) | a newer poll took its place | 409 |
//! | [`Closed`](Outcome::Closed) | [`Lot::close`]; its client is known to be gone; the slot was dropped | an empty list, if anybody is there |
//! | [`Draining`](Outcome::Draining) | the server is about to stop | an empty list, or 503 |
//!
//! It is decided once. Who comes later is told so, by what [`Lot::wake`] and [`Lot::close`] return, and changes nothing. Each
//! slot has a [token](Slot::token) of its own and removes itself by that: the end of an old poll never removes a new one.
//!
//! # A second poll on a key
//!
//! [supersedes](Second::Supersede) the first: a client whose connection broke unseen asks again, and the old poll is nobody's.
//! It needs no room of its own for that. Two tabs that share a key push each other out for ever, so the answer should make them
//! wait. With [`Reject`](Second::Reject) it is refused, with [`Share`](Second::Share) so many stand side by side.
//!
//! # The deadline
//!
//! is mandatory: hyper does not notice every client that leaves, and no system notices a peer that vanishes without a packet.
//! It holds even where a check never ends, and is never later than [`Policy::longest`], 50 seconds unless told.
//!
//! ## Herds
//!
//! Clients that were parked together are answered together and come back together. [Jitter](Policy::jitter) puts each deadline
//! off at random. How soon that disperses a crowd, by the busiest second over the mean, for 10,000 that are parked at the same
//! moment for 30 seconds (`tests/park/herd.rs`):
//!
//! | jitter | parked for | the first answers | later |
//! |---|---|---|---|
//! | 0.1, as by default | 30 to 33 s | 10.6 | below 2 after half an hour |
//! | 0.5 | 30 to 45 s | 2.7 | below 2 after three answers |
//! | 1.0 | 25 to 50 s | 1.7 | |
//!
//! The default keeps apart who is apart. A crowd comes from somewhere, and is better dispersed there: by the windows of
//! [`Lot::wake_all`] and [`Lot::drain`] (25 seconds: 1.0), and by a random `Retry-After` with a refusal.
//!
//! # Stopping
//!
//! [`Lot::drain`] lets nobody in, ends what is parked, spread over a window, and waits for it with a patience. It is called when
//! the server is told to stop, *before* or while that waits for its connections: a graceful shutdown waits for parked polls as for
//! all others. With axum:
//!
//! ```no_run
//! # use std::time::Duration;
//! # async fn serve(listener: tokio::net::TcpListener, app: axum::Router, lot: tower_lifecycle::park::Lot<u64>) -> std::io::Result<()> {
//! # async fn told_to_stop() {}
//! let stop = async move {
//!     told_to_stop().await;
//!     let drain = lot.drain(Duration::from_secs(10), Duration::from_secs(1)); // from here on nobody is let in
//!     tokio::spawn(drain);
//! };
//! axum::serve(listener, app).with_graceful_shutdown(stop).await
//! # }
//! ```
//!
//! The same future is for `Server::serve_until`, whose `grace`, a little longer than window and patience, drops what is left.
//! With axum a timeout around the whole does. [`Drained`] says what that would be.
//!
//! # Clients that leave
//!
//! hyper drops the handler, and the slot goes with it: nothing is to be done. It does not see them where it does not read: behind
//! a pipelined byte, and while a part of the request's body is unread, held or dropped. So read the body before, by
//! [`drain_or_reject`]; have the connection watched, by a [seam](crate#the-connection) and
//! [`cancel_on_disconnect`](crate::LifecycleLayer::cancel_on_disconnect); and say by [`Slot::of`] whose exchange a slot is, to be
//! told and to have it counted. Else the deadline ends it.
//!
//! # Limits
//!
//! [In total](Policy::max_parked), 50,000 unless told, [for each owner](Policy::max_per_owner), and for each key. Who is
//! [`Refused`] has changed nothing.
//!
//! # What is seen
//!
//! [`Lot::counts`] has the gauge, and for each outcome how many and how long; [`Policy::on_unpark`] hears of each park when it is
//! over, for histograms. With [`Slot::of`] the summary of the exchange has the times `parked` and `unparked`. No key is ever told.
//!
//! # Cost
//!
//! A park allocates its seat, and with [`Slot::of`] once more when it really waits; its place in a map is kept. The slot has 64
//! bytes with a key of 16, and the future of its wait 304 and those of its check, of which tokio's timer is the larger
//! part. A wake takes two locks, that of one map of 32 and that of the slot, each for a moment; a poll takes the latter.

mod body;
mod counts;
mod drain;
mod lot;
mod outcome;
mod places;
mod policy;
mod signal;
mod slot;

pub use self::{
    body::{DrainError, drain_or_reject},
    counts::{Counts, Ended},
    drain::Drained,
    lot::Lot,
    outcome::{Outcome, Refused, Unparked},
    policy::{Policy, Second},
    slot::{Slot, Token},
};
