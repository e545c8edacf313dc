//! A secret that who looks has to know.

use std::{error::Error, fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq;

use crate::inspector::answer::Problem;

/// Shorter ones are guessed.
const SHORTEST: usize = 16;

#[derive(Clone)]
pub(crate) struct Token(Arc<[u8]>);

/// Why a token is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidToken {
    /// It has fewer than 16 characters: this many.
    TooShort(usize),
    /// It has a character that `Authorization: Bearer` cannot carry: a space, a newline, or what is not ASCII.
    Character,
}

impl Token {
    pub(crate) fn new(token: &str) -> Result<Self, InvalidToken> {
        // First, because a newline at the end of a file is what mostly goes wrong.
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidToken::Character);
        }
        if token.len() < SHORTEST {
            return Err(InvalidToken::TooShort(token.len()));
        }
        Ok(Self(token.as_bytes().into()))
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let mut said = headers.get_all(header::AUTHORIZATION).iter();
        match (said.next(), said.next()) {
            (Some(said), None) if self.is_in(said) => Ok(()),
            (None, _) => Err(unauthorized(
                "The inspector asks for a token: send it as `Authorization: Bearer …`, or as the password of any user.",
            )),
            _ => Err(unauthorized("This is not the inspector's token.")),
        }
    }

    fn is_in(&self, said: &HeaderValue) -> bool {
        let Some(at) = said.as_bytes().iter().position(|byte| *byte == b' ') else { return false };
        let (scheme, credentials) = said.as_bytes().split_at(at);
        let credentials = credentials.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.is(credentials);
        }
        // RFC 7617: a user has no colon, a password may.
        let Ok(pair) = BASE64_STANDARD.decode(credentials) else { return false };
        let colon = pair.iter().position(|byte| *byte == b':');
        scheme.eq_ignore_ascii_case(b"basic") && colon.is_some_and(|at| self.is(&pair[at + 1..]))
    }

    fn is(&self, said: &[u8]) -> bool {
        self.0.ct_eq(said).into()
    }
}

/// A browser asks for a password by itself.
fn unauthorized(sentence: &'static str) -> Problem {
    let challenge = HeaderValue::from_static("Basic realm=\"inspector\", charset=\"UTF-8\"");
    Problem::new(StatusCode::UNAUTHORIZED, sentence).with(header::WWW_AUTHENTICATE, challenge)
}

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(length) => write!(
                f,
                "a token of {length} characters is soon guessed: take {SHORTEST} or more, as by `openssl rand -hex 32`"
            ),
            Self::Character => f.write_str(
                "a token has to be of ASCII's letters, digits and signs, without a space or a newline: trim what was read of a file",
            ),
        }
    }
}

impl Error for InvalidToken {}

/// Without the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
