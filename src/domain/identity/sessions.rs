//! Sessions: refresh tokens, and whether a session still stands.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration as StdDuration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::store::{self, SessionState};
use crate::{
    cache::{Flights, Hearing, KEPT, spread},
    db::{Db, DbError, Stats},
    ids::{SessionId, UserId},
};

/// What every refresh token begins with, so that scanners for lost secrets can find it.
pub const REFRESH_PREFIX: &str = "tnr_";
/// However often it is refreshed, a session ends after this time (or after one refresh token's, if that is longer).
pub const MAX_SESSION: Duration = Duration::days(90);

const SECRET_BYTES: usize = 32;
const SECRET_CHARS: usize = 43;

/// A fresh refresh token with the hash under which it is stored.
pub struct RefreshToken {
    /// The token; shown once.
    pub secret: SecretString,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
}

impl RefreshToken {
    /// 256 random bits.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(&mut *bytes)?;
        let secret: SecretString = format!("{REFRESH_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(*bytes)).into();
        let hash = Sha256::digest(secret.expose_secret()).into();
        Ok(Self { secret, hash })
    }

    /// The hash of a token that somebody sent; `None` if it has not the form of one.
    pub fn hash_of(text: &SecretString) -> Option<[u8; 32]> {
        let text = text.expose_secret();
        let secret = text.strip_prefix(REFRESH_PREFIX)?;
        let fits = secret.len() == SECRET_CHARS
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        fits.then(|| Sha256::digest(text).into())
    }
}

/// Why a session gives no access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// There is none with this id, or it is somebody else's.
    Unknown,
    /// It was ended, or its person locked or erased.
    Revoked,
    /// It lasted too long, or was not used for too long.
    Expired,
}

/// A state, and when the database was asked for it.
type Known = (Arc<SessionState>, Instant);

/// States of sessions, as long as this process hears of changes, else for a few seconds: a session that was ended elsewhere
/// ends here when its notice comes, or when its entry is believed no more.
pub struct SessionCache {
    entries: Cache<SessionId, Known>,
    ttl: StdDuration,
    hearing: Hearing,
    flights: Flights<SessionId>,
    /// Grows with every end of a session seen; a look-up that began before one must not be stored after it.
    changes: AtomicU64,
}

impl std::fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionCache")
    }
}

impl SessionCache {
    /// Believes up to 100,000 states for `ttl`, and longer as long as changes are heard of.
    pub fn new(ttl: StdDuration, hearing: &Hearing) -> Self {
        let kept = if ttl.is_zero() { ttl } else { KEPT.max(ttl) };
        let entries = Cache::builder().max_capacity(100_000).time_to_live(kept).build();
        Self { entries, ttl, hearing: hearing.clone(), flights: Flights::new(), changes: AtomicU64::new(0) }
    }

    /// What is known of a session and may be believed. That it is over is not believed for long: it may have been used since.
    async fn known(&self, session: SessionId, now: DateTime<Utc>) -> Option<Arc<SessionState>> {
        let (state, asked) = self.entries.get(&session).await?;
        let is_kept = || asked.elapsed() < spread(&session, KEPT);
        let is_present = || is_kept() && self.hearing.covers(asked, self.ttl) && state.stands(now).is_ok();
        (asked.elapsed() < self.ttl || is_present()).then_some(state)
    }

    /// Whether this session of this person stands. One SQL statement when the cache does not know.
    ///
    /// # Errors
    /// [`DbError`] if the database cannot be asked.
    pub async fn check(
        &self,
        db: &Db,
        session: SessionId,
        user: UserId,
        now: DateTime<Utc>,
        stats: &Arc<Stats>,
    ) -> Result<Result<(), SessionEnd>, DbError> {
        let state = match self.known(session, now).await {
            Some(state) => {
                crate::telemetry::metrics::cache("sessions", "memory", true);
                Some(state)
            }
            None => {
                crate::telemetry::metrics::cache("sessions", "memory", false);
                self.read(db, session, now, stats).await?
            }
        };
        Ok(match state {
            Some(state) if state.user == user => state.stands(now),
            _ => Err(SessionEnd::Unknown),
        })
    }

    async fn read(
        &self,
        db: &Db,
        session: SessionId,
        now: DateTime<Utc>,
        stats: &Arc<Stats>,
    ) -> Result<Option<Arc<SessionState>>, DbError> {
        let _turn = self.flights.turn(&session).await;
        if let Some(known) = self.known(session, now).await {
            return Ok(Some(known));
        }
        let (before, asked) = (self.changes.load(Ordering::SeqCst), Instant::now());
        let tx = db.person(None, stats).await?;
        let found = store::session_state(&tx, session).await?.map(Arc::new);
        tx.finish();
        if let Some(found) = &found
            && self.changes.load(Ordering::SeqCst) == before
        {
            self.entries.insert(session, (Arc::clone(found), asked)).await;
            if self.changes.load(Ordering::SeqCst) != before {
                self.entries.invalidate(&session).await;
            }
        }
        Ok(found)
    }

    /// Forgets every session of a person, because the person was locked or let in again.
    pub async fn forget_user(&self, user: UserId) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let of_user = self.entries.iter().filter(|(_, (state, _))| state.user == user).map(|(session, _)| *session);
        for session in of_user.collect::<Vec<_>>() {
            self.entries.invalidate(&session).await;
        }
    }

    /// Forgets every session, because notices of their ends may have been missed.
    pub fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.entries.invalidate_all();
    }

    /// Forgets a session, because it has ended.
    pub async fn forget(&self, session: SessionId) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.entries.invalidate(&session).await;
    }
}

impl SessionState {
    fn stands(&self, now: DateTime<Utc>) -> Result<(), SessionEnd> {
        if self.revoked_at.is_some() || self.user_status != "active" {
            Err(SessionEnd::Revoked)
        } else if self.expires_at.min(self.idle_expires_at) <= now {
            Err(SessionEnd::Expired)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_is_found_by_its_hash() {
        let token = RefreshToken::generate().expect("random bytes");
        assert_eq!(RefreshToken::hash_of(&token.secret), Some(token.hash));
        assert!(token.secret.expose_secret().starts_with("tnr_"));
        assert_ne!(RefreshToken::generate().expect("random bytes").hash, token.hash);
    }

    #[test]
    fn what_is_no_refresh_token_has_no_hash() {
        let token = RefreshToken::generate().expect("random bytes");
        let text = token.secret.expose_secret();
        for wrong in ["", "tnr_", &text[1..], &text[..46], &format!("{text}a"), &text.replace("tnr_", "tnk_")] {
            assert_eq!(RefreshToken::hash_of(&wrong.to_owned().into()), None, "{wrong}");
        }
    }

    #[test]
    fn a_session_stands_until_revoked_or_over() {
        let now = DateTime::<Utc>::UNIX_EPOCH + Duration::days(1);
        let state = SessionState {
            user: UserId::new(now),
            revoked_at: None,
            expires_at: now + Duration::hours(2),
            idle_expires_at: now + Duration::hours(1),
            user_status: "active".to_owned(),
        };
        assert_eq!(state.stands(now), Ok(()));
        assert_eq!(state.stands(now + Duration::hours(1)), Err(SessionEnd::Expired));
        let revoked = SessionState { revoked_at: Some(now), ..state.clone() };
        assert_eq!(revoked.stands(now), Err(SessionEnd::Revoked));
        let locked = SessionState { user_status: "locked".to_owned(), ..state };
        assert_eq!(locked.stands(now), Err(SessionEnd::Revoked));
    }
}
