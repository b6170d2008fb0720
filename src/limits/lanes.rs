//! How many operations of one tenant run at once.
//!
//! A request holds at most one connection, so the width of its lane bounds a tenant's share of the pool, and of the
//! processors with it. Each tenant waits in a queue of its own, short and in order: a flood fills its own queue only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ids::TenantId;

/// A lane nobody has used for so long is forgotten. Longer than any request lasts.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// How many times as wide the lane of requests without a tenant is. They belong to everybody, hold connections for moments,
/// and a refused sign-in waits in it on purpose: in a narrow one, a few guessers would keep all others out.
const WITHOUT_TENANT: usize = 16;

/// The lanes of a server, one for each tenant, and one for all requests without a tenant.
#[derive(Clone)]
pub struct Lanes {
    lanes: Cache<(Option<TenantId>, usize), Arc<Lane>>,
    width: usize,
    queue: usize,
    wait: Duration,
}

struct Lane {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// The turn of an operation in its lane; given back when it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// The lane and its queue are full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// How many operations run at once.
    pub width: usize,
}

/// One who waits; counted as long as it lasts, however it ends.
struct Waiting<'l>(&'l AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Lanes {
    /// Lanes of this width, each with a queue of this length in which nobody waits longer than `wait`.
    pub fn new(width: usize, queue: usize, wait: Duration) -> Self {
        let lanes = Cache::builder().time_to_idle(FORGOTTEN_AFTER).build();
        Self { lanes, width: width.max(1), queue, wait }
    }

    /// A place in the tenant's lane, which the plan may have made wider or narrower.
    ///
    /// # Errors
    /// [`Full`], at once where the queue is full, else after the wait.
    pub async fn enter(&self, tenant: Option<TenantId>, by_plan: Option<u32>) -> Result<Turn, Full> {
        let width = match tenant {
            Some(_) => by_plan.map_or(self.width, |width| width as usize),
            None => self.width.saturating_mul(WITHOUT_TENANT),
        };
        let width = width.clamp(1, Semaphore::MAX_PERMITS);
        // A plan that changes opens a new lane; who is in the old one stays there until the answer.
        let lane = self.lanes.get_with((tenant, width), || {
            Arc::new(Lane { places: Arc::new(Semaphore::new(width)), waiting: AtomicUsize::new(0) })
        });
        if let Ok(place) = Arc::clone(&lane.places).try_acquire_owned() {
            return Ok(Turn(place));
        }
        let waiting = Waiting(&lane.waiting);
        let place = match lane.waiting.fetch_add(1, Ordering::SeqCst) < self.queue {
            true => tokio::time::timeout(self.wait, Arc::clone(&lane.places).acquire_owned()).await.ok(),
            false => None,
        };
        drop(waiting);
        match place {
            Some(Ok(place)) => Ok(Turn(place)),
            _ => {
                metrics::counter!("tenantry_limited_total", "limit" => "concurrency").increment(1);
                Err(Full { width })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::new(chrono::DateTime::UNIX_EPOCH)
    }

    #[tokio::test]
    async fn one_lane_fills_and_the_others_stay_free() {
        let lanes = Lanes::new(2, 0, Duration::from_secs(60));
        let (flood, other) = (Some(tenant()), Some(tenant()));
        let first = lanes.enter(flood, None).await.expect("free");
        let _second = lanes.enter(flood, None).await.expect("free");
        assert_eq!(lanes.enter(flood, None).await.expect_err("full"), Full { width: 2 });
        lanes.enter(other, None).await.expect("another lane");
        lanes.enter(None, None).await.expect("another lane");
        drop(first);
        lanes.enter(flood, None).await.expect("free again");
    }

    #[tokio::test]
    async fn who_waits_in_the_queue_comes_next_and_who_finds_it_full_is_told_at_once() {
        let lanes = Lanes::new(1, 1, Duration::from_secs(60));
        let flood = Some(tenant());
        let first = lanes.enter(flood, None).await.expect("free");
        let waits = tokio::spawn({
            let lanes = lanes.clone();
            async move { lanes.enter(flood, None).await }
        });
        let lane = lanes.lanes.get(&(flood, 1)).expect("a lane");
        while lane.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        lanes.enter(flood, None).await.expect_err("the queue is full");
        drop(first);
        waits.await.expect("no panic").expect("it came next");
        assert_eq!(lane.waiting.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_plan_widens_the_lane() {
        let lanes = Lanes::new(1, 0, Duration::ZERO);
        let _one = lanes.enter(Some(tenant()), Some(2)).await.expect("free");
        let flood = Some(tenant());
        let _first = lanes.enter(flood, Some(2)).await.expect("free");
        let _second = lanes.enter(flood, Some(2)).await.expect("free");
        assert_eq!(lanes.enter(flood, Some(2)).await.expect_err("full"), Full { width: 2 });
    }
}
