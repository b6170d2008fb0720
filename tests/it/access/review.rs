//! The review of everybody's rights, as a file that is fetched once.

use std::collections::HashSet;

use chrono::Duration;
use serde_json::json;
use tenantry::{access::PermissionSet, clock::Clock};

use super::{give, member, role_with};
use crate::support::app::{TestApp, TestUser};

async fn url(user: &TestUser) -> String {
    let reply = user.query("mutation { accessReviewExport { url expiresAt userErrors { code } } }", json!({})).await;
    reply.data()["accessReviewExport"]["url"].as_str().expect("a path").to_owned()
}

async fn fetch(user: &TestUser, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer =
        client.get(format!("{}{path}", user.app.url)).bearer_auth(&user.token).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

/// The whole file, as its reader gets it: status and text.
pub async fn reviewed(user: &TestUser) -> (u16, String) {
    fetch(user, &url(user).await).await
}

#[tokio::test]
async fn every_right_of_everybody_is_in_the_file() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let role = role_with(owner, "=Editor", &["projects:write"]).await;
    let grant = give(owner, member(&ada), &role, Some(tenant.workspace)).await;
    let account = owner.mutate("serviceAccountCreate", "serviceAccount { id }", json!({ "name": "=1+1" })).await;
    let account = account.at("/serviceAccount/id");
    give(owner, json!({ "serviceAccountId": account }), &role, None).await;
    let input = json!({ "name": "Key, one", "scopes": ["tasks:read"], "workspaceId": tenant.workspace });
    let key = owner.mutate("apiKeyCreate", "apiKey { id }", input).await.at("/apiKey/id");

    let (status, text) = reviewed(owner).await;
    assert_eq!(status, 200, "{text}");
    let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.is_empty()).collect();
    assert!(lines[0].starts_with("principal_kind,principal_id,"));
    let of = |id: &str| lines.iter().filter(|line| line.contains(id)).copied().collect::<Vec<_>>();

    let id = ada.member.expect("a member").to_string();
    let on_workspace: Vec<_> = of(&id).into_iter().filter(|line| line.contains(&grant)).collect();
    // What the role gives and what that implies, on the workspace; what she holds in the tenant is told there.
    let rights: HashSet<_> = on_workspace.iter().filter_map(|line| line.split(',').nth(4)).collect();
    assert_eq!(rights, HashSet::from(["projects:read", "projects:write"]));
    assert!(on_workspace.iter().all(|line| line.contains(&tenant.workspace.to_string()) && line.contains(",editor,")));
    let wide = of(&id).iter().filter(|line| line.split(',').nth(5) == Some("tenant")).count();
    assert_eq!(wide, 3, "tenant:read, members:read, workspaces:read: {:?}", of(&id));

    assert!(of(&account).iter().all(|line| line.contains(",'=1+1,")), "a name is never a formula: {:?}", of(&account));
    assert_eq!(of(&account).len(), 2);
    assert_eq!(of(&key).len(), 1, "a key has what its scopes and its workspace leave: {:?}", of(&key));
    assert!(of(&key)[0].contains("\"Key, one\"") && of(&key)[0].contains(&owner.member.expect("a member").to_string()));
    let everything = PermissionSet::TENANT.len();
    assert_eq!(
        of(&owner.member.expect("a member").to_string()).len(),
        everything + 1,
        "an owner holds it, and has a key"
    );
}

#[tokio::test]
async fn a_ticket_works_once_for_whoever_asked_in_time() {
    let clock = Clock::fixed(Clock::system().now());
    let shared = TestApp::start().await;
    let app = TestApp::on(shared.database.clone(), clock.clone(), |_| {}).await;
    let (tenant, other) = (app.tenant().await, app.tenant().await);
    let (owner, auditor) = (&tenant.owner, tenant.member("auditor").await);
    let path = url(&auditor).await;
    assert_eq!(fetch(owner, &path).await.0, 404, "it is nobody else's");
    let elsewhere = path.replace(&tenant.slug, &other.slug);
    assert_eq!(fetch(&other.owner, &elsewhere).await.0, 404);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let stranger = client.get(format!("{}{path}", app.url)).send().await.expect("an answer");
    assert_eq!(stranger.status().as_u16(), 401);
    let looked = client.head(format!("{}{path}", app.url)).bearer_auth(&auditor.token).send().await.expect("an answer");
    assert_eq!(looked.status().as_u16(), 405, "a look does not use it up");
    assert_eq!(fetch(&auditor, &path).await.0, 200);
    assert_eq!(fetch(&auditor, &path).await.0, 404, "it is used");

    let late = url(&auditor).await;
    clock.advance(Duration::minutes(10));
    assert_eq!(fetch(&auditor, &late).await.0, 404, "it is too late");

    let lost = url(&auditor).await;
    let grants = "query($m: ID!) { roleGrants(filter: { principal: { memberId: $m } }) { nodes { id } } }";
    let held = owner.query(grants, json!({ "m": auditor.member })).await;
    let input = json!({ "id": held.data()["roleGrants"]["nodes"][0]["id"] });
    owner.mutate("roleGrantDelete", "roleGrant { id }", input).await;
    assert_eq!(fetch(&auditor, &lost).await.0, 404, "who may export no more fetches nothing");
}
