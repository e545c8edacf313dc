//! One exchange, one connection, and how many there are.

use std::time::Duration;

use http::Method;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Map, entries, object};
use crate::{
    Address, Connection, Mark, Stage, Tls, TraceIds, Wait,
    handle::Progress,
    inflight::{Closed, Counts, LiveState, Open, OpenConnection},
    text::json::{Shown, millis},
};

/// An open exchange.
pub(super) struct Row<'a>(pub(super) &'a Open);

/// A closed one, and how long ago it closed.
pub(super) struct ClosedRow<'a>(pub(super) &'a Closed, pub(super) Duration);

/// A connection; with what is known of it while it is open.
pub(super) struct ConnectionRow<'a>(
    pub(super) &'a Connection,
    pub(super) Option<&'a OpenConnection>,
);

pub(super) struct CountsRow<'a>(pub(super) &'a Counts, pub(super) bool);

const STAGES: [Stage; 4] = [Stage::Request, Stage::Handler, Stage::Response, Stage::Flush];

// ===== Exchanges =====

impl Row<'_> {
    pub(super) fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(open) = self;
        let times = open.times;
        entries!(map, {
            "id": open.id.get(),
            "connection": open.connection.as_ref().map(|connection| connection.id().get()),
            "peer": open.connection.as_ref().and_then(Connection::peer_addr).map(Shown),
            "method": open.method.as_str(),
            "path": open.path(),
            "route": open.route.as_deref(),
            "age": millis(open.age),
            "stage": open.stage.as_str(),
            "state": open.state.as_str(),
            "status": open.status.map(|status| status.as_u16()),
            "request": passed(open.request),
            "response": passed(open.response),
            "times": Map([
                ("request_close", times.request_close.map(millis)),
                ("response", times.response.map(millis)),
                ("response_end", times.response_end.map(millis)),
                ("disconnect", times.disconnect.map(millis)),
            ]),
            "waits": waits(open.request_wait, open.response_wait),
            "marks": marks(open.marks.iter().copied()),
            "trace": open.trace.map(trace_id),
        });
        Ok(())
    }
}

impl ClosedRow<'_> {
    pub(super) fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(closed, ago) = self;
        let summary = &closed.summary;
        let times =
            Mark::ALL.iter().map(|mark| (mark.as_str(), summary.marks.get(*mark).map(millis)));
        entries!(map, {
            "id": closed.id.get(),
            "connection": summary.connection.as_ref().map(|connection| connection.id().get()),
            "peer": summary.connection.as_ref().and_then(Connection::peer_addr).map(Shown),
            "method": summary.method.as_str(),
            "path": closed.path(),
            "route": summary.route.as_deref(),
            "status": summary.status.map(|status| status.as_u16()),
            "duration": millis(closed.duration),
            "ago": millis(*ago),
            "class": closed.class.as_str(),
            "reason": summary.close.reason.as_str(),
            "stage": summary.close.stage.as_str(),
            "initiator": summary.close.initiator.as_str(),
            "evidence": summary.close.evidence.as_str(),
            "termination": summary.termination().as_str(),
            "request_close": summary.request_close.as_str(),
            "request": passed(Progress { bytes: summary.request.bytes, frames: summary.request.frames }),
            "response": passed(Progress { bytes: summary.response.bytes, frames: summary.response.frames }),
            "times": Map(times),
            "waits": waits(summary.request.wait(), summary.response.wait()),
            "marks": marks(summary.marks.names()),
            "trace": summary.trace.map(trace_id),
        });
        Ok(())
    }
}

fn passed(Progress { bytes, frames }: Progress) -> impl Serialize {
    Map([("bytes", bytes), ("frames", frames)])
}

fn waits(request: Option<Wait>, response: Option<Wait>) -> impl Serialize {
    Map([("request", request.map(Waited)), ("response", response.map(Waited))])
}

fn marks(names: impl Iterator<Item = (&'static str, Duration)>) -> impl Serialize {
    names.map(|(name, at)| (name, millis(at))).collect::<Vec<_>>()
}

fn trace_id(ids: TraceIds) -> impl Serialize {
    Shown(format!("{:032x}", u128::from_be_bytes(ids.trace_id)))
}

#[derive(Clone, Copy)]
struct Waited(Wait);

impl Serialize for Waited {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Wait { producer, consumer, last } = self.0;
        object!(serializer, {
            "producer": millis(producer),
            "consumer": millis(consumer),
            "last": last.as_str(),
        })
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.entries(&mut map)?;
        map.end()
    }
}

impl Serialize for ClosedRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.entries(&mut map)?;
        map.end()
    }
}

// ===== Connections =====

impl Serialize for ConnectionRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(connection, open) = self;
        object!(serializer, {
            "id": connection.id().get(),
            "peer": connection.peer_addr().map(Shown::<&Address>),
            "local": connection.local_addr().map(Shown::<&Address>),
            "tls": connection.tls().map(Agreed),
            "age": open.map(|open| millis(open.age)),
            "state": open.map(|open| open.state.as_str()),
            "received": connection.received(),
            "sent": connection.sent(),
            "exchanges": connection.exchanges(),
            "open_exchanges": connection.open_exchanges(),
            "open_upgrades": connection.open_upgrades(),
            "upgraded": open.and_then(OpenConnection::upgraded).map(|(method, path): (&Method, &str)| {
                Map([("method", method.as_str()), ("path", path)])
            }),
        })
    }
}

struct Agreed<'a>(&'a Tls);

impl Serialize for Agreed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(Tls { alpn, server_name, version }) = self;
        object!(serializer, {
            "alpn": alpn.as_deref().map(String::from_utf8_lossy),
            "server_name": server_name,
            "version": version,
        })
    }
}

// ===== Counts =====

impl CountsRow<'_> {
    pub(super) fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(counts, draining) = self;
        // Those of connections are told by themselves.
        let of_exchanges = |state: &LiveState| {
            !matches!(state, LiveState::Upgraded | LiveState::Idle | LiveState::Busy)
        };
        let states = LiveState::ALL.into_iter().filter(of_exchanges);
        entries!(map, {
            "open": counts.open,
            "not_shown": counts.not_shown,
            "opened": counts.opened,
            "closed": counts.closed,
            "stages": Map(STAGES.map(|stage| (stage.as_str(), counts.stage(stage)))),
            "states": Map(states.map(|state| (state.as_str(), counts.state(state)))),
            "connections": counts.connections,
            "idle": counts.idle,
            "upgraded": counts.upgraded,
            "draining": draining,
        });
        Ok(())
    }
}

impl Serialize for CountsRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.entries(&mut map)?;
        map.end()
    }
}
