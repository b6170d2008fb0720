//! The second level: Redis. Slow or gone, it is as if it knew nothing.

use std::{
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, Mac};
use moka::sync;
use redis::{FromRedisValue, Script, Value};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{CacheKey, CacheValue, Found, Held, Level, Seen};
use crate::{clock::Clock, config::Key32, ids::TenantId, kv::Kv, telemetry::metrics};

/// Entries of another release say nothing: it may mean something else by the same words.
const FORMAT: &str = concat!(env!("CARGO_PKG_VERSION"), "/1");
/// What is larger costs Redis and this process more than the database.
const MAX_BYTES: usize = 64 * 1024;
/// How long a tenant's generation is kept: longer than any entry lives.
const GENERATION_LIFE: &str = "3600000";
const CHANGES: &str = "tenantry:changes";
const SEAL: usize = 16;

static GET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("get.lua")));
static PUT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("put.lua")));
static FORGET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("forget.lua")));

/// The Redis of all caches of a server, with the secret that seals what they store.
#[derive(Clone, Debug)]
pub struct SharedCache {
    kv: Kv,
    key: Key32,
}

impl SharedCache {
    /// Entries in this Redis, sealed with this secret.
    pub fn new(kv: Kv, key: Key32) -> Self {
        Self { kv, key }
    }

    pub(super) fn level(&self, name: &'static str, ttl: Duration, clock: Clock) -> Shared {
        // Longer than an entry that was stored before the change can live.
        let avoided = sync::Cache::builder().time_to_live(ttl + Duration::from_secs(1)).build();
        Shared {
            name,
            ttl,
            clock,
            kv: self.kv.clone(),
            seal: Sealer(self.key.clone()),
            avoided: Arc::new(avoided),
            all_avoided: Arc::new(Mutex::new(Instant::now())),
        }
    }
}

pub(super) struct Shared {
    name: &'static str,
    ttl: Duration,
    clock: Clock,
    kv: Kv,
    seal: Sealer,
    /// Tenants in which something has changed a moment ago: what Redis says may be older, whatever became of the call
    /// that tells it so.
    avoided: Arc<sync::Cache<TenantId, ()>>,
    /// The same for all tenants, until this instant.
    all_avoided: Arc<Mutex<Instant>>,
}

impl Shared {
    /// Whether what Redis says of this tenant may be older than a change that is known.
    fn avoids(&self, tenant: Option<TenantId>) -> bool {
        let until = *self.all_avoided.lock().unwrap_or_else(PoisonError::into_inner);
        Instant::now() < until || tenant.is_some_and(|tenant| self.avoided.contains_key(&tenant))
    }

    fn entry(&self, key: &str) -> String {
        format!("tenantry:{}:{key}", self.name)
    }
}

fn generation(tenant: TenantId) -> String {
    format!("tenantry:{{{tenant}}}:generation")
}

impl<K: CacheKey, V: CacheValue> Level<K, V> for Shared {
    async fn get(&self, key: &K) -> Found<V> {
        let unknown = Found::Miss(Seen(None));
        if self.ttl.is_zero() || self.avoids(key.tenant()) {
            return unknown;
        }
        let text = key.text();
        let asked = Instant::now();
        let keys = [self.entry(&text), CHANGES.to_owned()];
        let Some(answer) = self.kv.call::<Vec<Value>>(&GET, &keys, &[]).await else { return unknown };
        let mut answer = answer.into_iter();
        let changes = answer.next().and_then(|value| u64::from_redis_value(value).ok());
        let miss = Found::Miss(Seen(changes));
        let (Some(sealed), Some(life)) = (answer.next(), answer.next()) else { return miss };
        let (Ok(sealed), Ok(life)) = (Vec::<u8>::from_redis_value(sealed), u64::from_redis_value(life)) else {
            return miss;
        };
        let now = self.clock.now();
        let Some(opened) = self.seal.open::<V>(&text, key.tenant(), &sealed, now, self.ttl) else { return miss };
        if self.avoids(Some(opened.tenant)) {
            return unknown;
        }
        let life = Duration::from_millis(life).min(opened.life);
        Found::Hit(Held {
            value: Arc::new(opened.value),
            tenant: opened.tenant,
            read_at: opened.read_at,
            asked: asked.checked_sub(self.ttl.saturating_sub(life)).unwrap_or(asked),
            until: asked + life,
        })
    }

    async fn put(&self, key: &K, held: &Held<V>, seen: Seen) {
        let life = self.ttl.saturating_sub(held.asked.elapsed()).min(held.life()).as_millis();
        let Some(seen) = seen.0 else { return };
        if life == 0 || self.avoids(Some(held.tenant)) {
            return;
        }
        let text = key.text();
        let Some(sealed) = self.seal.seal(&text, held) else { return };
        let keys = [self.entry(&text), CHANGES.to_owned(), generation(held.tenant)];
        let (seen, tenant, life) = (seen.to_string(), held.tenant.to_string(), life.to_string());
        let args = [seen.as_bytes(), tenant.as_bytes(), &sealed, life.as_bytes()];
        if self.kv.call::<i64>(&PUT, &keys, &args).await == Some(1) {
            metrics::cache_changed(self.name, "redis", "stored", 1);
        }
    }

    fn forget_all(&self) {
        // Whoever made a change has told Redis, or tried to; entries from before end by themselves.
        let until = Instant::now() + self.ttl + Duration::from_secs(1);
        *self.all_avoided.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn forget(&self, tenant: TenantId) {
        self.avoided.insert(tenant, ());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (kv, name) = (self.kv.clone(), self.name);
        runtime.spawn(async move {
            let keys = [CHANGES.to_owned(), generation(tenant)];
            // Unheard, the entries end by themselves.
            if kv.call::<i64>(&FORGET, &keys, &[GENERATION_LIFE.as_bytes()]).await.is_some() {
                metrics::cache_changed(name, "redis", "dropped", 1);
            }
        });
    }
}

/// Seals what is stored, so that whoever can write to Redis can still give nobody rights.
struct Sealer(Key32);

#[derive(Serialize)]
struct Envelope<'a, V> {
    format: &'a str,
    key: &'a str,
    tenant: TenantId,
    read_at: i64,
    value: &'a V,
}

#[derive(Deserialize)]
struct Opened<V> {
    format: String,
    key: String,
    tenant: TenantId,
    read_at: i64,
    value: V,
}

struct Entry<V> {
    value: V,
    tenant: TenantId,
    read_at: DateTime<Utc>,
    life: Duration,
}

impl Sealer {
    fn mac(&self, text: &[u8]) -> Option<[u8; SEAL]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).ok()?;
        mac.update(b"entry of a cache\0");
        mac.update(text);
        let mut seal = [0; SEAL];
        seal.copy_from_slice(&mac.finalize().into_bytes()[..SEAL]);
        Some(seal)
    }

    fn seal<V: CacheValue>(&self, key: &str, held: &Held<V>) -> Option<Vec<u8>> {
        let read_at = held.read_at.timestamp_micros();
        self.seal_as(&Envelope { format: FORMAT, key, tenant: held.tenant, read_at, value: &*held.value })
    }

    fn seal_as<V: CacheValue>(&self, envelope: &Envelope<'_, V>) -> Option<Vec<u8>> {
        let text = serde_json::to_vec(envelope).ok().filter(|text| text.len() <= MAX_BYTES)?;
        let mut sealed = self.mac(&text)?.to_vec();
        sealed.extend(text);
        Some(sealed)
    }

    /// What was stored under this key; `None` for anything else.
    fn open<V: CacheValue>(
        &self,
        key: &str,
        tenant: Option<TenantId>,
        sealed: &[u8],
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> Option<Entry<V>> {
        let (seal, text) = sealed.split_at_checked(SEAL)?;
        if !bool::from(subtle::ConstantTimeEq::ct_eq(seal, self.mac(text)?.as_slice())) {
            return None;
        }
        let opened: Opened<V> = serde_json::from_slice(text).ok()?;
        if opened.format != FORMAT || opened.key != key || tenant.is_some_and(|tenant| tenant != opened.tenant) {
            return None;
        }
        let read_at = DateTime::from_timestamp_micros(opened.read_at)?;
        // Clocks of servers differ a little; Redis' own count of the entry's life does not depend on them.
        let age = (now - read_at).max(TimeDelta::zero()).to_std().ok()?;
        let life = ttl.checked_sub(age).filter(|life| !life.is_zero())?;
        Some(Entry { value: opened.value, tenant: opened.tenant, read_at, life })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;

    const TTL: Duration = Duration::from_secs(5);

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).expect("a time")
    }

    fn sealer() -> Sealer {
        Sealer(Key32::generate().expect("random bytes"))
    }

    fn envelope(value: &String) -> Envelope<'_, String> {
        Envelope { format: FORMAT, key: "slug:acme", tenant: tenant(1), read_at: now().timestamp_micros(), value }
    }

    fn opened(sealer: &Sealer, sealed: &[u8], at: DateTime<Utc>) -> Option<String> {
        sealer.open::<String>("slug:acme", Some(tenant(1)), sealed, at, TTL).map(|entry| entry.value)
    }

    #[test]
    fn what_was_stored_comes_back_with_the_rest_of_its_life() {
        let (sealer, value) = (sealer(), "value".to_owned());
        let sealed = sealer.seal_as(&envelope(&value)).expect("sealed");
        let at = now() + TimeDelta::seconds(2);
        let entry = sealer.open::<String>("slug:acme", None, &sealed, at, TTL).expect("an entry");
        assert_eq!((entry.value.as_str(), entry.tenant, entry.life), ("value", tenant(1), Duration::from_secs(3)));
    }

    #[test]
    fn anything_else_is_no_entry() {
        let (sealer, value) = (sealer(), "value".to_owned());
        let good = sealer.seal_as(&envelope(&value)).expect("sealed");
        assert!(opened(&sealer, &good, now()).is_some());
        let mut flipped = good.clone();
        *flipped.last_mut().expect("a byte") ^= 1;
        let other = |envelope: Envelope<'_, String>| sealer.seal_as(&envelope).expect("sealed");
        let number = sealer.seal_as(&Envelope {
            value: &7,
            ..Envelope {
                format: FORMAT,
                key: "slug:acme",
                tenant: tenant(1),
                read_at: now().timestamp_micros(),
                value: &7,
            }
        });
        for (what, sealed) in [
            ("nothing", Vec::new()),
            ("garbage", b"garbage that is longer than a seal".to_vec()),
            ("half of it", good[..good.len() / 2].to_vec()),
            ("another byte", flipped),
            ("another installation's", self::sealer().seal_as(&envelope(&value)).expect("sealed")),
            ("another release's", other(Envelope { format: "0.0.0/0", ..envelope(&value) })),
            ("another key's", other(Envelope { key: "slug:globex", ..envelope(&value) })),
            ("another tenant's", other(Envelope { tenant: tenant(2), ..envelope(&value) })),
            ("another type's", number.expect("sealed")),
        ] {
            assert_eq!(opened(&sealer, &sealed, now()), None, "{what}");
        }
    }

    #[test]
    fn what_is_too_old_is_no_entry() {
        let (sealer, value) = (sealer(), "value".to_owned());
        let sealed = sealer.seal_as(&envelope(&value)).expect("sealed");
        assert!(opened(&sealer, &sealed, now() + TimeDelta::milliseconds(4_999)).is_some());
        assert!(opened(&sealer, &sealed, now() + TimeDelta::seconds(5)).is_none());
        // Another server's clock that is ahead makes nothing younger than new.
        let entry = sealer.open::<String>("slug:acme", None, &sealed, now() - TimeDelta::seconds(60), TTL);
        assert_eq!(entry.expect("an entry").life, TTL);
    }

    #[test]
    fn what_is_too_large_is_not_stored() {
        let value = "x".repeat(MAX_BYTES);
        assert_eq!(sealer().seal_as(&envelope(&value)), None);
    }
}
