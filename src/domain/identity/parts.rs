//! The parts of identity, wired once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration as StdDuration,
};

use chrono::{DateTime, Duration, Utc};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    keys::{KeyError, SigningKeys},
    passwords::Passwords,
    sessions::SessionCache,
    store::LockRule,
    tokens::AccessTokens,
    types::Email,
};
use crate::{
    cache::{Hearing, SharedCache},
    clock::Clock,
    config::{AuthSettings, Keys},
    db::{Db, Stats},
    domain::api_keys::{door::KeyDoor, key::KeyFormat},
};

/// After so many failed sign-ins in a row an account is locked.
pub const MAX_FAILURES: i32 = 10;
/// For so long.
pub const LOCK_SECONDS: i32 = 15 * 60;

/// The issuer of access tokens where no public URL is set.
const ISSUER: &str = "tenantry";

/// Everything that use cases and requests need to know who somebody is. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    keys: SigningKeys,
    tokens: AccessTokens,
    sessions: SessionCache,
    passwords: Passwords,
    api_keys: KeyDoor,
    strangers: Strangers,
    refresh_life: Duration,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// Wires the parts: reads the signing keys and makes one if there is none.
    ///
    /// # Errors
    /// [`KeyError`] if nothing can be signed, with what to do about it.
    pub async fn start(
        db: &Db,
        clock: &Clock,
        keys: &Keys,
        settings: &AuthSettings,
        public_url: Option<&Url>,
        shared: Option<&SharedCache>,
        hearing: &Hearing,
    ) -> Result<Self, KeyError> {
        let seconds = |seconds: u64| Duration::seconds(i64::try_from(seconds).unwrap_or(i64::from(i32::MAX)));
        let issuer = public_url.map_or(ISSUER, |url| url.as_str().trim_end_matches('/'));
        let cache_ttl = StdDuration::from_millis(settings.rights_cache_ttl_ms);
        let identity = Self(Arc::new(Inner {
            db: db.clone(),
            clock: clock.clone(),
            keys: SigningKeys::new(keys.token.clone()),
            tokens: AccessTokens::new(issuer, seconds(settings.access_token_ttl_seconds)),
            sessions: SessionCache::new(cache_ttl, hearing),
            passwords: Passwords::new()?,
            api_keys: KeyDoor::new(
                KeyFormat::new(&settings.api_key_environment),
                cache_ttl,
                clock.clone(),
                shared,
                hearing,
            ),
            strangers: Strangers::new(),
            refresh_life: seconds(settings.refresh_token_ttl_seconds),
        }));
        identity.keys().for_signing(db, clock.now(), &Arc::new(Stats::default())).await?;
        Ok(identity)
    }

    /// The keys that sign access tokens.
    pub fn keys(&self) -> &SigningKeys {
        &self.0.keys
    }

    /// Issues and verifies access tokens.
    pub fn tokens(&self) -> &AccessTokens {
        &self.0.tokens
    }

    /// Whether sessions stand.
    pub fn sessions(&self) -> &SessionCache {
        &self.0.sessions
    }

    /// Hashes and compares passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// Finds API keys by what clients send.
    pub fn api_keys(&self) -> &KeyDoor {
        &self.0.api_keys
    }

    pub(super) fn strangers(&self) -> &Strangers {
        &self.0.strangers
    }

    /// How long a refresh token is good for.
    pub fn refresh_life(&self) -> Duration {
        self.0.refresh_life
    }

    /// The public keys of access tokens (RFC 7517), for `/.well-known/jwks.json`. Follows what other processes make
    /// within about a minute: the answer does not wait for the database.
    pub fn public_jwks(&self) -> serde_json::Value {
        if self.keys().is_stale()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let this = self.clone();
            runtime.spawn(async move {
                if let Err(error) = this.keys().refresh(&this.0.db).await {
                    tracing::warn!(error = %crate::domain::error::chain(&error), "the published keys could not be read again");
                }
            });
        }
        self.keys().jwks(self.0.clock.now())
    }
}

pub(super) const LOCK: LockRule = LockRule { max_failures: MAX_FAILURES, lock_seconds: LOCK_SECONDS };

/// Failed sign-ins with addresses that nobody has: counted and locked like those of an account, so that a lock does
/// not tell which addresses are known. Kept by hash, in this process, for a day.
pub(super) struct Strangers(Cache<[u8; 32], Arc<Mutex<Failures>>>);

#[derive(Default)]
struct Failures {
    count: i32,
    locked_until: Option<DateTime<Utc>>,
}

impl Strangers {
    fn new() -> Self {
        Self(Cache::builder().max_capacity(100_000).time_to_live(StdDuration::from_secs(24 * 60 * 60)).build())
    }

    fn key(email: &Email) -> [u8; 32] {
        Sha256::digest(&email.norm).into()
    }

    /// Until when the address is locked.
    pub(super) fn locked_until(&self, email: &Email) -> Option<DateTime<Utc>> {
        let failures = self.0.get(&Self::key(email))?;
        failures.lock().unwrap_or_else(PoisonError::into_inner).locked_until
    }

    /// Counts a failure as `app.record_sign_in` does, and gives the end of the lock.
    pub(super) fn fail(&self, email: &Email, now: DateTime<Utc>, rule: LockRule) -> Option<DateTime<Utc>> {
        let entry = self.0.get_with(Self::key(email), Arc::default);
        let mut failures = entry.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.locked_until {
            Some(end) if end <= now => *failures = Failures { count: 1, locked_until: None },
            Some(_) => failures.count += 1,
            None => {
                failures.count += 1;
                if failures.count >= rule.max_failures {
                    failures.locked_until = Some(now + Duration::seconds(rule.lock_seconds.into()));
                }
            }
        }
        failures.locked_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_nobody_has_is_locked_like_one_that_somebody_has() {
        let (strangers, email) = (Strangers::new(), Email::parse("nobody@demo.test").expect("an address"));
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let rule = LockRule { max_failures: 3, lock_seconds: 60 };
        assert_eq!(strangers.fail(&email, now, rule), None);
        assert_eq!(strangers.fail(&email, now, rule), None);
        assert_eq!(strangers.locked_until(&email), None);
        let end = now + Duration::seconds(60);
        assert_eq!(strangers.fail(&email, now, rule), Some(end));
        assert_eq!(strangers.fail(&email, now + Duration::seconds(30), rule), Some(end));
        assert_eq!(strangers.locked_until(&email), Some(end));
        assert_eq!(strangers.fail(&email, end, rule), None, "the count starts again");
        let other = Email::parse("other@demo.test").expect("an address");
        assert_eq!(strangers.locked_until(&other), None);
    }
}
