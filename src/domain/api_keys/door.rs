//! The door that a request with a key comes in through: from what the client sent to key and tenant.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration as StdDuration,
};

use chrono::{DateTime, Duration, Utc};
use moka::future::Cache;

use super::key::KeyFormat;
use crate::{
    context::{self, KeyFound},
    db::{Db, Stats},
    domain::identity::AuthError,
    ids::{ApiKeyId, TenantId},
};

/// The time of the last use is written at most so often for each key.
pub const TOUCH_EVERY: Duration = Duration::minutes(1);

/// Keys by hash, for a few seconds. What ends a key in this process empties its entry at once; elsewhere it ends with the
/// entry. The rights behind the key are asked for apart from this.
pub struct KeyDoor {
    format: KeyFormat,
    found: Cache<[u8; 32], Arc<KeyFound>>,
    /// Grows with every end of a key seen; a look-up that began before one must not be stored after it.
    changes: AtomicU64,
    touched: moka::sync::Cache<ApiKeyId, DateTime<Utc>>,
}

impl std::fmt::Debug for KeyDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyDoor({})", self.format.prefix())
    }
}

impl KeyDoor {
    /// Keys of this format; up to 100,000 are kept for `ttl`.
    pub fn new(format: KeyFormat, ttl: StdDuration) -> Self {
        let found = Cache::builder().max_capacity(100_000).time_to_live(ttl).support_invalidation_closures().build();
        let touched = moka::sync::Cache::builder().max_capacity(100_000).build();
        Self { format, found, changes: AtomicU64::new(0), touched }
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
        if let Some(known) = self.found.get(&hash).await {
            metrics::counter!("tenantry_cache_total", "cache" => "api_keys", "outcome" => "hit").increment(1);
            return Ok(Some(known));
        }
        metrics::counter!("tenantry_cache_total", "cache" => "api_keys", "outcome" => "miss").increment(1);
        let before = self.changes.load(Ordering::SeqCst);
        let tx = db.person(None, stats).await?;
        let found = context::find_key_by_hash(&tx, hash).await?.map(Arc::new);
        tx.finish();
        // Unknown ones are not kept: they are free to choose.
        if let Some(found) = &found
            && self.changes.load(Ordering::SeqCst) == before
        {
            self.found.insert(hash, Arc::clone(found)).await;
            if self.changes.load(Ordering::SeqCst) != before {
                self.found.invalidate(&hash).await;
            }
        }
        Ok(found)
    }

    /// Forgets a key, because it was revoked or replaced.
    pub fn forget(&self, key: ApiKeyId) {
        self.forget_if(move |found| found.key == key);
    }

    /// Forgets the keys of a tenant, because its slug or status has changed.
    pub fn forget_tenant(&self, tenant: TenantId) {
        self.forget_if(move |found| found.tenant.id == tenant);
    }

    fn forget_if(&self, is_meant: impl Fn(&KeyFound) -> bool + Send + Sync + 'static) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        if let Err(error) = self.found.invalidate_entries_if(move |_, found| is_meant(found)) {
            tracing::error!(error = %error, "a cached API key could not be dropped; all are");
            self.found.invalidate_all();
        }
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
        let door = KeyDoor::new(KeyFormat::new("test"), StdDuration::from_secs(5));
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let (one, other) = (ApiKeyId::new(now), ApiKeyId::new(now));
        assert!(door.should_touch(one, now));
        assert!(!door.should_touch(one, now + Duration::seconds(59)));
        assert!(door.should_touch(other, now));
        assert!(door.should_touch(one, now + Duration::seconds(60)));
        assert!(!door.should_touch(one, now + Duration::seconds(61)));
    }
}
