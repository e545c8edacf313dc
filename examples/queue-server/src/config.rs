//! The command line and the environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    api::Bodies,
    auth::MAX_USER,
    queues::Times,
    server::{Inspect, Settings},
    store::Limits,
};

const AFTER: &str = "\
Without a key it is in development mode: it makes a secret, keeps it in the data directory, prints tokens that work, and listens on this machine
alone. In production give it --jwt-secret-file or --jwt-public-key-file.

Examples:
  queue-server                                      try it: prints what to paste
  queue-server --listen 0.0.0.0:8080 --jwt-secret-file secret
  queue-server --redis redis://10.0.0.5/ --jwt-secret-file secret      several of them on one Redis
  queue-server token --user alice --jwt-secret-file secret             a token for a user
  queue-server token --user backend --service --jwt-secret-file secret a token that may send

SIGTERM or Ctrl-C: accepts no more, answers parked polls over the drain window, and ends. Once more: ends at once.";

/// Long-poll event queues over HTTP: clients register a queue and poll it, a service sends events. Events that were
/// acknowledged as stored survive a crash.
#[derive(Debug, Parser)]
#[command(name = "queue-server", version, after_help = AFTER, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prints a token, signed by the secret
    Token(Token),
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Whose it is: the `sub` of the token
    #[arg(long, value_parser = user)]
    pub(crate) user: String,
    /// Gives it the right to send
    #[arg(long)]
    pub(crate) service: bool,
    /// How long it is valid
    #[arg(long, default_value = "1day", value_name = "TIME", value_parser = duration)]
    pub(crate) valid: Duration,
    #[command(flatten)]
    pub(crate) key: Keys,
    /// Where the secret of the development mode is, if no other is given
    #[arg(long, env = "QUEUE_DATA_DIR", default_value = "queue-server-data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// A file with the secret (32 bytes or more) by which tokens are signed, HS256
    #[arg(
        long = "jwt-secret-file",
        env = "QUEUE_JWT_SECRET_FILE",
        value_name = "FILE",
        conflicts_with = "public_key_file"
    )]
    pub(crate) secret_file: Option<PathBuf>,
    /// A file with the public key by which tokens are checked, Ed25519 in PEM
    #[arg(long = "jwt-public-key-file", env = "QUEUE_JWT_PUBLIC_KEY_FILE", value_name = "FILE")]
    pub(crate) public_key_file: Option<PathBuf>,
    /// Takes only tokens with this `aud`
    #[arg(long = "jwt-audience", env = "QUEUE_JWT_AUDIENCE", value_name = "NAME")]
    pub(crate) audience: Option<String>,
    /// Takes only tokens with this `iss`
    #[arg(long = "jwt-issuer", env = "QUEUE_JWT_ISSUER", value_name = "NAME")]
    pub(crate) issuer: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen
    #[arg(
        long,
        env = "QUEUE_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub(crate) listen: SocketAddr,
    /// Where events are kept, without --redis, and the secret of the development mode
    #[arg(long, env = "QUEUE_DATA_DIR", default_value = "queue-server-data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Keeps events in this Redis instead, for several servers: `redis://[:password@]host[:port]/[db]`
    #[arg(long, env = "QUEUE_REDIS", value_name = "URL", hide_env_values = true)]
    pub(crate) redis: Option<String>,
    #[command(flatten)]
    pub(crate) key: Keys,

    /// How long a poll waits before it is answered empty, up to 10 % more by chance, and never longer than 50s
    #[arg(long, env = "QUEUE_POLL_TIMEOUT", default_value = "30s", value_name = "TIME", value_parser = duration, help_heading = "Times")]
    pub(crate) poll_timeout: Duration,
    /// How long the head of a request may take to arrive, and a connection may be idle
    #[arg(long, env = "QUEUE_HEADER_TIMEOUT", default_value = "30s", value_name = "TIME", value_parser = duration, help_heading = "Times")]
    pub(crate) header_timeout: Duration,
    /// How long the body of a request may take to arrive
    #[arg(long, env = "QUEUE_BODY_TIMEOUT", default_value = "10s", value_name = "TIME", value_parser = duration, help_heading = "Times")]
    pub(crate) body_timeout: Duration,
    /// How long a client may not take what was sent to it, before it is given up
    #[arg(long, env = "QUEUE_STALL_TIMEOUT", default_value = "20s", value_name = "TIME", value_parser = duration, help_heading = "Times")]
    pub(crate) stall_timeout: Duration,
    /// Over how long parked polls are answered at the end, so that not all come back at once elsewhere
    #[arg(long, env = "QUEUE_DRAIN_WINDOW", default_value = "5s", value_name = "TIME", value_parser = duration, help_heading = "Times")]
    pub(crate) drain_window: Duration,

    /// Polls that are parked at a time
    #[arg(
        long,
        env = "QUEUE_MAX_PARKED", value_parser = positive,
        default_value_t = 50_000,
        value_name = "N",
        help_heading = "Limits"
    )]
    pub(crate) max_parked: usize,
    /// Queues of one user
    #[arg(
        long,
        env = "QUEUE_MAX_QUEUES_PER_USER", value_parser = positive,
        default_value_t = 32,
        value_name = "N",
        help_heading = "Limits"
    )]
    pub(crate) max_queues_per_user: usize,
    /// Events that a queue keeps unacknowledged; one more ends it
    #[arg(
        long,
        env = "QUEUE_MAX_EVENTS", value_parser = positive,
        default_value_t = 1000,
        value_name = "N",
        help_heading = "Limits"
    )]
    pub(crate) max_events: usize,
    /// Bytes of them
    #[arg(long, env = "QUEUE_MAX_BYTES", value_parser = positive, default_value_t = 1 << 20, value_name = "N", help_heading = "Limits")]
    pub(crate) max_bytes: usize,
    /// The longest body of a request, in bytes
    #[arg(long, env = "QUEUE_MAX_BODY", value_parser = positive, default_value_t = 1 << 20, value_name = "N", help_heading = "Limits")]
    pub(crate) max_body: usize,

    /// Shows what is open at /inspector, to this machine alone. Always on in the development mode
    #[arg(long, env = "QUEUE_INSPECTOR", help_heading = "Inspector")]
    pub(crate) inspector: bool,
    /// Shows it to whoever has the token in this file (16 characters or more), by `Authorization: Bearer` or as a password
    #[arg(
        long,
        env = "QUEUE_INSPECTOR_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Inspector"
    )]
    pub(crate) inspector_token_file: Option<PathBuf>,

    /// How the log looks
    #[arg(long, env = "QUEUE_LOG_FORMAT", default_value = "text", help_heading = "Log")]
    pub(crate) log_format: LogFormat,
    /// What is logged: `info`, `debug` (each exchange), or a filter as of tracing's `EnvFilter`
    #[arg(
        long,
        env = "QUEUE_LOG",
        default_value = "info",
        value_name = "FILTER",
        help_heading = "Log"
    )]
    pub(crate) log: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// `500ms`, `30s`, `1day`; never nothing, and no longer than a timer can be.
fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() || duration > Duration::from_secs(365 * 24 * 3600) {
        return Err("must be longer than nothing and no longer than a year".to_owned());
    }
    Ok(duration)
}

/// One that the server takes.
fn user(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_USER {
        return Err(format!("must have between 1 and {MAX_USER} bytes"));
    }
    Ok(text.to_owned())
}

/// A limit of nothing would let nothing through.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be 1 or more".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("not a number: {error}")),
    }
}

impl Serve {
    pub(crate) fn settings(&self, inspector: Inspect) -> Settings {
        Settings {
            times: Times { park: self.poll_timeout, ..Times::default() },
            max_parked: self.max_parked,
            bodies: Bodies { longest: self.max_body, slowest: self.body_timeout },
            header_timeout: self.header_timeout,
            stalled: self.stall_timeout,
            drain_window: self.drain_window,
            inspector,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            queues_per_user: self.max_queues_per_user,
            events_per_queue: self.max_events,
            bytes_per_queue: self.max_bytes,
            ..Limits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_time_has_a_unit_and_is_not_nothing() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "30", "0s", "-1s", "NaN", "9999999999999999999y", "3years"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
