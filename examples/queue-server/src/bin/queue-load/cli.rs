//! The command line, and what it comes to on this machine.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{Failed, serve::Serve};

const AFTER: &str = "\
Server and clients are processes of their own, and each needs a descriptor for each client and some more: 15,000 clients
need a limit of 15,100 open files. The soft limit is raised to the hard one (`ulimit -Hn`); where that is too low, fewer
clients are parked, and it says so. Run it on a machine that does nothing else, built by --release.

What is measured, each of the queue server and of a minimal long-poll server of axum, by turns:
  memory      resident bytes of a parked poll
  disconnect  from the close of a client's socket until its poll is unparked, one at a time, others parked
  wake        answers a second when thousands of parked polls are answered at once
  publish     from the request that sends an event until the client has it, others parked
  losses      clients poll, leave in all ways, vanish together and come back, while events are sent
  idle        the longest pause while 100,000 idle queues are removed
  startup     from the start of the program until it answers, with 10,000 stored queues

Examples:
  queue-load                                everything, some minutes
  queue-load --quick                        a look, some seconds
  queue-load --only disconnect --clients 5000
  queue-load --only losses --seconds 600 --rate 3000 --churn 2000 --storm 20
  queue-load --redis redis://127.0.0.1/     on Redis

Tables in Markdown go to standard output, the progress to standard error. Ctrl-C stops, and prints what there is. It fails
when an event was lost or came out of order; a missed budget is reported, and is no failure.";

/// Puts load on a queue server, and on a minimal server without the library, and compares them.
#[derive(Debug, Parser)]
#[command(name = "queue-load", version, after_help = AFTER, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) load: Load,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A server to put load on, that is told what to do line by line
    #[command(hide = true)]
    Serve(Serve),
}

#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Clients that are parked at a time [default: 15000]
    #[arg(long, value_name = "N")]
    clients: Option<usize>,
    /// Events sent a second while clients come and go [default: 1000]
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Clients a second that leave and come back [default: 500]
    #[arg(long, value_name = "N")]
    churn: Option<u32>,
    /// How often all of them vanish at once [default: 3]
    #[arg(long, value_name = "N")]
    storm: Option<u32>,
    /// How long clients come and go [default: 20]
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// A look, not a measurement: 500 clients, few samples
    #[arg(long)]
    quick: bool,
    /// Measures these alone
    #[arg(long, value_delimiter = ',', value_name = "WHAT")]
    only: Vec<Measure>,
    /// Where the store is made, and removed in the end: the disk that is to be measured [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The queue server keeps its events in this Redis, and leaves them there until they expire
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    Memory,
    Disconnect,
    Wake,
    Publish,
    Losses,
    Idle,
    Startup,
}

/// How much is done.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) clients: usize,
    /// Fewer were asked for than there can be.
    pub(crate) wanted: usize,
    pub(crate) descriptors: usize,
    /// Are woken at once.
    pub(crate) crowd: usize,
    /// Processes of each server, by turns, where a round is short.
    pub(crate) rounds: usize,
    /// Clients that leave, of each kind; a tenth of the events that are timed.
    pub(crate) samples: usize,
    pub(crate) come_and_go: ComeAndGo,
    pub(crate) idle_queues: usize,
    pub(crate) stored_queues: usize,
    /// How long is waited for what may never come.
    pub(crate) patience: Duration,
    pub(crate) dir: PathBuf,
    pub(crate) redis: Option<String>,
    only: Vec<Measure>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ComeAndGo {
    pub(crate) clients: usize,
    pub(crate) rate: u32,
    pub(crate) churn: u32,
    pub(crate) storms: u32,
    pub(crate) time: Duration,
}

/// Descriptors of a process that are not a client's.
pub(crate) const SPARE: usize = 100;
/// With fewer it measures nothing that matters.
const FEWEST: usize = 100;

impl Load {
    /// What is to be done where a process may have so many descriptors.
    pub(crate) fn plan(&self, descriptors: usize) -> Result<Plan, Failed> {
        let full = |full, quick| if self.quick { quick } else { full };
        let wanted = self.clients.unwrap_or(full(15_000, 500));
        let clients = wanted.min(descriptors.saturating_sub(SPARE));
        if clients < FEWEST {
            return Err(format!(
                "{wanted} clients need {} open files in each of two processes, and {descriptors} are allowed: {FEWEST} \
                 clients are the fewest; raise the limit (`ulimit -Hn`) or say more by --clients",
                wanted + SPARE
            )
            .into());
        }
        let come_and_go = ComeAndGo {
            clients: clients.min(full(5_000, 200)),
            rate: self.rate.unwrap_or(if self.quick { 300 } else { 1_000 }).max(1),
            churn: self.churn.unwrap_or(if self.quick { 200 } else { 500 }).max(1),
            storms: self.storm.unwrap_or(if self.quick { 1 } else { 3 }),
            time: Duration::from_secs(self.seconds.unwrap_or(if self.quick { 2 } else { 20 })),
        };
        Ok(Plan {
            clients,
            wanted,
            descriptors,
            crowd: clients.min(9_000),
            rounds: full(3, 1),
            samples: full(400, 8),
            come_and_go,
            idle_queues: full(100_000, 1_000),
            stored_queues: full(10_000, 200),
            patience: Duration::from_millis(if self.quick { 200 } else { 1_000 }),
            dir: self.dir.clone().unwrap_or_else(std::env::temp_dir),
            redis: self.redis.clone(),
            only: self.only.clone(),
        })
    }
}

impl Plan {
    pub(crate) fn has(&self, measure: Measure) -> bool {
        self.only.is_empty() || self.only.contains(&measure)
    }
}
