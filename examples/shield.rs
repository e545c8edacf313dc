//! A commit of two steps, and a client that leaves between them: half of it without `shield`, all of it with.
//!
//! `cargo run --example shield --features detach`

use std::{
    error::Error,
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, routing::post};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    time,
};
use tower_lifecycle::{
    Hooks, LifecycleLayer,
    detach::Detached,
    testing::{Leaver, Phase, Way},
};

#[derive(Clone, Default)]
struct App {
    bank: Arc<Bank>,
    /// For the end of the program, which waits for what is shielded.
    detached: Detached,
}

#[derive(Default)]
struct Bank {
    debited: AtomicU32,
    credited: AtomicU32,
    /// The other bank is asked, and answers.
    asked: Notify,
    answered: Notify,
}

impl Bank {
    async fn transfer(self: Arc<Self>, amount: u32) {
        self.debited.fetch_add(amount, Ordering::Relaxed);
        say("commit", format_args!("debits {amount}, and waits for the other bank"));
        self.asked.notify_one();
        self.answered.notified().await;
        self.credited.fetch_add(amount, Ordering::Relaxed);
        say("commit", format_args!("credits {amount}"));
    }
}

async fn bare(State(app): State<App>) {
    let _told = TellsDrop;
    app.bank.transfer(10).await;
}

async fn shielded(State(app): State<App>) {
    let _told = TellsDrop;
    app.detached.shield(app.bank.transfer(10)).await;
}

/// Plays the story for the handler of `path`, and returns what was debited and credited.
async fn play(path: &str) -> Result<(u32, u32), Box<dyn Error>> {
    let (tell, mut closes) = mpsc::unbounded_channel();
    let observer = Hooks::new().on_close(move |summary| {
        say("observer", summary.close);
        let _ = tell.send(summary.close);
    });
    let App { bank, detached } = App::default();
    let app = Router::new()
        .route("/bare", post(bare))
        .route("/shielded", post(shielded))
        .layer(LifecycleLayer::new(observer))
        .with_state(App { bank: Arc::clone(&bank), detached: detached.clone() });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, app).await });

    let between = async {
        bank.asked.notified().await;
        say("client", "leaves");
    };
    let leaver = Leaver::http1(Phase::Handler, Way::Fin).path(path).body("transfer 10");
    leaver.leave_when(addr, between).await?;
    let close = closes.recv().await.ok_or("the server is gone")?;
    assert_eq!(close.to_string(), "unknown in handler, by unknown, known by drop");

    say("bank", "answers");
    bank.answered.notify_one();
    detached.idle().await;
    let debited = bank.debited.load(Ordering::Relaxed);
    let credited = bank.credited.load(Ordering::Relaxed);
    say("books", format_args!("debited {debited}, credited {credited}"));
    Ok((debited, credited))
}

/// Held by a handler that does not come to its end.
struct TellsDrop;

impl Drop for TellsDrop {
    fn drop(&mut self) {
        say("handler", "is dropped at its .await");
    }
}

fn say(who: &str, what: impl Display) {
    println!("  {who:<9} {what}");
}

async fn story() -> Result<(), Box<dyn Error>> {
    println!("Without shield");
    assert_eq!(play("/bare").await?, (10, 0), "half a commit is what this shows");
    println!("\nWith shield");
    assert_eq!(play("/shielded").await?, (10, 10), "a shielded commit is whole");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
