//! Do the waits add up? Paced clients against a real server over loopback, HTTP/1 and HTTP/2: who is told to have waited on
//! whom, beside how long the body lived by clocks of its own, outside the library.
//!
//! `cargo bench -p tower-lifecycle-benches --bench waits [-- --help]`

use std::{
    env,
    error::Error,
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    process::ExitCode,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    sync::mpsc,
    time::{Sleep, sleep, timeout},
};
use tower::{ServiceBuilder, service_fn};
use tower_lifecycle::{
    Interest, LifecycleLayer, Listener, Observer, Party, RequestBody, RequestHead, Summary, Wait,
};

use Party::{Consumer, Producer};

const HELP: &str = "\
Measures who is told to have waited on whom, over loopback, and prints a table in Markdown.

Usage: cargo bench -p tower-lifecycle-benches --bench waits [-- <case>]

  <case>    runs the cases that have this in their name
  --help    prints this

Exits with 1 if the waits of a row miss the body's duration by more than 5 % and a millisecond, or if as much was
waited for the side that is not slow.
Takes less than a minute. Without `--bench`, as under `cargo test`, all is tiny and nothing is judged.";

type Failed = Box<dyn Error + Send + Sync>;

const MB: u64 = 1_000_000;
/// No case takes as long.
const LONG: Duration = Duration::from_secs(30);

/// How far waits and duration may be apart.
const SHARE: f64 = 0.05;
const LEAST: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let judged = arguments.iter().any(|argument| argument == "--bench");
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    match run(wanted.map_or("", String::as_str), judged) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all rows are as they should be, or nobody asks.
fn run(wanted: &str, judged: bool) -> Result<bool, Failed> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("| case | protocol | body lived | producer | consumer | sum of it | last | verdict |");
    println!("|---|---|---:|---:|---:|---:|---|---|");
    let mut off = Vec::new();
    for case in cases().into_iter().filter(|case| case.name.contains(wanted)) {
        let case = if judged { case } else { case.tiny() };
        // One after the other, so that none disturbs another.
        let row = runtime.block_on(async { timeout(LONG, measure(case)).await })??;
        println!("{row}");
        if row.is_off() {
            off.push(format!("{}, {}", case.name, protocol(case.version)));
        }
    }
    println!();
    match off.as_slice() {
        _ if !judged => println!("Too small to be judged."),
        [] => println!("No row is off by more than 5 %."),
        off => println!("Off by more than 5 %: {}.", off.join("; ")),
    }
    Ok(!judged || off.is_empty())
}

// ===== the cases =====

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    version: Version,
    of: Of,
    /// Whom all the waiting is for.
    slow: Party,
}

/// Whose body is measured, and what is done to it.
#[derive(Clone, Copy)]
enum Of {
    Response {
        source: Source,
        /// Bytes that the client reads in a second.
        reads: Option<u64>,
        /// The client closes its connection then.
        killed: Option<Duration>,
    },
    Request {
        source: Source,
        /// For how long the handler sleeps after each frame.
        sleeps: Duration,
    },
}

/// What a body is made of.
#[derive(Clone, Copy)]
struct Source {
    frames: u64,
    frame: u64,
    /// How long each frame takes to be made.
    takes: Duration,
    /// The body knows its end.
    honest: bool,
}

fn cases() -> Vec<Case> {
    let second = Duration::from_secs(1);
    let large = |frames, frame| Source { frames, frame, takes: Duration::ZERO, honest: false };
    let slow =
        |frames, millis| Source { takes: Duration::from_millis(millis), ..large(frames, 1_000) };
    let response = |source, reads, killed| Of::Response { source, reads, killed };
    let fast = |source| response(source, None, None);
    let paced = |source, reads| response(source, Some(reads), None);
    let upload = |source, millis| Of::Request { source, sleeps: Duration::from_millis(millis) };
    let whole = Source { honest: true, ..large(1, 64 * MB) };

    let both = [
        ("64 MB to a client of 16 MB/s", Consumer, paced(large(1_000, 64_000), 16 * MB)),
        ("a producer of 20 × 100 ms", Producer, fast(slow(20, 100))),
        (
            "the client leaves a slow producer after 1 s",
            Producer,
            response(slow(1_000, 300), None, Some(second)),
        ),
        (
            "a slow client leaves after 1 s",
            Consumer,
            response(large(1_000, 64_000), Some(4 * MB), Some(second)),
        ),
        ("a client uploads 8 MB at 4 MB/s", Producer, upload(slow(200, 10).each(40_000), 0)),
        ("the handler sleeps 20 ms a frame, 2 MB", Consumer, upload(large(125, 16_000), 20)),
        ("64 MB in one frame to a client of 16 MB/s", Producer, paced(whole, 16 * MB)),
    ];
    let mut cases = Vec::new();
    for (name, slow, of) in both {
        let case = |version| Case { name, version, of, slow };
        cases.extend([Version::HTTP_11, Version::HTTP_2].map(case));
    }
    let (name, of) = ("8 MB to a client of 2 MB/s", paced(large(125, 64_000), 2 * MB));
    cases.push(Case { name, version: Version::HTTP_11, of, slow: Consumer });
    cases
}

impl Source {
    fn each(self, frame: u64) -> Self {
        Self { frame, ..self }
    }

    fn tiny(self) -> Self {
        let takes = self.takes.min(Duration::from_millis(1));
        Self { frames: self.frames.min(2), frame: self.frame.min(1_000), takes, ..self }
    }
}

impl Case {
    /// To see whether it runs.
    fn tiny(self) -> Self {
        let of = match self.of {
            Of::Response { source, reads, killed } => Of::Response {
                source: source.tiny(),
                reads,
                killed: killed.map(|_| Duration::from_millis(1)),
            },
            Of::Request { source, .. } => {
                Of::Request { source: source.tiny(), sleeps: Duration::from_millis(1) }
            }
        };
        Self { of, ..self }
    }
}

// ===== a measurement =====

struct Row {
    case: Case,
    lived: Duration,
    wait: Wait,
    verdict: &'static str,
}

impl Row {
    fn sum(&self) -> Duration {
        self.wait.producer + self.wait.consumer
    }

    fn is_off(&self) -> bool {
        let apart = self.sum().abs_diff(self.lived);
        let misplaced = match self.case.slow {
            Producer => self.wait.consumer,
            Consumer => self.wait.producer,
        };
        let much = self.lived.mul_f64(SHARE).max(LEAST);
        apart > much || misplaced > much
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, lived, wait: Wait { producer, consumer, last, .. }, verdict } = *self;
        let share = if lived < LEAST {
            "–".to_owned()
        } else {
            format!("{:.1} %", 100.0 * self.sum().as_secs_f64() / lived.as_secs_f64())
        };
        let [lived, producer, consumer] =
            [lived, producer, consumer].map(|time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
        let (name, protocol) = (case.name, protocol(case.version));
        write!(f, "| {name} | {protocol} | {lived} | {producer} | {consumer} | ")?;
        write!(f, "{share} | {last} | {verdict} |")
    }
}

fn protocol(version: Version) -> &'static str {
    if version == Version::HTTP_2 { "HTTP/2" } else { "HTTP/1" }
}

async fn measure(case: Case) -> Result<Row, Failed> {
    let lifespan = Lifespan::default();
    let (send, mut closed) = mpsc::unbounded_channel();
    let address = serve(case, &lifespan, Watcher(send)).await?;
    let client = tokio::spawn(talk(case, address));
    let summary = closed.recv().await.ok_or("no exchange was closed")?;
    // Not before the server is done: a client that leaves on its own would be a case of its own.
    client.await??;
    let transfer = match case.of {
        Of::Response { .. } => summary.response,
        Of::Request { .. } => summary.request,
    };
    Ok(Row {
        case,
        lived: lifespan.get()?,
        wait: transfer.wait().ok_or("no wait was told")?,
        verdict: summary.close.reason.as_str(),
    })
}

/// When a body began and ended, by whoever made it or read it.
#[derive(Clone, Default)]
struct Lifespan(Arc<Mutex<[Option<Instant>; 2]>>);

impl Lifespan {
    fn begins(&self) {
        self.write(|[begin, _]| *begin = Some(now()));
    }

    fn ends(&self) {
        self.write(|[_, end]| *end = Some(now()));
    }

    fn write(&self, change: impl FnOnce(&mut [Option<Instant>; 2])) {
        if let Ok(mut moments) = self.0.lock() {
            change(&mut moments);
        }
    }

    fn get(&self) -> Result<Duration, Failed> {
        match *self.0.lock().map_err(|_| "a thread panicked")? {
            [Some(begin), Some(end)] => Ok(end.saturating_duration_since(begin)),
            _ => Err("the body did not begin and end".into()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "what is measured is not to be measured by itself")]
fn now() -> Instant {
    Instant::now()
}

// ===== the server =====

async fn serve(case: Case, lifespan: &Lifespan, watcher: Watcher) -> Result<SocketAddr, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (outside, inside) = (lifespan.clone(), lifespan.clone());
    let service = ServiceBuilder::new()
        .map_request(move |request| {
            if let Of::Request { .. } = case.of {
                outside.begins();
            }
            request
        })
        .layer(LifecycleLayer::new(watcher))
        .service(service_fn(move |request| handle(case, inside.clone(), request)));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(service);
        let builder = auto::Builder::new(TokioExecutor::new());
        builder.serve_connection(TokioIo::new(stream), service).await
    });
    Ok(address)
}

async fn handle(
    case: Case,
    lifespan: Lifespan,
    request: Request<RequestBody<Incoming>>,
) -> Result<Response<Made>, Failed> {
    let mut upload = request.into_body();
    match case.of {
        Of::Response { source, .. } => {
            let body = Made::of(source, Some(lifespan.clone()));
            lifespan.begins();
            Ok(Response::new(body))
        }
        Of::Request { sleeps, .. } => {
            while let Some(frame) = upload.frame().await {
                frame?;
                if upload.is_end_stream() {
                    break;
                }
                if !sleeps.is_zero() {
                    sleep(sleeps).await;
                }
            }
            lifespan.ends();
            Ok(Response::new(Made::of(NOTHING, None)))
        }
    }
}

const NOTHING: Source = Source { frames: 0, frame: 0, takes: Duration::ZERO, honest: true };

/// A body that takes its time for each frame, and notes when it is dropped.
struct Made {
    source: Source,
    left: u64,
    bytes: Bytes,
    sleep: Option<Pin<Box<Sleep>>>,
    lifespan: Option<Lifespan>,
}

impl Made {
    fn of(source: Source, lifespan: Option<Lifespan>) -> Self {
        let bytes = vec![b'x'; usize::try_from(source.frame).unwrap_or(usize::MAX)].into();
        Self { source, left: source.frames, bytes, sleep: None, lifespan }
    }
}

impl Body for Made {
    type Data = Bytes;
    type Error = Failed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let takes = self.source.takes;
        if !takes.is_zero() {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(takes)));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(self.bytes.clone()))))
    }

    fn is_end_stream(&self) -> bool {
        self.source.honest && self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.source.honest {
            SizeHint::with_exact(self.left * self.source.frame)
        } else {
            SizeHint::default()
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(lifespan) = &self.lifespan {
            lifespan.ends();
        }
    }
}

/// Passes the summary on.
struct Watcher(mpsc::UnboundedSender<Summary>);

struct Watch(mpsc::UnboundedSender<Summary>);

impl Observer for Watcher {
    type State = Watch;

    fn interest(&self) -> Interest {
        Interest::CLOSE | Interest::WAITS
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Watch> {
        Some(Watch(self.0.clone()))
    }
}

impl Listener for Watch {
    fn on_close(&mut self, summary: &Summary) {
        let _ = self.0.send(summary.clone());
    }
}

// ===== the client =====

async fn talk(case: Case, address: SocketAddr) -> Result<(), Failed> {
    let (upload, reads, killed) = match case.of {
        Of::Response { reads, killed, .. } => (NOTHING, reads, killed),
        Of::Request { source, .. } => (source, None, None),
    };
    let request = Request::post("http://localhost/").body(Made::of(upload, None))?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let io = TokioIo::new(stream);
    let (response, connection) = if case.version == Version::HTTP_2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        let connection = tokio::spawn(connection);
        (sender.send_request(request).await?, connection)
    } else {
        let (mut sender, connection) = http1::handshake(io).await?;
        let connection = tokio::spawn(connection);
        (sender.send_request(request).await?, connection)
    };
    let read = read(response.into_body(), reads);
    match killed {
        None => read.await?,
        Some(after) => {
            let left = timeout(after, read).await;
            connection.abort();
            if let Ok(read) = left {
                read?;
            }
        }
    }
    Ok(())
}

/// Reads no faster than that, on the whole.
async fn read(mut body: Incoming, reads: Option<u64>) -> Result<(), Failed> {
    let begin = now();
    let mut seen = 0_u64;
    while let Some(frame) = body.frame().await {
        seen += frame?.data_ref().map_or(0, Bytes::len) as u64;
        if let Some(reads) = reads {
            let due = Duration::from_millis(seen * 1_000 / reads);
            let early = due.saturating_sub(begin.elapsed());
            // The timer rounds up to a tick, also nothing.
            if !early.is_zero() {
                sleep(early).await;
            }
        }
    }
    Ok(())
}
