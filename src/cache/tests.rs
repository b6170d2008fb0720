//! The two levels together, without Redis. With one: `tests/it/limits/`.

use super::*;
use crate::ids::Id;

impl CacheKey for u8 {
    fn tenant(&self) -> Option<TenantId> {
        None
    }
    fn text(&self) -> String {
        self.to_string()
    }
}

fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(uuid::Uuid::from_u128(number))
}

fn cache(ttl: Duration) -> Cache<u8, u32> {
    Cache::new("test", ttl, Clock::system(), None)
}

async fn read(cache: &Cache<u8, u32>, key: u8, value: u32) -> u32 {
    let found = cache.find(key, |_| true, async || Ok::<_, ()>(Some((tenant(key.into()), value)))).await;
    *found.expect("no error").expect("a value")
}

#[tokio::test]
async fn a_value_is_kept_until_its_tenant_changes() {
    let cache = cache(Duration::from_secs(60));
    assert_eq!(read(&cache, 1, 10).await, 10);
    assert_eq!(read(&cache, 2, 20).await, 20);
    assert_eq!(read(&cache, 1, 11).await, 10);
    cache.forget(tenant(1));
    assert_eq!(read(&cache, 1, 12).await, 12);
    assert_eq!(read(&cache, 2, 21).await, 20);
}

#[tokio::test]
async fn what_was_read_before_a_change_is_not_kept_after_it() {
    let cache = cache(Duration::from_secs(60));
    let old = cache
        .find(
            1,
            |_| true,
            async || {
                cache.forget(tenant(1));
                Ok::<_, ()>(Some((tenant(1), 10)))
            },
        )
        .await;
    assert_eq!(old, Ok(Some(Arc::new(10))));
    assert_eq!(read(&cache, 1, 11).await, 11);
}

#[tokio::test]
async fn what_is_not_good_any_more_is_read_again_and_nothing_is_kept_without_a_life() {
    let cache = cache(Duration::from_secs(60));
    read(&cache, 1, 10).await;
    let found = cache.find(1, |held| *held.value > 10, async || Ok::<_, ()>(Some((tenant(1), 11)))).await;
    assert_eq!(found, Ok(Some(Arc::new(11))));
    assert_eq!(read(&cache, 1, 12).await, 11);
    let none = self::cache(Duration::ZERO);
    assert_eq!(read(&none, 1, 1).await, 1);
    assert_eq!(read(&none, 1, 2).await, 2);
}

#[tokio::test]
async fn many_who_ask_at_once_ask_the_database_once() {
    let cache = Arc::new(cache(Duration::from_secs(60)));
    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (cache, asked) = (Arc::clone(&cache), Arc::clone(&asked));
            tokio::spawn(async move {
                let load = async || {
                    tokio::task::yield_now().await;
                    Ok::<_, ()>(Some((tenant(1), asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst))))
                };
                cache.find(1, |_| true, load).await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("no panic"), Ok(Some(Arc::new(0))));
    }
}

/// A value that is told of its changes lives on, in memory, for as long as somebody says it is the present one.
#[tokio::test]
async fn a_value_outlives_its_time_as_long_as_changes_are_heard_of() {
    let (ttl, hearing) = (Duration::from_millis(300), Hearing::default());
    hearing.begins(Instant::now());
    let cache = Cache::<u8, u32>::that_listens("test", ttl, Clock::system(), None);
    let read = async |value: u32| {
        let found =
            cache.find(1, |held| held.is_present(ttl, &hearing), async || Ok::<_, ()>(Some((tenant(1), value))));
        *found.await.expect("no error").expect("a value")
    };
    assert_eq!(read(10).await, 10);
    let began = Instant::now();
    while began.elapsed() < 2 * ttl {
        hearing.heard_until(Instant::now());
    }
    assert_eq!(read(11).await, 10, "heard of nothing");
    while hearing.covers(Instant::now(), ttl) {}
    assert_eq!(read(12).await, 12, "nothing is heard any more");
    hearing.heard_until(Instant::now());
    cache.forget(tenant(1));
    assert_eq!(read(13).await, 13, "heard of a change");
}

#[test]
fn what_was_read_together_ends_apart() {
    let lives: Vec<_> = (0u8..=255).map(|key| spread(&key, KEPT)).collect();
    assert!(lives.iter().all(|life| (KEPT / 2..=KEPT).contains(life)));
    let early = lives.iter().filter(|life| **life < KEPT * 3 / 4).count();
    assert!((64..192).contains(&early), "{early} of 256 in the first half");
    assert_eq!(spread(&1u8, KEPT), spread(&1u8, KEPT));
}
