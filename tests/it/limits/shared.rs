//! Several servers on one Redis, and Redis going and coming.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use super::{CHEAP, process::Server};
use crate::support::{app::TestApp, redis::TestRedis};

/// So many requests to all servers at once; how many were admitted, and the seconds it took.
async fn rush(servers: &[Arc<Server>], token: &str, tenant: &str, requests: usize) -> (usize, f64) {
    let began = Instant::now();
    let mut set = JoinSet::new();
    for number in 0..requests {
        let (server, token, tenant) =
            (Arc::clone(&servers[number % servers.len()]), token.to_owned(), tenant.to_owned());
        set.spawn(async move { server.ask(&token, &tenant, CHEAP).await });
    }
    let mut admitted = 0;
    while let Some(reply) = set.join_next().await {
        let (status, body) = reply.expect("no panic");
        match status {
            200 => admitted += 1,
            429 => assert_eq!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{body}"),
            other => panic!("{other}: {body}"),
        }
    }
    (admitted, began.elapsed().as_secs_f64())
}

/// On a busy machine an answer takes its time; here Redis is there or gone, and never just slow.
const PATIENT: (&str, &str) = ("REDIS_TIMEOUT_MS", "5000");

const FEW: &[(&str, &str)] =
    &[("RATE_PRINCIPAL_POINTS", "60"), ("RATE_PRINCIPAL_REFILL", "1"), ("TENANT_CONCURRENCY", "1000"), PATIENT];

#[tokio::test]
async fn two_servers_on_one_redis_admit_together_what_one_bucket_holds() {
    let (app, redis) = (TestApp::start().await, TestRedis::start().await);
    let tenant = app.tenant().await;
    let (one, other) = tokio::join!(Server::start(&app, Some(&redis), FEW), Server::start(&app, Some(&redis), FEW));
    let servers = [Arc::new(one), Arc::new(other)];
    let (admitted, seconds) = rush(&servers, &tenant.owner.token, &tenant.slug, 200).await;
    assert!(admitted >= 60, "{admitted}");
    assert!(admitted as f64 <= 60.0 + seconds.ceil(), "{admitted} in {seconds} s");
    let keys = redis.keys().await;
    let buckets: Vec<_> = keys.iter().filter(|key| key.contains(":limit")).collect();
    assert!(!buckets.is_empty() && buckets.iter().all(|key| key.contains(&tenant.id.to_string())), "{keys:?}");
    for key in buckets {
        let life: i64 = redis.run(&["PTTL", key]).await.expect("a life");
        assert!(life > 0, "{key} stays for ever");
    }
}

/// The control: each has a bucket of its own.
#[tokio::test]
async fn without_redis_each_server_admits_what_its_own_bucket_holds() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (one, other) = tokio::join!(Server::start(&app, None, FEW), Server::start(&app, None, FEW));
    let servers = [Arc::new(one), Arc::new(other)];
    let (admitted, _) = rush(&servers, &tenant.owner.token, &tenant.slug, 200).await;
    assert!(admitted >= 120, "{admitted}");
}

#[tokio::test]
async fn redis_killed_in_mid_load_fails_no_request_and_comes_back_by_itself() {
    let (app, mut redis) = (TestApp::start().await, TestRedis::start().await);
    let tenant = app.tenant().await;
    let input =
        json!({ "name": "demo key", "scopes": ["tasks:read"], "rateLimit": { "capacity": 20, "refillPerSecond": 1 } });
    let key = tenant.owner.mutate("apiKeyCreate", "secret", input).await.at("/secret");
    let many =
        [("RATE_PRINCIPAL_POINTS", "1000000"), ("RATE_TENANT_POINTS", "1000000"), ("TENANT_CONCURRENCY", "1000")];
    let server = Arc::new(Server::start(&app, Some(&redis), &many).await);
    server.until("tenantry_redis_up", 1.0).await;

    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = JoinSet::new();
    for _ in 0..8 {
        let (server, stop, answered) = (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&answered));
        let (token, slug) = (tenant.owner.token.clone(), tenant.slug.clone());
        load.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let (status, body) = server.ask(&token, &slug, CHEAP).await;
                assert_eq!(status, 200, "{body}");
                answered.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let more = async |than: usize| {
        while answered.load(Ordering::SeqCst) < than {
            tokio::task::yield_now().await;
        }
        answered.load(Ordering::SeqCst)
    };
    // The key has used ten of its twenty points when Redis goes.
    more(100).await;
    for _ in 0..10 {
        assert_eq!(server.ask(&key, &tenant.slug, CHEAP).await.0, 200);
    }
    redis.kill();
    let before = more(0).await;
    server.until("tenantry_redis_up", 0.0).await;
    more(before + 200).await;
    let (status, ready) = server.readyz().await;
    assert_eq!((status, &ready["status"]), (200, &json!("ready")));
    let check = ready["checks"].as_array().expect("checks").iter().find(|check| check["name"] == "redis").expect("it");
    assert!(check["ok"] == true && check["note"].as_str().is_some_and(|note| note.starts_with("gone")), "{check}");
    assert!(server.metric("tenantry_limits_local_total").await > Some(0.0));
    // Local limits go on from where the shared ones were.
    let began = Instant::now();
    let mut admitted = 0;
    while server.ask(&key, &tenant.slug, CHEAP).await.0 == 200 {
        admitted += 1;
        assert!(admitted < 100, "there is no local limit");
    }
    let flowed = began.elapsed().as_secs_f64() + 10.0;
    assert!((5..=20).contains(&admitted) && f64::from(admitted) <= 10.0 + flowed.ceil(), "{admitted}");

    redis.start_again().await;
    server.until("tenantry_redis_up", 1.0).await;
    let before = more(0).await;
    more(before + 200).await;
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = load.join_next().await {
        ended.expect("every request was answered");
    }
    let keys = redis.keys().await;
    assert!(keys.iter().any(|key| key.contains(":limit")), "limits are shared again: {keys:?}");
    assert_eq!(server.readyz().await.1["checks"][2].get("note"), None);
}

#[tokio::test]
async fn a_server_starts_without_its_redis() {
    let (app, mut redis) = (TestApp::start().await, TestRedis::start().await);
    redis.kill();
    let tenant = app.tenant().await;
    let server = Server::start(&app, Some(&redis), &[PATIENT]).await;
    assert_eq!(server.ask(&tenant.owner.token, &tenant.slug, CHEAP).await.0, 200);
    assert_eq!(server.metric("tenantry_redis_up").await, Some(0.0));
    redis.start_again().await;
    server.until("tenantry_redis_up", 1.0).await;
}

/// What stands in Redis under a bucket's key may be anything: the request is answered.
#[tokio::test]
async fn a_bucket_that_cannot_be_read_stops_nobody() {
    let (app, redis) = (TestApp::start().await, TestRedis::start().await);
    let tenant = app.tenant().await;
    let server = Server::start(&app, Some(&redis), &[PATIENT]).await;
    assert_eq!(server.ask(&tenant.owner.token, &tenant.slug, CHEAP).await.0, 200);
    for (number, key) in redis.keys().await.iter().filter(|key| key.contains(":limit")).enumerate() {
        if number == 0 {
            let _: Option<i64> = redis.run(&["DEL", key]).await;
            let _: Option<i64> = redis.run(&["LPUSH", key, "nonsense"]).await;
        } else {
            let _: Option<i64> = redis.run(&["HSET", key, "level", "nonsense", "at", "-1"]).await;
        }
    }
    assert_eq!(server.ask(&tenant.owner.token, &tenant.slug, CHEAP).await.0, 200);
    assert_eq!(server.metric("tenantry_redis_up").await, Some(1.0));
}
