//! What a layer adds to a real server: axum over loopback, a server thread for each subject, CPU time of that thread for
//! each request. The subjects of a run take turns in every round, and each is compared with the bare server's turn in the
//! same round, so that what disturbs the machine disturbs them alike.
//!
//! `cargo bench -p tower-lifecycle-benches --bench end_to_end [-- <rounds>]`

use std::{
    env,
    error::Error,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Sender, channel},
    thread,
    time::Duration,
};

use axum::{Router, body::Bytes, routing};
use rustix::time::{ClockId, clock_gettime};
use tokio::{net::TcpListener as TokioListener, runtime, sync::mpsc};
use tower_lifecycle::{LifecycleLayer, Observer, Server};
use tower_lifecycle_benches::{Counting, Subject};

/// Runs of their own: for the connection, and because a subscriber that is installed stays.
const RUNS: [&[Served]; 3] = [
    &[
        Served::Layer(Subject::Bare),
        Served::Layer(Subject::PassThrough),
        Served::Layer(Subject::LifecycleNone),
        Served::Layer(Subject::LifecycleCounting),
        Served::Layer(Subject::LifecycleNoData),
        Served::Layer(Subject::LifecycleAll),
        Served::Layer(Subject::Trace),
        Served::Layer(Subject::Prometheus),
        Served::Layer(Subject::OtelSdk),
    ],
    &[
        Served::Layer(Subject::Bare),
        Served::Layer(Subject::LifecycleCounting),
        Served::SeamNone,
        Served::Seam,
        Served::SeamAll,
        Served::ServerNone,
        Served::Server,
        Served::ServerAll,
        Served::Layer(Subject::Trace),
    ],
    &[
        Served::Layer(Subject::Bare),
        Served::Layer(Subject::LifecycleCounting),
        Served::Layer(Subject::TraceInfo),
        Served::Layer(Subject::TraceAll),
    ],
];

/// An application, and what serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// `axum::serve`, with a layer inside the router.
    Layer(Subject),
    /// `axum::serve` by the seam, with nobody observing.
    SeamNone,
    /// The same with every hook.
    Seam,
    /// The same with times, URI and trailers.
    SeamAll,
    /// The library's own `Server`, with nobody observing.
    ServerNone,
    /// The same with every hook.
    Server,
    /// The same with times, URI and trailers.
    ServerAll,
}

impl Served {
    const fn name(self) -> &'static str {
        match self {
            Self::Layer(subject) => subject.name(),
            Self::SeamNone => "seam ()",
            Self::Seam => "seam counting",
            Self::SeamAll => "seam counting, all",
            Self::ServerNone => "Server ()",
            Self::Server => "Server counting",
            Self::ServerAll => "Server counting, all",
        }
    }

    fn enter(self) {
        if let Self::Layer(subject) = self {
            subject.enter();
        }
    }

    async fn serve(self, listener: TokioListener, router: Router) -> io::Result<()> {
        match self {
            Self::Layer(subject) => axum::serve(listener, subject.layered(router)).await,
            Self::SeamNone => seam(LifecycleLayer::new(()), listener, router).await,
            Self::Seam => seam(LifecycleLayer::new(Counting::hooks()), listener, router).await,
            Self::SeamAll => seam(LifecycleLayer::new(Counting::all()), listener, router).await,
            Self::ServerNone => Server::new(listener, LifecycleLayer::new(())).serve(router).await,
            Self::Server => {
                Server::new(listener, LifecycleLayer::new(Counting::hooks())).serve(router).await
            }
            Self::ServerAll => {
                Server::new(listener, LifecycleLayer::new(Counting::all())).serve(router).await
            }
        }
    }
}

async fn seam<O: Observer>(
    lifecycle: LifecycleLayer<O>,
    listener: TokioListener,
    router: Router,
) -> io::Result<()> {
    axum::serve(lifecycle.listener(listener), lifecycle.make_service(router)).await
}

const ROUNDS: usize = 60;
const CONNECTIONS: u32 = 16;
/// Of each connection in each turn.
const REQUESTS: u32 = 100;
/// Nothing here takes long; a server that does not answer is a failure and not a wait.
const TIMEOUT: Duration = Duration::from_secs(10);

const REQUEST: &[u8] = b"POST /exchange HTTP/1.1\r\n\
    host: localhost\r\n\
    user-agent: end-to-end\r\n\
    accept: */*\r\n\
    accept-encoding: gzip\r\n\
    content-type: text/plain\r\n\
    content-length: 32\r\n\
    \r\n\
    ................................";
const BODY: &[u8] = b"................................";

type Failed = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // `cargo test --benches` only asks whether it runs.
    let otherwise = if arguments.iter().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let rounds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(otherwise);
    println!("{rounds} rounds of {REQUESTS} requests on each of {CONNECTIONS} connections");
    for subjects in RUNS {
        report(&run(subjects, rounds)?);
    }
    Ok(())
}

fn run(subjects: &[Served], rounds: usize) -> Result<Vec<Contender>, Failed> {
    let contenders = subjects.iter().map(|&subject| Contender::start(subject));
    let mut contenders = contenders.collect::<Result<Vec<_>, _>>()?;
    for contender in &mut contenders {
        contender.turn()?;
        contender.turns.clear();
    }
    for round in 0..rounds {
        // Nobody always comes after the same one.
        let first = round % contenders.len();
        contenders.rotate_left(first);
        for contender in &mut contenders {
            contender.turn()?;
        }
        contenders.rotate_right(first);
    }
    Ok(contenders)
}

fn report(contenders: &[Contender]) {
    let Some(bare) =
        contenders.iter().find(|contender| contender.subject == Served::Layer(Subject::Bare))
    else {
        return;
    };
    println!();
    println!("| subject | server CPU per request | of bare, median | quartiles |");
    println!("|---|---:|---:|---:|");
    for contender in contenders {
        let ratios = contender.turns.iter().zip(&bare.turns).map(|(turn, bare)| turn / bare);
        let [low, middle, high] = quartiles(ratios.collect());
        let [_, cpu, _] = quartiles(contender.turns.clone());
        let name = contender.subject.name();
        println!("| {name} | {cpu:.2} µs | {middle:.3} | {low:.3} – {high:.3} |");
    }
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values.get(values.len() * quarter / 4).copied().unwrap_or(f64::NAN))
}

/// A subject's server and the connections to it.
struct Contender {
    subject: Served,
    clock: Clock,
    connections: Vec<TcpStream>,
    /// A response's bytes on the wire. The date in it does not change its length.
    response: usize,
    /// Microseconds of CPU for each request, a turn each.
    turns: Vec<f64>,
}

/// Asks the server's thread for its CPU time.
type Clock = mpsc::UnboundedSender<Sender<Duration>>;

impl Contender {
    fn start(subject: Served) -> Result<Self, Failed> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let (clock, asked) = mpsc::unbounded_channel();
        thread::spawn(move || {
            if let Err(error) = serve(subject, listener, asked) {
                eprintln!("{}: {error}", subject.name());
            }
        });
        let connections: Vec<_> =
            (0..CONNECTIONS).map(|_| connect(address)).collect::<io::Result<_>>()?;
        let mut contender = Self { subject, clock, connections, response: 0, turns: Vec::new() };
        contender.response = contender.first_response()?;
        Ok(contender)
    }

    /// The server sends a response of this size in one piece.
    fn first_response(&mut self) -> Result<usize, Failed> {
        let Some(mut connection) = self.connections.first() else {
            return Err("no connection".into());
        };
        connection.write_all(REQUEST)?;
        let mut buffer = [0; 1024];
        let length = connection.read(&mut buffer)?;
        let response = buffer.get(..length).unwrap_or_default();
        if !response.starts_with(b"HTTP/1.1 200 OK\r\n") || !response.ends_with(BODY) {
            return Err(String::from_utf8_lossy(response).into());
        }
        Ok(length)
    }

    fn turn(&mut self) -> Result<(), Failed> {
        self.subject.enter();
        let mut buffer = vec![0; self.response];
        let before = self.cpu()?;
        for _ in 0..REQUESTS {
            for connection in &mut self.connections {
                connection.write_all(REQUEST)?;
            }
            for connection in &mut self.connections {
                connection.read_exact(&mut buffer)?;
            }
        }
        let spent = self.cpu()?.saturating_sub(before);
        let requests = f64::from(REQUESTS * CONNECTIONS);
        self.turns.push(spent.as_secs_f64() * 1e6 / requests);
        Ok(())
    }

    fn cpu(&self) -> Result<Duration, Failed> {
        let (answer, answered) = channel();
        self.clock.send(answer)?;
        Ok(answered.recv_timeout(TIMEOUT)?)
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    Ok(connection)
}

/// Serves until nobody can ask any more.
fn serve(
    subject: Served,
    listener: TcpListener,
    mut asked: mpsc::UnboundedReceiver<Sender<Duration>>,
) -> io::Result<()> {
    let router = Router::new().route("/exchange", routing::post(async |body: Bytes| body));
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async move {
        let listener = TokioListener::from_std(listener)?;
        let server = tokio::spawn(subject.serve(listener, router));
        while let Some(answer) = asked.recv().await {
            let now = clock_gettime(ClockId::ThreadCPUTime);
            let cpu = Duration::try_from(now).unwrap_or_default();
            let _ = answer.send(cpu);
        }
        server.abort();
        Ok(())
    })
}
