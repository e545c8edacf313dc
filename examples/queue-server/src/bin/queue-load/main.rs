//! `queue-load`: how the queue server does under load, beside the server that one writes by hand.

mod cli;
mod machine;
mod measure;
mod orders;
mod process;
mod report;
mod serve;
mod wire;

use std::{error::Error, process::ExitCode};

use clap::Parser as _;

use self::{
    cli::{Cli, Command, Load},
    measure::Bench,
    report::Report,
};

type Failed = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Command::Serve(serve)) => serve::run(serve).map(|()| true),
        None => load(&cli.load),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failed) => {
            eprintln!("queue-load: {failed}");
            ExitCode::FAILURE
        }
    }
}

/// One thread for all clients, so that the servers have the rest of the machine. Whether nothing was lost.
fn load(load: &Load) -> Result<bool, Failed> {
    let plan = load.plan(machine::raise_descriptors()?)?;
    let report = Report::new();
    report.opening(&plan);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bench = Bench { plan: &plan, report: &report };
    runtime.block_on(async {
        tokio::select! {
            done = bench.run() => done?,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                report.say("Interrupted: what follows is of what was measured before.");
            }
        }
        Ok(report.closing())
    })
}
