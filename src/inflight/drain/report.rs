//! What a drain came to.

use std::{
    collections::HashSet,
    fmt,
    time::{Duration, SystemTime},
};

use crate::{
    Connection,
    inflight::{LiveState, Open, OpenConnection},
};

/// What a [drain](super::Drain::run) came to: who was open to the last, and why.
///
/// `Display` makes it readable: what is left first, then what had to be ended, oldest first, a line for each with its age and what it
/// was doing. They are at most a hundred lines, and with `{:#}` as many as there are. It is ASCII: paths and addresses are
/// escaped, so that none of them writes anything else to a terminal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Requests that were refused, because it had begun.
    pub refused: u64,
    /// Of the exchanges that were open when it began how many ended within its patience: by themselves, or by others, as by their
    /// client or by the [grace](super#server) of the server.
    pub ended: u64,
    /// What became of each lot, in the order of [`Drain::lot`](super::Drain::lot); what is parked or open of it is so at the end. How
    /// many polls it ended is told of those that were emptied.
    #[cfg(feature = "park")]
    pub lots: Vec<crate::park::Drained>,
    /// Exchanges that were open when its patience ended, and were cancelled: what each was doing then is why.
    pub cancelled: Vec<Open>,
    /// How many more were cancelled than [are shown](crate::inflight::InFlightBuilder::max_open).
    pub cancelled_not_shown: usize,
    /// Upgraded streams that were open when its patience ended, and were cut: the connections that they were, or were on.
    pub upgraded: Vec<OpenConnection>,
    /// Exchanges that are open all the same: code that blocks its thread, or that nothing [reaches](super#what-cannot-be-cancelled).
    pub left: Vec<Open>,
    /// Connections with upgraded streams that are open all the same.
    pub left_upgraded: Vec<OpenConnection>,
    /// How many more exchanges are left than [are shown](crate::inflight::InFlightBuilder::max_open).
    pub not_shown: usize,
}

impl Report {
    pub(super) fn new(began: SystemTime) -> Self {
        Self {
            began,
            took: Duration::ZERO,
            refused: 0,
            ended: 0,
            #[cfg(feature = "park")]
            lots: Vec::new(),
            cancelled: Vec::new(),
            cancelled_not_shown: 0,
            upgraded: Vec::new(),
            left: Vec::new(),
            left_upgraded: Vec::new(),
            not_shown: 0,
        }
    }

    /// Whether it had nothing to end, and nothing is left.
    pub fn is_clean(&self) -> bool {
        let Self { cancelled, cancelled_not_shown, upgraded, .. } = self;
        let cancels_nothing = cancelled.is_empty() && *cancelled_not_shown == 0;
        cancels_nothing && upgraded.is_empty() && self.has_nothing_left()
    }

    /// Whether nothing is left. If something is, the runtime [may not end](super#what-cannot-be-cancelled) by itself.
    pub fn has_nothing_left(&self) -> bool {
        let Self { left, left_upgraded, not_shown, .. } = self;
        left.is_empty() && left_upgraded.is_empty() && *not_shown == 0 && self.parked() == 0
    }

    /// Polls that are left in lots.
    #[cfg_attr(not(feature = "park"), expect(clippy::unused_self, reason = "there are none"))]
    fn parked(&self) -> usize {
        #[cfg(feature = "park")]
        return self.lots.iter().map(|lot| lot.parked).sum();
        #[cfg(not(feature = "park"))]
        0
    }
}

/// So many lines are read, if any are.
const LINES: usize = 100;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { took, refused, ended, left, left_upgraded, not_shown, .. } = self;
        let is_left: HashSet<_> = left.iter().map(|open| open.id).collect();
        let cancelled: Vec<_> =
            self.cancelled.iter().filter(|open| !is_left.contains(&open.id)).collect();
        let is_left: HashSet<_> = left_upgraded.iter().map(|open| open.connection.id()).collect();
        let cut: Vec<_> =
            self.upgraded.iter().filter(|open| !is_left.contains(&open.connection.id())).collect();
        let cancelled_not_shown = self.cancelled_not_shown.saturating_sub(*not_shown);
        write!(
            f,
            "drained in {}: {ended} ended, {refused} refused, {} cancelled, {} cut, {} left",
            Seconds(*took),
            cancelled.len() + cancelled_not_shown,
            cut.len(),
            left.len() + left_upgraded.len() + not_shown,
        )?;
        let mut lines = (left.iter().map(|open| ("left", Line::Exchange(open))))
            .chain(left_upgraded.iter().map(|open| ("left", Line::Upgraded(open))))
            .chain(cancelled.into_iter().map(|open| ("cancelled", Line::Exchange(open))))
            .chain(cut.into_iter().map(|open| ("cut", Line::Upgraded(open))));
        let most = if f.alternate() { usize::MAX } else { LINES };
        for (what, line) in lines.by_ref().take(most) {
            let age = Seconds(line.age()).to_string();
            write!(f, "\n  {what:<9} {age:>8}  {line}")?;
        }
        for (more, of_what) in [
            (lines.count(), "more, not listed here"),
            (*not_shown, "more left, which the registry had no room for"),
            (cancelled_not_shown, "more cancelled, which the registry had no room for"),
            (self.parked(), "polls left in a lot"),
        ] {
            if more > 0 {
                write!(f, "\n  {more} {of_what}")?;
            }
        }
        Ok(())
    }
}

enum Line<'a> {
    Exchange(&'a Open),
    Upgraded(&'a OpenConnection),
}

impl Line<'_> {
    fn age(&self) -> Duration {
        match self {
            Self::Exchange(open) => open.age,
            Self::Upgraded(open) => open.age,
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(open) => Exchange(open).fmt(f),
            Self::Upgraded(open) => Upgraded(open).fmt(f),
        }
    }
}

/// `GET /feed: waits for its body's producer (12.2s in all); response 200, 5 bytes so far; exchange 7`.
struct Exchange<'a>(&'a Open);

impl fmt::Display for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Open { method, state, status, id, request, response, route, .. } = self.0;
        write!(f, "{method} {}", self.0.path().escape_default())?;
        if let Some(route) = route {
            write!(f, " ({})", route.escape_default())?;
        }
        write!(f, ": {}", why(*state))?;
        if let Some(waited) = self.waited() {
            write!(f, " ({} in all)", Seconds(waited))?;
        }
        if let Some(status) = status {
            write!(f, "; response {}, {} bytes so far", status.as_u16(), response.bytes)?;
        } else if request.bytes > 0 {
            write!(f, "; {} bytes read", request.bytes)?;
        }
        write!(f, "; exchange {id}{}", On(self.0.connection.as_ref()))
    }
}

impl Exchange<'_> {
    /// How long a body has waited, all in all, for whom it waits now.
    fn waited(&self) -> Option<Duration> {
        let Open { state, request_wait, response_wait, .. } = self.0;
        Some(match state {
            LiveState::Reading => request_wait.as_ref()?.producer,
            LiveState::Unread => request_wait.as_ref()?.consumer,
            LiveState::Producer => response_wait.as_ref()?.producer,
            LiveState::Client => response_wait.as_ref()?.consumer,
            _ => return None,
        })
    }
}

struct Upgraded<'a>(&'a OpenConnection);

impl fmt::Display for Upgraded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.upgraded() {
            Some((method, path)) => write!(f, "{method} {}", path.escape_default())?,
            None => f.write_str("a connection")?,
        }
        write!(f, ": upgraded{}", On(Some(&self.0.connection)))
    }
}

struct On<'a>(Option<&'a Connection>);

impl fmt::Display for On<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(connection) = self.0 else { return Ok(()) };
        write!(f, ", connection {}", connection.id())?;
        match connection.peer_addr() {
            // The path of a Unix socket.
            Some(peer) => write!(f, " of {}", peer.to_string().escape_default()),
            None => Ok(()),
        }
    }
}

/// In ASCII.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}s", self.0.as_secs_f64())
    }
}

fn why(state: LiveState) -> &'static str {
    match state {
        LiveState::Reading => "waits for the client to send the rest of its request",
        LiveState::Unread => "its handler does not read the request",
        LiveState::Handler => "waits for its handler",
        LiveState::Parked => "is parked",
        LiveState::Producer => "waits for its body's producer",
        LiveState::Client => "waits for its client to read",
        LiveState::Flushing => "is not flushed",
        _ => "it is not known what it waits for",
    }
}
