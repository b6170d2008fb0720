//! The admin address: health for balancers, metrics for Prometheus, the tenants' shares for operators. Keep it off the
//! public network.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use futures::future::BoxFuture;
use http::{StatusCode, header};
use serde::Serialize;

use crate::telemetry::{Metrics, Report, Shares};

/// One thing that must be well before requests can be answered.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was looked at, for example `database`.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// What is wrong and what to do about it. Secrets and addresses stay out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What should be known although requests are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

impl Check {
    /// All is well.
    pub fn ok(name: &'static str) -> Self {
        Self { name, ok: true, problem: None, note: None }
    }

    /// The same, with what should be known.
    #[must_use]
    pub fn noting(self, note: &'static str) -> Self {
        Self { note: Some(note), ..self }
    }

    /// Something is wrong.
    pub fn failed(name: &'static str, problem: impl Into<String>) -> Self {
        Self { name, ok: false, problem: Some(problem.into()), note: None }
    }
}

/// Says whether the server can answer requests: the database is there and its migrations are current.
pub trait Readiness: Send + Sync + 'static {
    /// Looks; is asked every few seconds, and given two.
    fn check(&self) -> BoxFuture<'_, Vec<Check>>;
}

/// What the admin address needs.
#[derive(Clone)]
pub struct Admin {
    /// Asked by `/readyz`.
    pub readiness: Arc<dyn Readiness>,
    /// Written out by `/metrics`.
    pub metrics: Metrics,
    /// Written out by `/tenants`.
    pub shares: Arc<Shares>,
    /// Called before metrics are written out, to set what is a level and not a count: the pools' connections.
    pub gauges: Arc<dyn Fn() + Send + Sync>,
    /// Set when the server was told to stop.
    pub stopping: Stopping,
}

/// Tells `/readyz` that the server is about to go, so that balancers send nothing more.
#[derive(Clone, Debug, Default)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// From now on the server is not ready.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// `/healthz`, `/readyz`, `/metrics` and `/tenants`.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/tenants", get(tenants))
        .with_state(admin)
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    checks: Vec<Check>,
}

/// How long [`Readiness::check`] may take.
const PATIENCE: Duration = Duration::from_secs(2);

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let checks = if admin.stopping.has_begun() {
        vec![Check::failed("server", "it was told to stop and finishes what is under way")]
    } else {
        tokio::time::timeout(PATIENCE, admin.readiness.check())
            .await
            .unwrap_or_else(|_| vec![Check::failed("readiness", format!("no answer within {} s", PATIENCE.as_secs()))])
    };
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Ready { status: if ready { "ready" } else { "not ready" }, checks };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body))
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    (admin.gauges)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render())
}

async fn tenants(State(admin): State<Admin>) -> Json<Report> {
    Json(admin.shares.report(Instant::now()))
}
