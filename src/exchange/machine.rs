//! The decision: a pure, total function from facts to hooks and a verdict. No IO, no time, no atomics, no user code.
//!
//! Invariants, for any sequence of facts whatever:
//! 1. `CLOSE` comes out exactly once, last, in the step that ends the response side.
//! 2. `REQUEST_CLOSE` comes out exactly once, at the latest with `CLOSE`.
//! 3. In each direction `END` and `ERROR` exclude each other and come out at most once, after all `DATA`.
//! 4. `RESPONSE` comes out at most once, before anything else of the response but `RESPONSE_ERROR`.
//! 5. `FINISH` comes out at most once, with or after `RESPONSE_END`, never in the client role.
//! 6. `DISCONNECT` comes out at most once, and never with or after `RESPONSE_END`.
//!
//! The hooks of one step are called in the order of their bits. Without a connection the end of the response side is the
//! end of the exchange. With one, it may wait: for the flush of a complete response, and for the cause of a drop.

mod cause;
mod fact;

use std::fmt;

pub(crate) use self::{
    cause::{Cause, View},
    fact::{Fact, Outlet},
};
use crate::{
    Disconnect, Interest, RequestClose,
    close::{Close, Evidence, Initiator, Reason, Stage, words},
    conn::Sight,
};

/// The side of HTTP that the wrapped service is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It answers requests.
    Server,
    /// It sends requests: [`LifecycleLayer::client`](crate::LifecycleLayer::client).
    Client,
}

words! {
    Role { Server => "server", Client => "client" }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Response {
    Waiting,
    Streaming,
    /// Complete, to be flushed.
    Flushing,
    /// Dropped, and the connection is to tell why.
    Lost,
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
    /// How the response is complete, while it is to be flushed.
    complete: Option<(Reason, Evidence)>,
    /// The peer is gone.
    gone: Option<Disconnect>,
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
            complete: None,
            gone: None,
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        match (self.response, self.request) {
            (Response::Waiting, None) => Stage::Request,
            (Response::Waiting, Some(_)) => Stage::Handler,
            (Response::Streaming, _) => Stage::Response,
            (Response::Flushing, _) => Stage::Flush,
            (Response::Lost, _) => self.stage_at_drop.unwrap_or(Stage::Response),
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

    /// That the peer is gone, if that was told.
    pub(crate) fn disconnect(&self) -> Option<Disconnect> {
        self.gone
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
            // The response side is over, and what becomes of the request is no concern.
            Fact::RequestData
            | Fact::RequestEnd
            | Fact::RequestError(_)
            | Fact::RequestDropped { .. }
                if self.response == Response::Flushing =>
            {
                Calls::NONE
            }

            Fact::RequestData if self.request.is_none() => Calls::REQUEST_DATA,
            Fact::RequestEnd if self.request.is_none() => {
                Calls::REQUEST_END | self.close_request(RequestClose::Complete)
            }
            Fact::RequestError(cause) if self.request.is_none() => {
                self.fail(cause);
                self.request_failure = Some(cause.reason);
                let gone = self.gone(cause);
                gone | Calls::REQUEST_ERROR | self.close_request(RequestClose::Failed)
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
            Fact::ResponseEnd(evidence, outlet) if self.response == Response::Streaming => {
                self.complete(Reason::Complete, evidence, outlet)
            }
            Fact::Upgraded(outlet) if self.response == Response::Streaming => {
                self.complete(Reason::Upgraded, Evidence::Return, outlet)
            }
            Fact::ResponseError(cause) if self.response == Response::Streaming => {
                self.fail(cause);
                self.gone(cause) | Calls::RESPONSE_ERROR | self.close()
            }

            Fact::PeerGone(cause) => self.gone(cause),
            Fact::Dropping => {
                self.stage_at_drop = Some(self.stage());
                Calls::NONE
            }
            Fact::Dropped { unwinding, view } if self.is_answering() => {
                self.dropped(unwinding, view)
            }

            Fact::Flushed => self.handed_over(Some(Evidence::Io)),
            Fact::Released => self.handed_over(None),
            Fact::Settled(sight) => self.settled(sight),

            _ => Calls::NONE,
        }
    }

    /// There is neither a complete response nor a drop.
    fn is_answering(&self) -> bool {
        matches!(self.response, Response::Waiting | Response::Streaming)
    }

    #[inline]
    fn complete(&mut self, reason: Reason, evidence: Evidence, outlet: Outlet) -> Calls {
        if outlet == Outlet::Seen {
            self.response = Response::Flushing;
            self.complete = Some((reason, evidence));
            return Calls::RESPONSE_END;
        }
        let (initiator, finish) = match self.role {
            Role::Server => (Initiator::Local, Calls::FINISH),
            Role::Client => (Initiator::Peer, Calls::NONE),
        };
        let end = Close { reason, stage: Stage::Done, initiator, evidence };
        self.verdict.get_or_insert(end);
        Calls::RESPONSE_END | finish | self.close()
    }

    /// A response that waited for its flush waits no longer.
    fn handed_over(&mut self, proof: Option<Evidence>) -> Calls {
        let (Response::Flushing, Some((reason, evidence))) = (self.response, self.complete) else {
            return Calls::NONE;
        };
        let evidence = proof.unwrap_or(evidence);
        let end = Close { reason, stage: Stage::Done, initiator: Initiator::Local, evidence };
        self.verdict.get_or_insert(end);
        Calls::FINISH | self.close()
    }

    fn settled(&mut self, sight: Option<Sight>) -> Calls {
        let cause = sight.map_or(Cause::UNKNOWN, Cause::settled);
        match self.response {
            Response::Flushing => {
                self.fail(cause);
                self.close()
            }
            Response::Lost => {
                let gone = self.gone(cause);
                self.fail(cause);
                gone | self.close()
            }
            _ => Calls::NONE,
        }
    }

    fn dropped(&mut self, unwinding: bool, view: Option<View>) -> Calls {
        let cause = match self.role {
            // A panic is a bug to be seen, whatever failed before it.
            _ if unwinding => {
                self.verdict = None;
                self.stage_at_drop = self.stage_at_unwind.or(self.stage_at_drop);
                Some(Cause::PANICKED)
            }
            Role::Client => Some(Cause::CANCELLED),
            Role::Server => view.map_or(Some(Cause::UNKNOWN), View::cause),
        };
        let Some(cause) = cause else {
            self.stage_at_drop = Some(self.stage_at_drop.unwrap_or(self.stage()));
            self.response = Response::Lost;
            return Calls::NONE;
        };
        let gone = self.gone(cause);
        self.fail(cause);
        gone | self.close()
    }

    /// The hook to call if the cause is that the peer is gone, and it comes before the response is complete.
    fn gone(&mut self, cause: Cause) -> Calls {
        let news = self.gone.is_none() && self.response != Response::Flushing;
        self.gone = self.gone.or(cause.disconnect().filter(|_| news));
        if news && self.gone.is_some() { Calls::DISCONNECT } else { Calls::NONE }
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

#[cfg(test)]
mod tests;
