//! What there is to ask for.

use std::{
    sync::Arc,
    task::{Context, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use super::{
    Inspector,
    answer::{Kind, Problem, answer, json},
    body::InspectorBody,
    events::Events,
    json::{ClosedOnes, Closes, Connections, Exchanges, Moment, Told},
    page,
    query::{List, Names, Query},
    text,
};
use crate::{ExchangeId, inflight::Filter};

type Answer = Result<Response<InspectorBody>, Problem>;

impl Inspector {
    pub(super) fn route<B>(&self, request: &Request<B>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let problem = Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "The inspector only shows: ask by GET or HEAD.",
            );
            return Err(problem.with(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
        }
        self.guard.check(request)?;
        let query = request.uri().query().unwrap_or_default();
        match request.uri().path() {
            "" | "/" => page::page(query),
            "/text" => self.text(query),
            "/api/exchanges" => self.exchanges(query),
            "/api/closed" => self.closed(query),
            "/api/connections" => self.connections(query),
            "/api/counts" => self.counts(query),
            "/api/events" => self.events(query, request.method()),
            path => match path.strip_prefix("/api/exchanges/") {
                Some(id) => self.story(id, query),
                None => Err(Problem::not_found(
                    "There is nothing here. There are, under where the inspector is mounted: the page itself, `text`, \
                     `api/exchanges`, `api/exchanges/{id}`, `api/closed`, `api/connections`, `api/counts` and `api/events`.",
                )),
            },
        }
    }

    fn text(&self, query: &str) -> Answer {
        let Query { filter, .. } = Query::parse(query, Names::Filter)?;
        Ok(answer(Kind::Text, Bytes::from(text::write(&self.inflight.select(&filter)))))
    }

    fn exchanges(&self, query: &str) -> Answer {
        let Query { filter, .. } = Query::parse(query, Names::Filter)?;
        let snapshot = self.inflight.select(&filter);
        Ok(json(&Exchanges(Moment(&snapshot, self.is_draining()))))
    }

    fn closed(&self, query: &str) -> Answer {
        let Query { filter, list, .. } = Query::parse(query, Names::FilterAnd("list"))?;
        let inflight = &self.inflight;
        let mut closed = match list {
            List::Recent => inflight.recent(),
            List::Slowest => inflight.slowest(),
            List::Failed => inflight.failed(),
        };
        closed.retain(|closed| filter.lets_closed(closed));
        closed.truncate(filter.most());
        Ok(json(&ClosedOnes { at: inflight.at(), closed: Closes(inflight, &closed) }))
    }

    fn connections(&self, query: &str) -> Answer {
        Query::parse(query, Names::Nothing)?;
        let Self { inflight, .. } = self;
        Ok(json(&Connections { at: inflight.at(), connections: &inflight.open_connections() }))
    }

    fn counts(&self, query: &str) -> Answer {
        Query::parse(query, Names::Nothing)?;
        let without_exchanges = self.inflight.select(&Filter::new().limit(0));
        Ok(json(&Moment(&without_exchanges, self.is_draining())))
    }

    fn story(&self, id: &str, query: &str) -> Answer {
        Query::parse(query, Names::Nothing)?;
        let id = id.parse().map(ExchangeId::numbered).map_err(|_| {
            Problem::bad_request(
                "An exchange is asked for by its number, as in `api/exchanges/42`.",
            )
        })?;
        let story = self.inflight.story(id).ok_or_else(|| {
            Problem::not_found(format!(
                "Exchange {id} is not known: it never was, or it has closed and was forgotten."
            ))
        })?;
        Ok(json(&Told { inflight: &self.inflight, story: &story }))
    }

    fn events(&self, query: &str, method: &Method) -> Answer {
        let Query { filter, interval, .. } = Query::parse(query, Names::FilterAnd("interval"))?;
        if method == Method::HEAD {
            return Ok(answer(Kind::Events, Bytes::new()));
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let sentence = "There are as many streams of events as there may be: close one, or allow more by \
                            `Inspector::max_streams`.";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, sentence);
            problem.with(header::RETRY_AFTER, HeaderValue::from_static("5"))
        })?;
        let ends = self.ends.as_ref().map(|ends| ends());
        let events = Events::new(self.inflight.clone(), filter, interval, ends, place);
        Ok(answer(Kind::Events, events))
    }

    fn is_draining(&self) -> bool {
        let Some(ends) = &self.ends else { return false };
        ends().as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}
