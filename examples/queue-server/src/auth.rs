//! Who asks: bearer tokens, JSON web tokens (RFC 7519) signed by one key with one algorithm.

use std::{collections::HashSet, fmt, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
    get_current_timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{error::ApiError, server::App, store::UserId};

/// What tokens are checked by.
#[derive(Clone)]
pub struct Key {
    decoding: DecodingKey,
    validation: Validation,
    /// Where it can sign, too.
    encoding: Option<EncodingKey>,
}

/// What a token says, besides what is checked with its signature.
#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    /// `service` may send.
    role: Option<String>,
}

/// What a token of ours says.
#[derive(Debug, Serialize)]
struct Made<'a> {
    sub: &'a str,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
}

/// A user with a valid token. As an extractor, refused with 401.
#[derive(Clone, Debug)]
pub struct User(pub UserId);

/// A valid service token. As an extractor, refused with 401 or 403.
#[derive(Clone, Copy, Debug)]
pub struct Service;

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Too easy to guess.
    #[error("the secret has {0} bytes: 32 or more are needed, as by `openssl rand -hex 32`")]
    TooShort(usize),
    /// Not what it should be.
    #[error("not an Ed25519 public key in PEM, as by `openssl pkey -in key.pem -pubout`: {0}")]
    NotEd25519(jsonwebtoken::errors::Error),
}

const SERVICE: &str = "service";

/// The longest user id, in bytes.
pub const MAX_USER: usize = 256;

impl Key {
    /// HS256 by a shared secret.
    ///
    /// # Errors
    /// When it is shorter than 32 bytes (RFC 7518 section 3.2).
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        // Blanks are no secret.
        let length = secret.trim_ascii().len();
        if length < 32 {
            return Err(KeyError::TooShort(length));
        }
        Ok(Self {
            decoding: DecodingKey::from_secret(secret),
            validation: validation(Algorithm::HS256),
            encoding: Some(EncodingKey::from_secret(secret)),
        })
    }

    /// `EdDSA` by the public key of who makes the tokens, in PEM.
    ///
    /// # Errors
    /// When it is none.
    pub fn ed25519(pem: &[u8]) -> Result<Self, KeyError> {
        let decoding = DecodingKey::from_ed_pem(pem).map_err(KeyError::NotEd25519)?;
        Ok(Self { decoding, validation: validation(Algorithm::EdDSA), encoding: None })
    }

    /// Takes only tokens that are for `audience` (RFC 7519 section 4.1.3).
    pub fn audience(mut self, audience: &str) -> Self {
        self.validation.validate_aud = true;
        self.validation.required_spec_claims.insert("aud".to_owned());
        self.validation.set_audience(&[audience]);
        self
    }

    /// Takes only tokens of `issuer` (RFC 7519 section 4.1.1).
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.validation.required_spec_claims.insert("iss".to_owned());
        self.validation.set_issuer(&[issuer]);
        self
    }

    /// A token for `user`, for so many seconds; with the right to send if it is for a service. `None` where the key can only check.
    pub fn token(&self, user: &str, service: bool, seconds: u64) -> Option<String> {
        let role = service.then_some(SERVICE);
        let exp = get_current_timestamp().saturating_add(seconds);
        let of = |names: &Option<HashSet<String>>| names.iter().flatten().next().cloned();
        let (aud, iss) = (of(&self.validation.aud), of(&self.validation.iss));
        let claims = Made { sub: user, exp, role, aud, iss };
        encode(&Header::new(Algorithm::HS256), &claims, self.encoding.as_ref()?).ok()
    }

    fn check(&self, headers: &HeaderMap) -> Result<Claims, ApiError> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(ApiError::Unauthorized("there is none"))?;
        if values.next().is_some() {
            return Err(ApiError::Unauthorized("there is more than one"));
        }
        let token = value.to_str().ok().and_then(|value| value.split_once(' '));
        let token = match token {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(ApiError::Unauthorized("it is not of the form `Bearer TOKEN`")),
        };
        let claims = decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|error| ApiError::Unauthorized(why(error.kind())))?
            .claims;
        if claims.sub.is_empty() || claims.sub.len() > MAX_USER {
            return Err(ApiError::Unauthorized("its `sub` is empty or too long"));
        }
        Ok(claims)
    }
}

/// The one algorithm, whatever a token's head says; a minute for clocks that differ.
fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["exp", "sub"]);
    validation.validate_nbf = true;
    validation.validate_aud = false;
    validation.leeway = 60;
    validation
}

fn why(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            "it is signed by an algorithm that is not taken here"
        }
        ErrorKind::InvalidAudience => "it is for somebody else: its `aud`",
        ErrorKind::InvalidIssuer => "it is of an issuer that is not taken here: its `iss`",
        ErrorKind::MissingRequiredClaim(_) => "a claim that is needed is missing",
        _ => "it is no token",
    }
}

impl FromRequestParts<App> for User {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let claims = app.key.check(&parts.headers)?;
        Ok(Self(Arc::from(claims.sub)))
    }
}

impl FromRequestParts<App> for Service {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match app.key.check(&parts.headers)?.role.as_deref() {
            Some(SERVICE) => Ok(Self),
            _ => Err(ApiError::Forbidden),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithms", &self.validation.algorithms)
            .finish_non_exhaustive()
    }
}
