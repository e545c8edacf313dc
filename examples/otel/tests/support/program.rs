//! The program, run as a process of its own.

use std::{env, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// For anything: a machine may be slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

/// What it has said, when it has ended well.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: String,
}

impl Program {
    /// With these variables of OpenTelemetry and no others.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tower-lifecycle-example-otel"));
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("it is piped");
        Self { child, stdout: BufReader::new(stdout).lines(), said: Vec::new() }
    }

    /// Where its server listens.
    pub(crate) async fn address(&mut self) -> String {
        let address = async {
            while let Some(line) = self.stdout.next_line().await.expect("it says lines") {
                let address = line.strip_prefix("listening on http://").map(str::to_owned);
                self.said.push(line);
                if let Some(address) = address {
                    return address;
                }
            }
            panic!("it ended without listening: {:?}", self.said)
        };
        timeout(PATIENCE, address).await.expect("it listens")
    }

    pub(crate) async fn terminate(&self) {
        let id = self.child.id().expect("it runs").to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(killed.expect("there is a `kill`").success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        let mut stderr = self.child.stderr.take().expect("it is piped");
        let mut warnings = String::new();
        let lines = async {
            while let Some(line) = self.stdout.next_line().await.expect("it says lines") {
                self.said.push(line);
            }
        };
        let ended =
            async { tokio::join!(lines, stderr.read_to_string(&mut warnings), self.child.wait()) };
        let ((), read, status) = timeout(PATIENCE, ended).await.expect("it ends by itself");
        read.expect("it says text");
        assert!(status.expect("it can be waited for").success(), "{:#?}\n{warnings}", self.said);
        Ended { stdout: self.said, stderr: warnings }
    }
}
