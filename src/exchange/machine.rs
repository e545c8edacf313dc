//! The decision: a pure, total function from facts to hooks and a verdict. No IO, no time, no atomics, no user code.
//!
//! Invariants, for any sequence of facts whatever:
//! 1. `CLOSE` comes out exactly once, last, in the step that ends the response side.
//! 2. `REQUEST_CLOSE` comes out exactly once, at the latest with `CLOSE`.
//! 3. In each direction `END` and `ERROR` exclude each other and come out at most once, after all `DATA`.
//! 4. `RESPONSE` comes out at most once, before anything else of the response but `RESPONSE_ERROR`.
//! 5. `FINISH` comes out at most once, with or after `RESPONSE_END`, never in the client role.
//!
//! The hooks of one step are called in the order of their bits. The facts of a connection (flushed, peer gone, dropped)
//! will be steps of their own between the end of the response and `CLOSE`; until there is one, the end of the response
//! side is the end of the exchange.

use crate::{
    Disconnect, Interest, RequestClose,
    close::{Close, Evidence, Initiator, Reason, Stage},
};

/// The side of HTTP that the wrapped service is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// Why a direction failed, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) reason: Reason,
    pub(crate) initiator: Initiator,
    pub(crate) evidence: Evidence,
}

/// Something that a wrapper saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    RequestData,
    RequestEnd,
    RequestError(Cause),
    /// The request body was dropped before its end, after it had yielded a frame or before.
    RequestDropped {
        read: bool,
        unwinding: bool,
    },
    /// The service returned a response.
    Head,
    ServiceError,
    ResponseData,
    ResponseEnd(Evidence),
    /// The response is a head after which the connection speaks another protocol.
    Upgraded,
    ResponseError(Cause),
    /// The future is about to be dropped before its end, and with it what it holds.
    Dropping,
    /// The future or the response body was dropped before its end.
    Dropped {
        unwinding: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Response {
    Waiting,
    Streaming,
    Over,
}

/// What has been seen so far, and what follows from it.
#[derive(Debug)]
pub(crate) struct Machine {
    role: Role,
    request: Option<RequestClose>,
    /// Why the request failed, if it did.
    request_failure: Option<Reason>,
    response: Response,
    /// Where the exchange was when its future was about to be dropped.
    stage_at_drop: Option<Stage>,
    /// Where it was when a panic took the request body.
    stage_at_unwind: Option<Stage>,
    /// The verdict: the first failure, else how the response ended.
    verdict: Option<Close>,
}

/// The hooks that a fact calls, named by the interest in them.
pub(crate) type Calls = Interest;

impl Machine {
    pub(crate) const fn new(role: Role) -> Self {
        Self {
            role,
            request: None,
            request_failure: None,
            response: Response::Waiting,
            stage_at_drop: None,
            stage_at_unwind: None,
            verdict: None,
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        match (self.response, self.request) {
            (Response::Waiting, None) => Stage::Request,
            (Response::Waiting, Some(_)) => Stage::Handler,
            (Response::Streaming, _) => Stage::Response,
            (Response::Over, _) => Stage::Done,
        }
    }

    /// How the request side ended, once it did.
    #[inline]
    pub(crate) fn request_close(&self) -> Option<RequestClose> {
        self.request
    }

    /// The verdict, once the exchange is over.
    #[inline]
    pub(crate) fn verdict(&self) -> Option<Close> {
        self.verdict.filter(|_| self.response == Response::Over)
    }

    /// Why the request failed, if it did.
    pub(crate) fn request_failure(&self) -> Option<Reason> {
        self.request_failure
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.response != Response::Waiting
    }

    /// Takes note of a fact and says which hooks it calls. A fact that comes too late calls none.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "for a fact that is known little of it is left")]
    pub(crate) fn apply(&mut self, fact: Fact) -> Calls {
        match fact {
            _ if self.response == Response::Over => Calls::NONE,

            Fact::RequestData if self.request.is_none() => Calls::REQUEST_DATA,
            Fact::RequestEnd if self.request.is_none() => {
                Calls::REQUEST_END | self.close_request(RequestClose::Complete)
            }
            Fact::RequestError(cause) if self.request.is_none() => {
                self.fail(cause);
                self.request_failure = Some(cause.reason);
                Calls::REQUEST_ERROR | self.close_request(RequestClose::Failed)
            }
            Fact::RequestDropped { read, unwinding } if self.request.is_none() => {
                if unwinding {
                    self.stage_at_unwind = Some(self.stage());
                }
                self.close_request(if read { RequestClose::Partial } else { RequestClose::Unread })
            }

            Fact::Head if self.response == Response::Waiting => {
                // A panic that took the request body alone did not take the service.
                self.stage_at_unwind = None;
                self.response = Response::Streaming;
                Calls::RESPONSE
            }
            Fact::ServiceError if self.response == Response::Waiting => {
                let initiator = match self.role {
                    Role::Server => Initiator::Local,
                    Role::Client => Initiator::Unknown,
                };
                self.fail(Cause {
                    reason: Reason::ServiceFailed,
                    initiator,
                    evidence: Evidence::Return,
                });
                Calls::RESPONSE_ERROR | self.close()
            }

            Fact::ResponseData if self.response == Response::Streaming => Calls::RESPONSE_DATA,
            Fact::ResponseEnd(evidence) if self.response == Response::Streaming => {
                self.complete(Reason::Complete, evidence)
            }
            Fact::Upgraded if self.response == Response::Streaming => {
                self.complete(Reason::Upgraded, Evidence::Return)
            }
            Fact::ResponseError(cause) if self.response == Response::Streaming => {
                self.fail(cause);
                Calls::RESPONSE_ERROR | self.close()
            }

            Fact::Dropping => {
                self.stage_at_drop = Some(self.stage());
                Calls::NONE
            }
            Fact::Dropped { unwinding } => {
                self.dropped(unwinding);
                self.close()
            }

            _ => Calls::NONE,
        }
    }

    #[inline]
    fn complete(&mut self, reason: Reason, evidence: Evidence) -> Calls {
        let (initiator, finish) = match self.role {
            Role::Server => (Initiator::Local, Calls::FINISH),
            Role::Client => (Initiator::Peer, Calls::NONE),
        };
        let end = Close { reason, stage: Stage::Done, initiator, evidence };
        self.verdict.get_or_insert(end);
        Calls::RESPONSE_END | finish | self.close()
    }

    fn dropped(&mut self, unwinding: bool) {
        let cause = match self.role {
            // A panic is a bug to be seen, whatever failed before it.
            _ if unwinding => {
                self.verdict = None;
                self.stage_at_drop = self.stage_at_unwind.or(self.stage_at_drop);
                Cause {
                    reason: Reason::Panicked,
                    initiator: Initiator::Local,
                    evidence: Evidence::Unwind,
                }
            }
            Role::Client => Cause {
                reason: Reason::Cancelled,
                initiator: Initiator::Local,
                evidence: Evidence::Drop,
            },
            Role::Server => Cause {
                reason: Reason::Unknown,
                initiator: Initiator::Unknown,
                evidence: Evidence::Drop,
            },
        };
        self.fail(cause);
    }

    fn fail(&mut self, Cause { reason, initiator, evidence }: Cause) {
        let stage = self.stage_at_drop.unwrap_or(self.stage());
        self.verdict.get_or_insert(Close { reason, stage, initiator, evidence });
    }

    fn close_request(&mut self, how: RequestClose) -> Calls {
        self.request = Some(how);
        Calls::REQUEST_CLOSE
    }

    #[inline]
    fn close(&mut self) -> Calls {
        self.response = Response::Over;
        match self.request {
            None => self.close_request(RequestClose::Detached) | Calls::CLOSE,
            Some(_) => Calls::CLOSE,
        }
    }
}

impl Fact {
    /// The kind of failure that this fact is.
    pub(crate) fn failure(self) -> Option<Reason> {
        match self {
            Self::RequestError(cause) | Self::ResponseError(cause) => Some(cause.reason),
            Self::ServiceError => Some(Reason::ServiceFailed),
            _ => None,
        }
    }

    /// That the peer is gone, where this fact says so.
    pub(crate) fn disconnect(self) -> Option<Disconnect> {
        let (Self::RequestError(cause) | Self::ResponseError(cause)) = self else { return None };
        match cause.reason {
            Reason::Disconnected | Reason::Reset | Reason::StreamReset => {
                Some(Disconnect { reason: cause.reason, evidence: cause.evidence })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
