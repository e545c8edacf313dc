//! A stream of server-sent events: first all there is, then at each interval what has changed.
//!
//! It pulls. Nothing is looked at before the server asks for an event, which it does when it has room for one: a reader that is slow
//! holds up nobody, and costs what a few events take. What it has not seen when it comes back has changed once, not many times.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    json::{self, Closes, First, Moment, Tick},
    service::Ended,
};
use crate::{
    ExchangeId, Party, Wait,
    inflight::{Counts, Filter, InFlight, Open},
};

/// As many rows of closed exchanges are in an event.
const MOST_CLOSED: usize = 200;
/// After so long without an event there is a comment, so that nothing between takes the connection for dead.
const QUIET: Duration = Duration::from_secs(15);

pub(super) struct Events {
    inflight: InFlight,
    filter: Filter,
    period: Duration,
    ends: Option<Ended>,
    stage: Stage,
    told: Told,
    /// Given back by its drop.
    _place: OwnedSemaphorePermit,
}

enum Stage {
    Begin,
    Ticks(Ticks),
    End,
}

/// When to look, and when to say that there is nothing to say.
struct Ticks {
    sleep: Pin<Box<Sleep>>,
    look: Instant,
    said: Instant,
}

/// What the reader knows.
#[derive(Default)]
struct Told {
    /// What is listed.
    listed: HashMap<ExchangeId, Look>,
    hasher: RandomState,
    ticks: u64,
    counts: Counts,
    closed: u64,
}

/// How an exchange looked, and at which tick.
#[derive(Clone, Copy)]
struct Look {
    /// A hash, because it is only to be told from another.
    hash: u64,
    tick: u64,
}

impl Events {
    pub(super) fn new(
        inflight: InFlight,
        filter: Filter,
        period: Duration,
        ends: Option<Ended>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let (stage, told) = (Stage::Begin, Told::default());
        Self { inflight, filter, period, ends, stage, told, _place: place }
    }

    /// The next event, or comment.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let ends = |ends: &mut Ended| ends.as_mut().poll(cx).is_ready();
        // Taken, because it is not to be polled again.
        let draining = self.ends.take_if(ends).is_some();
        let (inflight, filter) = (&self.inflight, &self.filter);
        match &mut self.stage {
            Stage::End => Poll::Ready(None),
            Stage::Begin => {
                let now = Instant::now();
                let look = now + self.period;
                let sleep = Box::pin(sleep_until(look.min(now + QUIET)));
                let ticks = Ticks { sleep, look, said: now };
                self.stage = if draining { Stage::End } else { Stage::Ticks(ticks) };
                Poll::Ready(Some(self.told.first(inflight, filter, draining)))
            }
            Stage::Ticks(_) if draining => {
                self.stage = Stage::End;
                Poll::Ready(self.told.tick(inflight, filter, draining))
            }
            Stage::Ticks(ticks) => loop {
                ready!(ticks.sleep.as_mut().poll(cx));
                let now = Instant::now();
                let looks = now >= ticks.look;
                if looks {
                    ticks.look = now + self.period;
                }
                let tick = looks.then(|| self.told.tick(inflight, filter, draining)).flatten();
                let quiet = now >= ticks.said + QUIET;
                let said = tick.or(quiet.then(|| Bytes::from_static(b":\n\n")));
                if said.is_some() {
                    ticks.said = now;
                }
                ticks.sleep.as_mut().reset(ticks.look.min(ticks.said + QUIET));
                if said.is_some() {
                    return Poll::Ready(said);
                }
            },
        }
    }
}

impl Told {
    fn first(&mut self, inflight: &InFlight, filter: &Filter, draining: bool) -> Bytes {
        let snapshot = inflight.select(filter);
        let (mut closed, _) = inflight.closed_since(&mut self.closed, usize::MAX);
        closed.retain(|closed| filter.lets_closed(closed));
        closed.drain(..closed.len().saturating_sub(MOST_CLOSED));
        let looks = snapshot.exchanges.iter().map(|open| (open.id, self.look(open)));
        self.listed = looks.collect();
        for one in &closed {
            self.listed.remove(&one.id);
        }
        self.counts = snapshot.counts;
        event(
            "snapshot",
            &First { moment: Moment(&snapshot, draining), closed: Closes(inflight, &closed) },
        )
    }

    /// `None` where nothing has changed.
    fn tick(&mut self, inflight: &InFlight, filter: &Filter, draining: bool) -> Option<Bytes> {
        // In this order, so that what closes in between is not told as gone.
        let snapshot = inflight.select(filter);
        let (mut closed, missed) = inflight.closed_since(&mut self.closed, MOST_CLOSED);
        let also_closed: HashSet<_> = closed.iter().map(|closed| closed.id).collect();
        // What the reader has seen open it sees closed, though the filter asks for a state that no closed one has.
        closed.retain(|one| self.listed.remove(&one.id).is_some() || filter.lets_closed(one));

        self.ticks += 1;
        let (mut opened, mut changed) = (Vec::new(), Vec::new());
        for open in snapshot.exchanges.iter().filter(|open| !also_closed.contains(&open.id)) {
            let look = self.look(open);
            match self.listed.insert(open.id, look) {
                None => opened.push(open),
                Some(before) if before.hash != look.hash => changed.push(open),
                Some(_) => {}
            }
        }
        let mut gone = Vec::new();
        self.listed.retain(|id, look| {
            let listed = look.tick == self.ticks;
            if !listed {
                gone.push(id.get());
            }
            listed
        });
        gone.sort_unstable();

        let counted = mem::replace(&mut self.counts, snapshot.counts);
        let same = counted == snapshot.counts && missed == 0 && !draining;
        if same && opened.is_empty() && changed.is_empty() && closed.is_empty() && gone.is_empty() {
            return None;
        }
        Some(event(
            "tick",
            &Tick {
                moment: Moment(&snapshot, draining),
                opened: &opened,
                changed: &changed,
                closed: Closes(inflight, &closed),
                gone: &gone,
                missed,
            },
        ))
    }

    /// What of a row is not a matter of time alone.
    fn look(&self, open: &Open) -> Look {
        let last = |wait: Option<Wait>| wait.map(|wait| wait.last == Party::Producer);
        let times = &open.times;
        let hash = self.hasher.hash_one((
            (open.stage, open.state, open.status, open.route.is_some()),
            (open.request.bytes, open.request.frames, last(open.request_wait)),
            (open.response.bytes, open.response.frames, last(open.response_wait)),
            (times.request_close, times.response, times.response_end, times.disconnect),
        ));
        Look { hash, tick: self.ticks }
    }
}

/// JSON has no newline in it, so it is one line of data.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let mut event = format!("event: {name}\ndata: ").into_bytes();
    json::write(&mut event, data);
    event.extend_from_slice(b"\n\n");
    event.into()
}
