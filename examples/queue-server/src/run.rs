//! What `main` does: reads the command line, opens the store, serves until a signal.

use std::{
    fmt::Display,
    fs, io,
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    sync::{Arc, OnceLock},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::NamedTempFile;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tower_lifecycle::{inflight::InFlight, inspector::Inspector};
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use crate::{
    auth::{Key, KeyError},
    config::{Cli, Command, Keys, LogFormat, Serve, Token},
    listen,
    queues::Queues,
    server::{App, Inspect, LONGEST_PARK},
    store::{OnNotice, Store, embedded::Embedded, redis::Redis},
};

/// Why the program did not start, or did not end well, in words for who started it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failed(String);

/// A day, in seconds: how long the tokens of the development mode are valid.
const DAY: u64 = 24 * 3600;

/// Runs the program.
///
/// # Errors
/// When it cannot start, and when connections were cut at its end.
pub async fn run(cli: Cli) -> Result<(), Failed> {
    match cli.command {
        Some(Command::Token(token)) => print_token(&token),
        None => serve(&cli.serve).await,
    }
}

fn print_token(token: &Token) -> Result<(), Failed> {
    let key = match given(&token.key)? {
        Some(key) => key,
        None => bound(key_from(&token.data_dir.join("dev-secret"), Key::secret)?, &token.key),
    };
    let made = key.token(&token.user, token.service, token.valid.as_secs());
    let made =
        made.ok_or_else(|| Failed("a public key cannot sign: give --jwt-secret-file".into()))?;
    println!("{made}");
    Ok(())
}

async fn serve(serve: &Serve) -> Result<(), Failed> {
    start_log(serve)?;
    raise_descriptors();
    let mut signals = Signals::new().map_err(|error| Failed(format!("no signals: {error}")))?;
    let given = given(&serve.key)?;
    let dev = given.is_none();
    if dev && !serve.listen.ip().is_loopback() {
        return Err(Failed(format!(
            "without a key it listens on this machine alone: give --jwt-secret-file, or --listen 127.0.0.1:{}",
            serve.listen.port()
        )));
    }
    let key = match given {
        Some(key) => key,
        None => bound(dev_key(&serve.data_dir)?, &serve.key),
    };
    let listener = listen::bind(serve.listen).map_err(|error| {
        Failed(format!("cannot listen on {}: {error}; choose another by --listen", serve.listen))
    })?;
    let address = listener.local_addr().map_err(|error| Failed(error.to_string()))?;
    let (notices, hears) = notices();
    let store = open_store(serve, notices).await?;
    let app = App::new(store, key.clone(), serve.settings(inspector(serve, dev)?));
    let _ = hears.set(Arc::clone(app.queues()));
    tracing::info!(%address, store = if serve.redis.is_some() { "redis" } else { "embedded" }, "listening");
    if dev {
        welcome(address, &key);
    }
    let served = app.serve(listener, async move {
        let signal = signals.next().await;
        tracing::info!(signal, "told to stop; once more to stop at once");
        tokio::spawn(async move {
            signals.next().await;
            tracing::warn!("stopped at once: parked polls were not answered");
            std::process::exit(130);
        });
    });
    served.await.map_err(|error| Failed(format!("stopped, but {error}")))?;
    tracing::info!("stopped");
    Ok(())
}

fn start_log(serve: &Serve) -> Result<(), Failed> {
    let filter = EnvFilter::try_new(&serve.log)
        .map_err(|error| Failed(format!("--log `{}`: {error}", serve.log)))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match serve.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// Each client needs a descriptor, and the soft limit is often 1024.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files is {:?}, and so is that of clients", limit.current);
    }
}

async fn open_store(serve: &Serve, notices: OnNotice) -> Result<Arc<dyn Store>, Failed> {
    if let Some(url) = &serve.redis {
        let store = Redis::connect(url, serve.limits(), LONGEST_PARK, notices).await;
        return Ok(Arc::new(store.map_err(|error| Failed(format!("--redis: {error}")))?));
    }
    make_dir(&serve.data_dir)?;
    let opened = Embedded::open(&serve.data_dir, serve.limits());
    let opened = opened
        .map_err(|error| Failed(format!("--data-dir {}: {error}", serve.data_dir.display())))?;
    opened.store.hear(notices);
    Ok(Arc::new(opened.store))
}

/// Where notices go, once there is somebody to hear them.
fn notices() -> (OnNotice, Arc<OnceLock<Arc<Queues>>>) {
    let hears = Arc::new(OnceLock::<Arc<Queues>>::new());
    let told = Arc::clone(&hears);
    let notices = Arc::new(move |notice| {
        if let Some(queues) = told.get() {
            queues.notice(notice);
        }
    });
    (notices, hears)
}

/// The key that was given, if one was.
fn given(keys: &Keys) -> Result<Option<Key>, Failed> {
    let key = match (&keys.secret_file, &keys.public_key_file) {
        (Some(path), _) => key_from(path, Key::secret)?,
        (None, Some(path)) => key_from(path, Key::ed25519)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(bound(key, keys)))
}

/// Who may look at what is open.
fn inspector(serve: &Serve, dev: bool) -> Result<Inspect, Failed> {
    let Some(path) = &serve.inspector_token_file else {
        return Ok(if serve.inspector || dev { Inspect::Local } else { Inspect::Nobody });
    };
    let refused =
        |error: &dyn Display| Failed(format!("--inspector-token-file {}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| refused(&error))?;
    let token = text.trim_end_matches(['\r', '\n']).to_owned();
    // The one that is served with is made when it listens.
    let tried = Inspector::new(InFlight::new()).token(token.as_str());
    tried.map_err(|error| refused(&error))?;
    Ok(Inspect::Token(token))
}

fn bound(key: Key, keys: &Keys) -> Key {
    let key = match &keys.audience {
        Some(audience) => key.audience(audience),
        None => key,
    };
    match &keys.issuer {
        Some(issuer) => key.issuer(issuer),
        None => key,
    }
}

fn key_from(path: &Path, make: fn(&[u8]) -> Result<Key, KeyError>) -> Result<Key, Failed> {
    let bytes = fs::read(path)
        .map_err(|error| Failed(format!("cannot read the key in {}: {error}", path.display())))?;
    // A file that was made by `echo` or an editor ends with a line's end.
    let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
    make(&bytes[..end]).map_err(|error| Failed(format!("{}: {error}", path.display())))
}

/// Kept, so that a token works after a restart.
fn dev_key(data_dir: &Path) -> Result<Key, Failed> {
    make_dir(data_dir)?;
    let path = data_dir.join("dev-secret");
    // Whole or not at all, for the owner alone.
    let write = || {
        let mut file = NamedTempFile::new_in(data_dir)?;
        write!(file, "{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())?;
        file.persist_noclobber(&path).map(drop).map_err(|error| error.error)
    };
    match write() {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Failed(format!("cannot write {}: {error}", path.display())));
        }
        _ => {}
    }
    key_from(&path, Key::secret)
}

fn make_dir(dir: &Path) -> Result<(), Failed> {
    // It has the ids of queues, which are rights, and what is in them.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        Failed(format!(
            "cannot make the directory {}: {error}; choose another by --data-dir",
            dir.display()
        ))
    })
}

/// For who tries it. On standard output, the log is on standard error.
fn welcome(address: SocketAddr, key: &Key) {
    let (Some(user), Some(service)) = (key.token("dev", false, DAY), key.token("dev", true, DAY))
    else {
        return;
    };
    // Whoever does not want to read it need not.
    let _ = writeln!(
        io::stdout(),
        r#"
Development mode: anybody on this machine can read what is below. Valid for a day.

TOKEN={user}
SERVICE={service}

# Paste all of this: it registers a queue, polls it (which waits for an event), and sends one.
QUEUE=$(curl -s -X POST -H "Authorization: Bearer $TOKEN" http://{address}/api/v1/register | sed 's/.*"queue_id":"\([^"]*\)".*/\1/')
curl -s -H "Authorization: Bearer $TOKEN" "http://{address}/api/v1/events?queue_id=$QUEUE&last_event_id=-1" &
curl -s -H "Authorization: Bearer $SERVICE" -d '{{"users":["dev"],"event":{{"type":"hello"}}}}' http://{address}/api/v1/send

# Or in a browser:
http://{address}/#token={user}&service={service}

# What is open, live:
http://{address}/inspector
"#
    );
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// A file is as large as it may be. Heard, it is an error of the write, as a full disk is; else it ends the program.
    _too_large: Signal,
}

/// `SIGXFSZ`, on Linux.
const FILE_TOO_LARGE: i32 = 25;

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _too_large: signal(SignalKind::from_raw(FILE_TOO_LARGE))?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
