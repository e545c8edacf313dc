//! A client that polls its queue, ignores what it has seen, and leaves whenever it likes.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::Phase;
use crate::{
    Failed,
    wire::{Answer, Conn, Queue, Shape, Way},
};

#[derive(Debug)]
pub(super) struct Client<'a> {
    queue: &'a Queue,
    server: SocketAddr,
    /// After which time it leaves, on average.
    leaves_after: Duration,
    leaves_at: Instant,
    /// The newest event that it has.
    newest: i64,
    /// The newest that it has told of.
    told: i64,
    /// The numbers of the events that it has, by their ids.
    pub(super) received: Vec<u64>,
    /// Events that it had before.
    pub(super) again: usize,
    pub(super) disorder: usize,
    pub(super) left: usize,
    /// Answers that no client should get.
    pub(super) wrong: usize,
}

/// Who was refused comes back after this.
const REFUSED: Duration = Duration::from_millis(500);
/// Who has left comes back within this.
const BACK_WITHIN: u64 = 200;
/// One of so many polls tells of an older event than the newest: as of a client that crashed before it wrote down.
const FORGETS: usize = 8;
/// One of so many polls is of a shape that hyper is blind with.
const ODD: usize = 4;
/// A client that fetches the rest is refused no more often.
const TRIES: usize = 100;

enum Next {
    Answered(io::Result<Answer>),
    Leaves,
    Phase,
}

impl<'a> Client<'a> {
    pub(super) fn new(queue: &'a Queue, server: SocketAddr, leaves_after: Duration) -> Self {
        let mut client = Self {
            queue,
            server,
            leaves_after,
            leaves_at: Instant::now(),
            newest: -1,
            told: -1,
            received: Vec::new(),
            again: 0,
            disorder: 0,
            left: 0,
            wrong: 0,
        };
        client.stays();
        client
    }

    /// For a time that is exponentially distributed: as many leave at any moment.
    fn stays(&mut self) {
        let times = -(1.0 - fastrand::f64()).ln();
        self.leaves_at = Instant::now() + self.leaves_after.mul_f64(times);
    }

    pub(super) async fn live(&mut self, mut phase: watch::Receiver<Phase>) {
        let mut conn = None;
        loop {
            let now = *phase.borrow_and_update();
            match now {
                Phase::Run => {}
                Phase::Done => return,
                Phase::Away => {
                    conn = None;
                    if phase.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
            }
            let shape = if fastrand::usize(..ODD) == 0 {
                Shape::ALL[fastrand::usize(1..Shape::ALL.len())]
            } else {
                Shape::Poll
            };
            let polled = self.poll(conn, shape, &mut phase).await;
            if polled.is_err() {
                sleep(Duration::from_millis(fastrand::u64(..BACK_WITHIN))).await;
            }
            conn = polled.ok().flatten();
        }
    }

    /// One poll. The connection that the next one may use.
    async fn poll(
        &mut self,
        conn: Option<Conn>,
        shape: Shape,
        phase: &mut watch::Receiver<Phase>,
    ) -> io::Result<Option<Conn>> {
        let mut conn = match conn {
            Some(conn) => conn,
            None => Conn::open(self.server).await?,
        };
        if fastrand::usize(..FORGETS) > 0 {
            self.told = self.newest;
        }
        conn.write(&self.queue.poll(self.told, shape)).await?;
        let next = tokio::select! {
            answer = conn.answer() => Next::Answered(answer),
            () = sleep_until(self.leaves_at) => Next::Leaves,
            _ = phase.changed() => Next::Phase,
        };
        match next {
            Next::Answered(answer) => {
                let answer = answer?;
                let last = answer.last || shape != Shape::Poll;
                match answer.status {
                    200 => self.takes(&answer)?,
                    // Half a body never came to its end; too many polls; another poll had come.
                    408 | 409 | 429 => sleep(REFUSED).await,
                    _ => {
                        self.wrong += 1;
                        sleep(REFUSED).await;
                    }
                }
                Ok((!last).then_some(conn))
            }
            Next::Leaves => {
                self.left += 1;
                conn.leave(Way::ALL[fastrand::usize(..Way::ALL.len())])?;
                sleep(Duration::from_millis(fastrand::u64(..BACK_WITHIN))).await;
                self.stays();
                Ok(None)
            }
            Next::Phase => Ok(None),
        }
    }

    fn takes(&mut self, answer: &Answer) -> io::Result<()> {
        for event in answer.events()? {
            if event.id <= self.newest {
                self.again += 1;
                continue;
            }
            self.newest = event.id;
            self.disorder +=
                usize::from(self.received.last().is_some_and(|last| *last >= event.number));
            self.received.push(event.number);
        }
        Ok(())
    }

    /// When nothing more is sent.
    pub(super) async fn fetch_rest(&mut self) -> Result<(), Failed> {
        let mut conn = Conn::open(self.server).await?;
        for _ in 0..TRIES {
            let before = self.newest;
            let answer = conn.ask(&self.queue.peek(self.newest)).await?;
            match answer.status {
                200 => self.takes(&answer)?,
                429 => {
                    sleep(REFUSED).await;
                    continue;
                }
                status => return Err(format!("the rest was answered by {status}").into()),
            }
            if self.newest == before {
                return Ok(());
            }
        }
        Err("the rest of a queue has no end".into())
    }
}
