//! What Redis keeps for several servers: taken over, never believed blindly.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tenantry::{
    cache::{Cache, CacheKey, SharedCache},
    clock::Clock,
    config::Key32,
    ids::TenantId,
    kv::Kv,
};
use tokio::time::Instant;

use super::{ask, cost};
use crate::support::{
    app::{TestApp, TestUser},
    redis::TestRedis,
};

const NAME: &str = "{ tenant { slug } }";

async fn server(redis: &TestRedis) -> TestApp {
    TestApp::with(|settings| settings.redis.redis_url = Some(redis.url().into())).await
}

fn at(app: &TestApp, user: &TestUser) -> TestUser {
    TestUser { app: app.clone(), ..user.clone() }
}

/// SQL statements that an answer took.
async fn statements(user: &TestUser) -> u64 {
    let reply = ask(user, NAME).await;
    assert_eq!(reply.codes(), Vec::<&str>::new(), "{reply:?}");
    cost(&reply)["sqlStatements"].as_u64().expect("a count")
}

/// A key of a fresh tenant, known to nobody but the database.
async fn stranger(app: &TestApp) -> TestUser {
    let owner = app.tenant().await.owner;
    let input = json!({ "name": "demo key", "scopes": ["tenant:read"] });
    let secret = owner.mutate("apiKeyCreate", "secret", input).await.at("/secret");
    owner.with_token(&secret).at(None)
}

/// Waits until a new server takes a request with so few statements.
async fn known_to_redis(redis: &TestRedis, key: &TestUser, wanted: u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while statements(&at(&server(redis).await, key)).await != wanted {
        assert!(Instant::now() < deadline, "the second server asks the database itself");
    }
}

#[tokio::test]
async fn a_second_server_takes_over_what_the_first_has_asked() {
    let redis = TestRedis::start().await;
    let plain = TestApp::start().await;
    let key = stranger(&plain).await;
    let warm = {
        statements(&key).await;
        statements(&key).await
    };
    let first = server(&redis).await;
    let cold = statements(&at(&first, &key)).await;
    assert!(cold > warm, "{cold} and {warm}");
    known_to_redis(&redis, &key, warm).await;
    let keys = redis.keys().await;
    for cache in ["tenantry:api_keys:", "tenantry:rights:"] {
        assert!(keys.iter().any(|key| key.starts_with(cache)), "{cache} {keys:?}");
    }
}

#[tokio::test]
async fn a_poisoned_entry_is_a_miss() {
    let redis = TestRedis::start().await;
    let plain = TestApp::start().await;
    let (key, other) = (stranger(&plain).await, stranger(&plain).await);
    let cold = statements(&at(&server(&redis).await, &key)).await;
    statements(&at(&server(&redis).await, &other)).await;
    let entries: Vec<_> = redis.keys().await.into_iter().filter(|key| is_entry(key)).collect();
    assert!(entries.len() >= 4, "{entries:?}");
    for poison in ["", "nonsense", "{\"format\":\"0\"}"] {
        for entry in &entries {
            let _: Option<i64> = redis.run(&["HSET", entry, "value", poison]).await;
        }
        assert_eq!(statements(&at(&server(&redis).await, &key)).await, cold, "{poison}");
    }
    // A value of another type under the key.
    for entry in redis.keys().await.into_iter().filter(|key| is_entry(key)) {
        let _: Option<i64> = redis.run(&["DEL", &entry]).await;
        let _: Option<i64> = redis.run(&["LPUSH", &entry, "nonsense"]).await;
    }
    assert_eq!(statements(&at(&server(&redis).await, &key)).await, cold);
    // Half an entry.
    for entry in redis.keys().await.into_iter().filter(|key| is_entry(key)) {
        let _: Option<i64> = redis.run(&["HDEL", &entry, "tenant"]).await;
    }
    assert_eq!(statements(&at(&server(&redis).await, &key)).await, cold);
}

fn is_entry(key: &str) -> bool {
    ["tenantry:tenants:", "tenantry:api_keys:", "tenantry:rights:"].iter().any(|prefix| key.starts_with(prefix))
}

#[tokio::test]
async fn another_tenants_entry_under_the_key_is_a_miss() {
    let redis = TestRedis::start().await;
    let plain = TestApp::start().await;
    let (mine, theirs) = (stranger(&plain).await, stranger(&plain).await);
    let slug = |reply: &crate::support::app::Reply| reply.data()["tenant"]["slug"].clone();
    let (my_slug, their_slug) = (slug(&ask(&mine, NAME).await), slug(&ask(&theirs, NAME).await));
    assert_ne!(my_slug, their_slug);
    let fresh = server(&redis).await;
    ask(&at(&fresh, &mine), NAME).await;
    let first: Vec<_> = redis.keys().await.into_iter().filter(|key| is_entry(key)).collect();
    ask(&at(&fresh, &theirs), NAME).await;
    let second: Vec<_> = redis.keys().await.into_iter().filter(|key| is_entry(key) && !first.contains(key)).collect();
    assert_eq!(first.len(), second.len());
    // Both sorted: the same caches stand in the same order.
    for (mine, theirs) in first.iter().zip(&second) {
        let copied: Option<i64> = redis.run(&["COPY", theirs, mine, "REPLACE"]).await;
        assert_eq!(copied, Some(1));
    }
    let reply = ask(&at(&server(&redis).await, &mine), NAME).await;
    assert_eq!(slug(&reply), my_slug);
}

#[tokio::test]
async fn who_loses_a_right_has_lost_it_with_the_next_request_whatever_redis_says() {
    let redis = TestRedis::start().await;
    let app = server(&redis).await;
    let tenant = app.tenant().await;
    let input = json!({ "name": "demo key", "scopes": ["tenant:read"] });
    let made = tenant.owner.mutate("apiKeyCreate", "secret apiKey { id }", input).await;
    let key = tenant.owner.with_token(&made.at("/secret"));
    assert_eq!(ask(&key, NAME).await.codes(), Vec::<&str>::new());
    let other = server(&redis).await;
    assert_eq!(ask(&at(&other, &key), NAME).await.codes(), Vec::<&str>::new());
    tenant.owner.mutate("apiKeyRevoke", "apiKey { id }", json!({ "id": made.at("/apiKey/id") })).await;
    assert_eq!(ask(&key, NAME).await.codes(), ["UNAUTHENTICATED"]);
    // A server that has asked for nothing yet finds nothing from before the change in Redis, once Redis knows of it.
    let deadline = Instant::now() + Duration::from_secs(2);
    while ask(&at(&server(&redis).await, &key), NAME).await.codes() != ["UNAUTHENTICATED"] {
        assert!(Instant::now() < deadline, "Redis still has the key");
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Name(&'static str);

impl CacheKey for Name {
    fn tenant(&self) -> Option<TenantId> {
        None
    }
    fn text(&self) -> String {
        self.0.to_owned()
    }
}

#[tokio::test]
async fn what_was_read_before_a_change_is_not_stored_in_redis_after_it() {
    let redis = TestRedis::start().await;
    let kv = Kv::start(&redis.url().into(), Duration::from_secs(5)).await.expect("a URL");
    let shared = SharedCache::new(kv, Key32::generate().expect("random bytes"));
    let tenant = TenantId::new(Clock::system().now());
    let cache = || Cache::<Name, u32>::new("test", Duration::from_secs(60), Clock::system(), Some(&shared));
    let (slow, changes) = (cache(), cache());
    let changes = Arc::new(changes);
    let old = slow.find(
        Name("a"),
        |_| true,
        async || {
            // Another server hears of a change while this one reads.
            changes.forget(tenant);
            let deadline = Instant::now() + Duration::from_secs(10);
            while redis.run::<String>(&["GET", "tenantry:changes"]).await.is_none() {
                assert!(Instant::now() < deadline, "the change does not arrive");
                tokio::task::yield_now().await;
            }
            Ok::<_, ()>(Some((tenant, 1)))
        },
    );
    assert_eq!(old.await, Ok(Some(Arc::new(1))));
    let read = async |value| cache().find(Name("a"), |_| true, async || Ok::<_, ()>(Some((tenant, value)))).await;
    assert_eq!(read(2).await, Ok(Some(Arc::new(2))), "the old value was stored");
    assert_eq!(read(3).await, Ok(Some(Arc::new(2))), "the new value was not stored");
    changes.forget(tenant);
    let deadline = Instant::now() + Duration::from_secs(10);
    while read(4).await == Ok(Some(Arc::new(2))) {
        assert!(Instant::now() < deadline, "the change ends no entry");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_entry_lives_for_one_time_over_both_levels() {
    let redis = TestRedis::start().await;
    let kv = Kv::start(&redis.url().into(), Duration::from_secs(5)).await.expect("a URL");
    let shared = SharedCache::new(kv, Key32::generate().expect("random bytes"));
    let tenant = TenantId::new(Clock::system().now());
    let ttl = Duration::from_millis(600);
    let cache = || Cache::<Name, u32>::new("test", ttl, Clock::system(), Some(&shared));
    let read = async |cache: &Cache<Name, u32>, value| {
        cache.find(Name("a"), |_| true, async || Ok::<_, ()>(Some((tenant, value)))).await
    };
    let began = Instant::now();
    assert_eq!(read(&cache(), 1).await, Ok(Some(Arc::new(1))));
    // Servers that come later take it over with the rest of its life, and do not pass it on with a new one.
    let mut last = cache();
    while read(&last, 2).await == Ok(Some(Arc::new(1))) {
        assert!(began.elapsed() < ttl + Duration::from_millis(400), "it lives on");
        let fresh = cache();
        if read(&fresh, 2).await != Ok(Some(Arc::new(1))) {
            break;
        }
        last = fresh;
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() >= Duration::from_millis(400), "it ended early");
}
