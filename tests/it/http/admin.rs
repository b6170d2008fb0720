//! The admin address: health, readiness, metrics.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tenantry::{
    http::{
        admin::{Admin, Check, Readiness, Stopping, router},
        server::{self, Times},
    },
    telemetry::{Metrics, Shares, metrics},
};
use tokio::net::TcpListener;

use super::{Answer, Server};

#[derive(Default)]
struct Told(Mutex<Vec<Check>>);

impl Readiness for Told {
    fn check(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async {
            let checks = self.0.lock().unwrap().clone();
            if checks.is_empty() {
                std::future::pending::<()>().await;
            }
            checks
        })
    }
}

struct Address {
    url: String,
    readiness: Arc<Told>,
    stopping: Stopping,
}

impl Address {
    async fn start() -> Self {
        let (readiness, stopping) = (Arc::new(Told::default()), Stopping::default());
        let admin = Admin {
            readiness: readiness.clone(),
            metrics: Metrics::install().unwrap(),
            shares: Arc::new(Shares::new(std::time::Instant::now())),
            gauges: Arc::new(|| metrics::pool_connections("runtime", "idle", 7)),
            stopping: stopping.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(server::serve(listener, router(admin), Times::default(), None, std::future::pending()));
        Self { url, readiness, stopping }
    }

    async fn get(&self, path: &str) -> Response {
        Client::new().get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    async fn ready(&self) -> (u16, Value) {
        let reply = self.get("/readyz").await;
        (reply.status().as_u16(), reply.json().await.unwrap())
    }
}

#[tokio::test]
async fn alive_is_not_ready() {
    let admin = Address::start().await;
    assert_eq!(admin.get("/healthz").await.status(), 200);

    *admin.readiness.0.lock().unwrap() =
        vec![Check::ok("database"), Check::failed("migrations", "2 are pending; run tenantry migrate up")];
    let (status, body) = admin.ready().await;
    assert_eq!(status, 503);
    assert_eq!(body["status"], "not ready");
    assert_eq!(body["checks"][0], json!({ "name": "database", "ok": true }));
    assert_eq!(body["checks"][1]["problem"], "2 are pending; run tenantry migrate up");

    *admin.readiness.0.lock().unwrap() = vec![Check::ok("database"), Check::ok("migrations")];
    assert_eq!(admin.ready().await.0, 200);

    admin.stopping.begin();
    assert_eq!(admin.ready().await.0, 503, "a server that was told to stop");
    assert_eq!(admin.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_check_that_hangs_is_not_ready() {
    let admin = Address::start().await;
    let (status, body) = tokio::time::timeout(Duration::from_secs(5), admin.ready()).await.unwrap();
    assert_eq!(status, 503);
    assert_eq!(body["checks"][0]["name"], "readiness");
}

/// The value of a line of the metrics; 0 if it is not there yet.
async fn counted(admin: &Address, line: &str) -> f64 {
    let text = admin.get("/metrics").await.text().await.unwrap();
    let found = text.lines().find_map(|candidate| candidate.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn requests_are_counted_by_operation_and_outcome() {
    let admin = Address::start().await;
    let server = Server::start().await;
    let total = |operation: &str, outcome: &str| {
        format!(r#"tenantry_requests_total{{operation="{operation}",outcome="{outcome}"}}"#)
    };
    let send = |query: &str, name: &str| {
        let body = json!({ "query": query, "operationName": name });
        Answer::to(Client::new().post(server.url("/graphql")).json(&body))
    };
    send("query MetricsOk { hello }", "MetricsOk").await;
    send("query MetricsOk { hello }", "MetricsOk").await;
    send("query MetricsErrors { fails }", "MetricsErrors").await;
    send("query MetricsPanic { panics }", "MetricsPanic").await;
    send("query MetricsOk {", "MetricsOk").await;

    assert_eq!(counted(&admin, &total("MetricsOk", "ok")).await, 2.0);
    assert_eq!(counted(&admin, &total("MetricsOk", "GRAPHQL_PARSE_FAILED")).await, 1.0);
    assert_eq!(counted(&admin, &total("MetricsErrors", "errors")).await, 1.0);
    assert_eq!(counted(&admin, &total("MetricsPanic", "INTERNAL")).await, 0.0, "a name that never ran to its end");
    assert!(counted(&admin, &total("other", "INTERNAL")).await >= 1.0);
    assert_eq!(counted(&admin, r#"tenantry_request_seconds_count{operation="MetricsOk"}"#).await, 3.0);
    for (figure, count) in [("statements", 3.0), ("flights", 2.0), ("seconds", 0.0)] {
        let line = |part: &str| format!(r#"tenantry_sql_{figure}_{part}{{operation="MetricsOk"}}"#);
        assert_eq!(counted(&admin, &line("count")).await, 2.0, "{figure} of what ran");
        assert_eq!(counted(&admin, &line("sum")).await, 2.0 * count);
    }
    assert_eq!(counted(&admin, r#"tenantry_pool_connections{pool="runtime",state="idle"}"#).await, 7.0);
    metrics::cache("metrics-test", "memory", true);
    assert_eq!(
        counted(&admin, r#"tenantry_cache_total{cache="metrics-test",level="memory",outcome="hit"}"#).await,
        1.0
    );

    let page = admin.get("/metrics").await;
    assert_eq!(page.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
}

#[tokio::test]
async fn a_request_whose_client_left_is_counted() {
    let admin = Address::start().await;
    let cancelled = r#"tenantry_requests_total{operation="other",outcome="cancelled"}"#;
    let before = counted(&admin, cancelled).await;
    let server = Server::start().await;
    let request = tokio::spawn(server.post("{ waits }").send());
    server.service.gates.waiting.notified().await;
    request.abort();
    server.service.gates.dropped.notified().await;
    while counted(&admin, cancelled).await <= before {
        tokio::task::yield_now().await;
    }
}
