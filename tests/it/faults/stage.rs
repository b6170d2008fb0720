//! A server over a database of its own, and the hand that holds its requests still.

use std::{sync::Arc, time::Duration};

use diesel::{
    QueryableByName,
    sql_types::{Integer, Text},
};
use futures::future::join_all;
use serde_json::{Value, json};
use tenantry::{clock::Clock, config::Settings};
use tokio_postgres::Client;

use crate::support::{
    app::{Reply, TestApp, TestTenant, TestUser},
    database::migrated,
};

/// Connections of the server.
pub const POOL: usize = 4;

const WAITING: &str = "SELECT pid FROM pg_stat_activity \
    WHERE datname = current_database() AND usename = 'tenantry_app' AND wait_event_type = 'Lock'";

/// A server with a tenant that it has answered before.
pub struct Stage {
    pub app: TestApp,
    pub tenant: TestTenant,
    pub project: String,
    watch: Client,
}

impl Stage {
    pub async fn set(change: impl FnOnce(&mut Settings)) -> Self {
        let database = Arc::new(migrated().await);
        // Nothing ends by itself: neither PostgreSQL's timeouts nor the server's deadline may do the work of the thing
        // under test.
        let name = &database.name;
        for setting in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] {
            let sql = format!("ALTER ROLE tenantry_app IN DATABASE {name} SET {setting} = '1h'");
            database.run("tenantry", &sql).await;
        }
        let watch = database.connect("tenantry").await;
        let app = TestApp::on(database, Clock::system(), |settings| {
            settings.pool.pool_size = POOL;
            settings.server.request_timeout_ms = 600_000;
            change(settings);
        })
        .await;
        let tenant = app.tenant().await;
        let project = tenant.project("Atlas").await;
        Self { app, tenant, project, watch }
    }

    pub fn owner(&self) -> &TestUser {
        &self.tenant.owner
    }

    /// Creates a task, in a request that runs beside the test.
    pub fn creating(&self, headers: &'static [(&'static str, &'static str)]) -> tokio::task::JoinHandle<Reply> {
        let (owner, project) = (self.owner().clone(), self.project.clone());
        tokio::spawn(async move { create_task(&owner, &project, headers).await })
    }

    /// Takes a lock in a transaction of the test.
    pub async fn hold(&self, lock: &str) -> Held {
        let client = self.app.database.connect("tenantry").await;
        client.batch_execute(&format!("BEGIN; {lock}")).await.expect("the lock is free");
        Held(client)
    }

    /// The server's backends that wait for a lock.
    pub async fn waiting(&self) -> Vec<i32> {
        let rows = self.watch.query(WAITING, &[]).await.expect("rows");
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until so many requests stand at a lock; their backends.
    pub async fn stopped(&self, count: usize) -> Vec<i32> {
        until("the requests stand at the lock", async || self.waiting().await.len() == count).await;
        self.waiting().await
    }

    pub async fn kill(&self, backend: i32) {
        let killed = self.watch.query_one("SELECT pg_terminate_backend($1)", &[&backend]).await.expect("an answer");
        assert!(killed.get::<_, bool>(0));
    }

    /// Whether the database says so.
    pub async fn is(&self, condition: &str) -> bool {
        self.watch.query_one(condition, &[]).await.expect("an answer").get(0)
    }

    /// How many tasks, audit entries, events and idempotency keys there are.
    pub async fn written(&self) -> [i64; 4] {
        let tables = ["tasks", "audit_logs", "events", "idempotency_keys"];
        let counts = tables.map(|table| format!("(SELECT count(*) FROM {table})"));
        let row = self.watch.query_one(&format!("SELECT {}", counts.join(", ")), &[]).await.expect("a row");
        std::array::from_fn(|index| row.get(index))
    }

    /// No transaction of the server is open, and no connection of its pool knows a tenant.
    pub async fn is_clean(&self) {
        const BUSY: &str = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() \
            AND usename = 'tenantry_app' AND state IS DISTINCT FROM 'idle'";
        // A read's COMMIT is not awaited by its answer.
        until("no transaction is open", async || self.is(BUSY).await).await;
        let db = &self.app.app.services.db;
        // All at once, so that every connection is looked at.
        let stats: [Arc<_>; POOL] = std::array::from_fn(|_| Arc::default());
        let all = join_all(stats.iter().map(|stats| db.person(None, stats))).await;
        let mut backends = Vec::new();
        for tx in all {
            let tx = tx.expect("a connection");
            let found: Vec<Backend> = tx
                .call("SELECT pg_backend_pid() AS pid, coalesce(current_setting('app.tenant_id', true), '') AS tenant")
                .load()
                .await
                .expect("an answer");
            assert_eq!(found[0].tenant, "");
            backends.push(found[0].pid);
            tx.commit().await.expect("a commit");
        }
        backends.sort_unstable();
        backends.dedup();
        assert_eq!(backends.len(), POOL);
    }
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Text)]
    tenant: String,
}

/// A lock of the test.
pub struct Held(Client);

impl Held {
    pub async fn release(self) {
        self.0.batch_execute("ROLLBACK").await.expect("an end");
    }
}

pub async fn create_task(user: &TestUser, project: &str, headers: &[(&str, &str)]) -> Reply {
    const CREATE: &str = "mutation($input: TaskCreateInput!) { \
        taskCreate(input: $input) { task { id } userErrors { code message path params } } }";
    user.query_with(CREATE, json!({ "input": { "projectId": project, "title": "Draw" } }), headers).await
}

pub async fn count_tasks(user: &TestUser) -> Reply {
    user.query("{ tasks(first: 1) { totalCount } }", json!({})).await
}

/// The answer to a request that may be sent again later: nothing but `UNAVAILABLE`, with the request id and a hint when.
#[track_caller]
pub fn assert_unavailable(reply: &Reply) {
    let errors = reply.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(!errors.is_empty(), "{:#}", reply.body);
    let request = reply.header("x-request-id").expect("a request id");
    for error in errors {
        let extensions = &error["extensions"];
        assert_eq!(extensions["code"], "UNAVAILABLE", "{:#}", reply.body);
        assert_eq!(extensions["requestId"], request);
        assert_eq!(extensions["retryAfterSeconds"], 1);
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.ends_with("Try again soon."), "{message}");
    }
    assert_eq!(reply.body["extensions"]["requestId"], request);
}

/// A field could not be answered: the operation had begun.
#[track_caller]
pub fn assert_field_unavailable(reply: &Reply, field: &str) {
    assert_unavailable(reply);
    assert_eq!((reply.status, &reply.body["data"][field]), (200, &Value::Null));
    assert_eq!(reply.body["errors"][0]["path"][0], field);
}

/// Nothing ran.
#[track_caller]
pub fn assert_refused(reply: &Reply) {
    assert_unavailable(reply);
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert!(reply.body.get("data").is_none(), "{:#}", reply.body);
}

/// Waits until it is so.
pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    for _ in 0..4_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain until {what}");
}
