//! A collector in another language: `receiver.py`, which decodes by the package `opentelemetry-proto`.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use super::{program::PATIENCE, told::Told};

const PACKAGE: &str = "opentelemetry-proto==1.45.2";

/// For what is downloaded.
const INSTALLING: Duration = Duration::from_secs(240);

/// Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    child: Child,
    port: u64,
    told: JoinHandle<Told>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let installed = install().await;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receiver.py");
        let mut command = Command::new(&installed.python);
        command.arg(script).env("PYTHONPATH", &installed.packages);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("Python starts");
        let stdout = child.stdout.take().expect("it is piped");
        let mut stdout = BufReader::new(stdout).lines();
        let first = timeout(PATIENCE, line(&mut stdout)).await.expect("it listens");
        let port = first.and_then(|first| first["port"].as_u64()).expect("its port");
        // Read as it comes: who prints into a pipe that is full, waits.
        Self { child, port, told: tokio::spawn(read(stdout)) }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it, and returns everything that it has printed.
    pub(crate) async fn told(mut self) -> Told {
        drop(self.child.stdin.take());
        timeout(PATIENCE, self.told).await.expect("it ends").expect("it prints OTLP's JSON")
    }
}

async fn read(mut stdout: Lines<BufReader<ChildStdout>>) -> Told {
    let mut told = Told::default();
    while let Some(mut line) = line(&mut stdout).await {
        if line.get("traces").is_some() {
            let traces = serde_json::from_value(line["traces"].take());
            told.traces.push(traces.expect("spans"));
        } else {
            let metrics = serde_json::from_value(line["metrics"].take());
            told.metrics.push(metrics.expect("metrics"));
        }
    }
    told
}

async fn line(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<Value> {
    let line = lines.next_line().await.expect("it prints lines")?;
    Some(serde_json::from_str(&line).expect("it prints JSON"))
}

/// A Python, and where it finds packages besides its own.
struct Installed {
    python: PathBuf,
    packages: PathBuf,
}

/// In the target's directory, once: a virtual environment, or where Python has no `venv` a directory of packages.
async fn install() -> Installed {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    let environment = here.join("venv");
    let python = environment.join("bin/python");
    let packages = here.join("packages");
    let in_environment = Installed { python: python.clone(), packages: PathBuf::new() };
    let in_directory = Installed { python: "python3".into(), packages: packages.clone() };
    let mut failed = String::new();
    if in_environment.has_package().await.is_ok() {
        return in_environment;
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(environment);
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", PACKAGE]);
    match async {
        run(make).await?;
        run(pip).await?;
        in_environment.has_package().await
    }
    .await
    {
        Ok(()) => return in_environment,
        Err(why) => failed.push_str(&why),
    }
    if in_directory.has_package().await.is_ok() {
        return in_directory;
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--upgrade", PACKAGE, "--target"]).arg(packages);
    match async {
        run(pip).await?;
        in_directory.has_package().await
    }
    .await
    {
        Ok(()) => return in_directory,
        Err(why) => failed.push_str(&why),
    }
    panic!(
        "this test needs Python 3 with venv or pip (`apt-get install python3-venv`, or `python3-pip`), and PyPI or a \
         mirror of it, for {PACKAGE}.\n{failed}"
    )
}

impl Installed {
    async fn has_package(&self) -> Result<(), String> {
        let mut import = Command::new(&self.python);
        import.args(["-c", "import opentelemetry.proto.collector.metrics.v1.metrics_service_pb2"]);
        import.env("PYTHONPATH", &self.packages);
        run(import).await
    }
}

async fn run(mut command: Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let why = match timeout(INSTALLING, output).await {
        Ok(Ok(output)) if output.status.success() => return Ok(()),
        Ok(Ok(output)) => {
            let said = [output.stdout, output.stderr].concat();
            format!("{}\n{}", output.status, String::from_utf8_lossy(&said))
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("not done after {INSTALLING:?}"),
    };
    Err(format!("{:?}: {why}\n", command.as_std()))
}
