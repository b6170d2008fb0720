//! What a key cannot be made to do: more than its maker, more than the plan, more than its workspace.

use chrono::Duration;
use serde_json::{Value, json};

use super::{KEY, create, key_of, listed, try_create};
use crate::support::app::{TestApp, TestTenant};

async fn workspace(tenant: &TestTenant, name: &str) -> String {
    tenant.owner.mutate("workspaceCreate", "workspace { id }", json!({ "name": name })).await.at("/workspace/id")
}

fn missing(reply: &crate::support::app::Reply, field: &str) -> Value {
    reply.data()[field]["userErrors"][0]["params"]["missing"].clone()
}

#[tokio::test]
async fn nobody_makes_a_key_with_rights_that_they_lack() {
    let tenant = TestApp::start().await.tenant().await;
    let developer = tenant.member("developer").await;
    let input = json!({ "name": "demo", "scopes": ["tasks:write", "members:remove", "billing:write"] });
    let refused = try_create(&developer, input).await;
    assert_eq!(refused.payload("apiKeyCreate").user_errors(), ["PERMISSION_ESCALATION at input.scopes"]);
    let lacking: Vec<String> = serde_json::from_value(missing(&refused, "apiKeyCreate")).expect("a list");
    assert_eq!(lacking.len(), 2, "{lacking:?}");
    assert!(lacking.contains(&"members:remove".to_owned()) && lacking.contains(&"billing:write".to_owned()));
    assert!(listed(&tenant.owner, "").await.is_empty());
    assert!(tenant.audit().await.contains(&("api_key.create".to_owned(), "error".to_owned())));
    assert_eq!(
        try_create(&tenant.member("member").await, json!({ "name": "x", "scopes": ["tenant:read"] })).await.codes(),
        ["FORBIDDEN"]
    );
}

#[tokio::test]
async fn a_key_makes_none_that_can_do_more_or_lasts_longer_or_reaches_further() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let ends = app.app.services.clock.now() + Duration::hours(1);
    let parent = create(
        &tenant.owner,
        json!({
            "name": "parent", "scopes": ["api_keys:create", "api_keys:rotate", "tasks:read"],
            "expiresAt": ends.to_rfc3339(), "allowedCidrs": ["127.0.0.0/8"],
        }),
    )
    .await;
    let key = tenant.owner.with_token(&parent.at("/secret"));
    let soon = (ends - Duration::minutes(1)).to_rfc3339();
    let late = (ends + Duration::minutes(1)).to_rfc3339();
    for (input, expected) in [
        (json!({ "scopes": ["tasks:write"], "expiresAt": soon, "allowedCidrs": ["127.0.0.1"] }), "input.scopes"),
        (json!({ "scopes": ["tasks:read"], "allowedCidrs": ["127.0.0.1"] }), "input.expiresAt"),
        (json!({ "scopes": ["tasks:read"], "expiresAt": late, "allowedCidrs": ["127.0.0.1"] }), "input.expiresAt"),
        (json!({ "scopes": ["tasks:read"], "expiresAt": soon }), "input.allowedCidrs"),
        (json!({ "scopes": ["tasks:read"], "expiresAt": soon, "allowedCidrs": ["0.0.0.0/0"] }), "input.allowedCidrs"),
    ] {
        let mut input = input;
        input["name"] = json!("child");
        let refused = try_create(&key, input).await.payload("apiKeyCreate");
        assert_eq!(refused.user_errors(), [format!("PERMISSION_ESCALATION at {expected}")]);
    }
    let child = create(
        &key,
        json!({ "name": "child", "scopes": ["tasks:read"], "expiresAt": soon, "allowedCidrs": ["127.0.0.1"] }),
    )
    .await;
    assert_eq!(child.0["apiKey"]["scopes"], json!(["tasks:read"]));
    // Nor does it get hold of a wider key of the same owner by replacing it.
    let (_, wide) = key_of(&tenant.owner, &["tasks:write"]).await;
    let refused = key.try_mutate("apiKeyRotate", KEY, json!({ "id": wide })).await.payload("apiKeyRotate");
    assert_eq!(refused.user_errors(), ["PERMISSION_ESCALATION at input.scopes"]);
}

#[tokio::test]
async fn rotating_somebodys_key_gives_no_rights_that_one_lacks() {
    let tenant = TestApp::start().await.tenant().await;
    let developer = tenant.member("developer").await;
    let (_, wide) = key_of(&tenant.owner, &["members:remove"]).await;
    let refused = developer.try_mutate("apiKeyRotate", KEY, json!({ "id": wide })).await;
    assert_eq!(refused.payload("apiKeyRotate").user_errors(), ["PERMISSION_ESCALATION at input.scopes"]);
    let (_, narrow) = key_of(&tenant.owner, &["tasks:read"]).await;
    let rotated = developer.mutate("apiKeyRotate", KEY, json!({ "id": narrow })).await;
    assert!(!rotated.at("/secret").is_empty());
}

#[tokio::test]
async fn a_key_of_a_workspace_stays_in_it() {
    let tenant = TestApp::start().await.tenant().await;
    let (here, there) = (workspace(&tenant, "Here").await, workspace(&tenant, "There").await);
    let input = json!({ "name": "demo", "scopes": ["tasks:read", "billing:read"], "workspaceId": here });
    let refused = try_create(&tenant.owner, input).await;
    assert_eq!(refused.payload("apiKeyCreate").user_errors(), ["INVALID at input.scopes"]);
    assert_eq!(refused.data()["apiKeyCreate"]["userErrors"][0]["params"]["refused"], json!(["billing:read"]));

    let made = create(
        &tenant.owner,
        json!({ "name": "demo", "scopes": ["projects:write", "workspaces:read"], "workspaceId": here }),
    )
    .await;
    assert_eq!(made.0["apiKey"]["workspaceId"], json!(here));
    let key = tenant.owner.with_token(&made.at("/secret"));
    key.mutate("projectCreate", "project { id }", json!({ "workspaceId": here, "name": "in" })).await;
    let out = key.try_mutate("projectCreate", "project { id }", json!({ "workspaceId": there, "name": "out" })).await;
    assert_eq!(out.payload("projectCreate").user_errors(), ["NOT_FOUND at input.workspaceId"]);
    let names = key.query("{ projects { nodes { name } } }", json!({})).await;
    assert_eq!(names.data()["projects"]["nodes"], json!([{ "name": "in" }]));
    let unknown = json!({ "name": "x", "scopes": ["tasks:read"], "workspaceId": "wsp_01h455vb4pex5vsknk084sn02q" });
    assert_eq!(
        try_create(&tenant.owner, unknown).await.payload("apiKeyCreate").user_errors(),
        ["NOT_FOUND at input.workspaceId"]
    );
}

#[tokio::test]
async fn who_holds_the_right_on_a_workspace_handles_its_keys_only() {
    let tenant = TestApp::start().await.tenant().await;
    let (here, there) = (workspace(&tenant, "Here").await, workspace(&tenant, "There").await);
    let local = tenant.member_on("developer", Some(here.parse().expect("an id"))).await;
    let of = |workspace: &str| json!({ "name": "demo", "scopes": ["tasks:read"], "workspaceId": workspace });
    let in_here = create(&tenant.owner, of(&here)).await.at("/apiKey/id");
    let in_there = create(&tenant.owner, of(&there)).await.at("/apiKey/id");
    let (_, everywhere) = key_of(&tenant.owner, &["tasks:read"]).await;
    let mine = create(&local, of(&here)).await.at("/apiKey/id");

    assert_eq!(listed(&local, "").await, [mine, in_here.clone()]);
    assert_eq!(listed(&tenant.owner, "").await.len(), 4);
    for hidden in [&in_there, &everywhere] {
        let query = "query($id: ID!) { apiKey(id: $id) { id } }";
        assert!(local.query(query, json!({ "id": hidden })).await.data()["apiKey"].is_null());
        let refused = local.try_mutate("apiKeyRevoke", "apiKey { id }", json!({ "id": hidden })).await;
        assert_eq!(refused.payload("apiKeyRevoke").user_errors(), ["NOT_FOUND at input.id"]);
    }
    local.mutate("apiKeyRevoke", "apiKey { id }", json!({ "id": in_here })).await;
    let refused = try_create(&local, of(&there)).await;
    assert_eq!(refused.payload("apiKeyCreate").user_errors(), ["NOT_FOUND at input.workspaceId"]);
    let refused = try_create(&local, json!({ "name": "x", "scopes": ["tasks:read"] })).await;
    assert_eq!(refused.codes(), ["FORBIDDEN"], "{refused:?}");
}

#[tokio::test]
async fn a_plan_bounds_the_number_of_keys_and_still_lets_them_be_replaced() {
    let tenant = TestApp::start().await.tenant().await;
    let id = tenantry::ids::Id::uuid(tenant.id);
    let limit = format!("UPDATE tenant_counters SET api_keys_limit = 2 WHERE tenant_id = '{id}'");
    tenant.app.database.run("tenantry", &limit).await;
    let (_, id) = key_of(&tenant.owner, &["tasks:read"]).await;
    let input = || json!({ "name": "demo", "scopes": ["tasks:read"] });
    let at_once = (0..4).map(|_| try_create(&tenant.owner, input()));
    let replies = futures::future::join_all(at_once).await;
    let outcomes: Vec<Vec<String>> = replies.iter().map(|reply| reply.payload("apiKeyCreate").user_errors()).collect();
    assert_eq!(outcomes.iter().filter(|errors| errors.is_empty()).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().flatten().all(|error| error == "QUOTA_EXCEEDED at input"), "{outcomes:?}");
    tenant.owner.mutate("apiKeyRotate", KEY, json!({ "id": id })).await;
    let made = replies.iter().find_map(|reply| reply.data()["apiKeyCreate"]["apiKey"]["id"].as_str());
    tenant.owner.mutate("apiKeyRevoke", "apiKey { id }", json!({ "id": made.expect("one") })).await;
    create(&tenant.owner, input()).await;
}
