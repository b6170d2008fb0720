//! One tenant floods the server with requests that take long; the others are served.

use std::time::Duration;

use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use super::ask;
use crate::support::app::{Reply, TestApp, TestTenant};

const POOL: usize = 4;
const LIST: &str = "{ tasks(first: 1) { nodes { id } } }";

struct Stage {
    app: TestApp,
    flooding: TestTenant,
    other: TestTenant,
    requests: JoinSet<Reply>,
    held: tokio_postgres::Client,
}

/// Twenty mutations of one tenant, sent at once while nobody can write.
async fn flood(width: usize) -> Stage {
    let database = std::sync::Arc::new(crate::support::database::migrated().await);
    let name = &database.name;
    for setting in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] {
        database.run("tenantry", &format!("ALTER ROLE tenantry_app IN DATABASE {name} SET {setting} = '1h'")).await;
    }
    let app = TestApp::on(database, tenantry::clock::Clock::system(), |settings| {
        settings.pool.pool_size = POOL;
        settings.pool.pool_wait_ms = 300;
        settings.rates.tenant_concurrency = Some(width);
        settings.rates.tenant_queue = 1;
        settings.rates.tenant_queue_ms = 60_000;
    })
    .await;
    let (flooding, other) = (app.tenant().await, app.tenant().await);
    let project = flooding.project("Atlas").await;
    // Known to the server: what follows is about what they do, not about who they are.
    assert_eq!(ask(&other.owner, LIST).await.codes(), Vec::<&str>::new());
    let held = app.database.connect("tenantry").await;
    held.batch_execute("BEGIN; LOCK TABLE audit_logs IN SHARE MODE").await.expect("a lock");
    let mut requests = JoinSet::new();
    for number in 0..20 {
        let (owner, project) = (flooding.owner.clone(), project.clone());
        requests.spawn(async move {
            let input = json!({ "projectId": project, "title": format!("Flood {number}") });
            owner.try_mutate("taskCreate", "task { id }", input).await
        });
    }
    let watch = app.database.connect("tenantry").await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND usename = 'tenantry_app' AND wait_event_type = 'Lock'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while watch.query_one(waiting, &[]).await.expect("a count").get::<_, i64>(0) < width.min(POOL) as i64 {
        assert!(Instant::now() < deadline, "the flood does not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Stage { app, flooding, other, requests, held }
}

#[tokio::test]
async fn the_others_are_served_and_the_flood_is_told_to_come_again() {
    let mut stage = flood(2).await;
    let mut refused = 0;
    // Two run, one waits; the others are told at once.
    while refused < 17 {
        let reply = tokio::time::timeout(Duration::from_secs(20), stage.requests.join_next()).await;
        let reply = reply.expect("refusals come at once").expect("a request").expect("no panic");
        assert_eq!((reply.status, reply.codes()), (429, vec!["CONCURRENCY_LIMITED"]), "{reply:?}");
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.body["errors"][0]["extensions"]["retryAfterSeconds"], 1);
        refused += 1;
    }
    assert_eq!(stage.app.app.services.db.status().waiting, 0, "nobody waits for a connection");
    for _ in 0..10 {
        assert_eq!(ask(&stage.other.owner, LIST).await.codes(), Vec::<&str>::new());
    }
    let reply = ask(&stage.flooding.owner, LIST).await;
    assert_eq!(reply.codes(), ["CONCURRENCY_LIMITED"], "a reader of the same tenant waits with the others");

    stage.held.batch_execute("ROLLBACK").await.expect("gives the lock back");
    while let Some(reply) = stage.requests.join_next().await {
        assert_eq!(reply.expect("no panic").payload("taskCreate").user_errors(), Vec::<String>::new());
    }
    assert_eq!(ask(&stage.flooding.owner, LIST).await.codes(), Vec::<&str>::new());
}

/// The control: what the bound prevents.
#[tokio::test]
async fn without_the_bound_the_others_find_no_connection() {
    let mut stage = flood(1_000).await;
    let reply = ask(&stage.other.owner, LIST).await;
    assert_eq!(reply.codes(), ["UNAVAILABLE"], "{reply:?}");
    stage.held.batch_execute("ROLLBACK").await.expect("gives the lock back");
    while stage.requests.join_next().await.is_some() {}
}

#[tokio::test]
async fn a_plan_widens_the_lane_of_its_tenants() {
    let app = TestApp::isolated().await;
    app.database.run("tenantry", r#"UPDATE plans SET limits = '{"concurrency": 7}' WHERE key = 'enterprise'"#).await;
    let tenant = app.tenant().await;
    assert_eq!(tenant.named().await.limits.concurrency, Some(7));
}
