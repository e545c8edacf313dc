//! Sends events to queues of its own, and writes down which of them were acknowledged.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{interval, sleep},
};

use super::Phase;
use crate::{
    machine::now,
    process::Server,
    wire::{self, Conn, Queue},
};

#[derive(Debug)]
pub(super) struct Sender<'a> {
    server: SocketAddr,
    service: Arc<str>,
    pub(super) queues: Vec<Sends<'a>>,
    /// How long each took, in nanoseconds.
    pub(super) times: Vec<u64>,
    /// Not acknowledged: the event may have been stored or not.
    pub(super) failed: usize,
}

/// What was sent to a queue.
#[derive(Debug)]
pub(super) struct Sends<'a> {
    queue: &'a Queue,
    next: u64,
    pub(super) acknowledged: Vec<u64>,
}

#[derive(Deserialize)]
struct Sent {
    queued: usize,
}

impl<'a> Sender<'a> {
    /// The one with this number of so many.
    pub(super) fn new(number: usize, of: usize, queues: &'a [Queue], server: &Server) -> Self {
        let own = queues.iter().skip(number).step_by(of);
        let queues = own.map(|queue| Sends { queue, next: 0, acknowledged: Vec::new() }).collect();
        let (server, service) = (server.address, Arc::clone(&server.service));
        Self { server, service, queues, times: Vec::new(), failed: 0 }
    }

    pub(super) async fn send(&mut self, every: Duration, phase: watch::Receiver<Phase>) {
        let mut every = interval(every);
        let mut conn = None;
        while *phase.borrow() != Phase::Done && !self.queues.is_empty() {
            every.tick().await;
            conn = self.send_one(conn).await.ok();
            if conn.is_none() {
                self.failed += 1;
                sleep(Duration::from_millis(100)).await;
            }
        }
    }

    async fn send_one(&mut self, conn: Option<Conn>) -> io::Result<Conn> {
        let mut conn = match conn {
            Some(conn) => conn,
            None => Conn::open(self.server).await?,
        };
        let to = fastrand::usize(..self.queues.len());
        let sends = &mut self.queues[to];
        let number = sends.next;
        sends.next += 1;
        let request = wire::send([sends.queue], &self.service, number);
        let begun = now();
        let answer = conn.ask(&request).await?;
        self.times.push(now() - begun);
        let stored =
            answer.status == 200 && serde_json::from_slice::<Sent>(&answer.body)?.queued == 1;
        if stored {
            sends.acknowledged.push(number);
        } else {
            self.failed += 1;
        }
        Ok(conn)
    }
}
