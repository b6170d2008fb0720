//! Figures of operations, and the log of the slow ones.

use std::sync::Arc;

use serde_json::{Value, json};
use tenantry::{
    db::{Stats, TenantSql},
    ids::Id,
};

use crate::{
    faults::stage::until,
    support::{
        app::{TestApp, TestUser},
        database::migrated,
        process::ServerProcess,
    },
    transactions::ending::{pool, scope},
};

/// What must never be in a log.
const SECRET: &str = "Purchase of Initech";

const LIST: &str = "query WatchedList($project: ID!) { \
    tasks(first: 2, filter: { projectId: $project }) { nodes { id title project { name } } } }";

async fn list(user: &TestUser, project: &str) {
    let reply = user.query(LIST, json!({ "project": project })).await;
    assert_eq!(reply.data()["tasks"]["nodes"][0]["title"], SECRET);
}

#[tokio::test]
async fn sql_time_statements_and_flights_are_counted_by_operation() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    tenant.task(&project, SECRET).await;
    list(&tenant.owner, &project).await;
    let figure = async |name: &str| app.metric(&format!(r#"{name}{{operation="WatchedList"}}"#)).await;
    assert_eq!(figure("tenantry_request_seconds_count").await, 1.0);
    for name in ["seconds", "statements", "flights"] {
        assert_eq!(figure(&format!("tenantry_sql_{name}_count")).await, 1.0, "{name}");
    }
    let (statements, flights) = (figure("tenantry_sql_statements_sum").await, figure("tenantry_sql_flights_sum").await);
    assert!(statements >= 1.0 && flights >= 1.0 && flights <= statements, "{statements} {flights}");
    let (sql, whole) = (figure("tenantry_sql_seconds_sum").await, figure("tenantry_request_seconds_sum").await);
    assert!(sql > 0.0 && sql < whole, "{sql} of {whole}");
}

/// Statements that run side by side are waited for once.
#[tokio::test]
async fn sql_time_is_the_time_that_was_waited() {
    const NAP: TenantSql = TenantSql::new("SELECT pg_sleep(0.05) FROM workspaces WHERE tenant_id = {tenant}");
    let database = migrated().await;
    crate::database::demo::fill(&database).await;
    let db = pool(&database, 1);
    let request = tenantry::db::Scope { stats: Arc::new(Stats::traced()), ..scope(crate::database::demo::ACME) };
    let tx = db.read(&request).await.expect("a connection");
    let nap = async || tx.raw(NAP).execute().await.expect("an answer");
    tokio::join!(nap(), nap());
    assert_eq!((request.stats.statements(), request.stats.flights()), (2, 1));
    let together = request.stats.waited();
    let each: Vec<_> = request.stats.slowest().iter().map(|statement| statement.took).collect();
    assert_eq!(each.len(), 2);
    assert!(together >= each[0] && together < each[0] + each[1], "{together:?} {each:?}");
    // A connection was waited for as well, and that is told apart.
    assert!(!request.stats.queued().is_zero());
    tx.commit().await.expect("a commit");
}

#[tokio::test]
async fn the_slowest_statements_are_kept_only_where_that_was_asked_for() {
    const FIND: TenantSql = TenantSql::new("SELECT id FROM tasks WHERE tenant_id = {tenant} AND title = {}");
    let database = migrated().await;
    crate::database::demo::fill(&database).await;
    let db = pool(&database, 1);
    for (stats, kept) in [(Stats::default(), 0), (Stats::traced(), 3)] {
        let request = tenantry::db::Scope { stats: Arc::new(stats), ..scope(crate::database::demo::ACME) };
        let tx = db.read(&request).await.expect("a connection");
        for _ in 0..5 {
            let found = tx.raw(FIND).bind::<diesel::sql_types::Text, _>(SECRET.to_owned());
            found.execute().await.expect("an answer");
        }
        tx.commit().await.expect("a commit");
        let slowest = request.stats.slowest();
        assert_eq!(slowest.len(), kept);
        assert!(slowest.is_sorted_by_key(|statement| std::cmp::Reverse(statement.took)));
        for statement in slowest {
            assert_eq!(statement.text, "SELECT id FROM tasks WHERE tenant_id = $1 AND title = $2");
        }
    }
}

#[tokio::test]
async fn a_plan_needs_no_values_and_shows_the_policies() {
    let database = migrated().await;
    crate::database::demo::fill(&database).await;
    let db = pool(&database, 1);
    let request = scope(crate::database::demo::ACME);
    let text = "SELECT id FROM tasks WHERE tenant_id = $1 AND title = $2";
    let plan = db.plan(Some(&request), text).await.expect("a plan");
    assert!(plan.contains("tenant_id = $1") && plan.contains("InitPlan"), "{plan}");
    // Nothing runs, and nothing is left on the connection.
    let delete = "DELETE FROM tasks WHERE tenant_id = $1";
    assert!(db.plan(Some(&request), delete).await.expect("a plan").starts_with("Delete on tasks"));
    assert_eq!(crate::database::demo::count(&database, "tasks").await, 2);
    assert!(db.plan(None, "SELECT * FROM app.resolve_slug($1, $2)").await.expect("a plan").contains("resolve_slug"));
    let tx = db.person(None, &Arc::default()).await.expect("a connection");
    let left = tx.call("SELECT name FROM pg_prepared_statements WHERE from_sql").execute().await.expect("an answer");
    assert_eq!(left, 0);
}

/// The lines of this kind, with their fields.
fn lines(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

#[tokio::test]
async fn a_slow_operation_is_logged_with_figures_and_plans_and_without_values() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    tenant.task(&project, SECRET).await;
    let variables = [
        ("TENANTRY_LOG_FORMAT", "json"),
        ("TENANTRY_SLOW_OPERATION_MS", "300"),
        ("TENANTRY_SLOW_OPERATION_PLANS", "true"),
    ];
    let server = ServerProcess::start(&app.database, &variables).await;
    let owner = tenant.owner.through(&server.of(&app));
    owner.query("query Quick { viewer { user { id } } }", json!({})).await;

    // Made slow by a lock that is given back once the statement has waited long enough.
    let blocker = app.database.connect("tenantry").await;
    blocker.batch_execute("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let asked = tokio::spawn({
        let (owner, project) = (owner.clone(), project.clone());
        async move { list(&owner, &project).await }
    });
    until("the statement waits", async || {
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
             AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '400 ms')";
        // Within a transaction, activities are those of the first look.
        blocker.batch_execute("SELECT pg_stat_clear_snapshot()").await.expect("an answer");
        blocker.query_one(waits, &[]).await.expect("an answer").get::<_, bool>(0)
    })
    .await;
    blocker.batch_execute("ROLLBACK").await.expect("gives it back");
    asked.await.expect("an answer");
    let plans = async || !lines(&server.log(), "slow statement").is_empty();
    if tokio::time::timeout(std::time::Duration::from_secs(15), until("the plans are logged", plans)).await.is_err() {
        panic!("no plans: {}", server.log());
    }

    let log = server.log();
    let slow = lines(&log, "slow operation");
    assert_eq!(slow.len(), 1, "{slow:#?}");
    let line = &slow[0];
    assert_eq!(line["operation"], "WatchedList");
    assert_eq!(line["tenant.id"], tenant.id.to_string());
    assert_eq!(line["request.id"], line["span"]["request.id"]);
    assert_eq!(line["is_answered"], true);
    for figure in ["duration_ms", "sql_ms", "statements", "flights"] {
        assert!(line[figure].as_f64().is_some_and(|figure| figure > 0.0), "{figure}: {line:#}");
    }
    assert!(line["rows"].is_u64() && line["pool_wait_ms"].is_f64(), "{line:#}");

    let statements = lines(&log, "slow statement");
    let slowest = &statements[0];
    assert!(slowest["statement"].as_str().is_some_and(|text| text.contains("tasks") && text.contains("$1")));
    assert!(slowest["plan"].as_str().is_some_and(|plan| plan.contains("tenant_id = $1")), "{slowest:#}");
    assert_eq!(slowest["span"]["request.id"], line["request.id"]);
    // Neither what was asked for, nor what was found, nor the values that went to PostgreSQL.
    let (_, suffix) = project.split_once('_').expect("a prefix and a suffix");
    let tenant_uuid = Id::uuid(tenant.id).to_string();
    for hidden in [SECRET, suffix, &tenant_uuid, &tenant.owner.email, "WatchedList("] {
        assert!(!log.contains(hidden), "{hidden} in {log}");
    }
}

#[tokio::test]
async fn an_operation_that_is_cut_off_is_logged_as_slow() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let variables = [
        ("TENANTRY_LOG_FORMAT", "json"),
        ("TENANTRY_SLOW_OPERATION_MS", "200"),
        ("TENANTRY_REQUEST_TIMEOUT_MS", "600"),
    ];
    let server = ServerProcess::start(&app.database, &variables).await;
    let owner = tenant.owner.through(&server.of(&app));
    owner.query("{ viewer { user { id } } }", json!({})).await;
    let blocker = app.database.connect("tenantry").await;
    blocker.batch_execute("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let reply = owner.query("query Stuck { tasks { nodes { id } } }", json!({})).await;
    assert_eq!(reply.codes(), ["TIMEOUT"]);
    blocker.batch_execute("ROLLBACK").await.expect("gives it back");
    until("it is logged", async || !lines(&server.log(), "slow operation").is_empty()).await;
    let slow = lines(&server.log(), "slow operation");
    assert_eq!((&slow[0]["operation"], &slow[0]["is_answered"]), (&json!("Stuck"), &json!(false)), "{slow:#?}");
    assert!(lines(&server.log(), "slow statement").is_empty(), "plans were not asked for");
}
