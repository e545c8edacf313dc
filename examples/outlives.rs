//! Work that outlives its client, both ways. A handler that books a seat and waits for the payment is left by its client.
//!
//! hyper drops it at its `.await`, and the seat is lost. A task of its own is told by `ExchangeHandle::closed()` and gives the
//! seat back; so does the very same handler behind `DetachLayer`, which is not dropped but has a grace.
//!
//! `cargo run --example outlives --features detach`

use std::{error::Error, fmt::Display, future, time::Duration};

use axum::{Extension, Router, extract::State, routing::post};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time,
};
use tower_lifecycle::{
    ExchangeHandle, Hooks, LifecycleLayer,
    detach::DetachLayer,
    testing::{Leaver, Phase, Way},
};

/// How long a detached handler may go on without its client.
const GRACE: Duration = Duration::from_secs(2);

/// How long the story waits for what is to come at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many seats are held.
type Seats = watch::Sender<u32>;

/// Holds a seat until it is paid for.
async fn book(who: &str, seats: Seats, exchange: ExchangeHandle) {
    seats.send_modify(|held| *held += 1);
    say(who, "holds a seat and waits for the payment");
    tokio::select! {
        () = payment() => say(who, "has sold the seat"),
        close = exchange.closed() => {
            say(who, format_args!("is told that nobody waits any more: {}", close.reason));
            give_back(&seats).await;
            say(who, "has given the seat back");
        }
    }
}

async fn handler(State(seats): State<Seats>, Extension(exchange): Extension<ExchangeHandle>) {
    let mut fate = Fate { finished: false };
    book("handler", seats, exchange).await;
    fate.finished = true;
}

async fn spawns(State(seats): State<Seats>, Extension(exchange): Extension<ExchangeHandle>) {
    let mut fate = Fate { finished: false };
    let _ = tokio::spawn(book("task", seats, exchange)).await;
    fate.finished = true;
}

/// Does not come.
async fn payment() {
    future::pending::<()>().await;
}

/// Takes an `.await`, which no `Drop` has.
async fn give_back(seats: &Seats) {
    time::sleep(Duration::from_millis(20)).await;
    seats.send_modify(|held| *held -= 1);
}

async fn story() -> Result<(), Box<dyn Error>> {
    let (tell, mut closes) = mpsc::unbounded_channel();
    let observer = Hooks::new().on_close(move |summary| {
        say("observer", summary.close);
        let _ = tell.send(summary.close);
    });
    let seats = Seats::new(0);
    let detach = DetachLayer::new(GRACE);
    let detached = detach.detached();
    let app = Router::new()
        .route("/dropped", post(handler))
        .route("/spawns", post(spawns))
        .route("/detached", post(handler).layer(detach))
        .layer(LifecycleLayer::new(observer).with_handle())
        .with_state(seats.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, app).await });

    for (path, title, lost) in [
        ("/dropped", "The handler is dropped, and nobody is told", 1),
        ("/spawns", "The handler is dropped, its task is told", 0),
        ("/detached", "The handler is detached and told", 0),
    ] {
        println!("{title}");
        seats.send_replace(0);
        let mut held = seats.subscribe();
        let booked = async {
            let _ = held.wait_for(|held| *held == 1).await;
            say("client", "leaves");
        };
        let leaver = Leaver::http1(Phase::Handler, Way::Fin).path(path).body("a seat");
        leaver.leave_when(addr, booked).await?;
        let close = closes.recv().await.ok_or("the server is gone")?;
        assert_eq!(close.to_string(), "unknown in handler, by unknown, known by drop");

        detached.idle().await;
        if lost == 0 {
            let _ = time::timeout(PATIENCE, held.wait_for(|held| *held == 0)).await;
        }
        let held = *held.borrow();
        say("seats", format_args!("{held} lost"));
        assert_eq!(held, lost, "seats lost where this was to show: {title}");
        println!();
    }
    Ok(())
}

/// Says at its drop what became of the handler.
struct Fate {
    finished: bool,
}

impl Drop for Fate {
    fn drop(&mut self) {
        say("handler", if self.finished { "finishes" } else { "is dropped at its .await" });
    }
}

fn say(who: &str, what: impl Display) {
    println!("  {who:<9} {what}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
