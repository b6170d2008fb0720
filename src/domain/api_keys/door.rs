//! The door that a request with a key comes in through: from what the client sent to key and tenant.

use std::{sync::Arc, time::Duration as StdDuration};

use chrono::{DateTime, Duration, Utc};

use super::key::KeyFormat;
use crate::{
    cache::{Cache, CacheKey, Hearing, SharedCache},
    clock::Clock,
    context::{self, KeyFound},
    db::{Db, Stats},
    domain::identity::AuthError,
    ids::{ApiKeyId, TenantId},
};

/// The time of the last use is written at most so often for each key.
pub const TOUCH_EVERY: Duration = Duration::minutes(1);

/// The SHA-256 of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct KeyHash([u8; 32]);

impl CacheKey for KeyHash {
    fn tenant(&self) -> Option<TenantId> {
        None
    }

    fn text(&self) -> String {
        let [high, low] = [&self.0[..16], &self.0[16..]]
            .map(|half| half.iter().fold(0u128, |number, byte| number << 8 | u128::from(*byte)));
        format!("{high:032x}{low:032x}")
    }
}

/// Keys by hash, as long as this process hears of changes, else for a few seconds. What ends a key in this process ends its
/// entry at once. Elsewhere the entry may outlive the key, and opens nothing: the rights behind the key are asked for apart
/// from this, and end with the notice.
pub struct KeyDoor {
    format: KeyFormat,
    found: Cache<KeyHash, KeyFound>,
    ttl: StdDuration,
    hearing: Hearing,
    touched: moka::sync::Cache<ApiKeyId, DateTime<Utc>>,
}

impl std::fmt::Debug for KeyDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyDoor({})", self.format.prefix())
    }
}

impl KeyDoor {
    /// Keys of this format, believed for `ttl`, and longer as long as changes are heard of.
    pub fn new(
        format: KeyFormat,
        ttl: StdDuration,
        clock: Clock,
        shared: Option<&SharedCache>,
        hearing: &Hearing,
    ) -> Self {
        let touched = moka::sync::Cache::builder().max_capacity(100_000).build();
        let found = Cache::that_listens("api_keys", ttl, clock, shared);
        Self { format, found, ttl, hearing: hearing.clone(), touched }
    }

    /// What keys look like here.
    pub fn format(&self) -> &KeyFormat {
        &self.format
    }

    /// The key that a client sent, in whatever state it is; `None` if nobody knows it. No SQL for a text that is no key,
    /// one statement when the cache does not know.
    ///
    /// # Errors
    /// [`AuthError::Malformed`], [`AuthError::Db`].
    pub(crate) async fn find(
        &self,
        db: &Db,
        secret: &str,
        stats: &Arc<Stats>,
    ) -> Result<Option<Arc<KeyFound>>, AuthError> {
        let hash = self.format.hash_of(secret).ok_or(AuthError::Malformed)?;
        // Unknown ones are not kept: they are free to choose.
        let found = self.found.find(
            KeyHash(hash),
            |held| {
                // The end of a key is a change of rights.
                let tenant = &held.value.tenant;
                let version = self.hearing.rights_version(tenant.id);
                held.is_present(self.ttl, &self.hearing) && tenant.rights_version >= version
            },
            async || {
                let tx = db.person(None, stats).await?;
                let found = context::find_key_by_hash(&tx, hash).await?;
                tx.finish();
                Ok::<_, AuthError>(found.map(|found| (found.tenant.id, found)))
            },
        );
        found.await
    }

    /// Forgets the keys of a tenant, because one of them may have ended, or its slug or status has changed.
    pub fn forget_tenant(&self, tenant: TenantId) {
        self.found.forget(tenant);
    }

    /// Forgets every key, because notices of changes may have been missed.
    pub fn forget_all(&self) {
        self.found.forget_all();
    }

    /// Whether the last use of a key should be written now; true at most once in [`TOUCH_EVERY`] for each key.
    pub fn should_touch(&self, key: ApiKeyId, now: DateTime<Utc>) -> bool {
        let entry = self.touched.entry(key).and_compute_with(|last| match last {
            Some(last) if now < *last.value() + TOUCH_EVERY => moka::ops::compute::Op::Nop,
            _ => moka::ops::compute::Op::Put(now),
        });
        matches!(entry, moka::ops::compute::CompResult::Inserted(_) | moka::ops::compute::CompResult::ReplacedWith(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_use_is_written_once_a_minute() {
        let door =
            KeyDoor::new(KeyFormat::new("test"), StdDuration::from_secs(5), Clock::system(), None, &Hearing::default());
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let (one, other) = (ApiKeyId::new(now), ApiKeyId::new(now));
        assert!(door.should_touch(one, now));
        assert!(!door.should_touch(one, now + Duration::seconds(59)));
        assert!(door.should_touch(other, now));
        assert!(door.should_touch(one, now + Duration::seconds(60)));
        assert!(!door.should_touch(one, now + Duration::seconds(61)));
    }
}
