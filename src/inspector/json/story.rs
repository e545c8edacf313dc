//! All that is known of one exchange.

use http::{HeaderName, HeaderValue, Version};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    Map, entries,
    rows::{ClosedRow, ConnectionRow, Row},
};
use crate::{
    Connection,
    inflight::{Headers, InFlight, Story},
};

/// `api/exchanges/{id}`
pub(crate) struct Told<'a> {
    pub(crate) inflight: &'a InFlight,
    pub(crate) story: &'a Story,
}

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { inflight, story } = self;
        let mut map = serializer.serialize_map(None)?;
        match story {
            Story::Open(open) => {
                entries!(map, { "open": true });
                Row(open).entries(&mut map)?;
                self.rest(&mut map, open.version, open.connection.as_ref(), open.headers())?;
            }
            Story::Closed(closed) => {
                let summary = &closed.summary;
                entries!(map, { "open": false });
                ClosedRow(closed, inflight.ago(closed)).entries(&mut map)?;
                let connection = summary.connection.as_ref();
                self.rest(&mut map, summary.version, connection, closed.headers())?;
            }
        }
        map.end()
    }
}

impl Told<'_> {
    fn rest<M: SerializeMap>(
        &self,
        map: &mut M,
        version: Version,
        connection: Option<&Connection>,
        headers: &Headers,
    ) -> Result<(), M::Error> {
        let open = connection.and_then(|it| self.inflight.open_connection(it.id()));
        let detail = connection.map(|connection| ConnectionRow(connection, open.as_ref()));
        let (request, response) = (lines(&headers.request), lines(&headers.response));
        entries!(map, {
            "version": format!("{version:?}"),
            "headers": Map([("request", &request), ("response", &response)]),
            "connection_detail": detail,
        });
        Ok(())
    }
}

fn lines(headers: &[(HeaderName, HeaderValue)]) -> Vec<(&str, String)> {
    let lossy = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str(), lossy(value))).collect()
}
