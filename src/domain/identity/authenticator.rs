//! From the header `Authorization` to the one who asks.
//!
//! A token or key that was good a moment ago costs a hash and two look-ups in memory. What is remembered is kept under
//! SHA-256 of the whole text, for a few seconds, and the times in it are compared with the clock at every request.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use moka::future::Cache;
use sha2::{Digest, Sha256};

use super::{
    Identity, KeyError,
    sessions::SessionEnd,
    tokens::{AccessTokens, TokenError, Verified},
};
use crate::{
    context::Tenant,
    db::{Db, DbError, Stats},
    domain::api_keys::key::KEY_PREFIX,
    ids::{ApiKeyId, SessionId, UserId},
};

/// How long a verified signature is believed. Expiry and session are looked at all the same.
const VERIFIED_FOR: Duration = Duration::from_secs(60);

/// The one who asks, as the credential proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// No credential was sent.
    Anonymous,
    /// An access token of a session that stands.
    Person {
        /// Who it is.
        user: UserId,
        /// By which session.
        session: SessionId,
    },
    /// An API key.
    ApiKey {
        /// Which key.
        key: ApiKeyId,
        /// The key's own tenant.
        tenant: Tenant,
    },
}

/// Why a credential is refused; the messages are for people, [`reason`](AuthError::reason) is for programs.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// There is a header and nothing in it.
    #[error("The header Authorization holds no credential. Send `Bearer` and an access token or an API key.")]
    Missing,
    /// It has not the form of a credential of ours.
    #[error("The credential is none of ours. Send `Bearer` and an access token or an API key.")]
    Malformed,
    /// The token or its session has ended.
    #[error("The access token has expired. Get another with tokenRefresh, or sign in again.")]
    Expired,
    /// The session was ended.
    #[error("The session was ended. Sign in again.")]
    Revoked,
    /// The API key has expired, or was replaced by another.
    #[error("The API key has expired.")]
    KeyExpired,
    /// The API key was revoked.
    #[error("The API key was revoked.")]
    KeyRevoked,
    /// Nobody knows it.
    #[error("The credential is not known here.")]
    Unknown,
    /// The database cannot be asked.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl AuthError {
    /// The `reason` beside `UNAUTHENTICATED`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::KeyExpired => "key_expired",
            Self::KeyRevoked => "key_revoked",
            Self::Unknown | Self::Db(_) => "unknown",
        }
    }
}

impl From<TokenError> for AuthError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Malformed => Self::Malformed,
            TokenError::Expired => Self::Expired,
        }
    }
}

impl From<SessionEnd> for AuthError {
    fn from(end: SessionEnd) -> Self {
        match end {
            SessionEnd::Unknown => Self::Unknown,
            SessionEnd::Revoked => Self::Revoked,
            SessionEnd::Expired => Self::Expired,
        }
    }
}

/// Finds out who asks.
#[derive(Clone, Debug)]
pub struct Authenticator {
    identity: Identity,
    verified: Cache<[u8; 32], Verified>,
}

impl Authenticator {
    /// With the keys, sessions and API keys of this identity.
    pub fn new(identity: Identity) -> Self {
        let verified = Cache::builder().max_capacity(100_000).time_to_live(VERIFIED_FOR).build();
        Self { identity, verified }
    }

    /// The one who asks. At most two SQL statements, none for what is known or cannot be a credential of ours.
    ///
    /// # Errors
    /// [`AuthError`] with the reason.
    pub async fn authenticate(
        &self,
        db: &Db,
        authorization: Option<&str>,
        now: DateTime<Utc>,
        stats: &Arc<Stats>,
    ) -> Result<Credential, AuthError> {
        let Some(header) = authorization else { return Ok(Credential::Anonymous) };
        let secret = bearer(header)?;
        if secret.starts_with(KEY_PREFIX) {
            let found = self.identity.api_keys().find(db, secret, stats).await?;
            return match found {
                None => Err(AuthError::Unknown),
                Some(found) if found.revoked_at.is_some() => Err(AuthError::KeyRevoked),
                Some(found) if found.ends_at.is_some_and(|end| end <= now) => Err(AuthError::KeyExpired),
                Some(found) => Ok(Credential::ApiKey { key: found.key, tenant: found.tenant.clone() }),
            };
        }
        let verified = self.verify(db, secret, now, stats).await?;
        let sessions = self.identity.sessions();
        sessions.check(db, verified.session, verified.user, now, stats).await??;
        Ok(Credential::Person { user: verified.user, session: verified.session })
    }

    async fn verify(
        &self,
        db: &Db,
        token: &str,
        now: DateTime<Utc>,
        stats: &Arc<Stats>,
    ) -> Result<Verified, AuthError> {
        let kid = AccessTokens::key_id(token)?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(known) = self.verified.get(&hash).await {
            return if known.is_expired(now) { Err(AuthError::Expired) } else { Ok(known) };
        }
        let key = self.identity.keys().find(db, &kid, stats).await.map_err(|error| match error {
            KeyError::Db(error) => AuthError::Db(error),
            _ => AuthError::Unknown,
        })?;
        let key = key.ok_or(AuthError::Unknown)?;
        let verified = self.identity.tokens().verify(token, &key, now)?;
        self.verified.insert(hash, verified).await;
        Ok(verified)
    }
}

/// The secret behind `Bearer` (RFC 6750, section 2.1; the scheme's name in any case).
fn bearer(header: &str) -> Result<&str, AuthError> {
    let header = header.trim();
    let (scheme, secret) = header.split_once(' ').unwrap_or((header, ""));
    match scheme.eq_ignore_ascii_case("bearer") {
        true if secret.trim().is_empty() => Err(AuthError::Missing),
        true => Ok(secret.trim()),
        false if header.is_empty() => Err(AuthError::Missing),
        false => Err(AuthError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_is_a_scheme() {
        assert_eq!(bearer("Bearer abc").expect("a secret"), "abc");
        assert_eq!(bearer("bearer  abc ").expect("a secret"), "abc");
        for (header, reason) in [
            ("", "missing"),
            ("Bearer", "missing"),
            ("Bearer  ", "missing"),
            ("Basic dXNlcg==", "malformed"),
            ("abc", "malformed"),
        ] {
            assert_eq!(bearer(header).expect_err("refused").reason(), reason, "{header:?}");
        }
    }
}
