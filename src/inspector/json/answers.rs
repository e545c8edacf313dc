//! Whole answers, and the data of events.

use std::{
    borrow::Borrow,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    entries, object,
    rows::{ClosedRow, ConnectionRow, CountsRow, Row},
};
use crate::{
    inflight::{Closed, InFlight, Open, OpenConnection, Snapshot},
    text::json::millis,
};

/// `{"error": "…"}`
pub(crate) struct Error<'a>(pub(crate) &'a str);

/// `api/counts`: when, and how many there are. With whether the server drains.
pub(crate) struct Moment<'a>(pub(crate) &'a Snapshot, pub(crate) bool);

/// `api/exchanges`
pub(crate) struct Exchanges<'a>(pub(crate) Moment<'a>);

/// `api/connections`
pub(crate) struct Connections<'a> {
    pub(crate) at: SystemTime,
    pub(crate) connections: &'a [OpenConnection],
}

/// `api/closed`
pub(crate) struct ClosedOnes<'a> {
    pub(crate) at: SystemTime,
    pub(crate) closed: Closes<'a>,
}

/// The first event of a stream.
pub(crate) struct First<'a> {
    pub(crate) moment: Moment<'a>,
    pub(crate) closed: Closes<'a>,
}

/// Any other: what has changed.
pub(crate) struct Tick<'a> {
    pub(crate) moment: Moment<'a>,
    pub(crate) opened: &'a [&'a Open],
    pub(crate) changed: &'a [&'a Open],
    pub(crate) closed: Closes<'a>,
    pub(crate) gone: &'a [u64],
    pub(crate) missed: u64,
}

/// Closed exchanges, and who knows how long ago that was.
#[derive(Clone, Copy)]
pub(crate) struct Closes<'a>(pub(crate) &'a InFlight, pub(crate) &'a [Arc<Closed>]);

impl Moment<'_> {
    fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(Snapshot { at, counts, .. }, draining) = self;
        entries!(map, { "now": unix(*at), "counts": CountsRow(counts, *draining) });
        Ok(())
    }
}

impl Serialize for Moment<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(Snapshot { at, counts, .. }, draining) = self;
        let mut map = serializer.serialize_map(None)?;
        entries!(map, { "now": unix(*at) });
        CountsRow(counts, *draining).entries(&mut map)?;
        map.end()
    }
}

impl Serialize for Exchanges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(moment) = self;
        let Snapshot { exchanges, not_listed, .. } = moment.0;
        let mut map = serializer.serialize_map(None)?;
        moment.entries(&mut map)?;
        entries!(map, { "exchanges": Opens(exchanges), "not_listed": not_listed });
        map.end()
    }
}

impl Serialize for First<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { moment, closed } = self;
        let Snapshot { exchanges, not_listed, .. } = moment.0;
        let mut map = serializer.serialize_map(None)?;
        moment.entries(&mut map)?;
        entries!(map, {
            "exchanges": Opens(exchanges),
            "closed": closed,
            "not_listed": not_listed,
        });
        map.end()
    }
}

impl Serialize for Tick<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { moment, opened, changed, closed, gone, missed } = self;
        let mut map = serializer.serialize_map(None)?;
        moment.entries(&mut map)?;
        entries!(map, {
            "opened": Opens(opened),
            "changed": Opens(changed),
            "closed": closed,
            "gone": gone,
            "missed": missed,
            "not_listed": moment.0.not_listed,
        });
        map.end()
    }
}

impl Serialize for Connections<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        object!(serializer, { "now": unix(self.at), "connections": Lines(self.connections) })
    }
}

impl Serialize for ClosedOnes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        object!(serializer, { "now": unix(self.at), "closed": self.closed })
    }
}

impl Serialize for Error<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        object!(serializer, { "error": self.0 })
    }
}

struct Opens<'a, T>(&'a [T]);

impl<T: Borrow<Open>> Serialize for Opens<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|open| Row(open.borrow())))
    }
}

struct Lines<'a>(&'a [OpenConnection]);

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(self.0.iter().map(|open| ConnectionRow(&open.connection, Some(open))))
    }
}

impl Serialize for Closes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(inflight, closed) = self;
        serializer.collect_seq(closed.iter().map(|one| ClosedRow(one, inflight.ago(one))))
    }
}

/// Milliseconds since 1970.
fn unix(at: SystemTime) -> f64 {
    millis(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO))
}
