//! What a client costs that waits for an answer, and how soon it is noticed that it has left: as many long polls as there are
//! descriptors, bare axum in the same run.
//!
//! `cargo bench -p tower-lifecycle-benches --bench parked [-- --help]`

mod client;
mod os;
mod record;
mod report;
mod scene;
mod script;
mod server;
mod words;

use std::{
    env,
    error::Error,
    io,
    process::{Command, ExitCode, Stdio},
    sync::mpsc::channel,
    thread,
    time::Duration,
};

use self::{
    report::Played,
    script::{Act, Script},
    words::{Shape, Subject},
};

const HELP: &str = "\
Parks long polls on servers of axum, lets their clients leave, and prints tables in Markdown: memory of a poll, how soon it
is noticed that a client has left, and what is left after all vanish at once.

Usage: cargo bench -p tower-lifecycle-benches --bench parked [-- [--quick] [<clients>]]

  <clients>   parks so many, 18000 if this is not said, fewer where there are not as many descriptors
  --quick     parks 500 and takes few samples, as without `--bench` under `cargo test`
  --help      prints this

Server and clients are processes of their own, and each needs a descriptor for each client and 64 more. The soft limit is
raised to the hard one. For Linux.";

type Failed = Box<dyn Error + Send + Sync>;

/// No scene takes as long.
const LONG: Duration = Duration::from_mins(2);
/// Descriptors that are not a client's.
const SPARE: usize = 64;

/// How much is done.
#[derive(Clone, Copy)]
struct Plan {
    clients: usize,
    /// Vanish at once.
    crowd: usize,
    /// Clients of each shape that leave in each way, in each round.
    samples: usize,
    /// Each scene is played so often, in turns.
    rounds: usize,
    patience: Duration,
}

const FULL: Plan = Plan {
    clients: 18_000,
    crowd: 8_900,
    samples: 400,
    rounds: 3,
    patience: Duration::from_secs(2),
};
const QUICK: Plan =
    Plan { clients: 500, crowd: 250, samples: 10, rounds: 1, patience: Duration::from_millis(300) };

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["clients", ref addresses @ ..] => client::run(addresses),
        ["scene", ref script @ ..] => Script::parse(script).and_then(|script| script.play()),
        _ if words.contains(&"--help") || words.contains(&"-h") => {
            println!("{HELP}");
            Ok(())
        }
        _ => measure(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: &[&str]) -> Result<(), Failed> {
    if !cfg!(target_os = "linux") {
        println!("Memory is read from Linux's /proc.");
        return Ok(());
    }
    let limit = os::raise_descriptors()?;
    let plan = Plan::of(words, limit);
    let Plan { clients, crowd, rounds, .. } = plan;
    println!(
        "{clients} parked polls, in {rounds} rounds; server and clients need {} descriptors each, and have {limit}",
        clients + SPARE
    );
    let (mut parked, mut left, mut vanished) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        for &subject in Subject::ALL {
            parked.push(plan.play(subject, clients, Act::Park)?);
            let samples = if subject.leaves() { plan.samples } else { 0 };
            left.push(plan.play(subject, clients, Act::Leave(samples))?);
        }
        for (subject, shape) in CROWDS {
            vanished.push(plan.play(subject, crowd, Act::Vanish(shape))?);
        }
    }
    report::memory(&left, &parked);
    report::leaving(&left, plan.patience);
    report::vanishing(&vanished, crowd);
    Ok(())
}

/// Who vanishes at once.
const CROWDS: [(Subject, Shape); 5] = [
    (Subject::Bare, Shape::Poll),
    (Subject::Seam, Shape::Poll),
    (Subject::SeamCancel, Shape::Poll),
    (Subject::Bare, Shape::Pipelined),
    (Subject::SeamCancel, Shape::Pipelined),
];

impl Plan {
    fn of(words: &[&str], limit: usize) -> Self {
        let quick = words.contains(&"--quick") || !words.contains(&"--bench");
        let plan = if quick { QUICK } else { FULL };
        let clients = words.iter().find_map(|word| word.parse().ok()).unwrap_or(plan.clients);
        let clients = clients.min(limit.saturating_sub(SPARE));
        // Most of them are to be plain polls.
        let samples = plan.samples.min(clients / 16);
        Self { clients, crowd: plan.crowd.min(clients), samples, ..plan }
    }

    /// Plays a scene in a process of its own.
    fn play(&self, subject: Subject, clients: usize, act: Act) -> Result<Played, Failed> {
        let script = Script { subject, clients, act, patience: self.patience };
        let mut command = Command::new(env::current_exe()?);
        command.arg("scene").args(script.words()).stdin(Stdio::null()).stdout(Stdio::piped());
        if act == Act::Park {
            // glibc leaves less unused then: nearer to what is allocated.
            command.env("MALLOC_ARENA_MAX", "1");
        }
        let mut process = command.spawn()?;
        let output = process.stdout.take().ok_or("no output")?;
        let (sender, printed) = channel();
        thread::spawn(move || sender.send(io::read_to_string(output)));
        let Ok(printed) = printed.recv_timeout(LONG) else {
            process.kill()?;
            process.wait()?;
            return Err(format!("{}: took longer than {LONG:?}", subject.name()).into());
        };
        if !process.wait()?.success() {
            return Err(subject.name().into());
        }
        Played::parse(subject, &printed?)
    }
}
