//! The verdict in two characters.

use std::fmt;

use super::{Close, Initiator, Reason, Stage};
use crate::{Role, Summary};

/// How an exchange ended, in two characters for a log: who or what ended it, and in which phase. After the termination state
/// of `HAProxy`'s logs, whose words for it differ.
///
/// | first | who or what |
/// |---|---|
/// | `-` | it ran to its end, whatever its status |
/// | `C` | the client: gone, or in the client role the caller, who lost interest |
/// | `S` | the service: an error or a panic; in the client role also the server, which is gone |
/// | `B` | the response's body: an error, or not as long as declared |
/// | `b` | the request's body: an error that is not the peer's leaving, or not as long as declared |
/// | `T` | this process gave up: a timeout, mostly, or whatever else drops a future |
/// | `L` | this process shut the connection down |
/// | `?` | dropped, and nothing tells why |
///
/// | second | in which phase |
/// |---|---|
/// | `-` | none, it is over |
/// | `R` | the request was being read |
/// | `H` | there was no response yet |
/// | `D` | the response was under way |
/// | `L` | the last of the response was handed over, and not flushed |
///
/// [`Summary::termination`] tells it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Termination(&'static str);

impl Termination {
    fn new(close: Close, role: Role) -> Self {
        let phase = match close.stage {
            Stage::Done => 0,
            Stage::Request => 1,
            Stage::Handler => 2,
            Stage::Response => 3,
            Stage::Flush => 4,
        };
        let of_peer = match role {
            Role::Server => &["C-", "CR", "CH", "CD", "CL"],
            Role::Client => SERVICE,
        };
        let words = match close.reason {
            Reason::Complete | Reason::Upgraded => &["--", "-R", "-H", "-D", "-L"],
            Reason::Disconnected
            | Reason::Reset
            | Reason::StreamReset
            | Reason::TransportFailed => of_peer,
            Reason::ServiceFailed | Reason::Panicked => SERVICE,
            Reason::ResponseFailed => RESPONSE,
            Reason::RequestFailed => REQUEST,
            // A peer's body is the request of a server and the response of a client.
            Reason::LengthMismatch => match (role, close.initiator) {
                (Role::Server, Initiator::Peer) | (Role::Client, Initiator::Local) => REQUEST,
                _ => RESPONSE,
            },
            Reason::Cancelled => match role {
                Role::Server => &["T-", "TR", "TH", "TD", "TL"],
                Role::Client => &["C-", "CR", "CH", "CD", "CL"],
            },
            Reason::Shutdown => &["L-", "LR", "LH", "LD", "LL"],
            Reason::Unknown => &["?-", "?R", "?H", "?D", "?L"],
        };
        Self(words[phase])
    }

    /// The two characters.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

const SERVICE: &[&str; 5] = &["S-", "SR", "SH", "SD", "SL"];
const RESPONSE: &[&str; 5] = &["B-", "BR", "BH", "BD", "BL"];
const REQUEST: &[&str; 5] = &["b-", "bR", "bH", "bD", "bL"];

impl Summary {
    /// The verdict in two characters.
    pub fn termination(&self) -> Termination {
        Termination::new(self.close, self.role)
    }
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Evidence;

    fn code(reason: Reason, stage: Stage, initiator: Initiator, role: Role) -> &'static str {
        Termination::new(Close { reason, stage, initiator, evidence: Evidence::Drop }, role)
            .as_str()
    }

    #[test]
    fn who_and_where_is_told_of_a_server() {
        use Initiator::{Local, Peer, Unknown};
        let of = |reason, stage, initiator| code(reason, stage, initiator, Role::Server);
        assert_eq!(of(Reason::Complete, Stage::Done, Local), "--");
        assert_eq!(of(Reason::Upgraded, Stage::Done, Local), "--");
        assert_eq!(of(Reason::Disconnected, Stage::Handler, Peer), "CH");
        assert_eq!(of(Reason::Reset, Stage::Flush, Peer), "CL");
        assert_eq!(of(Reason::StreamReset, Stage::Response, Peer), "CD");
        assert_eq!(of(Reason::TransportFailed, Stage::Response, Unknown), "CD");
        assert_eq!(of(Reason::ServiceFailed, Stage::Handler, Local), "SH");
        assert_eq!(of(Reason::Panicked, Stage::Request, Local), "SR");
        assert_eq!(of(Reason::ResponseFailed, Stage::Response, Local), "BD");
        assert_eq!(of(Reason::RequestFailed, Stage::Request, Peer), "bR");
        assert_eq!(of(Reason::LengthMismatch, Stage::Request, Peer), "bR");
        assert_eq!(of(Reason::LengthMismatch, Stage::Response, Local), "BD");
        assert_eq!(of(Reason::Cancelled, Stage::Handler, Local), "TH");
        assert_eq!(of(Reason::Shutdown, Stage::Response, Local), "LD");
        assert_eq!(of(Reason::Unknown, Stage::Handler, Unknown), "?H");
    }

    #[test]
    fn of_a_client_the_peer_is_the_server_and_the_caller_the_client() {
        let of = |reason, stage, initiator| code(reason, stage, initiator, Role::Client);
        assert_eq!(of(Reason::Disconnected, Stage::Response, Initiator::Peer), "SD");
        assert_eq!(of(Reason::Cancelled, Stage::Handler, Initiator::Local), "CH");
        assert_eq!(of(Reason::LengthMismatch, Stage::Response, Initiator::Peer), "BD");
        assert_eq!(of(Reason::LengthMismatch, Stage::Request, Initiator::Local), "bR");
    }
}
