//! Who may look.

mod host;
mod peer;
mod token;

use http::{HeaderMap, HeaderValue, StatusCode, Version, header, request::Request};

pub use self::token::InvalidToken;
pub(super) use self::token::Token;
use self::{
    host::{Host, is_own},
    peer::Peers,
};
use super::answer::Problem;

/// Who may look, besides that no page of another origin may.
#[derive(Clone, Debug)]
pub(super) enum Guard {
    /// Who asks from this machine, by no proxy.
    Loopback,
    /// Who has the token.
    Token(Token),
    /// Whoever comes through: it is guarded elsewhere.
    Elsewhere,
}

impl Guard {
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        same_origin(request)?;
        match self {
            Self::Loopback => loopback(request),
            Self::Token(token) => token.check(request.headers()),
            Self::Elsewhere => Ok(()),
        }
    }
}

/// A browser says of each request whether a page of another origin makes it, or where it comes from. What says neither is no page.
fn same_origin<B>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    let site = |value: &HeaderValue| value == "same-origin" || value == "none";
    let fetched_here = headers.get_all("sec-fetch-site").iter().all(site);
    let mut origins = headers.get_all(header::ORIGIN).iter();
    if fetched_here && origins.all(|origin| is_own(origin, request)) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "A page of another origin cannot read the inspector: open it by its own address, typed or pasted.",
    ))
}

fn loopback<B>(request: &Request<B>) -> Result<(), Problem> {
    match Peers::of(request) {
        Peers::Local => {}
        Peers::Remote => {
            return Err(Problem::forbidden(
                "The inspector answers the machine it runs on alone: ask from there, as through `ssh -L`, or give it a token by \
                 `Inspector::token`.",
            ));
        }
        Peers::Unix => {
            return Err(Problem::forbidden(
                "The inspector does not answer through a Unix socket, behind which there mostly is a proxy: give it a token by \
                 `Inspector::token`.",
            ));
        }
        Peers::Unknown => {
            return Err(Problem::forbidden(
                "The inspector answers the machine it runs on alone, and nothing tells where this request came from: serve through \
                 a seam of tower-lifecycle whose layer was told `with_connection` or `with_handle`, or with axum's \
                 `into_make_service_with_connect_info::<SocketAddr>()`, or give it a token by `Inspector::token`.",
            ));
        }
    }
    if is_forwarded(request.headers(), request.version()) {
        return Err(Problem::forbidden(
            "This request came by a proxy, so that nothing tells who asks: ask the server itself, or give the inspector a token by \
             `Inspector::token`.",
        ));
    }
    let mut hosts = Host::all(request).peekable();
    if hosts.peek().is_none() || !hosts.all(|host| host.is_some_and(Host::is_local)) {
        return Err(Problem::forbidden(
            "The inspector is asked for by a name that is not this machine's: ask for `localhost`, `127.0.0.1` or `[::1]`, or give \
             it a token by `Inspector::token`.",
        ));
    }
    Ok(())
}

/// Whether a proxy has left a trace. It may leave none, which the module's documentation says.
fn is_forwarded(headers: &HeaderMap, version: Version) -> bool {
    const NAMES: [&str; 8] = [
        "cdn-loop",
        "cf-connecting-ip",
        "forwarded",
        "true-client-ip",
        "via",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-real-ip",
    ];
    const FAMILIES: [&str; 3] = ["x-envoy-", "x-forwarded", "x-original-"];
    let told = |name: &str| {
        NAMES.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
    };
    // The version that nginx speaks to what is behind it, unless told otherwise, and that no browser does.
    version <= Version::HTTP_10 || headers.keys().any(|name| told(name.as_str()))
}

impl Problem {
    fn forbidden(sentence: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, sentence)
    }
}
