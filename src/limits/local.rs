//! The buckets of this process: exact, one small lock for each bucket.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{Expiry, policy::EvictionPolicy, sync::Cache};

use super::{
    Draw, Key, Level,
    bucket::{Bucket, PARTS},
};

/// How many buckets of tenants and principals are kept; the ones used longest ago go first.
const KNOWN: u64 = 500_000;
/// How many of addresses and accounts: kept apart, so that a flood of strangers drives out nobody's.
const STRANGERS: u64 = 200_000;

pub(super) struct Local {
    known: Cache<Key, Arc<Slot>>,
    strangers: Cache<Key, Arc<Slot>>,
}

struct Slot {
    bucket: Mutex<Bucket>,
    /// Milliseconds after which an untouched bucket is full again, and as good as none.
    life: AtomicU64,
}

struct UntilFull;

impl Expiry<Key, Arc<Slot>> for UntilFull {
    fn expire_after_create(&self, _: &Key, slot: &Arc<Slot>, _: Instant) -> Option<Duration> {
        Some(slot.life())
    }

    fn expire_after_read(
        &self,
        _: &Key,
        slot: &Arc<Slot>,
        _: Instant,
        _: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        Some(slot.life())
    }
}

impl Slot {
    fn life(&self) -> Duration {
        Duration::from_millis(self.life.load(Ordering::Relaxed))
    }

    fn bucket(&self) -> std::sync::MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Local {
    pub(super) fn new() -> Self {
        let cache = |size| {
            Cache::builder().max_capacity(size).eviction_policy(EvictionPolicy::lru()).expire_after(UntilFull).build()
        };
        Self { known: cache(KNOWN), strangers: cache(STRANGERS) }
    }

    fn slot(&self, draw: &Draw, now: i64) -> Arc<Slot> {
        let life = draw.rate.fills_within().as_millis().saturating_add(1_000);
        let life = u64::try_from(life).unwrap_or(u64::MAX / 2);
        let cache = if draw.key.is_of_a_stranger() { &self.strangers } else { &self.known };
        let slot = cache.get_with(draw.key, || {
            Arc::new(Slot { bucket: Mutex::new(Bucket::with(draw.rate.full(), now)), life: AtomicU64::new(life) })
        });
        slot.life.store(life, Ordering::Relaxed);
        slot
    }

    /// Takes from every bucket, or from none if one has too little. `Err` has what is in each.
    ///
    /// The locks are taken in the order of the keys: two requests never wait for each other.
    pub(super) fn take(&self, draws: &[Draw], now: i64) -> Result<Vec<Level>, Vec<Level>> {
        let slots: Vec<_> = draws.iter().map(|draw| self.slot(draw, now)).collect();
        let mut order: Vec<usize> = (0..draws.len()).collect();
        order.sort_unstable_by_key(|index| draws[*index].key);
        let mut locked: Vec<_> = order.iter().map(|index| (*index, slots[*index].bucket())).collect();
        let mut levels = vec![0; draws.len()];
        for (index, bucket) in &locked {
            levels[*index] = bucket.level(draws[*index].rate, now);
        }
        if draws.iter().zip(&levels).any(|(draw, level)| *level < draw.cost * PARTS) {
            return Err(levels);
        }
        for (index, bucket) in &mut locked {
            levels[*index] -= draws[*index].cost * PARTS;
            bucket.set(levels[*index], now);
        }
        Ok(levels)
    }

    /// Puts back what was not used.
    pub(super) fn put_back(&self, draw: &Draw, points: u64, now: i64) -> Level {
        self.slot(draw, now).bucket().put_back(draw.rate, now, points * PARTS)
    }

    /// Takes over what the shared bucket holds, so that this process goes on from there should Redis be lost.
    pub(super) fn follow(&self, draw: &Draw, level: Level, now: i64) {
        self.slot(draw, now).bucket().set(level.min(draw.rate.full()), now);
    }
}
