//! What the classifier says of each kind of exchange, beside what tower-http's `TraceLayer` calls `on_failure` with for
//! the same one. Pins the table in `tower_lifecycle::classify`.
//!
//! Two reasons are in no row: `transport_failed` and `shutdown` are facts of a connection, which no layer sees.

mod support;

use std::{
    collections::VecDeque,
    future, io,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tower::{ServiceBuilder, service_fn};
use tower_http::{
    classify::{
        GrpcCode, GrpcErrorsAsFailures, GrpcFailureClass, ServerErrorsAsFailures,
        ServerErrorsFailureClass, SharedClassifier,
    },
    trace::TraceLayer,
};
use tower_lifecycle::{
    Class, Classifier, Hooks, Interest, LifecycleLayer, Listener, Observer, Reason, RequestHead,
    Summary,
    classify::FailureClass,
    testing::{BoxError, Http2Frame},
};
use tower_service::Service;

use support::{
    client::{Act, Client},
    panics::{Scripted, boom, catch, quiet},
    polls::{poll_body, poll_once},
    reads_hyper,
    server::{Server, Signals},
};

use Handler::{Answers, Fails, Hangs, Panics};
use Play::{Broken, Bytes5, Eof, Hang, Panic, Status, Trailers};

// ===== the table =====

/// An exchange, and what is said of it.
struct Row {
    name: &'static str,
    given: Given,
    /// The class, as it is shown.
    class: &'static str,
    /// What `on_failure` is called with under each of tower-http's classifiers; `-` when it is not.
    server_errors: &'static str,
    grpc_errors: &'static str,
}

fn row(name: &'static str, given: Given, said: [&'static str; 3]) -> Row {
    let [class, server_errors, grpc_errors] = said;
    Row { name, given, class, server_errors, grpc_errors }
}

#[rustfmt::skip]
fn reasons() -> Vec<Row> {
    vec![
        row("a panic", ends(Panics), ["failure: panicked", "-", "-"]),
        row("a panic of the body", answers(200, &[Bytes5, Panic]), ["failure: panicked", "-", "-"]),
        row("a panic of an answer of 503", answers(503, &[Panic]), ["failure: panicked", "StatusCode", "-"]),
        row("an error of the service", ends(Fails), ["failure: service_failed", "Error", "Error"]),
        row("an error of the body", answers(200, &[Bytes5, Broken]), ["failure: response_failed", "-", "Error"]),
        row("an error of the body of a 503", answers(503, &[Broken]), ["failure: response_failed", "StatusCode", "Error"]),
        row("an error of the body after grpc-status 0 in the head",
            answers(200, &[Broken]).head("0"), ["failure: response_failed", "-", "-"]),
        row("an error of the body after grpc-status 13 in the head",
            answers(200, &[Broken]).head("13"), ["failure: response_failed", "-", "Status(13)"]),
        row("an error of the request body", answers(400, &[]).uploads(&[Bytes5, Broken]), ["failure: request_failed", "-", "-"]),
        row("an error of the request body that the service passes on",
            ends(Fails).uploads(&[Broken]), ["failure: request_failed", "Error", "Error"]),
        row("a body too short", answers(200, &[Bytes5]).length(6), ["failure: length_mismatch", "-", "-"]),
        row("a body too long", answers(200, &[Bytes5, Bytes5]).length(6), ["failure: length_mismatch", "-", "-"]),
        row("an upload too short", answers(400, &[]).uploads(&[Bytes5]).declares(6), ["failure: length_mismatch", "-", "-"]),
    ]
}

#[rustfmt::skip]
fn statuses() -> Vec<Row> {
    vec![
        row("200", answers(200, &[Bytes5]), ["success", "-", "-"]),
        row("101", answers(101, &[]), ["success", "-", "-"]),
        row("404", answers(404, &[Bytes5]), ["success", "-", "-"]),
        row("499", answers(499, &[]), ["success", "-", "-"]),
        row("500", answers(500, &[Bytes5]), ["failure: status 500", "StatusCode", "-"]),
        row("599", answers(599, &[]), ["failure: status 599", "StatusCode", "-"]),
        row("600", answers(600, &[]), ["success", "-", "-"]),
        row("503 with grpc-status 0", answers(503, &[Status("0")]), ["failure: status 503", "StatusCode", "-"]),
        row("503 with grpc-status 1", answers(503, &[Status("1")]), ["failure: status 503", "StatusCode", "Status(1)"]),
        row("503 with grpc-status 13", answers(503, &[]).head("13"), ["failure: status 503", "StatusCode", "Status(13)"]),
    ]
}

#[rustfmt::skip]
fn grpc() -> Vec<Row> {
    vec![
        row("0 in trailers", answers(200, &[Bytes5, Status("0")]), ["success", "-", "-"]),
        row("1 in trailers", answers(200, &[Bytes5, Status("1")]), ["cancelled", "-", "Status(1)"]),
        row("5 in trailers", answers(200, &[Bytes5, Status("5")]), ["failure: grpc-status 5", "-", "Status(5)"]),
        row("16 in trailers", answers(200, &[Status("16")]), ["failure: grpc-status 16", "-", "Status(16)"]),
        row("0 in the head", answers(200, &[]).head("0"), ["success", "-", "-"]),
        row("1 in the head", answers(200, &[]).head("1"), ["cancelled", "-", "Status(1)"]),
        row("13 in the head", answers(200, &[]).head("13"), ["failure: grpc-status 13", "-", "Status(13)"]),
        row("trailers without it", answers(200, &[Bytes5, Trailers]), ["success", "-", "-"]),
        row("trailers without it, 5 in the head", answers(200, &[Trailers]).head("5"), ["failure: grpc-status 5", "-", "Status(5)"]),
        // The trailers come last, and are believed; tower-http has decided by the head.
        row("13 in trailers, 0 in the head", answers(200, &[Status("13")]).head("0"), ["failure: grpc-status 13", "-", "-"]),
        row("0 in trailers, 13 in the head", answers(200, &[Status("0")]).head("13"), ["success", "-", "Status(13)"]),

        row("17, which there is not", answers(200, &[Status("17")]), ["failure: grpc-status 17", "-", "Status(17)"]),
        row("31", answers(200, &[Status("31")]), ["failure: grpc-status 31", "-", "Status(31)"]),
        row("32", answers(200, &[Status("32")]), ["failure: grpc-status 32", "-", "Status(32)"]),
        row("2^31", answers(200, &[Status("2147483648")]), ["failure: grpc-status 2147483648", "-", "-"]),
        row("2^32 - 1", answers(200, &[Status("4294967295")]), ["failure: grpc-status 4294967295", "-", "-"]),
        // What is no number is UNKNOWN, as gRPC has it.
        row("2^32", answers(200, &[Status("4294967296")]), ["failure: grpc-status 2", "-", "-"]),
        row("-1", answers(200, &[Status("-1")]), ["failure: grpc-status 2", "-", "Status(-1)"]),
        row("a word", answers(200, &[Status("ok")]), ["failure: grpc-status 2", "-", "-"]),
        row("a word in the head", answers(200, &[]).head("ok"), ["failure: grpc-status 2", "-", "-"]),
        row("nothing", answers(200, &[Status("")]), ["failure: grpc-status 2", "-", "-"]),
        row("not even text", answers(200, &[Status("\u{e9}")]), ["failure: grpc-status 2", "-", "-"]),
    ]
}

#[rustfmt::skip]
fn given_up() -> Vec<Row> {
    vec![
        row("the client leaves in its upload", answers(200, &[]).uploads(&[Bytes5, Eof]), ["cancelled", "-", "-"]),
        row("and is told so", answers(400, &[Bytes5]).uploads(&[Eof]), ["cancelled", "-", "-"]),
        row("and the service passes it on", ends(Fails).uploads(&[Eof]), ["cancelled", "Error", "Error"]),
        row("and the service makes it a 500", answers(500, &[]).uploads(&[Eof]), ["failure: status 500", "StatusCode", "-"]),
        row("and the service makes it grpc-status 13",
            answers(200, &[Status("13")]).uploads(&[Eof]), ["failure: grpc-status 13", "-", "Status(13)"]),
        row("and the service makes it grpc-status 1",
            answers(200, &[Status("1")]).uploads(&[Eof]), ["cancelled", "-", "Status(1)"]),
        row("and the answer is dropped", answers(200, &[Bytes5, Hang]).uploads(&[Eof]), ["cancelled", "-", "-"]),
        row("the client resets the connection", answers(400, &[]).uploads(&[Play::Reset]), ["cancelled", "-", "-"]),
        row("dropped without an answer", ends(Hangs), ["cancelled", "-", "-"]),
        row("dropped in the answer", answers(200, &[Bytes5, Hang]), ["cancelled", "-", "-"]),
        row("dropped in the answer of a 503", answers(503, &[Hang]), ["failure: status 503", "StatusCode", "-"]),
        row("dropped after grpc-status 0 in the head", answers(200, &[Hang]).head("0"), ["cancelled", "-", "-"]),
        row("dropped after grpc-status 13 in the head",
            answers(200, &[Hang]).head("13"), ["failure: grpc-status 13", "-", "Status(13)"]),
        row("a client that drops its call", ends(Hangs).client(), ["cancelled", "-", "-"]),
        row("a client that drops a response", answers(200, &[Bytes5, Hang]).client(), ["cancelled", "-", "-"]),
        row("a client whose server leaves", answers(200, &[Bytes5, Eof]).client(), ["cancelled", "-", "Error"]),
        row("a client whose server resets the connection", answers(200, &[Play::Reset]).client(), ["cancelled", "-", "Error"]),
    ]
}

#[test]
fn each_row_is_as_the_docs_have_it() {
    quiet();
    let mut wrong = Vec::new();
    for Row { name, given, class, server_errors, grpc_errors } in
        [reasons(), statuses(), grpc(), given_up()].into_iter().flatten()
    {
        let told = exchange(&given, Interest::ALL, GrpcErrorsAsFailures::new());
        let said = Classifier::new().classify(&told.summary).to_string();
        let seen = [said.as_str(), &told.server_errors, &told.grpc_errors];
        if seen != [class, server_errors, grpc_errors] {
            wrong.push(format!("{name}: {seen:?}, {}", told.summary.close));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_rows_have_every_reason_that_a_layer_can_see_but_one() {
    quiet();
    let rows = [reasons(), statuses(), grpc(), given_up()].into_iter().flatten();
    let mut seen: Vec<_> = rows
        .map(|row| exchange(&row.given, Interest::ALL, GrpcErrorsAsFailures::new()))
        .map(|told| told.summary.close.reason.as_str())
        .collect();
    seen.sort_unstable();
    seen.dedup();
    // `stream_reset` takes a stream that can be reset: see below.
    #[rustfmt::skip]
    assert_eq!(seen, [
        "cancelled", "complete", "disconnected", "length_mismatch", "panicked", "request_failed", "reset",
        "response_failed", "service_failed", "unknown", "upgraded",
    ]);
}

// ===== what else there is to say =====

fn classify(classifier: Classifier, given: &Given) -> Class {
    classifier.classify(&exchange(given, Interest::ALL, GrpcErrorsAsFailures::new()).summary)
}

fn trailing(code: &'static str) -> Given {
    answers(200, &[Bytes5, Status(code)])
}

#[test]
fn a_code_that_is_named_a_success_is_one_as_it_is_to_tower_http() {
    let classifier = Classifier::new().grpc_success(5);
    let theirs = GrpcErrorsAsFailures::new().with_success(GrpcCode::NotFound);
    for given in [trailing("5"), answers(200, &[]).head("5")] {
        let told = exchange(&given, Interest::ALL, theirs.clone());
        assert_eq!(classifier.classify(&told.summary), Class::Success);
        assert_eq!(told.grpc_errors, "-");
    }
    let told = exchange(&trailing("6"), Interest::ALL, theirs);
    assert_eq!(classifier.classify(&told.summary), Class::Failure(FailureClass::Grpc(6)));
    assert_eq!(told.grpc_errors, "Status(6)");
}

#[test]
fn naming_a_code_a_success_takes_nothing_back() {
    let classifier = Classifier::new().grpc_success(5).grpc_success(1).grpc_success(5);
    for code in ["0", "1", "5"] {
        assert_eq!(classify(classifier, &trailing(code)), Class::Success, "{code}");
    }
}

#[test]
fn codes_above_31_stay_failures() {
    let classifier = Classifier::new().grpc_success(31).grpc_success(32).grpc_success(u32::MAX);
    assert_eq!(classify(classifier, &trailing("31")), Class::Success);
    for (code, text) in [(32, "32"), (33, "33"), (63, "63"), (u32::MAX, "4294967295")] {
        let failure = Class::Failure(FailureClass::Grpc(code));
        assert_eq!(classify(classifier, &trailing(text)), failure);
    }
}

#[test]
fn a_success_by_name_does_not_make_up_for_a_status_or_for_what_was_given_up() {
    let classifier = Classifier::new().grpc_success(1);
    let failure = Class::Failure(FailureClass::Status(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(classify(classifier, &answers(503, &[Status("1")])), failure);
    assert_eq!(classify(classifier, &answers(200, &[Hang]).head("1")), Class::Cancelled);
}

#[test]
fn without_interest_in_trailers_no_grpc_status_is_seen() {
    let said = |given: &Given| {
        let interest = Interest::ALL - Interest::TRAILERS;
        let told = exchange(given, interest, GrpcErrorsAsFailures::new());
        assert_eq!(told.summary.grpc_status, None);
        Classifier::new().classify(&told.summary)
    };
    for given in [trailing("13"), trailing("1"), answers(200, &[]).head("13")] {
        assert_eq!(said(&given), Class::Success);
    }
    let failure = Class::Failure(FailureClass::Status(StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(said(&answers(500, &[Status("0")])), failure);
    let failure = Class::Failure(FailureClass::Reason(Reason::ResponseFailed));
    assert_eq!(said(&answers(200, &[Broken])), failure);
}

#[test]
fn hooks_with_a_close_see_grpc_status() {
    let (classes, close) = classes();
    let mut service = ServiceBuilder::new()
        .layer(LifecycleLayer::new(close))
        .service_fn(|request| handle(trailing("13"), request));
    drive(&mut service, &trailing("13"));
    assert_eq!(*classes.lock().unwrap(), [Class::Failure(FailureClass::Grpc(13))]);
}

#[test]
fn a_class_has_a_word_and_says_whether_it_is_a_failure() {
    let failure = Class::Failure(FailureClass::Grpc(14));
    let said = [Class::Success, failure, Class::Cancelled].map(|class| {
        assert_eq!(class.is_failure(), class == failure);
        class.as_str()
    });
    assert_eq!(said, ["success", "failure", "cancelled"]);
    assert_eq!(Classifier::default(), Classifier::new());
}

// ===== over HTTP/2 =====

/// Longer than anything here should take.
const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn grpc_over_http2_is_classified_by_its_trailers() {
    let (classes, close) = classes();
    let service = ServiceBuilder::new().layer(LifecycleLayer::new(close)).service(service_fn(
        |request: Request<tower_lifecycle::RequestBody<hyper::body::Incoming>>| async move {
            let given = match request.uri().path() {
                "/ok" => answers(200, &[Bytes5, Status("0")]),
                "/unavailable" => answers(200, &[Bytes5, Status("14")]),
                "/cancelled" => answers(200, &[Bytes5, Status("1")]),
                // As gRPC has it when there is nothing to trail.
                _ => answers(200, &[]).head("12"),
            };
            request.into_body().collect().await?;
            Ok::<_, BoxError>(given.answer())
        },
    ));
    let server = Server::start(service).await;
    let calls = async {
        let stream = TcpStream::connect(server.addr).await.unwrap();
        let (mut client, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut received = Vec::new();
        for path in ["/ok", "/unavailable", "/cancelled", "/nowhere"] {
            let request = Request::post(format!("http://localhost{path}"));
            let request = request.body(Empty::<Bytes>::new()).unwrap();
            let response = client.send_request(request).await.unwrap();
            let head = response.headers().get(GRPC_STATUS).cloned();
            let body = response.into_body().collect().await.unwrap();
            let status = body.trailers().and_then(|trailers| trailers.get(GRPC_STATUS)).cloned();
            received.push(head.or(status).expect("gRPC's status arrives"));
        }
        received
    };
    let received = tokio::time::timeout(LONG, calls).await.unwrap();
    assert_eq!(received, ["0", "14", "1", "12"]);
    let failure = |code| Class::Failure(FailureClass::Grpc(code));
    let expected = [Class::Success, failure(14), Class::Cancelled, failure(12)];
    assert_eq!(*classes.lock().unwrap(), expected);
}

/// hyper tells of a reset with `NO_ERROR` by its body alone; of another also by its error, which takes the feature `hyper`.
#[tokio::test]
async fn a_stream_that_the_client_resets_is_cancelled() {
    for code in [Http2Frame::NO_ERROR, Http2Frame::CANCEL] {
        if code == Http2Frame::CANCEL && !cfg!(feature = "hyper") {
            continue;
        }
        let (send, mut closed) = tokio::sync::mpsc::unbounded_channel();
        let close = Hooks::new().on_close(move |summary| {
            let _ = send.send((summary.close.reason, Classifier::new().classify(summary)));
        });
        let signals = Arc::new(Signals::default());
        let reading = Arc::clone(&signals);
        let layer = reads_hyper(LifecycleLayer::new(close));
        let service = ServiceBuilder::new().layer(layer).service(service_fn(
            move |request: Request<tower_lifecycle::RequestBody<hyper::body::Incoming>>| {
                let signals = Arc::clone(&reading);
                async move {
                    let mut body = request.into_body();
                    let _ = body.frame().await;
                    signals.read.notify_one();
                    let _ = body.frame().await;
                    Ok::<_, BoxError>(answers(400, &[]).answer())
                }
            },
        ));
        let server = Server::start(service).await;
        let script = [
            Act::Request(1, "POST", &[("content-length", "10")], false),
            Act::Data(1, "hello", false),
            Act::AwaitRead,
            Act::Rst(1, code),
        ];
        let said = async {
            let mut client = Client::connect(server.addr).await;
            client.play(&script, &signals).await;
            closed.recv().await.expect("closed")
        };
        let said = tokio::time::timeout(LONG, said).await.unwrap();
        assert_eq!(said, (Reason::StreamReset, Class::Cancelled), "code {code}");
    }
}

// ===== an exchange in memory =====

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What a body does next. After the last it is at its end.
#[derive(Clone, Copy, Debug)]
enum Play {
    Bytes5,
    /// Trailers with this `grpc-status`.
    Status(&'static str),
    /// Other trailers.
    Trailers,
    /// An error that says nothing.
    Broken,
    /// An error as hyper makes it when the peer has closed.
    Eof,
    /// An error as the system makes it when the peer has reset the connection.
    Reset,
    Panic,
    /// Pending for ever.
    Hang,
}

#[derive(Clone, Copy, Debug)]
enum Handler {
    Answers,
    Fails,
    Panics,
    Hangs,
}

/// What happens in an exchange. The request is read to its end or its error; the response is read until it is not ready,
/// and dropped.
#[derive(Clone, Debug)]
struct Given {
    client: bool,
    upload: Vec<Play>,
    declares: Option<u64>,
    handler: Handler,
    status: u16,
    head: Option<&'static str>,
    length: Option<u64>,
    body: Vec<Play>,
}

fn answers(status: u16, body: &[Play]) -> Given {
    Given { status, body: body.to_vec(), ..ends(Answers) }
}

fn ends(handler: Handler) -> Given {
    Given {
        client: false,
        upload: Vec::new(),
        declares: None,
        handler,
        status: 200,
        head: None,
        length: None,
        body: Vec::new(),
    }
}

impl Given {
    fn uploads(self, upload: &[Play]) -> Self {
        Self { upload: upload.to_vec(), ..self }
    }

    fn declares(self, length: u64) -> Self {
        Self { declares: Some(length), ..self }
    }

    /// With this `grpc-status` in the response's head.
    fn head(self, status: &'static str) -> Self {
        Self { head: Some(status), ..self }
    }

    fn length(self, length: u64) -> Self {
        Self { length: Some(length), ..self }
    }

    fn client(self) -> Self {
        Self { client: true, ..self }
    }

    fn request(&self) -> Request<Frames> {
        let mut request = Request::new(Frames(self.upload.iter().copied().collect()));
        *request.method_mut() = Method::POST;
        declare(request.headers_mut(), self.declares);
        request
    }

    fn answer(&self) -> Response<Frames> {
        let mut response = Response::new(Frames(self.body.iter().copied().collect()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap();
        declare(response.headers_mut(), self.length);
        if let Some(status) = self.head {
            response.headers_mut().insert(GRPC_STATUS, HeaderValue::from_static(status));
        }
        response
    }
}

fn declare(headers: &mut HeaderMap, length: Option<u64>) {
    if let Some(length) = length {
        headers.insert(http::header::CONTENT_LENGTH, length.into());
    }
}

/// What was said of an exchange.
struct Told {
    summary: Summary,
    server_errors: String,
    grpc_errors: String,
}

fn exchange(given: &Given, interest: Interest, grpc: GrpcErrorsAsFailures) -> Told {
    type Said = Arc<Mutex<Vec<String>>>;
    let (by_status, by_grpc) = (Said::default(), Said::default());
    let server_errors = {
        let said = Arc::clone(&by_status);
        TraceLayer::new(SharedClassifier::new(ServerErrorsAsFailures::new())).on_failure(
            move |class: ServerErrorsFailureClass, _: Duration, _: &_| {
                said.lock().unwrap().push(match class {
                    ServerErrorsFailureClass::StatusCode(_) => "StatusCode".to_owned(),
                    ServerErrorsFailureClass::Error(_) => "Error".to_owned(),
                });
            },
        )
    };
    let grpc_errors = {
        let said = Arc::clone(&by_grpc);
        TraceLayer::new(SharedClassifier::new(grpc)).on_failure(
            move |class: GrpcFailureClass, _: Duration, _: &_| {
                said.lock().unwrap().push(match class {
                    GrpcFailureClass::Status(status) => format!("Status({})", status.code_raw()),
                    GrpcFailureClass::Error(_) => "Error".to_owned(),
                    other => format!("{other:?}"),
                });
            },
        )
    };
    let kept = Keeper { interest, summary: Arc::default() };
    let layer = LifecycleLayer::new(kept.clone());
    let layer = if given.client { layer.client() } else { layer };
    let mut service = ServiceBuilder::new()
        .layer(layer)
        .layer(server_errors)
        .layer(grpc_errors)
        .service_fn(|request| handle(given.clone(), request));
    drive(&mut service, given);

    let said = |said: &Said| {
        let said = said.lock().unwrap();
        if said.is_empty() { "-".to_owned() } else { said.join(" ") }
    };
    let summary = kept.summary.lock().unwrap().take().expect("closed");
    Told { summary, server_errors: said(&by_status), grpc_errors: said(&by_grpc) }
}

async fn handle<B>(given: Given, request: Request<B>) -> Result<Response<Frames>, BoxError>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    let mut body = pin!(request.into_body());
    while let Some(Ok(_)) = body.as_mut().frame().await {}
    match given.handler {
        Answers => Ok(given.answer()),
        Fails => Err("the service failed".into()),
        Panics => boom(),
        Hangs => future::pending().await,
    }
}

/// Calls the service, reads its response as far as there is something, and drops what there is.
fn drive<S, B>(service: &mut S, given: &Given)
where
    S: Service<Request<Frames>, Response = Response<B>, Error = BoxError>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    let unwound: Result<(), Scripted> = catch(|| {
        let mut future = pin!(service.call(given.request()));
        let Poll::Ready(Ok(response)) = poll_once(future.as_mut()) else { return };
        let mut body = Box::pin(response.into_body());
        while let Poll::Ready(Some(Ok(_))) = poll_body(&mut body) {}
    });
    drop(unwound);
}

/// Keeps the summary of the one exchange.
#[derive(Clone)]
struct Keeper {
    interest: Interest,
    summary: Arc<Mutex<Option<Summary>>>,
}

impl Observer for Keeper {
    type State = Self;

    fn interest(&self) -> Interest {
        self.interest
    }

    fn begin(&self, _: &RequestHead<'_>) -> Option<Self> {
        Some(self.clone())
    }
}

impl Listener for Keeper {
    fn on_close(&mut self, summary: &Summary) {
        *self.summary.lock().unwrap() = Some(summary.clone());
    }
}

/// As most will classify.
fn classes() -> (Arc<Mutex<Vec<Class>>>, Hooks) {
    let classes = Arc::<Mutex<Vec<Class>>>::default();
    let said = Arc::clone(&classes);
    let close = Hooks::new().on_close(move |summary| {
        said.lock().unwrap().push(Classifier::new().classify(summary));
    });
    (classes, close)
}

struct Frames(VecDeque<Play>);

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(match self.0.pop_front() {
            None => return Poll::Ready(None),
            Some(Hang) => return Poll::Pending,
            Some(Panic) => boom(),
            Some(Bytes5) => Ok(Frame::data(Bytes::from_static(b"hello"))),
            Some(Trailers) => Ok(trailers("checksum", "1")),
            Some(Status(status)) => Ok(trailers("grpc-status", status)),
            Some(Broken) => Err("broken".into()),
            Some(Eof) => Err(Box::new(Closed(io::ErrorKind::UnexpectedEof.into()))),
            Some(Play::Reset) => Err(Box::new(Closed(io::ErrorKind::ConnectionReset.into()))),
        }))
    }
}

fn trailers(name: &'static str, value: &'static str) -> Frame<Bytes> {
    let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
    Frame::trailers(HeaderMap::from_iter([(HeaderName::from_static(name), value)]))
}

/// An error with the transport's as its source.
#[derive(Debug)]
struct Closed(io::Error);

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is closed")
    }
}

impl std::error::Error for Closed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
