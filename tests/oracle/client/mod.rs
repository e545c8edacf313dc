//! The client: takes the steps of a scenario on raw sockets, and writes down what it saw.

mod http1;
mod http2;
mod socket;

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use serde_json::{Map, Value, json};
use tokio::time::{self, Instant};

use self::socket::Socket;
use crate::{
    scenario::{Act, Step, Sync},
    server::Server,
};

/// How long a step may take, unless it says.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a client saw at one of its steps, in the words of the recordings.
pub(crate) type Notes = Map<String, Value>;

/// Takes the steps, and returns what was seen.
pub(crate) async fn run(steps: &[Step], server: &Server) -> Result<Vec<Notes>, String> {
    let mut client = Client { addr: server.addr, sockets: HashMap::new() };
    let mut seen = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let notes = client.step(step, server).await;
        let notes = notes.map_err(|error| format!("step {index}, {:?}: {error}", step.act))?;
        if let Some((name, mut notes)) = notes {
            notes.insert("step".to_owned(), index.into());
            notes.insert("do".to_owned(), name.into());
            seen.push(notes);
        }
    }
    Ok(seen)
}

struct Client {
    addr: SocketAddr,
    sockets: HashMap<String, Socket>,
}

/// By when a step has to be over.
fn deadline(timeout_ms: Option<u64>) -> Instant {
    Instant::now() + timeout_ms.map_or(PATIENCE, Duration::from_millis)
}

impl Client {
    async fn step(
        &mut self,
        step: &Step,
        server: &Server,
    ) -> Result<Option<(&'static str, Notes)>, String> {
        match &step.act {
            Act::Connect { rcvbuf } => {
                let socket = Socket::connect(self.addr, *rcvbuf).await;
                let socket = socket.map_err(|error| error.to_string())?;
                self.sockets.insert(step.conn.clone(), socket);
            }
            Act::Wait { ms } => time::sleep(Duration::from_millis(*ms)).await,
            Act::Sync(sync) => sync_with(sync, server).await,
            Act::Server { action } => server.act(*action),
            act => {
                let socket = self.sockets.get_mut(&step.conn);
                let socket = socket.ok_or_else(|| format!("no connection {}", step.conn))?;
                return on_socket(act, socket).await;
            }
        }
        Ok(None)
    }
}

/// Waits for the event, and goes on without it when nothing happens any more: it may be one that only Node has.
async fn sync_with(sync: &Sync, server: &Server) {
    let Sync { event, n, x, fallback_ms } = sync;
    let fallback = Duration::from_millis(*fallback_ms);
    let heard = ["srv.", "req.", "res.", "app."].iter().any(|emitter| event.starts_with(emitter));
    if !heard {
        return time::sleep(fallback).await;
    }
    let lull = async {
        server.journal.wait("srv.request", None, 1).await;
        // More than the recordings needed: this machine may be busy.
        server.journal.wait_quiet(server.longest_wait + fallback * 2).await;
    };
    let happens = async {
        tokio::select! {
            () = server.journal.wait(event, *x, n.unwrap_or(1)) => {}
            () = lull => {}
        }
    };
    let _ = time::timeout(PATIENCE, happens).await;
}

async fn on_socket(
    act: &Act,
    socket: &mut Socket,
) -> Result<Option<(&'static str, Notes)>, String> {
    Ok(Some(match act {
        Act::ReadResponse(read) => ("read_response", http1::read_response(socket, read).await),
        Act::ReadBytes { n, timeout_ms } => {
            let (bytes, ok) = socket.take(*n, deadline(*timeout_ms)).await;
            let mut notes = notes([("n", bytes.len().into()), ("ok", ok.into())]);
            if !ok {
                notes.insert("end".to_owned(), socket.ending().into());
            }
            ("read_bytes", notes)
        }
        Act::ReadAll { timeout_ms, count } => {
            let left = socket.take_all(deadline(*timeout_ms)).await.len();
            let mut notes = notes([("end", socket.ending().into())]);
            if left == 0 || *count == Some(true) {
                notes.insert("n".to_owned(), left.into());
            }
            ("read_all", notes)
        }
        Act::H2Read(read) => ("h2_read", http2::read(socket, read).await),
        act => {
            leave_or_send(act, socket).await;
            return Ok(None);
        }
    }))
}

/// The steps at which nothing is seen.
async fn leave_or_send(act: &Act, socket: &mut Socket) {
    match act {
        Act::Send(send) | Act::SendRestNowait(send) => {
            socket.send(&send.bytes(), deadline(send.timeout_ms)).await;
        }
        Act::HalfClose => socket.half_close().await,
        Act::Close { drain } => socket.close(drain.unwrap_or(true)),
        Act::Reset => socket.reset(),
        act => http2::send(socket, act).await,
    }
}

fn notes<const N: usize>(entries: [(&str, Value); N]) -> Notes {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// That there was no answer.
fn nothing(socket: &Socket) -> Notes {
    notes([("got", json!("none")), ("end", socket.ending().into())])
}
