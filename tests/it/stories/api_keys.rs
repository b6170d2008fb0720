//! API keys: they work everywhere a person does, within their scopes.

use serde_json::json;

use crate::support::app::{TestApp, TestUser};

fn with_key(user: &TestUser, secret: &str) -> TestUser {
    user.with_token(secret).at(None)
}

#[tokio::test]
async fn a_key_works_within_its_scopes_and_dies_with_its_revocation() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let input = json!({ "name": "Demo", "scopes": ["tasks:write", "projects:read"] });
    let made = tenant.owner.mutate("apiKeyCreate", "apiKey { id } secret", input).await;
    let key = with_key(&tenant.owner, &made.at("/secret"));
    let task = json!({ "projectId": project, "title": "By a key" });
    key.mutate("taskCreate", "task { id }", task.clone()).await;
    let reply = key.query("{ tasks { nodes { title } } viewer { permissions } }", json!({})).await;
    assert_eq!(reply.data()["tasks"]["nodes"][0]["title"], "By a key");
    assert_eq!(reply.data()["viewer"]["permissions"], json!(["projects:read", "tasks:read", "tasks:write"]));
    let beyond = key.query("{ members { nodes { id } } }", json!({})).await;
    assert_eq!((beyond.status, beyond.codes()), (403, vec!["FORBIDDEN"]));

    tenant.owner.mutate("apiKeyRevoke", "apiKey { revokedAt }", json!({ "id": made.at("/apiKey/id") })).await;
    let dead = key.try_mutate("taskCreate", "task { id }", task).await;
    assert_eq!((dead.status, dead.codes()), (401, vec!["UNAUTHENTICATED"]));
    assert_eq!(dead.body["errors"][0]["extensions"]["reason"], "key_revoked");
}

#[tokio::test]
async fn nobody_makes_a_key_that_can_do_more_than_they() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let developer = tenant.member("developer").await;
    let input = json!({ "name": "Demo", "scopes": ["tasks:read", "members:remove"] });
    let refused = developer.try_mutate("apiKeyCreate", "secret", input).await.payload("apiKeyCreate");
    assert_eq!(refused.user_errors(), ["PERMISSION_ESCALATION at input.scopes"]);
    assert_eq!(refused.0["secret"], json!(null));
}

#[tokio::test]
async fn a_rotated_key_works_beside_its_successor_until_the_overlap_ends() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let input = json!({ "name": "Demo", "scopes": ["tenant:read"] });
    let old = tenant.owner.mutate("apiKeyCreate", "apiKey { id } secret", input).await;
    let rotate = json!({ "id": old.at("/apiKey/id"), "overlapSeconds": 3600 });
    let new = tenant.owner.mutate("apiKeyRotate", "apiKey { id } secret", rotate).await;
    for secret in [old.at("/secret"), new.at("/secret")] {
        with_key(&tenant.owner, &secret).query("{ tenant { id } }", json!({})).await.data();
    }
    // The secret is shown once: a repetition under the same key shows none.
    let rotate = json!({ "input": { "id": new.at("/apiKey/id"), "overlapSeconds": 0 } });
    let document =
        "mutation($input: ApiKeyRotateInput!) { apiKeyRotate(input: $input) { secret userErrors { code } } }";
    let once = [("idempotency-key", "demo-key-0123456789")];
    let first = tenant.owner.query_with(document, rotate.clone(), &once).await;
    assert!(first.data()["apiKeyRotate"]["secret"].is_string());
    let again = tenant.owner.query_with(document, rotate, &once).await;
    assert_eq!(again.data()["apiKeyRotate"]["secret"], json!(null));
    let dead = with_key(&tenant.owner, &new.at("/secret")).query("{ tenant { id } }", json!({})).await;
    assert_eq!((dead.status, dead.codes()), (401, vec!["UNAUTHENTICATED"]));
}

#[tokio::test]
async fn a_key_is_good_from_its_networks_only() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    for (cidr, expected) in [("127.0.0.0/8", 200), ("192.0.2.0/24", 403)] {
        let input = json!({ "name": "Demo", "scopes": ["tenant:read"], "allowedCidrs": [cidr] });
        let secret = tenant.owner.mutate("apiKeyCreate", "secret", input).await.at("/secret");
        let reply = with_key(&tenant.owner, &secret).query("{ tenant { id } }", json!({})).await;
        assert_eq!(reply.status, expected, "{cidr}: {:?}", reply.codes());
    }
}
