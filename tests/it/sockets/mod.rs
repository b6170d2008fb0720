//! Subscriptions: the protocol, what closes a socket, what subscribers get, and several servers on one database.

mod closing;
mod events;
mod limits;
mod processes;
mod protocol;
mod proxy;
mod real_client;
mod resume;

use std::time::Duration;

use crate::support::app::{TestApp, TestTenant};

pub const TASKS: &str =
    "subscription($after: ID) { taskChanged(after: $after) { eventId kind taskIds task { title } } }";

/// Waits until it is so.
pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    within(Duration::from_secs(20), what, condition).await;
}

/// Waits until it is so; how long that took.
pub async fn within(patience: Duration, what: &str, condition: impl AsyncFn() -> bool) -> Duration {
    let began = std::time::Instant::now();
    while !condition().await {
        assert!(began.elapsed() < patience, "waited {patience:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

/// Waits until so many subscriptions stand on the tenant's feed of tasks.
pub async fn listening(tenant: &TestTenant, count: usize) {
    let feed = &tenant.app.app.services.live.tasks;
    until("the subscriptions stand", async || feed.subscribers(tenant.id) == count).await;
}

/// The same for the audit log.
pub async fn auditing(tenant: &TestTenant, count: usize) {
    let feed = &tenant.app.app.services.live.audit;
    until("the subscriptions stand", async || feed.subscribers(tenant.id) == count).await;
}

/// Changes something behind the back of the server, as another process might; triggers run as always.
pub async fn as_another_process(app: &TestApp, tenant: &TestTenant, sql: &str) {
    let id = tenantry::ids::Id::uuid(tenant.id);
    app.database.run("tenantry", &format!("BEGIN; SET LOCAL app.tenant_id = '{id}'; {sql}; COMMIT")).await;
}
