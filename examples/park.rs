//! A long poll that nothing is lost of: `park`. An event comes between two polls, another while one is parked, and a client
//! that is left behind by its own next poll is told so.
//!
//! `cargo run --example park --features park`

use std::{
    error::Error,
    fmt::Display,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{Request, StatusCode},
    routing::get,
};
use tokio::{task::JoinHandle, time};
use tower::ServiceExt;
use tower_lifecycle::park::{Lot, Outcome};

/// What is waited for, and where: here one mailbox, in memory.
#[derive(Clone, Default)]
struct Mail {
    letters: Arc<Mutex<Vec<&'static str>>>,
    lot: Lot<&'static str>,
}

impl Mail {
    /// First into the source, then the wake, which carries nothing.
    fn send(&self, letter: &'static str) {
        self.letters.lock().unwrap().push(letter);
        let woken = self.lot.wake(&"mailbox");
        say(
            "sender",
            format_args!("{letter}, {}", if woken { "wakes a poll" } else { "nobody waits" }),
        );
    }

    /// What came after the letters that the client has. They stay: whoever looks may never get to answer.
    fn look(&self, seen: usize) -> Option<String> {
        let letters = self.letters.lock().unwrap();
        letters.get(seen..).filter(|new| !new.is_empty()).map(|new| new.join(" and "))
    }
}

async fn poll(State(mail): State<Mail>, Path(seen): Path<usize>) -> (StatusCode, String) {
    let Ok(slot) = mail.lot.park("mailbox") else {
        return (StatusCode::SERVICE_UNAVAILABLE, String::new());
    };
    match slot.wait(Duration::from_secs(30), async || mail.look(seen)).await {
        Outcome::Woken(letters) => (StatusCode::OK, letters),
        Outcome::Superseded => (StatusCode::CONFLICT, "you have asked again".to_owned()),
        Outcome::Deadline | Outcome::Closed | Outcome::Draining => {
            (StatusCode::OK, "nothing".to_owned())
        }
    }
}

type Answer = JoinHandle<String>;

/// A client that has so many letters.
fn ask(app: &Router, seen: usize) -> Answer {
    let app = app.clone();
    tokio::spawn(async move {
        let request = Request::get(format!("/{seen}")).body(Body::empty()).expect("it is one");
        let response = app.oneshot(request).await.expect("a router answers");
        let body = to_bytes(response.into_body(), 100).await.expect("it is short");
        String::from_utf8_lossy(&body).into_owned()
    })
}

async fn story() -> Result<(), Box<dyn Error>> {
    let mail = Mail::default();
    let app = Router::new().route("/{seen}", get(poll)).with_state(mail.clone());

    mail.send("a card");
    expect(ask(&app, 0), "a card").await?;

    let parked = ask(&app, 1);
    time::sleep(Duration::from_secs(5)).await;
    mail.send("a bill");
    expect(parked, "a bill").await?;

    let first = ask(&app, 2);
    time::sleep(Duration::from_secs(1)).await;
    let second = ask(&app, 2);
    expect(first, "you have asked again").await?;
    mail.send("a parcel");
    expect(second, "a parcel").await?;

    // Nothing comes: the deadline, with its jitter.
    expect(ask(&app, 3), "nothing").await?;

    let last = ask(&app, 3);
    time::sleep(Duration::from_secs(1)).await;
    let drained = mail.lot.drain(Duration::from_secs(5), Duration::from_secs(1)).await;
    say("server", format_args!("stops, and has ended {}", drained.ended));
    expect(last, "nothing").await?;
    assert_eq!((drained.ended, drained.parked), (1, 0));

    let counts = mail.lot.counts();
    assert_eq!((counts.at_once, counts.woken.parks, counts.superseded.parks), (1, 2, 1));
    Ok(())
}

async fn expect(answer: Answer, text: &str) -> Result<(), Box<dyn Error>> {
    let answer = answer.await?;
    say("client", &answer);
    assert_eq!(answer, text);
    Ok(())
}

fn say(who: &str, what: impl Display) {
    println!("  {who:<9} {what}");
}

// The clock is paused: nobody waits for half a minute.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = time::timeout(Duration::from_secs(120), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
