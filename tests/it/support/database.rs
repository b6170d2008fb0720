//! Migrated databases, each a copy of one template: 0.1 s instead of the second that migrating takes.

use std::sync::atomic::{AtomicU32, Ordering};

use tenantry::db::{embedded::SUPERUSER, migrate};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

use super::cluster::{TestDatabase, empty_database, shared};

static TEMPLATE: OnceCell<TestDatabase> = OnceCell::const_new();

/// A migrated database without a row of anybody.
pub async fn migrated() -> TestDatabase {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let template = TEMPLATE
        .get_or_init(|| async {
            let database = empty_database().await;
            migrate::up(&database.url(SUPERUSER)).await.unwrap_or_else(|error| panic!("{error}"));
            database
        })
        .await;
    let copy = TestDatabase::of(shared(), format!("copy_{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    // A copy has neither the owner nor the grants that the template has as a database.
    for sql in [
        format!("CREATE DATABASE {} TEMPLATE {} OWNER tenantry_owner", copy.name, template.name),
        format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", copy.name),
        format!("GRANT CONNECT ON DATABASE {} TO tenantry_app, tenantry_platform, tenantry_migrate", copy.name),
    ] {
        shared().run_as_superuser("postgres", &sql).await.unwrap_or_else(|error| panic!("{error}"));
    }
    copy
}

impl TestDatabase {
    /// A connection for this role; raw, with no walls but the database's own.
    pub async fn connect(&self, role: &str) -> Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url(role), NoTls).await.unwrap_or_else(|error| panic!("{error:?}"));
        tokio::spawn(connection);
        client
    }

    /// Runs SQL text for this role.
    pub async fn run(&self, role: &str, sql: &str) {
        let client = self.connect(role).await;
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
    }
}
