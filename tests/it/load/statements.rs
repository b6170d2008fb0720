//! PostgreSQL's statistics of statements, for operators.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use serde_json::json;
use tenantry::{
    clock::Clock,
    db::{
        doctor,
        embedded::{Cluster, SUPERUSER},
        migrate,
    },
};

use tokio_postgres::SimpleQueryMessage;

use crate::{
    docs::blocks,
    support::{
        app::TestApp,
        cluster::{self, TestDatabase},
        database::migrated,
    },
};

async fn start(folder: &Path) -> Cluster {
    let options = cluster::options(folder);
    let started = tokio::task::spawn_blocking(move || Cluster::start(options)).await.expect("no panic");
    started.unwrap_or_else(|error| panic!("{error}"))
}

const SHARES: &str = "SELECT share_percent::float8, calls, login, coalesce(statement, '') FROM app.statement_shares()";

#[tokio::test]
async fn operators_see_which_statements_load_the_database() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    // Where the tests run as root, PostgreSQL runs as somebody else.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("our own folder");
    let cluster = start(folder.path()).await;
    let preload = "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'";
    cluster.run_as_superuser("postgres", preload).await.unwrap_or_else(|error| panic!("{error}"));
    tokio::task::spawn_blocking(move || drop(cluster)).await.expect("no panic");
    let cluster = start(folder.path()).await;
    // Known to PostgreSQL only once the library is loaded.
    for sql in ["ALTER SYSTEM SET pg_stat_statements.track_utility = off", "SELECT pg_reload_conf()"] {
        cluster.run_as_superuser("postgres", sql).await.unwrap_or_else(|error| panic!("{error}"));
    }
    cluster.create_database("loaded", SUPERUSER).await.unwrap_or_else(|error| panic!("{error}"));
    let database = TestDatabase::of(&cluster, "loaded".to_owned());
    migrate::up(&database.url(SUPERUSER)).await.unwrap_or_else(|error| panic!("{error}"));
    database.run(SUPERUSER, "CREATE EXTENSION pg_stat_statements; GRANT pg_read_all_stats TO tenantry_owner").await;
    database.run(SUPERUSER, "CREATE TABLE hidden (secret text); DROP TABLE hidden").await;

    let app = TestApp::on(Arc::new(database), Clock::system(), |_| {}).await;
    let tenant = app.tenant().await;
    let project = tenant.project(&format!("Secret of {}", tenant.slug)).await;
    for _ in 0..20 {
        let list = "query($project: ID!) { tasks(first: 1, filter: { projectId: $project }) { nodes { id title } } }";
        assert_eq!(tenant.owner.query(list, json!({ "project": project })).await.data()["tasks"]["nodes"], json!([]));
    }
    let operator = app.database.connect("tenantry_platform").await;
    let rows = operator.query(SHARES, &[]).await.expect("rows");
    let lines: Vec<(Option<f64>, i64, String, String)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let whole: f64 = lines.iter().filter_map(|line| line.0).sum();
    assert!((whole - 100.0).abs() < 1.0, "{whole} %");
    assert!(lines.is_sorted_by(|one, other| one.0 >= other.0), "the largest share stands first");
    let is_list = |line: &&(_, i64, String, String)| line.2 == "tenantry_app" && line.3.contains("FROM \"tasks\"");
    let list = lines.iter().find(is_list).unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(list.1 >= 20 && list.3.contains("$1"), "{list:?}");
    for (_, _, login, statement) in &lines {
        assert!(login.starts_with("tenantry_app") || login == "tenantry_platform" || statement == "of another login");
        assert!(!statement.contains("SET LOCAL") && !statement.contains(&tenant.slug), "{statement}");
    }
    let documented = blocks::all().into_iter().find(|block| block.note("run") == Some("statements")).expect("a query");
    let shown = operator.simple_query(&documented.text).await.unwrap_or_else(|error| panic!("{documented}: {error:?}"));
    assert!(shown.iter().any(|line| matches!(line, SimpleQueryMessage::Row(_))), "{documented} shows nothing");
    let refused = app.database.connect("tenantry_app").await.query(SHARES, &[]).await;
    assert!(refused.is_err(), "the servers' login has no business there");
    let findings = doctor::examine(&app.database.url("tenantry_migrate")).await.expect("examined");
    assert_eq!(findings, []);
    drop(app);
    tokio::task::spawn_blocking(move || drop(cluster)).await.expect("no panic");
}

#[tokio::test]
async fn without_the_extension_the_function_says_so() {
    let operator = migrated().await.connect("tenantry_platform").await;
    let refused = operator.query(SHARES, &[]).await.expect_err("there is none");
    let error = refused.as_db_error().expect("PostgreSQL's own");
    assert_eq!(error.message(), "the extension pg_stat_statements is not in this database");
    assert!(error.hint().is_some_and(|hint| hint.contains("docs/operations.md")));
}
