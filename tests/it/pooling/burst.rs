//! Far more requests at once than connections: slow answers or a hint to come again, and nothing else.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use serde_json::{Value, json};
use tenantry::{clock::Clock, db::Stats};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Barrier,
};

use crate::{
    faults::stage::until,
    support::{
        app::{TestApp, TestTenant},
        database::migrated,
    },
};

const CLIENTS: usize = 500;
const POOL: usize = 4;

/// A client with a connection of its own; sends when all are connected.
async fn client(
    address: SocketAddr,
    tenant: TestTenant,
    ready: Arc<Barrier>,
    mutates: bool,
    project: String,
) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("the server accepts");
    let body = if mutates {
        let query =
            "mutation($input: TaskCreateInput!) { taskCreate(input: $input) { task { id } userErrors { code } } }";
        json!({ "query": query, "variables": { "input": { "projectId": project, "title": "Burst" } } })
    } else {
        json!({ "query": "{ tasks(first: 5) { totalCount nodes { id title } } }" })
    }
    .to_string();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         accept: application/graphql-response+json\r\nauthorization: Bearer {}\r\nx-tenant: {}\r\ncontent-length: {}\r\n\r\n",
        tenant.owner.token,
        tenant.slug,
        body.len(),
    );
    ready.wait().await;
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("the server reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("the server answers");
    Answer::read(&text)
}

struct Answer {
    status: u16,
    retry_after: bool,
    body: Value,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        Self {
            status: head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"),
            retry_after: head.lines().any(|line| line.to_lowercase().starts_with("retry-after: ")),
            body: serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {body:?}")),
        }
    }

    /// What it is, if it may be.
    fn kind(&self) -> String {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let extensions: Vec<&Value> = errors.iter().map(|error| &error["extensions"]).collect();
        let temporary = ["UNAVAILABLE", "CONCURRENCY_LIMITED"];
        for extension in &extensions {
            assert!(temporary.iter().any(|code| extension["code"] == *code), "{:#}", self.body);
            assert!(extension["retryAfterSeconds"].is_number(), "{:#}", self.body);
        }
        match (self.status, extensions.first()) {
            (200, None) => "answered".to_owned(),
            // A field came too late to a connection; the operation had begun.
            (200, Some(first)) => format!("200 {}", first["code"]),
            (429 | 503, Some(first)) => {
                assert!(self.retry_after, "{} without Retry-After", self.status);
                format!("{} {}", self.status, first["code"])
            }
            (status, _) => panic!("{status}: {:#}", self.body),
        }
    }
}

/// Sends everything at once; how often which answer came.
async fn burst(app: &TestApp, tenants: &[TestTenant]) -> BTreeMap<String, usize> {
    let address = app.url.trim_start_matches("http://").parse().expect("an address");
    let ready = Arc::new(Barrier::new(CLIENTS));
    let mut projects = Vec::new();
    for tenant in tenants {
        projects.push(tenant.project("Atlas").await);
    }
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let which = number % tenants.len();
            let (tenant, project) = (tenants[which].clone(), projects[which].clone());
            tokio::spawn(client(address, tenant, Arc::clone(&ready), number % 5 == 0, project))
        })
        .collect();
    let mut kinds = BTreeMap::new();
    for client in clients {
        *kinds.entry(client.await.expect("an answer").kind()).or_default() += 1;
    }
    kinds
}

/// Every connection of the pool is there, free, and knows no tenant.
async fn is_clean(app: &TestApp) {
    let db = &app.app.services.db;
    until("nobody holds or awaits a connection", async || {
        let status = db.status();
        status.waiting == 0 && status.idle == status.size
    })
    .await;
    let stats: [Arc<Stats>; POOL] = std::array::from_fn(|_| Arc::default());
    for tx in futures::future::join_all(stats.iter().map(|stats| db.person(None, stats))).await {
        let tx = tx.expect("a connection");
        #[derive(diesel::QueryableByName)]
        struct Left {
            #[diesel(sql_type = diesel::sql_types::Text)]
            tenant: String,
        }
        let left: Option<Left> = tx
            .call("SELECT coalesce(current_setting('app.tenant_id', true), '') AS tenant")
            .first()
            .await
            .expect("a row");
        assert_eq!(left.expect("a row").tenant, "");
        tx.commit().await.expect("a commit");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_clients_at_once_are_answered_or_told_to_come_again() {
    // Lanes as in production, half of the pool for each tenant; and none, so that all of them ask for a connection.
    for lanes in [None, Some(10_000)] {
        let app = TestApp::on(Arc::new(migrated().await), Clock::system(), |settings| {
            settings.pool.pool_size = POOL;
            settings.pool.pool_wait_ms = 500;
            settings.rates.tenant_concurrency = lanes;
        })
        .await;
        let tenants = [app.tenant().await, app.tenant().await, app.tenant().await];
        let kinds = burst(&app, &tenants).await;
        println!("lanes {lanes:?}: {kinds:?}");
        assert_eq!(kinds.values().sum::<usize>(), CLIENTS);
        assert!(kinds["answered"] > 0, "{kinds:?}");
        is_clean(&app).await;
        for tenant in &tenants {
            let reply = tenant.owner.query("{ tasks(first: 1) { totalCount } }", json!({})).await;
            assert!(reply.data()["tasks"]["totalCount"].is_number());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_connection_in_time_is_counted() {
    let exhausted = r#"tenantry_pool_exhausted_total{pool="app"}"#;
    let database = Arc::new(migrated().await);
    let app = TestApp::on(Arc::clone(&database), Clock::system(), |settings| {
        settings.pool.pool_size = POOL;
        settings.pool.pool_wait_ms = 100;
    })
    .await;
    let tenant = app.tenant().await;
    let before = app.metric(exhausted).await;
    // Writers stand still until the burst is over, so that the pool is empty whatever the machine's speed.
    let held = database.connect("tenantry").await;
    let project = tenant.project("Held").await;
    held.batch_execute("BEGIN; LOCK TABLE tasks IN SHARE ROW EXCLUSIVE MODE").await.expect("a lock");
    let stuck: Vec<_> = (0..POOL)
        .map(|_| {
            let (owner, project) = (tenant.owner.clone(), project.clone());
            let input = json!({ "projectId": project, "title": "Held" });
            tokio::spawn(async move { owner.try_mutate("taskCreate", "task { id }", input).await })
        })
        .collect();
    until("the pool is empty", async || {
        let status = app.app.services.db.status();
        status.size == POOL && status.idle == 0
    })
    .await;
    let reply = tenant.owner.query("{ tasks(first: 1) { totalCount } }", json!({})).await;
    assert_eq!(reply.codes(), ["UNAVAILABLE"]);
    assert!(app.metric(exhausted).await > before);
    assert!(app.metric(r#"tenantry_pool_wait_seconds_count{pool="app"}"#).await > 0.0);
    held.batch_execute("ROLLBACK").await.expect("gives the lock back");
    for request in stuck {
        request.await.expect("no panic");
    }
    is_clean(&app).await;
}
