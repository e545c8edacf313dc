//! Trace context and baggage, in and out of headers.

use std::{cell::OnceCell, iter, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header::GetAll};
use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector, TextMapPropagator},
};

/// The user's, or the global one of the moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Propagator(Option<Arc<dyn TextMapPropagator + Send + Sync>>);

struct Extracted<'a> {
    headers: &'a HeaderMap,
    /// Those of [`LISTS`] that are more than one line.
    joined: [OnceCell<String>; LISTS.len()],
}

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What is one list, however many lines it takes: W3C's Trace Context, section 3.3.1, and Baggage, section 3.3.
static LISTS: [HeaderName; 2] =
    [HeaderName::from_static("tracestate"), HeaderName::from_static("baggage")];

struct Injected<'a>(&'a mut HeaderMap);

impl Propagator {
    pub(super) fn new(propagator: Arc<dyn TextMapPropagator + Send + Sync>) -> Self {
        Self(Some(propagator))
    }

    fn with<T>(&self, mut run: impl FnMut(&dyn TextMapPropagator) -> T) -> T {
        match &self.0 {
            Some(propagator) => run(&**propagator),
            None => global::get_text_map_propagator(run),
        }
    }

    /// The current context, with what the headers say.
    pub(super) fn extract(&self, headers: &HeaderMap) -> Context {
        self.with(|propagator| propagator.extract(&Extracted::new(headers)))
    }

    /// Whether the headers say something.
    pub(super) fn finds(&self, headers: &HeaderMap) -> bool {
        self.with(|propagator| propagator.fields().any(|field| headers.contains_key(field)))
    }

    /// Writes the current context.
    pub(super) fn inject(&self, headers: &mut HeaderMap) {
        self.with(|propagator| propagator.inject(&mut Injected(headers)));
    }
}

impl<'a> Extracted<'a> {
    fn new(headers: &'a HeaderMap) -> Self {
        Self { headers, joined: Default::default() }
    }

    /// A name that is known need not be parsed.
    fn all(&self, key: &str) -> GetAll<'a, HeaderValue> {
        let known = iter::once(&TRACEPARENT).chain(&LISTS).find(|known| known.as_str() == key);
        known.map_or_else(|| self.headers.get_all(key), |known| self.headers.get_all(known))
    }

    fn lines(&self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.all(key).iter().filter_map(|value| value.to_str().ok())
    }
}

impl Extractor for Extracted<'_> {
    /// Of a header that is there twice, and must not be, nothing is believed: W3C's Trace Context, section 3.2.
    fn get(&self, key: &str) -> Option<&str> {
        let mut values = self.all(key).iter();
        let value = values.next()?.to_str().ok();
        if values.next().is_none() {
            return value;
        }
        if let Some(list) = LISTS.iter().position(|list| list == key) {
            let lines = || self.lines(key).collect::<Vec<_>>().join(",");
            return Some(self.joined[list].get_or_init(lines));
        }
        value.filter(|_| TRACEPARENT != key)
    }

    fn keys(&self) -> Vec<&str> {
        self.headers.keys().map(HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values: Vec<_> = self.lines(key).collect();
        (!values.is_empty()).then_some(values)
    }
}

impl Injector for Injected<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            // Not `insert`, which panics where a map is full.
            let _ = self.0.try_insert(name, value);
        }
    }

    fn reserve(&mut self, additional: usize) {
        // Nor `reserve`.
        let _ = self.0.try_reserve(additional);
    }
}
