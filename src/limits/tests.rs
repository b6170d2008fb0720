//! All buckets of a request together, in this process. With Redis: `tests/it/limits/`.

use std::sync::Arc;

use chrono::{DateTime, Duration as Span, Utc};

use super::*;
use crate::ids::Id;

fn clock() -> Clock {
    Clock::fixed(DateTime::<Utc>::UNIX_EPOCH)
}

fn draws(tenant: u64, person: u64, cost: u64) -> Vec<Draw> {
    let (of, user) = (TenantId::from_uuid(uuid::Uuid::from_u128(1)), UserId::from_uuid(uuid::Uuid::from_u128(2)));
    vec![
        Draw { key: Key::Tenant(of), rate: Rate::per_second(tenant, 2), cost },
        Draw { key: Key::Person(of, user), rate: Rate::per_second(person, 1), cost },
    ]
}

fn remaining(standings: &[Standing]) -> Vec<u64> {
    standings.iter().map(Standing::remaining).collect()
}

#[tokio::test]
async fn all_buckets_or_none() {
    let limiter = Limiter::new(clock(), None);
    let taken = limiter.take(draws(100, 30, 30)).await.expect("both are full");
    assert_eq!(remaining(&taken.standings), [70, 0]);
    let Err(Over::Empty { key, wait, standings }) = limiter.take(draws(100, 30, 10)).await else { panic!("admitted") };
    assert_eq!((key.policy(), wait), ("principal", Duration::from_secs(10)));
    assert_eq!(remaining(&standings), [70, 0], "nothing was taken from the tenant's");
}

#[tokio::test]
async fn what_was_not_used_is_put_back_and_never_more() {
    let clock = clock();
    let limiter = Limiter::new(clock.clone(), None);
    let taken = limiter.take(draws(100, 30, 30)).await.expect("both are full");
    assert_eq!(remaining(&limiter.settle(taken, 10)), [90, 20]);
    let taken = limiter.take(draws(100, 30, 20)).await.expect("enough");
    clock.advance(Span::seconds(60));
    assert_eq!(remaining(&limiter.settle(taken, 1)), [100, 30], "full is full");
}

#[tokio::test]
async fn more_than_a_full_bucket_holds_is_told_apart() {
    let limiter = Limiter::new(clock(), None);
    let Err(Over::TooLarge { key, capacity }) = limiter.take(draws(100, 30, 31)).await else { panic!("not told") };
    assert_eq!((key.policy(), capacity), ("principal", 30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_get_exactly_what_there_is() {
    let limiter = Arc::new(Limiter::new(clock(), None));
    let tasks: Vec<_> = (0..400)
        .map(|_| {
            let limiter = Arc::clone(&limiter);
            tokio::spawn(async move { limiter.take(draws(1_000, 999, 7)).await.is_ok() })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += u64::from(task.await.expect("no panic"));
    }
    assert_eq!(admitted, 999 / 7);
}

#[test]
fn an_ipv6_client_is_its_network_and_an_ipv4_client_itself() {
    let network = |text: &str| Network::of(text.parse().expect("an address"));
    assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
    assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
    assert_ne!(network("0.0.0.1"), network("::1"));
}

#[test]
fn keys_of_a_tenant_name_it() {
    for draw in draws(1, 1, 1) {
        assert!(draw.key.in_redis().contains("{tnt_"), "{}", draw.key.in_redis());
    }
}

#[test]
fn a_plan_that_cannot_be_read_says_nothing() {
    let plan = serde_json::json!({ "ratePoints": 500, "ratePointsPerSecond": "many", "concurrency": 0, "seats": 3 });
    assert_eq!(PlanLimits::of(&plan), PlanLimits { rate_points: Some(500), ..PlanLimits::default() });
    assert_eq!(PlanLimits::of(&serde_json::json!([1])), PlanLimits::default());
}
