//! What a server refuses to start on, and what operators leave behind.

use tenantry::{
    app::{App, AppError},
    clock::Clock,
    config::Settings,
    db::LoginError,
    domain::platform::service::{tenant_list, tenant_resume, tenant_suspend},
};

use crate::support::{
    app::{TestApp, keys, unique},
    cluster::{TestDatabase, empty_database},
    database::migrated,
};

/// Why a server does not start with this login.
async fn refusal(database: &TestDatabase, role: &str) -> AppError {
    let started = App::new(&Settings::default(), &keys(), &database.url(role).into(), None, Clock::system()).await;
    started.err().unwrap_or_else(|| panic!("a server started as {role}"))
}

#[tokio::test]
async fn logins_that_row_level_security_does_not_bind_are_refused() {
    let database = migrated().await;
    let bypass = unique("test_bypass").replace('-', "_");
    let sql = format!("CREATE ROLE {bypass} LOGIN BYPASSRLS IN ROLE tenantry_app");
    database.run("tenantry", &sql).await;
    let superuser = refusal(&database, "tenantry").await;
    assert!(matches!(superuser, AppError::Login(LoginError::Superuser(_))), "{superuser:?}");
    let bypasses = refusal(&database, &bypass).await;
    assert!(matches!(bypasses, AppError::Login(LoginError::BypassesRls(_))), "{bypasses:?}");
    let owner = refusal(&database, "tenantry_migrate").await;
    assert!(matches!(owner, AppError::Login(LoginError::OwnsTables(_))), "{owner:?}");
    assert!(owner.to_string().contains("Use tenantry_app"), "{owner}");
    database.run("tenantry", &format!("DROP ROLE {bypass}")).await;
}

#[tokio::test]
async fn a_server_never_migrates_by_itself() {
    // Another database of the cluster has made the roles.
    migrated().await;
    let database = empty_database().await;
    let refused = refusal(&database, "tenantry_app").await;
    let AppError::Pending(names) = &refused else { panic!("{refused:?}") };
    assert!(names.len() >= 7, "{names:?}");
    assert!(refused.to_string().contains("tenantry migrate up"), "{refused}");
    let client = database.connect("tenantry").await;
    let tables = client
        .query_one("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", &[])
        .await
        .expect("a count");
    assert_eq!(tables.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn what_operators_do_stands_in_the_log_of_the_tenant() {
    let app = TestApp::isolated().await;
    let tenant = app.tenant().await;
    let services = &app.app.services;
    tenant_suspend(services, "eve", tenant.named().await, "demo".to_owned()).await.expect("suspended");
    tenant_suspend(services, "eve", tenant.named().await, "demo".to_owned())
        .await
        .expect_err("it is suspended already");
    tenant_resume(services, "eve", tenant.named().await).await.expect("resumed");
    tenant_list(services, "eve", "", 10).await.expect("a list");
    let entries = |outcome: &str| ("tenant.suspend".to_owned(), outcome.to_owned());
    let audit = tenant.audit().await;
    let expected = [
        ("tenant.create".to_owned(), "success".to_owned()),
        entries("success"),
        entries("error"),
        ("tenant.resume".to_owned(), "success".to_owned()),
    ];
    let mut sorted = (audit.clone(), expected.to_vec());
    // The record of a refusal is written after its answer, so its place is not fixed.
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(sorted.0, sorted.1);
    let client = app.database.connect("tenantry").await;
    let strangers = "SELECT count(*) FROM audit_logs WHERE actor_kind <> 'operator' OR source <> 'cli'";
    assert_eq!(client.query_one(strangers, &[]).await.expect("a count").get::<_, i64>(0), 0);
    let listed = "SELECT count(*) FROM platform_audit WHERE action = 'tenant.list' AND actor_label = 'eve'";
    assert_eq!(client.query_one(listed, &[]).await.expect("a count").get::<_, i64>(0), 1);
}
