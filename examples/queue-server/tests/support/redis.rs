//! A real `redis-server` of a test's own, that can be killed and started again on the same files.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use redis::{Client, aio::MultiplexedConnection, cmd};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time;

/// How it is durable. What a test adds comes later, and wins.
const DURABLE: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// Dies with this value.
pub(crate) struct RedisServer {
    child: Option<Child>,
    port: u16,
    files: TempDir,
    settings: Vec<String>,
}

impl RedisServer {
    /// One that writes all to its disk before it answers.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// One with these settings besides.
    pub(crate) async fn start_with(settings: &[&str]) -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        let settings = settings.iter().map(ToString::to_string).collect();
        let mut server = Self { child: None, port: 0, files, settings };
        // Somebody else may take the port between the two.
        for _ in 0..5 {
            server.port = free_port();
            if server.try_start().await {
                return server;
            }
        }
        panic!("redis-server does not start; its log: {}", server.log());
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// As if the machine failed.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
        }
    }

    /// On the same port and files.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        assert!(
            self.try_start().await,
            "redis-server does not start again; its log: {}",
            self.log()
        );
    }

    /// It hangs, with its connections open.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("a child of ours");
    }

    /// A connection of the test itself.
    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        self.try_connection().await.expect("redis-server answers")
    }

    async fn try_connection(&self) -> redis::RedisResult<MultiplexedConnection> {
        let client = Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        connection.set_response_timeout(STARTS_WITHIN);
        cmd("PING").exec_async(&mut connection).await?;
        Ok(connection)
    }

    /// Whether it answers. It does not when the port is taken.
    async fn try_start(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.arg("--port").arg(self.port.to_string()).arg("--bind").arg("127.0.0.1");
        command.arg("--dir").arg(self.files.path()).arg("--logfile").arg(self.log_file());
        command.args(DURABLE).args(&self.settings).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!(
                "cannot run `redis-server` ({error}): these tests need a Redis of version 7 or later; install it, on \
                 Debian and Ubuntu by `apt-get install redis-server`"
            )
        });
        self.child = Some(child);
        let answers = async {
            while self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
                if self.try_connection().await.is_ok() {
                    return true;
                }
                time::sleep(Duration::from_millis(10)).await;
            }
            false
        };
        let answers = time::timeout(STARTS_WITHIN, answers).await.unwrap_or(false);
        if !answers {
            self.kill();
        }
        answers
    }

    fn log_file(&self) -> PathBuf {
        self.files.path().join("log")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}
