//! The number of SQL statements of a request does not grow with the number of rows.

use serde_json::json;

use super::walk::Walk;
use crate::support::app::{TestApp, TestTenant, TestUser};

/// A tenant in which every list has `rows` items.
async fn filled(app: &TestApp, rows: usize) -> TestTenant {
    let tenant = app.tenant().await;
    let owner = &tenant.owner;
    for number in 0..rows {
        let member = tenant.member("member").await;
        let name = json!({ "name": format!("Demo {number}") });
        let workspace = owner.mutate("workspaceCreate", "workspace { id }", name).await.at("/workspace/id");
        let project = json!({ "workspaceId": workspace, "name": format!("Demo {number}") });
        let project = owner.mutate("projectCreate", "project { id }", project).await.at("/project/id");
        let tasks: Vec<_> = (0..3)
            .map(|task| json!({ "title": format!("Demo {number}.{task}"), "assigneeId": member.member }))
            .collect();
        owner.mutate("tasksImport", "count", json!({ "projectId": project, "rows": tasks })).await;
        let key = json!({ "name": format!("Demo {number}"), "scopes": ["tasks:read"] });
        owner.mutate("apiKeyCreate", "apiKey { id }", key).await;
    }
    tenant
}

async fn statements(walk: &Walk, field: &str, tenant: &TestTenant, owner: &TestUser) -> (u64, u64) {
    let root = walk.roots().into_iter().find(|root| root.name == field).expect("the field exists");
    let (document, variables) = walk.document(&root, &super::fixture::unknown(), 3, 50);
    let _ = tenant;
    let reply = owner.query(&document, variables).await;
    assert_eq!(reply.codes(), Vec::<&str>::new(), "{field}: {:#}", reply.body["errors"]);
    let cost = &reply.body["extensions"]["cost"];
    (cost["sqlStatements"].as_u64().expect("a count"), cost["rows"].as_u64().expect("a count"))
}

#[tokio::test]
async fn debug_one() {
    let app = TestApp::with(|settings| {
        settings.limits.limit_cost = u64::MAX;
        settings.limits.limit_tokens = 1_000_000;
        settings.limits.limit_depth = 40;
    })
    .await;
    let many = filled(&app, 50).await;
    let walk = Walk::new();
    statements(&walk, "projects", &many, &many.owner).await;
    app.database.run("tenantry", "ALTER ROLE tenantry_app SET log_min_duration_statement = 0").await;
    let app2 = TestApp::on(app.database.clone(), tenantry::clock::Clock::system(), |settings| {
        settings.limits.limit_cost = u64::MAX;
        settings.limits.limit_tokens = 1_000_000;
        settings.limits.limit_depth = 40;
    }).await;
    let mut owner = many.owner.clone();
    owner.app = app2;
    statements(&walk, "projects", &many, &owner).await;
    let root = walk.roots().into_iter().find(|root| root.name == "projects").expect("the field exists");
    println!("{}", walk.document(&root, &super::fixture::unknown(), 3, 50).0);
    let log = std::fs::read_to_string(crate::support::cluster::shared().log_file()).unwrap();
    for line in log.lines().filter(|l| l.contains("execute")) { println!("{}", &line[..line.len().min(330)]); }
}

#[tokio::test]
async fn statements_do_not_grow_with_rows() {
    let app = TestApp::with(|settings| {
        // The deepest selection of the walk costs more than a client may ask for.
        settings.limits.limit_cost = u64::MAX;
        settings.limits.limit_tokens = 1_000_000;
        settings.limits.limit_depth = 40;
    })
    .await;
    let (few, many) = (filled(&app, 2).await, filled(&app, 50).await);
    let walk = Walk::new();
    let mut lists = 0;
    for root in walk.roots().into_iter().filter(|root| root.operation == "query") {
        // Fields that take an id show one thing; the lists below it are reached from the lists of this walk.
        if !walk.id_places(&root).iter().all(|(path, _)| path[0] == "filter") {
            continue;
        }
        // Once for the caches.
        statements(&walk, &root.name, &few, &few.owner).await;
        statements(&walk, &root.name, &many, &many.owner).await;
        let (two, rows_of_two) = statements(&walk, &root.name, &few, &few.owner).await;
        let (fifty, rows_of_fifty) = statements(&walk, &root.name, &many, &many.owner).await;
        assert_eq!(two, fifty, "{}: {two} statements with 2 rows, {fifty} with 50", root.name);
        lists += usize::from(rows_of_fifty > 10 * rows_of_two.max(1) / 2);
    }
    assert!(lists >= 4, "only {lists} lists grew with the data: the walk does not reach them");
}
