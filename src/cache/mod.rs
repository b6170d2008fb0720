//! What is asked for with every request and changes seldom: tenants by name, rights, API keys.
//!
//! Two levels with one interface ([`Level`]): the memory of this process, and Redis, where one is configured, so that a
//! fleet asks the database once. What must always hold:
//! - A value is as old as its first level says: it carries the instant at which the database was asked, and lives for one
//!   time to live over both levels together. In memory it may live longer, as long as this process hears of every change
//!   ([`Hearing`]); what came from Redis may not, since its change may have been told before anybody here listened.
//! - What was read before a change is not stored after it. Each look-up that misses gets the count of changes so far, and
//!   storing compares it.
//! - A change in this process ends the entries of its tenant here at once, and takes nothing of that tenant from Redis
//!   until every entry from before has ended by itself.
//! - An entry of Redis that cannot be read, is of another release, of another key or tenant, or was not sealed with this
//!   installation's secret, is no entry.
//!
//! Writes do not come here: they ask the database again, in their own transaction.

mod flight;
mod hearing;
mod memory;
mod shared;

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};

use crate::{clock::Clock, ids::TenantId, telemetry::metrics};
pub use flight::Flights;
pub use hearing::Hearing;
use memory::Memory;
use shared::Shared;
pub use shared::SharedCache;

/// What a value is found by.
pub trait CacheKey: Clone + Eq + Hash + Send + Sync + 'static {
    /// The tenant whose value it finds, where the key says so.
    fn tenant(&self) -> Option<TenantId>;
    /// Its text in Redis, different for every key of this cache.
    fn text(&self) -> String;
}

/// What is kept.
pub trait CacheValue: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> CacheValue for V {}

/// A value with what is known about it.
#[derive(Debug)]
pub struct Held<V> {
    /// The value.
    pub value: Arc<V>,
    /// Whose it is.
    pub tenant: TenantId,
    /// When the database was asked.
    pub read_at: DateTime<Utc>,
    /// The same by this process' own clock.
    pub asked: Instant,
    /// From when on it is too old, by this process' own clock.
    pub until: Instant,
}

impl<V> Clone for Held<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

impl<V> Held<V> {
    /// Whether it says what the database says, but for changes of the last `ttl`: it was read since, or nothing was heard
    /// of a change of it.
    pub fn is_present(&self, ttl: Duration, hearing: &Hearing) -> bool {
        self.asked.elapsed() < ttl || hearing.covers(self.asked, ttl)
    }

    /// How long it may still be used.
    fn life(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// What a level knows.
pub enum Found<V> {
    /// The value.
    Hit(Held<V>),
    /// Nothing; storing needs this.
    Miss(Seen),
}

/// The changes that a level had seen when it was asked; `None` where it could not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen(Option<u64>);

/// One level of a cache.
pub trait Level<K: CacheKey, V: CacheValue>: Send + Sync {
    /// The value under this key.
    fn get(&self, key: &K) -> impl Future<Output = Found<V>> + Send;
    /// Stores a value, unless something has changed since `seen`.
    fn put(&self, key: &K, held: &Held<V>, seen: Seen) -> impl Future<Output = ()> + Send;
    /// Ends every entry of a tenant.
    fn forget(&self, tenant: TenantId);
    /// Ends every entry.
    fn forget_all(&self);
}

/// A cache of two levels.
pub struct Cache<K: CacheKey, V: CacheValue> {
    name: &'static str,
    memory: Memory<K, V>,
    shared: Option<Shared>,
    flights: Flights<K>,
    /// How long a value is kept in memory.
    kept: Duration,
    clock: Clock,
}

/// How long what nobody has changed is kept at most: so long that what is used is seldom read again, and what is not used any
/// more takes no room.
pub const KEPT: Duration = Duration::from_secs(60 * 60);

/// For how long this value is kept: between half of `most` and all of it, so that what was read together, when the server
/// began or its tenants woke up, is not read again together.
pub fn spread(key: &impl Hash, most: Duration) -> Duration {
    let share = BuildHasherDefault::<DefaultHasher>::default().hash_one(key) % 1_024;
    most / 2 + most / 2 * u32::try_from(share).unwrap_or(0) / 1_024
}

impl<K: CacheKey, V: CacheValue> std::fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({})", self.name)
    }
}

impl<K: CacheKey, V: CacheValue> Cache<K, V> {
    /// A cache of this name, in metrics and in Redis, that keeps up to 100,000 values in memory for `ttl`.
    pub fn new(name: &'static str, ttl: Duration, clock: Clock, shared: Option<&SharedCache>) -> Self {
        let shared = shared.map(|shared| shared.level(name, ttl, clock.clone()));
        Self { name, memory: Memory::new(name, ttl), shared, flights: Flights::new(), kept: ttl, clock }
    }

    /// The same for values that may outlive their `ttl` in memory: whoever asks says in `good` whether they are
    /// [still the present ones](Held::is_present). Nothing is kept if `ttl` is zero.
    pub fn that_listens(name: &'static str, ttl: Duration, clock: Clock, shared: Option<&SharedCache>) -> Self {
        let kept = if ttl.is_zero() { ttl } else { KEPT.max(ttl) };
        Self { memory: Memory::new(name, kept), kept, ..Self::new(name, ttl, clock, shared) }
    }

    /// The value under this key, from the first level that knows it, else from the database by `load`, which says whose
    /// it is. What is not `good` any more counts as unknown; what is unknown is not kept.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn find<E>(
        &self,
        key: K,
        good: impl Fn(&Held<V>) -> bool + Send + Sync,
        load: impl AsyncFnOnce() -> Result<Option<(TenantId, V)>, E>,
    ) -> Result<Option<Arc<V>>, E> {
        if let Found::Hit(held) = self.memory.get(&key).await
            && good(&held)
        {
            metrics::cache(self.name, "memory", true);
            return Ok(Some(held.value));
        }
        metrics::cache(self.name, "memory", false);
        let _turn = self.flights.turn(&key).await;
        let seen = match self.memory.get(&key).await {
            Found::Hit(held) if good(&held) => return Ok(Some(held.value)),
            Found::Hit(_) => self.memory.seen(),
            Found::Miss(seen) => seen,
        };
        let mut shared_seen = Seen(None);
        if let Some(shared) = &self.shared {
            match Level::<K, V>::get(shared, &key).await {
                Found::Hit(held) if good(&held) => {
                    metrics::cache(self.name, "redis", true);
                    self.memory.put(&key, &held, seen).await;
                    return Ok(Some(held.value));
                }
                Found::Hit(_) => {}
                Found::Miss(seen) => shared_seen = seen,
            }
            metrics::cache(self.name, "redis", false);
        }
        // The age is that of the question, not of the answer.
        let (read_at, asked) = (self.clock.now(), Instant::now());
        let Some((tenant, value)) = load().await? else { return Ok(None) };
        let held = Held { value: Arc::new(value), tenant, read_at, asked, until: asked + self.life_of(&key) };
        self.memory.put(&key, &held, seen).await;
        if let Some(shared) = &self.shared {
            shared.put(&key, &held, shared_seen).await;
        }
        Ok(Some(held.value))
    }

    /// A time to live that was asked for is kept to; a longer one is nobody's promise.
    fn life_of(&self, key: &K) -> Duration {
        if self.kept == KEPT { spread(key, KEPT) } else { self.kept }
    }

    /// Ends every entry of a tenant, because what they say has changed.
    pub fn forget(&self, tenant: TenantId) {
        Level::<K, V>::forget(&self.memory, tenant);
        if let Some(shared) = &self.shared {
            Level::<K, V>::forget(shared, tenant);
        }
    }

    /// Ends every entry, because changes may have been missed.
    pub fn forget_all(&self) {
        Level::<K, V>::forget_all(&self.memory);
        if let Some(shared) = &self.shared {
            Level::<K, V>::forget_all(shared);
        }
    }
}

#[cfg(test)]
mod tests;
