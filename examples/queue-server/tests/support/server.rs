//! The real program, as a process of a test's own: it dies with the value.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::client::Client;

/// Of a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server in development mode, with a data directory of its own.
pub struct Running {
    pub addr: SocketAddr,
    /// Of the user `dev`.
    pub token: String,
    pub service: String,
    /// The address of the page, as it prints it, with both tokens.
    pub page: String,
    child: Child,
    args: Vec<String>,
    dir: TempDir,
}

impl Running {
    /// Starts it on a free port.
    pub async fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let args: Vec<_> = args.iter().map(ToString::to_string).collect();
        let (child, page) = spawn(&args, "127.0.0.1:0", dir.path()).await;
        let (addr, tokens) = page["http://".len()..].split_once("/#token=").expect("the address");
        let (token, service) = tokens.split_once("&service=").expect("two tokens");
        let (token, service) = (token.to_owned(), service.to_owned());
        let addr = addr.parse().expect("an address");
        Self { addr, token, service, page, child, args, dir }
    }

    /// Starts it again, on the same port and data.
    pub async fn start_again(&mut self) {
        let addr = self.addr.to_string();
        (self.child, _) = spawn(&self.args, &addr, self.dir.path()).await;
    }

    /// SIGTERM, and waits until it has ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.tell_to_stop();
        self.ended().await
    }

    /// SIGTERM.
    pub fn tell_to_stop(&self) {
        kill_process(self.pid(), Signal::TERM).expect("a child of ours");
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("it ends in time").expect("a child of ours")
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child of ours");
    }

    pub fn pid(&self) -> Pid {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        pid.expect("it has not ended")
    }

    /// Asks it directly.
    pub fn client(&self) -> Client {
        self.client_by(self.addr)
    }

    /// Asks it by way of something in front of it.
    pub fn client_by(&self, addr: SocketAddr) -> Client {
        Client::new(addr, &self.token, &self.service)
    }

    /// What it has logged, of all its lives.
    pub fn log(&self) -> String {
        log(self.dir.path())
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// Until it prints the address of its page, which is then returned.
async fn spawn(args: &[String], listen: &str, dir: &Path) -> (Child, String) {
    let log_file = File::options().create(true).append(true).open(dir.join("log"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_queue-server"))
        .args(["--listen", listen, "--log", "debug", "--data-dir"])
        .arg(dir.join("data"))
        .args(args)
        .stdout(Stdio::piped())
        .stderr(log_file.expect("a file for the log"))
        .kill_on_drop(true)
        .spawn()
        .expect("the program");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let page = timeout(PATIENCE, async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.starts_with("http://") {
                return Some(line);
            }
        }
        None
    });
    match page.await {
        Ok(Some(page)) => (child, page),
        _ => panic!("it does not start: {}", log(dir)),
    }
}

fn log(dir: &Path) -> String {
    fs::read_to_string(dir.join("log")).unwrap_or_default()
}
