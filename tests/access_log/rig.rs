//! A log that is kept, and exchanges in memory.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, Uri};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_lifecycle::{
    LifecycleLayer, Observer, RequestBody,
    access_log::{AccessLog, Format},
    testing::{BoxError, ManualClock, MockBody},
};

use crate::support::polls::{now, read};

/// What a log was told.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub(crate) fn log(&self, format: Format) -> AccessLog {
        let lines = self.clone();
        AccessLog::new(format, move |line| lines.keep(line))
    }

    pub(crate) fn keep(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn only(&self) -> String {
        let mut lines = self.all();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.remove(0)
    }

    /// The only line, without its time, which has to be the clock's.
    pub(crate) fn at(&self, clock: &ManualClock) -> String {
        let line = self.only();
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!(time, shown(clock));
        rest.to_owned()
    }
}

pub(crate) fn shown(clock: &ManualClock) -> String {
    humantime::format_rfc3339_millis(clock.time()).to_string()
}

/// A handler that reads its request in two milliseconds, answers after ten, and takes twenty for its body.
pub(crate) fn exchange<O: Observer>(
    layer: LifecycleLayer<O>,
    clock: &ManualClock,
    request: Request<MockBody>,
    answer: Option<&MockBody>,
) {
    let ms = Duration::from_millis;
    let service = layer.with_clock(clock.clone()).layer(service_fn(
        async |request: Request<RequestBody<MockBody>>| {
            clock.advance(Duration::from_micros(2_050));
            let _ = read(request.into_body());
            clock.advance(ms(10));
            answer.cloned().map(Response::new).ok_or_else(|| BoxError::from("refused"))
        },
    ));
    if let Ok(response) = now(service.oneshot(request)) {
        clock.advance(ms(20));
        let _ = read(response.into_body());
    }
}

/// What is dropped while its handler is pending.
pub(crate) fn dropped<O: Observer>(layer: &LifecycleLayer<O>, request: Request<MockBody>) {
    let service = layer.layer(service_fn(async |_: Request<_>| {
        std::future::pending::<Result<Response<MockBody>, BoxError>>().await
    }));
    let mut future = Box::pin(service.oneshot(request));
    let waker = std::task::Waker::noop();
    assert!(future.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
}

/// An answer at once.
pub(crate) fn get<O: Observer>(layer: &LifecycleLayer<O>, uri: impl TryInto<Uri>) {
    let uri = uri.try_into().ok().expect("a target");
    let service = layer.layer(service_fn(async |_: Request<_>| {
        Ok::<_, BoxError>(Response::new(MockBody::empty()))
    }));
    let mut request = Request::new(MockBody::empty());
    *request.uri_mut() = uri;
    drop(now(service.oneshot(request)).unwrap());
}

/// The fields of a line, as a reader takes them apart that knows of quotes and spaces alone.
pub(crate) fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut rest = line.trim_start_matches(' ');
    while !rest.is_empty() {
        let (field, more) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a quote that is closed"),
            None => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
        };
        assert!(more.is_empty() || more.starts_with(' '), "{line}");
        fields.push(unescaped(field));
        rest = more.trim_start_matches(' ');
    }
    fields
}

fn unescaped(field: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((plain, escape)) = rest.split_once("\\x") {
        assert!(!plain.contains('\\'));
        bytes.extend_from_slice(plain.as_bytes());
        bytes.push(u8::from_str_radix(&escape[..2], 16).unwrap());
        rest = &escape[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap()
}
