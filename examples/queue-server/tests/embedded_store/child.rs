//! A store in a process of its own, which can be killed and limited: the test binary again, with one test that is no test.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

const ROLE: &str = "EMBEDDED_STORE_ROLE";
const DIR: &str = "EMBEDDED_STORE_DIR";
/// The harness writes to the same pipe.
const MARK: &str = "said ";

/// Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    /// This binary in a role, with a directory.
    pub(crate) fn start(role: &str, dir: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["child::is_a_process_of_another_test", "--exact", "--nocapture"])
            .env(ROLE, role)
            .env(DIR, dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in out.lines() {
                // A line that was cut by the kill says nothing.
                let Ok(line) = line else { break };
                if let Some(said) = line.split(MARK).nth(1).and_then(|said| said.strip_suffix('.'))
                {
                    let _ = sender.send(said.to_owned());
                }
            }
        });
        Self { child, lines }
    }

    /// What it says next; none if it has ended.
    pub(crate) fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(Duration::from_secs(60)) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the process says nothing"),
        }
    }

    /// `kill -9`, and all that it has said until then.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut said = Vec::new();
        while let Some(line) = self.line() {
            said.push(line);
        }
        said
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// For the parent, at once.
pub(crate) fn say(what: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    // One write: a kill leaves all of it or a line without its end.
    out.write_all(format!("{MARK}{what}.\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[tokio::test]
async fn is_a_process_of_another_test() {
    let Ok(role) = env::var(ROLE) else { return };
    let dir = PathBuf::from(env::var_os(DIR).unwrap());
    match role.as_str() {
        "append" => crate::kill::append(&dir).await,
        "fill" => crate::full_disk::fill(&dir).await,
        other => panic!("no role {other}"),
    }
}
