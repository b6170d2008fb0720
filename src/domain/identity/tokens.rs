//! Access tokens: a JWT (RFC 9068, `at+jwt`) that says who, by which session and until when. Nothing else.
//!
//! The algorithm is ours to choose, never the token's: EdDSA. Issuer, audience and type are compared, times are checked
//! against the request's clock and not the machine's.

use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::{Algorithm, Header, Validation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::keys::Key;
use crate::ids::{SessionId, UserId, uuid_v7};

/// The `typ` of an access token (RFC 9068, section 2.1).
pub const TYPE: &str = "at+jwt";
/// For whom the tokens are.
pub const AUDIENCE: &str = "tenantry-api";
/// The longest life of an access token.
pub const MAX_LIFE: Duration = Duration::minutes(15);
/// How far the clocks of two of our servers may be apart.
pub const LEEWAY: Duration = Duration::seconds(5);
/// Longer texts are not looked at; ours have about 500 characters.
pub const MAX_CHARS: usize = 2_048;

#[derive(Clone, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    iat: i64,
    exp: i64,
    jti: String,
}

/// What a good token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who it was issued to.
    pub user: UserId,
    /// By which session.
    pub session: SessionId,
    /// From this instant on it is good for nothing.
    pub expires_at: DateTime<Utc>,
}

impl Verified {
    /// Whether it has ended, the clocks' difference allowed for.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at + LEEWAY <= now
    }
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is none of ours: form, algorithm, type, issuer, audience, signature or times.
    #[error("the token is not one of ours")]
    Malformed,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
}

/// Issues and verifies access tokens.
#[derive(Clone, Debug)]
pub struct AccessTokens {
    issuer: String,
    life: Duration,
    validation: Validation,
}

impl AccessTokens {
    /// Tokens of this issuer that live so long, 15 minutes at most.
    pub fn new(issuer: impl Into<String>, life: Duration) -> Self {
        let issuer = issuer.into();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // By the machine's clock; ours is asked below.
        validation.validate_exp = false;
        Self { issuer, life: life.min(MAX_LIFE), validation }
    }

    /// A token of this key for a person's session, with the instant at which it ends. `None` if the key cannot sign.
    pub fn issue(
        &self,
        key: &Key,
        user: UserId,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Option<(SecretString, DateTime<Utc>)> {
        let expires_at = DateTime::from_timestamp((now + self.life).timestamp(), 0)?;
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            sid: session,
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
            jti: uuid_v7(now).simple().to_string(),
        };
        let header = Header { typ: Some(TYPE.to_owned()), kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, key.signer()?).ok()?;
        Some((token.into(), expires_at))
    }

    /// The id of the key that the token says it is signed with.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] unless the header is that of our tokens.
    pub fn key_id(token: &str) -> Result<String, TokenError> {
        if token.len() > MAX_CHARS {
            return Err(TokenError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        let is_ours = header.alg == Algorithm::EdDSA && header.typ.as_deref() == Some(TYPE) && header.crit.is_none();
        header.kid.filter(|_| is_ours).ok_or(TokenError::Malformed)
    }

    /// Who the token is from, if it is good now.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: &str, key: &Key, now: DateTime<Utc>) -> Result<Verified, TokenError> {
        if Self::key_id(token)? != key.kid {
            return Err(TokenError::Malformed);
        }
        let verifier = key.verifier(now, LEEWAY).ok_or(TokenError::Expired)?;
        let token = jsonwebtoken::decode::<Claims>(token, verifier, &self.validation);
        let claims = token.map_err(|_| TokenError::Malformed)?.claims;
        let issued_at = DateTime::from_timestamp(claims.iat, 0).ok_or(TokenError::Malformed)?;
        let expires_at = DateTime::from_timestamp(claims.exp, 0).ok_or(TokenError::Malformed)?;
        if issued_at > now + LEEWAY || expires_at - issued_at > MAX_LIFE {
            return Err(TokenError::Malformed);
        }
        let verified = Verified { user: claims.sub, session: claims.sid, expires_at };
        if verified.is_expired(now) { Err(TokenError::Expired) } else { Ok(verified) }
    }
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
