//! `queue-server`: long-poll event queues over HTTP.

use std::process::ExitCode;

use clap::Parser as _;
use queue_server::{config::Cli, run::run};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("queue-server: {failed}");
            ExitCode::FAILURE
        }
    }
}
