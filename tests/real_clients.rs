//! The layer inside a real axum server, driven by clients that others wrote: `curl` over HTTP/1.0, HTTP/1.1 and HTTP/2, and
//! `nghttp`. What the client says of the exchange is part of each row.

use std::{
    future,
    io::{ErrorKind, Write},
    net::SocketAddr,
    process::Command,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
    routing::{get, post},
};
use futures_util::stream;
use tempfile::NamedTempFile;
use tokio::{net::TcpListener, task, time::timeout};
use tower_http::services::ServeFile;
use tower_lifecycle::{
    LifecycleLayer,
    testing::{Recorder, Recording},
};

/// A run of a client, and what is expected of each of its exchanges, which are all alike.
struct Row {
    name: &'static str,
    /// What starts with `/` is a path of the server; [`FILE`] stands for a file of [`MEGABYTE`] bytes.
    args: &'static [&'static str],
    /// As [`Client::run`] puts it.
    heard: &'static str,
    exchanges: usize,
    words: String,
    verdict: &'static str,
    /// That passed the layer, of the request and of the response.
    bytes: (u64, u64),
}

#[derive(Clone, Copy)]
enum Client {
    Curl,
    Nghttp,
}

const FILE: &str = "{file}";
const MEGABYTE: u64 = 1 << 20;

/// No row takes longer. The clients give up before, so that none outlives its row.
const PATIENCE: Duration = Duration::from_secs(10);
const CLIENT_PATIENCE: &str = "8";

const BODILESS: &str = "begin req.end req.close(complete)";
const READ: &str = "begin req.data req.end req.close(complete)";
const SENT: &str = "response(200) res.data res.end finish(released) close(complete)";
const EMPTY: &str = "response(200) res.end finish(released) close(complete)";

const COMPLETE: &str = "complete, by local, known by frame";
const HEAD_ONLY: &str = "complete, by local, known by return";
const GONE_IN_HANDLER: &str = "unknown in handler, by unknown, known by drop";

/// A row with one exchange.
fn row(
    name: &'static str,
    args: &'static [&'static str],
    heard: &'static str,
    words: &[&str],
    verdict: &'static str,
    bytes: (u64, u64),
) -> Row {
    Row { name, args, heard, exchanges: 1, words: words.join(" "), verdict, bytes }
}

// ===== the rows =====

#[tokio::test(flavor = "multi_thread")]
#[rustfmt::skip]
async fn curl_over_http1() {
    const READ_PART: &str = "response(206) res.data res.end finish(released) close(complete)";
    check(Client::Curl, &[
        row("GET", &["/hello"], "200 HTTP/1.1 6 bytes", &[BODILESS, SENT], COMPLETE, (0, 6)),
        row("GET, stream", &["/stream"], "200 HTTP/1.1 6 bytes", &[BODILESS, SENT], COMPLETE, (0, 6)),
        row("HEAD", &["-I", "/hello"], "200 HTTP/1.1 0 bytes", &[BODILESS, EMPTY], HEAD_ONLY, (0, 0)),
        row("HEAD, file", &["-I", "/file"], "200 HTTP/1.1 0 bytes", &[BODILESS, EMPTY], HEAD_ONLY, (0, 0)),
        row("upload", &["-d", "hello", "/count"], "200 HTTP/1.1 1 bytes", &[READ, SENT], COMPLETE, (5, 1)),
        row("upload of nothing", &["-d", "", "/count"], "200 HTTP/1.1 1 bytes", &[BODILESS, SENT], COMPLETE, (0, 1)),
        // Without the interim response curl would wait until it gives up.
        row("file sent after 100 Continue",
            &["--expect100-timeout", "20", "-H", "Expect: 100-continue", "-T", FILE, "/count"],
            "200 HTTP/1.1 7 bytes", &[READ, SENT], COMPLETE, (MEGABYTE, 7)),
        row("data sent after 100 Continue",
            &["--expect100-timeout", "20", "-H", "Expect: 100-continue", "--data-binary", "@{file}", "/count"],
            "200 HTTP/1.1 7 bytes", &[READ, SENT], COMPLETE, (MEGABYTE, 7)),
        row("data refused instead of 100 Continue",
            &["--expect100-timeout", "20", "-H", "Expect: 100-continue", "--data-binary", "@{file}", "/refuse"],
            "413 HTTP/1.1 3 bytes",
            &["begin req.close(unread) response(413) res.data res.end finish(released) close(complete)"],
            COMPLETE, (0, 3)),
        row("chunked upload", &["-H", "Transfer-Encoding: chunked", "--data-binary", "@{file}", "/count"],
            "200 HTTP/1.1 7 bytes", &[READ, SENT], COMPLETE, (MEGABYTE, 7)),
        row("download of a file", &["/file"], "200 HTTP/1.1 1048576 bytes", &[BODILESS, SENT], COMPLETE, (0, MEGABYTE)),
        row("range of a file", &["-r", "1000-1999", "/file"], "206 HTTP/1.1 1000 bytes",
            &[BODILESS, READ_PART], COMPLETE, (0, 1000)),
        row("file not modified", &["-z", "Fri, 01 Jan 2100 00:00:00 GMT", "/file"], "304 HTTP/1.1 0 bytes",
            &[BODILESS, "response(304) res.end finish(released) close(complete)"], HEAD_ONLY, (0, 0)),
        row("client gives up on a parked handler", &["--max-time", "2", "/park"], "000 HTTP/0 0 bytes, exit 28",
            &[BODILESS, "close(unknown)"], GONE_IN_HANDLER, (0, 0)),
        row("GET over HTTP/1.0", &["-0", "/hello"], "200 HTTP/1 6 bytes", &[BODILESS, SENT], COMPLETE, (0, 6)),
        row("stream over HTTP/1.0, until close", &["-0", "/stream"], "200 HTTP/1 6 bytes",
            &[BODILESS, SENT], COMPLETE, (0, 6)),
        row("upload over HTTP/1.0", &["-0", "-d", "hello", "/count"], "200 HTTP/1 1 bytes",
            &[READ, SENT], COMPLETE, (5, 1)),
        Row { exchanges: 2, ..row("two requests on one connection", &["-w", "%{num_connects} ", "/hello", "/hello"],
            "1 0", &[BODILESS, SENT], COMPLETE, (0, 6)) },
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[rustfmt::skip]
async fn curl_over_http2() {
    // No row with two requests: curl before 8.0 fails on the second one (curl/curl#10634).
    const H2: &str = "--http2-prior-knowledge";
    check(Client::Curl, &[
        row("GET", &[H2, "/hello"], "200 HTTP/2 6 bytes", &[BODILESS, SENT], COMPLETE, (0, 6)),
        row("GET, stream", &[H2, "/stream"], "200 HTTP/2 6 bytes", &[BODILESS, SENT], COMPLETE, (0, 6)),
        // axum takes the body away outside the layer, so the head is all there is to know it by.
        row("HEAD", &[H2, "-I", "/hello"], "200 HTTP/2 0 bytes", &[BODILESS, EMPTY], HEAD_ONLY, (0, 0)),
        row("POST", &[H2, "-d", "hello", "/count"], "200 HTTP/2 1 bytes", &[READ, SENT], COMPLETE, (5, 1)),
        row("upload of a file", &[H2, "-T", FILE, "/count"], "200 HTTP/2 7 bytes",
            &[READ, SENT], COMPLETE, (MEGABYTE, 7)),
        row("download of a file", &[H2, "/file"], "200 HTTP/2 1048576 bytes", &[BODILESS, SENT], COMPLETE, (0, MEGABYTE)),
        row("file not modified", &[H2, "-z", "Fri, 01 Jan 2100 00:00:00 GMT", "/file"], "304 HTTP/2 0 bytes",
            &[BODILESS, "response(304) res.end finish(released) close(complete)"], HEAD_ONLY, (0, 0)),
        row("client gives up on a parked handler", &[H2, "--max-time", "2", "/park"], "000 HTTP/0 0 bytes, exit 28",
            &[BODILESS, "close(unknown)"], GONE_IN_HANDLER, (0, 0)),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[rustfmt::skip]
async fn nghttp() {
    const TRAILED: &str = "begin req.data req.end+trailers req.close(complete)";
    check(Client::Nghttp, &[
        row("GET", &["/hello"], "6 bytes", &[BODILESS, SENT], COMPLETE, (0, 6)),
        row("upload", &["-d", FILE, "/count"], "7 bytes", &[READ, SENT], COMPLETE, (MEGABYTE, 7)),
        row("upload of unknown length", &["--no-content-length", "-d", FILE, "/count"], "7 bytes",
            &[READ, SENT], COMPLETE, (MEGABYTE, 7)),
        row("upload with trailers", &["--trailer", "checksum: 1", "-d", FILE, "/count"], "7 bytes",
            &[TRAILED, SENT], COMPLETE, (MEGABYTE, 7)),
        row("download through small windows", &["-w", "10", "-W", "16", "/file"], "1048576 bytes",
            &[BODILESS, SENT], COMPLETE, (0, MEGABYTE)),
        Row { exchanges: 5, ..row("several streams", &["-m", "5", "/hello"], "30 bytes",
            &[BODILESS, SENT], COMPLETE, (0, 6)) },
        Row { exchanges: 5, ..row("several uploads", &["-m", "5", "-d", FILE, "/count"], "35 bytes",
            &[READ, SENT], COMPLETE, (MEGABYTE, 7)) },
    ])
    .await;
}

// ===== server, client, check =====

fn app(file: ServeFile, recorder: &Recorder) -> Router {
    let count = async |body: Bytes| body.len().to_string();
    let chunks = || Body::from_stream(stream::iter([Ok::<_, axum::Error>("hel"), Ok("lo\n")]));
    Router::new()
        .route("/hello", get(async || "hello\n"))
        .route("/stream", get(async move || chunks()))
        .route("/count", post(count).put(count))
        .route("/refuse", post(async || (StatusCode::PAYLOAD_TOO_LARGE, "no\n")))
        .route("/park", get(future::pending::<()>))
        .route_service("/file", file)
        .layer(LifecycleLayer::new(recorder.clone()).known_error::<axum::Error>())
}

impl Client {
    fn program(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Nghttp => "nghttp",
        }
    }

    fn command(self) -> Command {
        let mut command = Command::new(self.program());
        match self {
            Self::Curl => command
                .args(["-q", "-sS", "--noproxy", "*", "--max-time", CLIENT_PATIENCE])
                .args(["-w", "%{http_code} HTTP/%{http_version} %{size_download} bytes"]),
            Self::Nghttp => command.args(["-t", CLIENT_PATIENCE]),
        };
        command
    }

    /// What the client says of its success: of curl what it was told to write, of nghttp how much it got.
    fn run(self, server: SocketAddr, file: &str, args: &[&str]) -> String {
        let mut command = self.command();
        for arg in args {
            if arg.starts_with('/') {
                command.arg(format!("http://{server}{arg}"));
                if matches!(self, Self::Curl) {
                    command.args(["-o", "/dev/null"]);
                }
            } else {
                command.arg(arg.replace(FILE, file));
            }
        }
        let output = command.output().unwrap_or_else(|error| {
            let program = self.program();
            match error.kind() {
                ErrorKind::NotFound => {
                    panic!("`{program}` is not on the PATH: `scripts/test tools` installs it")
                }
                _ => panic!("`{program}` does not start: {error}"),
            }
        });
        let said = match self {
            Self::Curl => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            Self::Nghttp => format!("{} bytes", output.stdout.len()),
        };
        match output.status.code() {
            Some(0) => said,
            Some(code) => format!("{said}, exit {code}"),
            None => format!("{said}, {}", output.status),
        }
    }
}

/// Runs a row against a server of its own. What the client said, if it was not as expected: then there may be nothing
/// to wait for.
async fn play(client: Client, row: &Row, file: &str) -> Result<Vec<Recording>, String> {
    let recorder = Recorder::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let app = app(ServeFile::new(file), &recorder);
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let (file, args) = (file.to_owned(), row.args);
    let heard = task::spawn_blocking(move || client.run(server, &file, args)).await.unwrap();
    if heard != row.heard {
        return Err(heard);
    }
    let exchanges = recorder.settled(row.exchanges).await;
    serving.abort();
    Ok(exchanges)
}

/// What differs from the row.
async fn differences(client: Client, row: &Row, file: &str) -> Vec<String> {
    let exchanges = match timeout(PATIENCE, play(client, row, file)).await {
        Ok(Ok(exchanges)) => exchanges,
        Ok(Err(heard)) => return vec![format!(" {heard}, expected {}", row.heard)],
        Err(_) => return vec![" hangs".to_owned()],
    };
    let mut wrong = Vec::new();
    let mut compare = |told: String, expected: String| {
        if told != expected {
            wrong.push(format!("\n      told {told}\n  expected {expected}"));
        }
    };
    compare(exchanges.len().to_string(), row.exchanges.to_string());
    for exchange in exchanges {
        exchange.assert_grammar();
        let summary = exchange.summary().expect("a closed exchange has a summary");
        compare(exchange.words(), row.words.clone());
        compare(summary.close.to_string(), row.verdict.to_owned());
        let bytes = (summary.request.bytes, summary.response.bytes);
        compare(format!("{bytes:?}"), format!("{:?}", row.bytes));
    }
    wrong
}

async fn check(client: Client, rows: &[Row]) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&vec![b'x'; usize::try_from(MEGABYTE).unwrap()]).unwrap();
    let path = file.path().to_str().expect("the temporary directory has a name in UTF-8");
    let mut wrong = Vec::new();
    for row in rows {
        let differences = differences(client, row, path).await;
        wrong.extend(differences.iter().map(|what| format!("\n{}:{what}", row.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}
