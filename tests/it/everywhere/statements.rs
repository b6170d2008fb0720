//! The number of SQL statements of a request does not grow with the number of rows.

use serde_json::json;

use super::walk::Walk;
use crate::support::app::{TestApp, TestTenant, TestUser};

/// A tenant in which every list has `rows` items.
pub async fn filled(app: &TestApp, rows: usize) -> TestTenant {
    let tenant = app.tenant().await;
    let owner = &tenant.owner;
    let base = owner.mutate("roleCreate", "role { id }", json!({ "name": "Base" })).await.at("/role/id");
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
        let name = format!("Demo {number}");
        let account = owner.mutate("serviceAccountCreate", "serviceAccount { id }", json!({ "name": name })).await;
        let account = account.at("/serviceAccount/id");
        let owned = [None, Some(&account)][number % 2];
        let key = json!({ "name": name, "scopes": ["tasks:read"], "serviceAccountId": owned });
        owner.mutate("apiKeyCreate", "apiKey { id }", key).await;
        let role = json!({ "name": name, "permissions": ["tasks:read"], "inheritsRoleId": base });
        let role = owner.mutate("roleCreate", "role { id }", role).await.at("/role/id");
        let group = owner.mutate("groupCreate", "group { id }", json!({ "name": name })).await.at("/group/id");
        for principal in [json!({ "groupId": group }), json!({ "serviceAccountId": account })] {
            let grant = json!({ "principal": principal, "roleId": role, "workspaceId": workspace });
            owner.mutate("roleGrantCreate", "roleGrant { id }", grant).await;
        }
        let joined = json!({ "groupId": group, "memberIds": [member.member, owner.member] });
        owner.mutate("groupMembersAdd", "group { id }", joined).await;
    }
    tenant
}

async fn statements(document: &str, owner: &TestUser) -> (u64, u64) {
    let reply = owner.query(document, json!({})).await;
    assert_eq!(reply.codes(), Vec::<&str>::new(), "{document}: {:#}", reply.body["errors"]);
    let cost = &reply.body["extensions"]["cost"];
    (cost["sqlStatements"].as_u64().expect("a count"), cost["rows"].as_u64().expect("a count"))
}

/// Every way of three relations through the schema, each in a document of its own: where several ways meet, how their
/// batches fall together is a matter of luck and not of rows.
#[tokio::test]
async fn statements_do_not_grow_with_rows() {
    let app = TestApp::with(|settings| {
        // Fifty of fifty of fifty costs more than a client may ask for.
        settings.limits.limit_cost = u64::MAX;
        // Nothing is kept between requests, so that no entry can end in the middle of a comparison.
        settings.auth.rights_cache_ttl_ms = 0;
    })
    .await;
    let (few, many) = (filled(&app, 2).await, filled(&app, 50).await);
    let walk = Walk::new();
    let (mut ways, mut grown) = (0, 0);
    for root in walk.roots().into_iter().filter(|root| root.operation == "query") {
        // Fields that take an id show one thing; what is below it is reached from the lists as well.
        if !walk.id_places(&root).iter().all(|(path, _)| path[0] == "filter") {
            continue;
        }
        let size = if root.arguments().iter().any(|argument| argument == "first") { "(first: 50)" } else { "" };
        for chain in walk.chains(root.type_name(), 3, 50) {
            let document = format!("{{ {}{size}{chain} }}", root.name);
            let (two, rows_of_two) = statements(&document, &few.owner).await;
            let (fifty, rows_of_fifty) = statements(&document, &many.owner).await;
            // Not more. One less can happen: batches of two rows fall together less well than batches of fifty.
            assert!(fifty <= two, "{document}: {two} statements with 2 rows, {fifty} with 50");
            ways += 1;
            // Of what both read, the rights of the owner are the same.
            grown += usize::from(rows_of_fifty >= rows_of_two + 40);
        }
    }
    assert!(ways > 50 && grown > ways / 3, "{ways} ways, of which {grown} have more rows where there is more data");
}
