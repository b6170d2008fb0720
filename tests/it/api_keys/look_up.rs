//! How a key is found, and how seldom its use is written.

use std::{
    sync::Arc,
    time::{Duration as StdDuration, Instant},
};

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use tenantry::{clock::Clock, db::embedded::SUPERUSER};

use super::key_of;
use crate::support::app::TestApp;

/// The statement inside `app.find_api_key`, taken from the catalogue, as the login that it runs as: by its hash in one
/// index, before there is a tenant.
#[tokio::test]
async fn a_key_is_found_by_its_hash_in_one_indexed_step() {
    let app = TestApp::isolated().await;
    app.tenant().await;
    // Enough keys that reading all of a tenant's would not do; without their triggers, which count.
    let fill = "SET session_replication_role = replica; \
                INSERT INTO api_keys (tenant_id, id, name, prefix, hint, owner_member_id) SELECT m.tenant_id, gen_random_uuid(), \
                'demo', 'tnk_demo', 'abcd', m.id FROM members m, generate_series(1, 5000); \
                INSERT INTO api_key_index (key_hash, tenant_id, api_key_id) SELECT sha256(id::text::bytea), tenant_id, id FROM api_keys; \
                ANALYZE api_keys; ANALYZE api_key_index";
    app.database.run(SUPERUSER, fill).await;
    let client = app.database.connect(SUPERUSER).await;
    let source = "SELECT prosrc FROM pg_proc WHERE proname = 'find_api_key'";
    let source: String = client.query_one(source, &[]).await.expect("the door").get(0);
    let (_, body) = source.split_once("RETURN QUERY").expect("one query");
    let (statement, rest) = body.split_once(';').expect("it ends");
    assert!(!rest.contains("SELECT"), "one statement and no second: {source}");
    client
        .batch_execute(
            "SET ROLE tenantry_owner; SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; \
             SELECT set_config('app.tenant_id', '', false)",
        )
        .await
        .expect("sets");
    let statement = format!("PREPARE look_up (bytea) AS {}", statement.replace("p_key_hash", "$1"));
    client.batch_execute(&statement).await.expect("prepares");
    let plan = client.query("EXPLAIN EXECUTE look_up('x')", &[]).await.expect("a plan");
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let text = plan.join("\n");
    let at = plan.iter().position(|line| line.contains("api_key_index_pkey")).unwrap_or_else(|| panic!("{text}"));
    assert!(plan[at + 1].contains("Index Cond: (key_hash = $1)"), "{text}");
    // The join to the one tenant has a condition; no row of a table is read to be thrown away.
    assert!(!text.contains("Seq Scan") && !plan.iter().any(|line| line.trim().starts_with("Filter:")), "{text}");
}

#[tokio::test]
async fn its_use_is_written_once_a_minute_however_many_servers_there_are() {
    let clock = Clock::fixed(DateTime::<Utc>::from_timestamp(1_795_000_000, 0).expect("a time"));
    let database = TestApp::isolated().await.database;
    let one = TestApp::on(Arc::clone(&database), clock.clone(), |_| {}).await;
    let other = TestApp::on(Arc::clone(&database), clock.clone(), |_| {}).await;
    let count = "CREATE TABLE uses (at timestamptz); \
                 CREATE FUNCTION note_use() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
                 $$ BEGIN INSERT INTO uses VALUES (NEW.last_used_at); RETURN NULL; END $$; \
                 CREATE TRIGGER note_use AFTER UPDATE OF last_used_at ON api_keys FOR EACH ROW EXECUTE FUNCTION note_use()";
    database.run(SUPERUSER, count).await;
    let tenant = one.tenant().await;
    let (key, _) = key_of(&tenant.owner, &["tasks:read"]).await;
    let client = database.connect(SUPERUSER).await;
    let written = async |times: i64| {
        let began = Instant::now();
        loop {
            let row = client.query_one("SELECT count(*) FROM public.uses", &[]).await.expect("a count");
            match row.get::<_, i64>(0) {
                found if found == times => return,
                found => assert!(found < times, "{found} writes, expected {times}"),
            }
            assert!(began.elapsed() < StdDuration::from_secs(5), "never written");
            tokio::task::yield_now().await;
        }
    };
    let key_at = |app: &TestApp| crate::support::app::TestUser { app: app.clone(), ..key.clone() };
    let ask = "{ tasks { totalCount } }";
    for _ in 0..5 {
        key_at(&one).query(ask, json!({})).await.data();
    }
    written(1).await;
    clock.advance(Duration::seconds(59));
    for app in [&one, &other] {
        key_at(app).query(ask, json!({})).await.data();
    }
    clock.advance(Duration::seconds(1));
    key_at(&one).query(ask, json!({})).await.data();
    written(2).await;
}
