//! The hidden subcommand: one of the servers, and what it is told about and asked for.

mod ends;
mod minimal;
mod pauses;
mod queue;

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use async_trait::async_trait;
use clap::{Args, ValueEnum};
use tokio::{net::TcpSocket, runtime};

use self::{ends::Ends, minimal::Minimal, pauses::Pauses, queue::QueueServer};
use crate::{
    Failed, machine,
    orders::{Answer, Order},
};

/// The file, in a server's directory, of the secret that tokens are signed by.
pub(crate) const SECRET: &str = "secret";

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[arg(long)]
    kind: Kind,
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    redis: Option<String>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Axum and a map of `Notify`.
    Minimal,
    /// The program.
    Queue,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Minimal, Self::Queue];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Queue => "queue",
        }
    }
}

/// A server that can be told what it is not told over HTTP.
#[async_trait]
trait Subject: Send + Sync {
    /// Makes queues, as many for each of these users.
    async fn create(
        &self,
        users: usize,
        each: usize,
        expire: Option<u64>,
    ) -> Result<Vec<String>, Failed>;
    /// Appends events to all queues that were made.
    async fn fill(&self, events: usize) -> Result<(), Failed>;
    fn parked(&self) -> usize;
    fn queues(&self) -> u64;
    /// Answers all that is parked.
    fn release(&self);
    /// Stops to serve, in good order.
    async fn close(&self);
}

/// Serves until its input ends.
pub(crate) fn run(serve: &Serve) -> Result<(), Failed> {
    machine::raise_descriptors()?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let ends = Arc::new(Ends::default());
    let mut pauses = None;
    let subject = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        // `TcpListener::bind` takes 128: when more come at once, they come again after a second.
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let subject: Box<dyn Subject> = match serve.kind {
            Kind::Minimal => Box::new(Minimal::start(listener, Arc::clone(&ends))),
            Kind::Queue => Box::new(QueueServer::start(listener, serve, Arc::clone(&ends)).await?),
        };
        say(&Answer::Ready(address))?;
        Ok::<_, Failed>(subject)
    })?;
    for line in io::stdin().lines() {
        let answer = match serde_json::from_str(&line?)? {
            Order::Create { users, each, expire } => {
                match runtime.block_on(subject.create(users, each, expire)) {
                    Ok(names) => Answer::Names(names),
                    Err(failed) => Answer::Failed(failed.to_string()),
                }
            }
            Order::Fill { events } => match runtime.block_on(subject.fill(events)) {
                Ok(()) => Answer::Done,
                Err(failed) => Answer::Failed(failed.to_string()),
            },
            Order::Parked => Answer::Number(u64::try_from(subject.parked())?),
            Order::Queues => Answer::Number(subject.queues()),
            Order::Ends { what, after } => Answer::Numbers(ends.after(what, after)),
            Order::Release => {
                let at = machine::now();
                subject.release();
                Answer::Number(at)
            }
            Order::Cpu => Answer::Number(machine::cpu()),
            Order::Tick => {
                pauses = Some(Pauses::begin(&runtime));
                Answer::Done
            }
            Order::Close => {
                runtime.block_on(subject.close());
                Answer::Done
            }
            Order::Ticked => Answer::Numbers(pauses.take().map(Pauses::end).unwrap_or_default()),
        };
        say(&answer)?;
    }
    runtime.shutdown_background();
    Ok(())
}

fn say(answer: &Answer) -> Result<(), Failed> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&line)?;
    Ok(output.flush()?)
}
