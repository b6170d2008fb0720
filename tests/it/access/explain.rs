//! Why somebody may or may not: the chain from the role to the place.

use serde_json::{Value, json};

use super::{give, member, role_with, role_without};
use crate::support::app::{Reply, TestApp, TestUser};

const EXPLAIN: &str = "query($p: AccessPrincipalInput!, $permission: Permission!, $workspace: ID) {
    explainAccess(principal: $p, permission: $permission, workspaceId: $workspace) {
        isAllowed permission workspaceId
        reasons { kind message permission grant {
            roleGrantId roles { key } groupName isTenantWide workspaces { slug } grantedById reason expiresAt
        } }
    }
}";

async fn ask(user: &TestUser, principal: Value, permission: &str, workspace: Option<&str>) -> Reply {
    user.query(EXPLAIN, json!({ "p": principal, "permission": permission, "workspace": workspace })).await
}

async fn explain(user: &TestUser, principal: Value, permission: &str, workspace: Option<&str>) -> Value {
    ask(user, principal, permission, workspace).await.data()["explainAccess"].clone()
}

fn kinds(explanation: &Value) -> Vec<&str> {
    let reasons = explanation["reasons"].as_array().expect("reasons");
    reasons.iter().map(|reason| reason["kind"].as_str().expect("a kind")).collect()
}

#[tokio::test]
async fn the_chain_is_told_from_the_grant_to_the_place() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let base = role_with(owner, "Base", &["projects:write"]).await;
    let input = json!({ "name": "Heir", "inheritsRoleId": base });
    let heir = owner.mutate("roleCreate", "role { id }", input).await.at("/role/id");
    let parent =
        owner.mutate("workspaceCreate", "workspace { id }", json!({ "name": "Atlas" })).await.at("/workspace/id");
    let input = json!({ "name": "Atlas research", "parentId": parent });
    let child = owner.mutate("workspaceCreate", "workspace { id }", input).await.at("/workspace/id");
    let group = owner.mutate("groupCreate", "group { id }", json!({ "name": "Makers" })).await.at("/group/id");
    let input = json!({ "groupId": group, "memberIds": [ada.member] });
    owner.mutate("groupMembersAdd", "group { id }", input).await;
    let input = json!({
        "principal": { "groupId": group }, "roleId": heir, "workspaceId": parent, "reason": "They make it.",
    });
    let grant = owner.mutate("roleGrantCreate", "roleGrant { id }", input).await.at("/roleGrant/id");

    let told = explain(owner, member(&ada), "projects:read", Some(&child)).await;
    assert_eq!(told["isAllowed"], true);
    let expected = json!([{
        "kind": "GRANTED",
        "message": "It is allowed by the role Heir, which inherits from Base, given on atlas to the group Makers: projects:write.",
        "permission": "projects:write",
        "grant": {
            "roleGrantId": grant, "roles": [{ "key": "heir" }, { "key": "base" }], "groupName": "Makers",
            "isTenantWide": false, "workspaces": [{ "slug": "atlas" }, { "slug": "atlas-research" }],
            "grantedById": owner.member, "reason": "They make it.", "expiresAt": null,
        },
    }]);
    assert_eq!(told["reasons"], expected);
    // Elsewhere there is nothing, and what is denied is denied.
    assert_eq!(kinds(&explain(owner, member(&ada), "projects:read", None).await), ["NOT_GRANTED"]);
    let never = role_without(owner, "Never", &["projects:write"]).await;
    give(owner, member(&ada), &never, None).await;
    let told = explain(owner, member(&ada), "projects:read", Some(&child)).await;
    assert_eq!((&told["isAllowed"], kinds(&told)), (&json!(false), vec!["DENIED"]));
}

#[tokio::test]
async fn a_key_is_explained_with_what_cuts_it() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let owner = &tenant.owner;
    let input = json!({ "name": "Demo", "scopes": ["tasks:read"], "workspaceId": tenant.workspace });
    let made = owner.mutate("apiKeyCreate", "secret apiKey { id }", input).await;
    let (id, robot) = (made.at("/apiKey/id"), owner.with_token(&made.at("/secret")));
    let key = json!({ "apiKeyId": id });
    let here = tenant.workspace.to_string();
    assert_eq!(kinds(&explain(owner, key.clone(), "tasks:read", Some(&here)).await), ["GRANTED"]);
    assert_eq!(kinds(&explain(owner, key.clone(), "tasks:write", Some(&here)).await), ["OUTSIDE_SCOPES"]);
    assert_eq!(kinds(&explain(owner, key.clone(), "tasks:read", None).await), ["OUTSIDE_WORKSPACES"]);
    assert_eq!(
        explain(&robot, key.clone(), "tasks:read", Some(&here)).await,
        Value::Null,
        "it may not see the workspace"
    );
    assert_eq!(kinds(&explain(&robot, key.clone(), "tasks:write", None).await)[0], "OUTSIDE_SCOPES");
    owner.mutate("apiKeyRevoke", "apiKey { id }", json!({ "id": id })).await;
    let told = explain(owner, key, "tasks:read", Some(&here)).await;
    assert_eq!((&told["isAllowed"], kinds(&told)), (&json!(false), vec!["KEY_REVOKED", "GRANTED"]));
}

#[tokio::test]
async fn everybody_asks_about_themselves_and_few_about_others() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant().await, app.tenant().await);
    let (owner, ada, bo) = (&tenant.owner, tenant.member("member").await, tenant.member("auditor").await);
    assert_eq!(kinds(&explain(&ada, member(&ada), "tenant:read", None).await), ["GRANTED"]);
    assert_eq!(ask(&ada, member(&bo), "tenant:read", None).await.codes(), ["FORBIDDEN"]);
    assert_eq!(kinds(&explain(&bo, member(&ada), "tenant:read", None).await), ["GRANTED"]);
    assert_eq!(explain(&bo, member(&other.owner), "tenant:read", None).await, Value::Null);
    let elsewhere = other.workspace.to_string();
    assert_eq!(explain(owner, member(&ada), "tasks:read", Some(&elsewhere)).await, Value::Null);
    // A private workspace is closed to what somebody holds in the whole tenant, and this is the reason.
    let input = json!({ "name": "Secret", "visibility": "PRIVATE" });
    let secret = owner.mutate("workspaceCreate", "workspace { id }", input).await.at("/workspace/id");
    let told = explain(owner, member(&ada), "workspaces:read", Some(&secret)).await;
    assert_eq!((&told["isAllowed"], kinds(&told)), (&json!(false), vec!["PRIVATE"]));
    // The answer is the guard's.
    let seen = ada.query("query($id: ID!) { workspace(id: $id) { id } }", json!({ "id": secret })).await;
    assert_eq!(seen.data()["workspace"], Value::Null);
}
