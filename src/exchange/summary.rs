//! The whole of an exchange, as `on_close` is handed it.

use std::{error::Error, sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode, Uri, Version};

use super::{
    id::{ExchangeId, TraceIds},
    machine::Role,
    marks::{Mark, Marks},
    seat::Seat,
    waits::Wait,
};
use crate::{
    Connection, Data, End, Failure, RequestClose, RequestHead, ResponseHead,
    close::{Close, Evidence, Initiator, Reason, Stage},
};

/// The whole of an exchange: what [`Listener::on_close`](crate::Listener::on_close) is handed.
///
/// Results are kept on every path: an exchange that failed half way tells what it had transferred.
///
/// Only a layer makes one; an observer is tested by sending a request through the layer, as the examples do in memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The exchange's id, if somebody asked for it when it began: [`RequestHead::id`](crate::RequestHead::id).
    pub id: Option<ExchangeId>,
    /// The side that the service was on.
    pub role: Role,
    /// By what a distributed trace knows the exchange, if an observer has said so when it began:
    /// [`RequestHead::set_trace`](crate::RequestHead::set_trace).
    pub trace: Option<TraceIds>,
    /// The request's method.
    pub method: Method,
    /// The request's target, if asked for by [`Interest::URI`](crate::Interest::URI).
    pub uri: Option<Uri>,
    /// The protocol version: that of the request. In the client role a request says only what is asked for, so there it is that
    /// of the response, once there was one.
    pub version: Version,
    /// The route's template, if somebody further in has told: [`ExchangeHandle::set_route`](crate::ExchangeHandle::set_route),
    /// or for axum `RouteLayer`.
    pub route: Option<Arc<str>>,
    /// The connection, if it came through a seam.
    pub connection: Option<Connection>,
    /// The how-manieth exchange of its connection it is, from one on, where the layer is the seam's.
    pub ordinal: Option<u64>,
    /// The response's status; `None` when there was no response.
    pub status: Option<StatusCode>,
    /// gRPC's status code: from the response's trailers, else from its head, where a response without a body has it. A value
    /// that is no number is 2, `UNKNOWN`, as gRPC has it. `None` where there is none, or without
    /// [`Interest::TRAILERS`](crate::Interest::TRAILERS).
    pub grpc_status: Option<u32>,
    /// The verdict.
    pub close: Close,
    /// How the request side ended.
    pub request_close: RequestClose,
    /// What passed of the request body.
    pub request: Transfer,
    /// What passed of the response body.
    pub response: Transfer,
    /// When, if asked for by [`Interest::MARKS`](crate::Interest::MARKS).
    pub marks: Marks,
}

/// What passed in one direction: what left our wrapper, which is not what arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transfer {
    /// Bytes of data, without framing.
    pub bytes: u64,
    /// Data frames.
    pub frames: u64,
    /// Whether it was complete: `on_request_end` or `on_response_end` fired.
    pub complete: bool,
    /// Its trailers, if there were some and [`Interest::TRAILERS`](crate::Interest::TRAILERS) asked for them.
    pub trailers: Option<Box<HeaderMap>>,
    /// Boxed, because hardly anybody asks.
    pub(super) wait: Option<Box<Wait>>,
}

impl Summary {
    /// Of an exchange that has just begun. The verdict is what it would be if nothing more were ever seen.
    #[inline]
    pub(crate) fn begin(
        head: &RequestHead<'_>,
        uri: Option<Uri>,
        marks: Marks,
        seat: Option<&Seat>,
    ) -> Self {
        Self {
            id: head.names.asked(),
            role: head.role,
            trace: None,
            method: head.method.clone(),
            uri,
            version: head.version,
            route: None,
            connection: seat.map(|seat| seat.connection().clone()),
            ordinal: seat.and_then(Seat::ordinal),
            status: None,
            grpc_status: None,
            close: Close {
                reason: Reason::Unknown,
                stage: Stage::Request,
                initiator: Initiator::Unknown,
                evidence: Evidence::Drop,
            },
            request_close: RequestClose::Detached,
            request: Transfer::default(),
            response: Transfer::default(),
            marks,
        }
    }

    #[inline]
    pub(super) fn head(&mut self, head: &ResponseHead<'_>, keep: bool) {
        self.status = Some(head.status);
        if self.role == Role::Client {
            self.version = head.version;
        }
        if keep {
            self.grpc_status = grpc_status(head.headers);
        }
    }

    #[inline]
    pub(super) fn end(&mut self, trailers: Option<&HeaderMap>, keep: bool) {
        self.response.end(trailers, keep);
        if let (true, Some(trailers)) = (keep, trailers) {
            self.grpc_status = grpc_status(trailers).or(self.grpc_status);
        }
    }

    /// Whether there is something to let go of.
    #[inline]
    pub(super) fn is_large(&self) -> bool {
        let Self { uri, request, response, .. } = self;
        uri.is_some() || request.trailers.is_some() || response.trailers.is_some()
    }

    /// Lets go of what may be large, or keep what is: nobody is to hear of it any more, but somebody may remember it.
    #[cold]
    pub(crate) fn shrink(&mut self) {
        self.method = short(&self.method);
        self.uri = None;
        self.request.trailers = None;
        self.response.trailers = None;
    }

    /// From begin to close: the exchange's duration.
    pub fn duration(&self) -> Option<Duration> {
        self.marks.get(Mark::Close)
    }

    /// From begin until the request ended or failed.
    pub fn time_to_request_end(&self) -> Option<Duration> {
        self.marks.get(Mark::RequestEnd)
    }

    /// From begin to the response head.
    pub fn time_to_head(&self) -> Option<Duration> {
        self.marks.get(Mark::Response)
    }

    /// From begin to the first data of the response.
    pub fn time_to_first_byte(&self) -> Option<Duration> {
        self.marks.get(Mark::ResponseData)
    }

    /// From the response head until the response ended or failed.
    pub fn body_duration(&self) -> Option<Duration> {
        self.marks.between(Mark::Response, Mark::ResponseEnd)
    }

    /// From the end of the response until it was handed over: zero where it is [`Released`](crate::Finish::Released), because
    /// only a connection tells.
    pub fn flush_lag(&self) -> Option<Duration> {
        self.marks.between(Mark::ResponseEnd, Mark::Finish)
    }
}

impl Transfer {
    /// Who waited on whom, if asked for by [`Interest::WAITS`](crate::Interest::WAITS). `None` also of a response that had no
    /// head, and of a body that was polled before the layer that asked had joined.
    pub fn wait(&self) -> Option<Wait> {
        self.wait.as_deref().copied()
    }

    pub(super) fn passed(&self) -> Data {
        Data { bytes: self.bytes, frames: self.frames }
    }

    #[inline]
    pub(super) fn add(&mut self, data: Data) {
        self.bytes = self.bytes.saturating_add(data.bytes);
        self.frames = self.frames.saturating_add(data.frames);
    }

    #[inline]
    pub(super) fn end(&mut self, trailers: Option<&HeaderMap>, keep: bool) {
        self.complete = true;
        if let (true, Some(trailers)) = (keep, trailers) {
            self.keep(trailers);
        }
    }

    #[cold]
    fn keep(&mut self, trailers: &HeaderMap) {
        self.trailers = Some(Box::new(trailers.clone()));
    }

    #[inline]
    pub(super) fn ended<'a>(&'a self, trailers: Option<&'a HeaderMap>) -> End<'a> {
        End { bytes: self.bytes, frames: self.frames, trailers, wait: self.wait.as_deref() }
    }

    pub(super) fn failed<'a>(
        &'a self,
        reason: Reason,
        error: Option<&'a (dyn Error + 'static)>,
    ) -> Failure<'a> {
        Failure {
            reason,
            error,
            bytes: self.bytes,
            frames: self.frames,
            wait: self.wait.as_deref(),
        }
    }
}

/// A method of more than 32 characters is `_OTHER`, as the semantic conventions have it: a peer may send one of any length.
pub(crate) fn short(method: &Method) -> Method {
    const LONGEST: usize = 32;
    let other = || Method::from_bytes(b"_OTHER").unwrap_or_default();
    if method.as_str().len() > LONGEST { other() } else { method.clone() }
}

/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses>
fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    const UNKNOWN: u32 = 2;
    let status = headers.get("grpc-status")?.to_str().ok();
    Some(status.and_then(|status| status.parse().ok()).unwrap_or(UNKNOWN))
}
