//! The first level: the memory of this process.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use moka::{future, notification::RemovalCause};

use super::{CacheKey, CacheValue, Found, Held, Level, Seen};
use crate::{ids::TenantId, telemetry::metrics};

const CAPACITY: u64 = 100_000;

pub(super) struct Memory<K: CacheKey, V: CacheValue> {
    name: &'static str,
    entries: future::Cache<K, Held<V>>,
    /// Grows with every change seen; a look-up that began before a change must not be stored after it.
    changes: AtomicU64,
}

impl<K: CacheKey, V: CacheValue> Memory<K, V> {
    pub(super) fn new(name: &'static str, ttl: Duration) -> Self {
        let entries = future::Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(ttl)
            .support_invalidation_closures()
            .eviction_listener(move |_, _, cause| {
                if cause != RemovalCause::Replaced {
                    metrics::cache_changed(name, "memory", "dropped", 1);
                }
            })
            .build();
        Self { name, entries, changes: AtomicU64::new(0) }
    }

    pub(super) fn seen(&self) -> Seen {
        Seen(Some(self.changes.load(Ordering::SeqCst)))
    }
}

impl<K: CacheKey, V: CacheValue> Level<K, V> for Memory<K, V> {
    async fn get(&self, key: &K) -> Found<V> {
        match self.entries.get(key).await {
            Some(held) if Instant::now() < held.until => Found::Hit(held),
            _ => Found::Miss(self.seen()),
        }
    }

    async fn put(&self, key: &K, held: &Held<V>, seen: Seen) {
        if self.seen() != seen || held.life().is_zero() {
            return;
        }
        self.entries.insert(key.clone(), held.clone()).await;
        metrics::cache_changed(self.name, "memory", "stored", 1);
        // A change may have come between the look and the insertion.
        if self.seen() != seen {
            self.entries.invalidate(key).await;
        }
    }

    fn forget(&self, tenant: TenantId) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        if let Err(error) = self.entries.invalidate_entries_if(move |_, held| held.tenant == tenant) {
            tracing::error!(error = %error, cache = self.name, "cached entries of one tenant could not be dropped; all are");
            self.entries.invalidate_all();
        }
    }

    fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.entries.invalidate_all();
    }
}
