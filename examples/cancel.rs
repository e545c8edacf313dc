//! `cancel_on_disconnect`: a handler does not outlive its client, also where hyper does not notice that the client is gone.
//!
//! A long poll is left by a client that has sent a byte of a next request. hyper does not read on while a handler is pending,
//! so without the seam nobody notices. With it the observer is told, and nothing is changed; only what was asked for is.
//!
//! `cargo run --example cancel --features axum`

use std::{error::Error, fmt::Display, sync::Arc, time::Duration};

use axum::{Router, extract::State, routing::get};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    time,
};
use tower_lifecycle::{
    Hooks, LifecycleLayer, Reason,
    testing::{Leaver, Phase, Way},
};

#[derive(Clone)]
struct Queue {
    parked: Arc<Notify>,
    /// Comes when the story wants it to.
    job: Arc<Notify>,
    ends: mpsc::UnboundedSender<Fate>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Answered,
    Dropped,
}

/// Waits for a job, and hands it out.
async fn poll(State(queue): State<Queue>) -> &'static str {
    let mut end = End { fate: Fate::Dropped, ends: queue.ends };
    say("handler", "waits for a job");
    queue.parked.notify_one();
    queue.job.notified().await;
    end.fate = Fate::Answered;
    "a job"
}

/// Says at its drop what became of the handler.
struct End {
    fate: Fate,
    ends: mpsc::UnboundedSender<Fate>,
}

impl Drop for End {
    fn drop(&mut self) {
        say(
            "handler",
            match self.fate {
                Fate::Answered => "hands out a job to nobody: it is lost",
                Fate::Dropped => "is dropped while it waits",
            },
        );
        let _ = self.ends.send(self.fate);
    }
}

/// Plays the story, and returns what became of the handler and of the exchange.
async fn play(cancels: bool) -> Result<(Fate, Reason), Box<dyn Error>> {
    let (gone, mut is_gone) = mpsc::unbounded_channel();
    let (close, mut closes) = mpsc::unbounded_channel();
    let observer = Hooks::new()
        .on_disconnect(move |disconnect| {
            say("observer", format_args!("the client is gone: {}", disconnect.reason));
            let _ = gone.send(());
        })
        .on_close(move |summary| {
            say("observer", summary.close);
            let _ = close.send(summary.close.reason);
        });
    let lifecycle = LifecycleLayer::new(observer);
    let lifecycle = if cancels { lifecycle.cancel_on_disconnect() } else { lifecycle };

    let (ends, mut ended) = mpsc::unbounded_channel();
    let queue = Queue { parked: Arc::default(), job: Arc::default(), ends };
    let app = Router::new().route("/poll", get(poll)).with_state(queue.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let (listener, service) = (lifecycle.listener(listener), lifecycle.make_service(app));
    tokio::spawn(async { axum::serve(listener, service).await });

    let parked = async {
        queue.parked.notified().await;
        say("client", "sends a byte more, and leaves");
    };
    let leaver = Leaver::http1(Phase::Handler, Way::PipelinedFin).path("/poll");
    leaver.leave_when(addr, parked).await?;
    is_gone.recv().await;
    if !cancels {
        assert!(ended.try_recv().is_err(), "observing changes nothing");
        say("queue", "has a job");
        queue.job.notify_one();
    }
    let fate = ended.recv().await.ok_or("no handler has ended")?;
    Ok((fate, closes.recv().await.ok_or("the server is gone")?))
}

async fn story() -> Result<(), Box<dyn Error>> {
    println!("Observed");
    // What was written before the other side refused it was handed over.
    assert_eq!(play(false).await?, (Fate::Answered, Reason::Complete));
    println!("\nWith cancel_on_disconnect");
    assert_eq!(play(true).await?, (Fate::Dropped, Reason::Disconnected));
    Ok(())
}

fn say(who: &str, what: impl Display) {
    println!("  {who:<9} {what}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = time::timeout(Duration::from_secs(10), story()).await;
    told.map_err(|_| "the story does not come to its end")?
}
