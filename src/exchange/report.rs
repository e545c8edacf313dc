//! What wrappers report: a fact with what its hooks are handed, borrowed, or owned while it waits for its turn.

use std::{error::Error, time::Instant};

use http::{HeaderMap, StatusCode, Version};

use super::{
    join::Newcomer,
    machine::{Cause, Fact, Outlet},
    marks::Mark,
};
use crate::{Data, Interest, close::Evidence};

/// A side of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// A fact with what its hooks are handed.
#[derive(Clone, Copy)]
pub(crate) struct Report<'a> {
    pub(super) fact: Fact,
    pub(super) version: Version,
    pub(super) status: StatusCode,
    pub(super) headers: Option<&'a HeaderMap>,
    pub(super) error: Option<&'a (dyn Error + 'static)>,
}

/// What waits for its turn.
pub(super) enum Queued {
    Data(Direction, Data, Option<Instant>),
    Report(OwnedReport, Option<Instant>),
    Join(Newcomer),
}

/// The headers are copied; the error has moved on.
pub(super) struct OwnedReport {
    fact: Fact,
    version: Version,
    status: StatusCode,
    headers: Option<HeaderMap>,
}

impl Direction {
    /// Whether somebody is to hear of each frame.
    #[inline]
    pub(crate) fn is_heard(self, wanted: Interest) -> bool {
        wanted.intersects(match self {
            // A layer may join in the middle of a request, and is told what has passed: so that is counted where it joins.
            Self::Request => Interest::REQUEST_DATA | Interest::SHOWN,
            Self::Response => Interest::RESPONSE_DATA,
        })
    }

    pub(super) fn first_data(self) -> Mark {
        match self {
            Self::Request => Mark::RequestData,
            Self::Response => Mark::ResponseData,
        }
    }
}

impl From<Fact> for Report<'_> {
    #[inline]
    fn from(fact: Fact) -> Self {
        let (version, status) = (Version::HTTP_11, StatusCode::OK);
        Self { fact, version, status, headers: None, error: None }
    }
}

impl<'a> Report<'a> {
    pub(crate) fn head(version: Version, status: StatusCode, headers: &'a HeaderMap) -> Self {
        Self { version, status, headers: Some(headers), ..Self::from(Fact::Head) }
    }

    pub(crate) fn request_end(trailers: Option<&'a HeaderMap>) -> Self {
        Self { headers: trailers, ..Self::from(Fact::RequestEnd) }
    }

    pub(super) fn response_end(
        evidence: Evidence,
        outlet: Outlet,
        trailers: Option<&'a HeaderMap>,
    ) -> Self {
        Self { headers: trailers, ..Self::from(Fact::ResponseEnd(evidence, outlet)) }
    }

    pub(crate) fn error(
        direction: Direction,
        cause: Cause,
        error: Option<&'a (dyn Error + 'static)>,
    ) -> Self {
        let fact = match direction {
            Direction::Request => Fact::RequestError(cause),
            Direction::Response => Fact::ResponseError(cause),
        };
        Self { error, ..Self::from(fact) }
    }

    pub(crate) fn service_error(error: Option<&'a (dyn Error + 'static)>) -> Self {
        Self { error, ..Self::from(Fact::ServiceError) }
    }

    pub(super) fn own(self) -> OwnedReport {
        let Self { fact, version, status, headers, .. } = self;
        OwnedReport { fact, version, status, headers: headers.cloned() }
    }
}

impl OwnedReport {
    pub(super) fn borrow(&self) -> Report<'_> {
        let Self { fact, version, status, ref headers } = *self;
        Report { fact, version, status, headers: headers.as_ref(), error: None }
    }
}

impl Queued {
    /// Data is added to what waits of the same direction, whose end comes after all its data. All else is reported once:
    /// by a body at its end or its drop, by the future, and by a layer that joins. So the queue holds a handful of entries
    /// at most.
    pub(super) fn push_data(
        queue: &mut Vec<Self>,
        direction: Direction,
        data: Data,
        at: Option<Instant>,
    ) {
        let waiting = queue.iter_mut().find_map(|queued| match queued {
            Self::Data(of, data, _) if *of == direction => Some(data),
            _ => None,
        });
        match waiting {
            Some(waiting) => *waiting += data,
            None => queue.push(Self::Data(direction, data, at)),
        }
    }
}
