//! A tour of the life of an HTTP exchange: an axum server with the layer, clients that behave and clients that do not, and
//! every hook as it was called.
//!
//! `cargo run --example tour` plays all situations and checks how they end. `cargo run --example tour -- --serve` keeps
//! the server up for your own experiments with curl. `--help` tells the rest.
//!
//! To learn from it begin with `observer.rs`, which is what a user writes, and `server.rs`, which has the line that adds
//! the layer.

mod client;
mod observer;
mod scene;
mod server;
mod situations;
mod timeline;

use std::{
    collections::HashSet,
    error::Error,
    io::{self, Write},
    panic,
    process::ExitCode,
};

use clap::Parser;
use tempfile::NamedTempFile;
use tokio::{net::TcpListener, signal};

use self::{
    observer::Reporter,
    scene::{Outcome, Scene, Situation},
};

/// How long the file of `/file` is.
const FILE: usize = 150_000;

/// A tour of the life of an HTTP exchange.
///
/// Starts an axum server with `LifecycleLayer` on a free port of 127.0.0.1, plays
/// the situations against it over real sockets, and prints for each the hooks in
/// the order in which they were called, the verdict and how it is known, and what
/// the client saw. Exits with 1 if a situation did not end as expected.
///
/// Colours are used in a terminal; `NO_COLOR=1` turns them off there too.
#[derive(Parser)]
#[command(name = "tour", verbatim_doc_comment)]
struct Cli {
    /// Keep the server up instead: prints lines for curl, and the hooks as they are called
    #[arg(
        long,
        value_name = "ADDR",
        num_args = 0..=1,
        default_missing_value = "127.0.0.1:3000",
        conflicts_with_all = ["only", "list"]
    )]
    serve: Option<String>,

    /// Play only these situations, by the numbers of --list
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = number())]
    only: Vec<u8>,

    /// List the situations and end
    #[arg(long)]
    list: bool,
}

fn number() -> clap::builder::RangedI64ValueParser<u8> {
    let count = i64::try_from(situations::ALL.len()).unwrap_or(i64::MAX);
    clap::value_parser!(u8).range(1..=count)
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(as_expected) => ExitCode::from(u8::from(!as_expected)),
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(anstream::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(cli: &Cli) -> Result<bool, Box<dyn Error>> {
    quiet_the_planned_panic();
    if cli.list {
        list()?;
        Ok(true)
    } else if let Some(address) = &cli.serve {
        serve(address).await?;
        Ok(true)
    } else {
        tour(&cli.only).await
    }
}

fn list() -> io::Result<()> {
    let mut out = anstream::stdout();
    for (number, situation) in (1..).zip(situations::ALL) {
        writeln!(out, "{number:>2}  {}", situation.title)?;
    }
    Ok(())
}

/// Plays the situations, and says whether all went as expected.
async fn tour(only: &[u8]) -> Result<bool, Box<dyn Error>> {
    let mut out = anstream::stdout();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (reporter, calls) = Reporter::new();
    let file = file()?;
    let path = file.path().to_owned();
    tokio::spawn(async move { server::serve(listener, reporter, &path).await });

    writeln!(out, "An axum server on {address}, observed through LifecycleLayer.")?;
    timeline::legend(&mut out)?;
    let mut scene = Scene::new(address, calls);
    let mut played: Vec<(usize, &Situation, Outcome)> = Vec::new();
    for (number, situation) in (1..).zip(situations::ALL) {
        if !only.is_empty() && !only.iter().any(|&only| usize::from(only) == number) {
            continue;
        }
        timeline::title(&mut out, number, situation)?;
        let outcome = scene.run(situation).await;
        timeline::outcome(&mut out, situation, &outcome)?;
        played.push((number, situation, outcome));
    }

    timeline::table(
        &mut out,
        played.iter().map(|(number, situation, outcome)| (*number, *situation, outcome)),
    )?;
    let wrong = played.iter().filter(|(.., outcome)| outcome.wrong.is_some()).count();
    match wrong {
        0 => writeln!(out, "{} situations, all as expected.", played.len())?,
        _ => writeln!(out, "{wrong} of {} situations not as expected.", played.len())?,
    }
    Ok(wrong == 0)
}

/// Serves until Ctrl-C, and prints the hooks of all exchanges as they are called.
async fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let mut out = anstream::stdout();
    let listener = TcpListener::bind(address).await.map_err(|error| {
        format!(
            "cannot listen on {address}: {error}\nwith --serve 127.0.0.1:0 the system picks a port"
        )
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    let (reporter, mut calls) = Reporter::new();
    let file = file()?;

    writeln!(out, "Listening on {url}; Ctrl-C stops. In another terminal:\n")?;
    for (what, line) in server::TRY {
        writeln!(out, "  {what:<25}{}", line.replace("URL", &url))?;
    }
    #[cfg(all(feature = "axum", feature = "inspector"))]
    writeln!(out, "\nWhat is open, live:         {url}/inspector")?;
    #[cfg(not(all(feature = "axum", feature = "inspector")))]
    writeln!(out, "\nWith `--features axum,inspector` there is a page that shows what is open.")?;
    writeln!(out)?;

    let mut open = HashSet::new();
    let print = async {
        while let Some(call) = calls.recv().await {
            let prefix = format!("#{:<4}", call.exchange);
            timeline::hook(&mut out, &prefix, &call)?;
            match call.close {
                None => open.insert(call.exchange),
                Some((close, _)) => {
                    timeline::verdict(&mut out, &prefix, close)?;
                    open.remove(&call.exchange)
                }
            };
        }
        Ok::<_, io::Error>(())
    };
    #[cfg(all(feature = "axum", feature = "inspector"))]
    let served = server::serve_inspected(listener, reporter, file.path());
    #[cfg(not(all(feature = "axum", feature = "inspector")))]
    let served = server::serve(listener, reporter, file.path());
    tokio::select! {
        served = served => served?,
        printed = print => printed?,
        pressed = signal::ctrl_c() => pressed?,
    }
    writeln!(out, "\nStopped; exchanges still open: {}.", open.len())?;
    Ok(())
}

fn file() -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    file.write_all(&vec![b'.'; FILE])?;
    file.flush()?;
    Ok(file)
}

/// The panic of the tour's own handler is part of the show and gets one line; all others are reported as ever.
fn quiet_the_planned_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| match info.payload().downcast_ref() {
        Some(&server::PANIC) => {
            // In one piece, because others are writing to the terminal.
            let note = format!("     (a panic, as planned: {})\n", server::PANIC);
            let _ = anstream::stderr().write_all(note.as_bytes());
        }
        _ => report(info),
    }));
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe)
}
