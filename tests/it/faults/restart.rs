//! The database goes away and comes back.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use serde_json::Value;
use tenantry::{
    clock::Clock,
    db::{
        embedded::{Cluster, SUPERUSER},
        migrate,
    },
};

use super::stage::{assert_field_unavailable, assert_refused, count_tasks, create_task};
use crate::support::{
    app::TestApp,
    cluster::{self, TestDatabase},
};

async fn start(folder: &Path) -> Cluster {
    let options = cluster::options(folder);
    let started = tokio::task::spawn_blocking(move || Cluster::start(options)).await.expect("no panic");
    started.unwrap_or_else(|error| panic!("{error}"))
}

async fn stop(cluster: Cluster) {
    tokio::task::spawn_blocking(move || drop(cluster)).await.expect("no panic");
}

/// Status and body of an address for balancers.
async fn admin(app: &TestApp, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let reply = client.get(format!("{}{path}", app.admin_url)).send().await.expect("an answer");
    (reply.status().as_u16(), reply.text().await.expect("a body"))
}

async fn readiness(app: &TestApp) -> (u16, Value) {
    let (status, body) = admin(app, "/readyz").await;
    (status, serde_json::from_str(&body).expect("JSON"))
}

#[tokio::test]
async fn the_server_outlives_a_restart_of_its_database() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    // Where the tests run as root, PostgreSQL runs as somebody else.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("our own folder");
    let cluster = start(folder.path()).await;
    cluster.create_database("restarted", SUPERUSER).await.unwrap_or_else(|error| panic!("{error}"));
    let database = TestDatabase::of(&cluster, "restarted".to_owned());
    migrate::up(&database.url(SUPERUSER)).await.unwrap_or_else(|error| panic!("{error}"));
    let app = TestApp::on(Arc::new(database), Clock::system(), |_| {}).await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    tenant.task(&project, "Draw").await;
    let stranger = app.tenant().await.owner;
    assert_eq!(readiness(&app).await.0, 200);

    stop(cluster).await;
    assert_field_unavailable(&count_tasks(&tenant.owner).await, "tasks");
    assert_field_unavailable(&create_task(&tenant.owner, &project, &[]).await, "taskCreate");
    assert_refused(&count_tasks(&stranger).await);
    let (status, body) = readiness(&app).await;
    assert_eq!((status, &body["status"]), (503, &"not ready".into()));
    assert_eq!((&body["checks"][0]["name"], &body["checks"][0]["ok"]), (&"database".into(), &false.into()));
    // Nobody needs to restart the server for it.
    assert_eq!(admin(&app, "/healthz").await, (200, "ok\n".to_owned()));

    let cluster = start(folder.path()).await;
    assert_eq!(readiness(&app).await.0, 200);
    assert_eq!(count_tasks(&tenant.owner).await.data()["tasks"]["totalCount"], 1);
    tenant.task(&project, "Paint").await;
    assert_eq!(count_tasks(&stranger).await.data()["tasks"]["totalCount"], 0);

    // A restart between two requests is not noticed at all: a connection that has died is not lent out.
    stop(cluster).await;
    let cluster = start(folder.path()).await;
    assert_eq!(count_tasks(&tenant.owner).await.data()["tasks"]["totalCount"], 2);
    tenant.task(&project, "Frame").await;
    stop(cluster).await;
}
