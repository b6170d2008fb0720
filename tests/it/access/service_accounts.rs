//! Service accounts: keys that outlive people, cut by what was given to the account.

use serde_json::{Value, json};

use super::{give, refused, role_with};
use crate::support::app::{TestApp, TestTenant, TestUser};

async fn account(tenant: &TestTenant, name: &str) -> String {
    let input = json!({ "name": name });
    tenant
        .owner
        .mutate("serviceAccountCreate", "serviceAccount { id status owner { id } }", input)
        .await
        .at("/serviceAccount/id")
}

/// A key of the account, made by this person.
async fn key(user: &TestUser, account: &str, scopes: &[&str]) -> TestUser {
    let input = json!({ "name": "Robot", "scopes": scopes, "serviceAccountId": account });
    let made = user.mutate("apiKeyCreate", "secret apiKey { serviceAccount { id } owner { id } }", input).await;
    assert_eq!(made.0["apiKey"], json!({ "serviceAccount": { "id": account }, "owner": null }));
    user.with_token(&made.at("/secret"))
}

async fn tasks(user: &TestUser) -> u16 {
    let reply = user.query("{ tasks(first: 1) { nodes { id } } }", json!({})).await;
    reply.status
}

#[tokio::test]
async fn a_key_of_a_service_account_does_what_was_given_to_the_account() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let owner = &tenant.owner;
    let account = account(&tenant, "Deployer").await;
    let robot = key(owner, &account, &["tasks:read", "projects:write"]).await;
    assert_eq!(tasks(&robot).await, 403, "an account holds nothing at first");
    let role = role_with(owner, "Reader", &["tasks:read"]).await;
    give(owner, json!({ "serviceAccountId": account }), &role, None).await;
    assert_eq!(tasks(&robot).await, 200);
    let input = json!({ "workspaceId": tenant.workspace, "name": "Demo" });
    let more = robot.try_mutate("projectCreate", "project { id }", input).await;
    assert_eq!(more.codes(), ["FORBIDDEN"], "scopes are cut by what the account holds");
    let listed = owner
        .query(&format!("{{ apiKeys(filter: {{ serviceAccountId: \"{account}\" }}) {{ totalCount }} }}"), json!({}))
        .await;
    assert_eq!(listed.data()["apiKeys"]["totalCount"], 1);
}

#[tokio::test]
async fn a_disabled_account_rests_and_a_deleted_one_is_gone() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let owner = &tenant.owner;
    let account = account(&tenant, "Deployer").await;
    let role = role_with(owner, "Reader", &["tasks:read"]).await;
    give(owner, json!({ "serviceAccountId": account }), &role, None).await;
    let robot = key(owner, &account, &["tasks:read"]).await;
    assert_eq!(tasks(&robot).await, 200);

    let input = json!({ "id": account, "reason": "Under review." });
    owner.mutate("serviceAccountDisable", "serviceAccount { status }", input.clone()).await;
    assert_eq!(tasks(&robot).await, 401, "its keys stop at once");
    let twice = owner.try_mutate("serviceAccountDisable", "serviceAccount { status }", input.clone()).await;
    assert_eq!(refused(&twice, "serviceAccountDisable"), ["INVALID_STATE at input.id"]);
    let new = json!({ "name": "Robot", "scopes": ["tasks:read"], "serviceAccountId": account });
    let new = owner.try_mutate("apiKeyCreate", "secret", new).await;
    assert_eq!(refused(&new, "apiKeyCreate"), ["INVALID_STATE at input.serviceAccountId"]);
    owner.mutate("serviceAccountEnable", "serviceAccount { status }", input.clone()).await;
    assert_eq!(tasks(&robot).await, 200);

    owner.mutate("serviceAccountDelete", "serviceAccount { name }", input).await;
    assert_eq!(tasks(&robot).await, 401);
    let left = owner.query("{ serviceAccounts { nodes { id } } apiKeys { nodes { id } } roleGrants(first: 100) { nodes { serviceAccount { id } } } }", json!({})).await;
    assert_eq!((&left.data()["serviceAccounts"]["nodes"], &left.data()["apiKeys"]["nodes"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn a_key_outlives_who_made_it() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, admin) = (&tenant.owner, tenant.member("admin").await);
    let account = account(&tenant, "Deployer").await;
    let role = role_with(owner, "Reader", &["tasks:read"]).await;
    give(owner, json!({ "serviceAccountId": account }), &role, None).await;
    let robot = key(&admin, &account, &["tasks:read"]).await;
    let grants = "query($m: ID!) { roleGrants(filter: { principal: { memberId: $m } }) { nodes { id } } }";
    let held = owner.query(grants, json!({ "m": admin.member })).await;
    let grant = held.data()["roleGrants"]["nodes"][0]["id"].clone();
    owner.mutate("roleGrantDelete", "roleGrant { id }", json!({ "id": grant })).await;
    assert_eq!(tasks(&admin).await, 403);
    assert_eq!(tasks(&robot).await, 200);
}

#[tokio::test]
async fn who_sees_and_changes_service_accounts() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let account = account(&tenant, "Deployer").await;
    let document = format!("{{ serviceAccount(id: \"{account}\") {{ name }} }}");
    for (role, seen) in [("developer", true), ("auditor", true), ("admin", true)] {
        let reply = tenant.member(role).await.query(&document, json!({})).await;
        assert_eq!(reply.data()["serviceAccount"] != Value::Null, seen, "{role}");
    }
    let member = tenant.member("member").await;
    assert_eq!(member.query(&document, json!({})).await.codes(), ["FORBIDDEN"]);
    let developer = tenant.member("developer").await;
    let input = json!({ "name": "Robot", "scopes": ["tasks:read"], "serviceAccountId": account });
    let key = developer.try_mutate("apiKeyCreate", "secret", input).await;
    assert_eq!(key.codes(), ["FORBIDDEN"], "a key for an account needs service_accounts:write besides");
}
