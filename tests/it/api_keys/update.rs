//! What can be changed of a key that is there.

use chrono::Duration;
use serde_json::json;

use super::{create, key_of};
use crate::support::app::TestApp;

const KEY: &str = "apiKey { id name allowedCidrs expiresAt scopes version }";
const TASKS: &str = "{ tasks { totalCount } }";

#[tokio::test]
async fn name_networks_and_an_earlier_end_can_be_changed() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (key, id) = key_of(&tenant.owner, &["tasks:read"]).await;
    let now = app.app.services.clock.now();
    let [soon, later] = [1, 2].map(|days| (now + Duration::days(days)).to_rfc3339());
    let renamed =
        tenant.owner.mutate("apiKeyUpdate", KEY, json!({ "id": id, "version": 1, "name": " Deploys " })).await;
    assert_eq!((&renamed.0["apiKey"]["name"], &renamed.0["apiKey"]["version"]), (&json!("Deploys"), &json!(2)));
    // Networks count from the next request on, in both directions.
    assert_eq!(key.query(TASKS, json!({})).await.status, 200);
    tenant.owner.mutate("apiKeyUpdate", KEY, json!({ "id": id, "allowedCidrs": ["192.0.2.0/24"] })).await;
    assert_eq!(key.query(TASKS, json!({})).await.codes(), ["ADDRESS_NOT_ALLOWED"]);
    tenant.owner.mutate("apiKeyUpdate", KEY, json!({ "id": id, "allowedCidrs": [] })).await;
    assert_eq!(key.query(TASKS, json!({})).await.status, 200);
    // An end may be set, and brought forward, and never put off.
    tenant.owner.mutate("apiKeyUpdate", KEY, json!({ "id": id, "expiresAt": later })).await;
    tenant.owner.mutate("apiKeyUpdate", KEY, json!({ "id": id, "expiresAt": soon })).await;
    for (input, expected) in [
        (json!({ "expiresAt": later }), "OUT_OF_RANGE at input.expiresAt"),
        (json!({ "expiresAt": (now - Duration::days(1)).to_rfc3339() }), "OUT_OF_RANGE at input.expiresAt"),
        (json!({ "name": " " }), "REQUIRED at input.name"),
        (json!({ "allowedCidrs": ["10.0.0.1/8"] }), "INVALID at input.allowedCidrs.0"),
        (json!({ "version": 1 }), "STALE_VERSION at input.version"),
    ] {
        let mut input = input;
        input["id"] = json!(id);
        let refused = tenant.owner.try_mutate("apiKeyUpdate", KEY, input).await.payload("apiKeyUpdate");
        assert_eq!(refused.user_errors(), [expected]);
    }
    tenant.owner.mutate("apiKeyRevoke", "apiKey { id }", json!({ "id": id })).await;
    let over = tenant.owner.try_mutate("apiKeyUpdate", KEY, json!({ "id": id, "name": "x" })).await;
    assert_eq!(over.payload("apiKeyUpdate").user_errors(), ["INVALID_STATE at input.id"]);
}

#[tokio::test]
async fn who_may_not_make_keys_changes_none_and_a_key_widens_nothing() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (_, id) = key_of(&tenant.owner, &["tasks:read"]).await;
    let auditor = tenant.member("auditor").await;
    let refused = auditor.try_mutate("apiKeyUpdate", KEY, json!({ "id": id, "name": "x" })).await;
    assert_eq!(refused.codes(), ["FORBIDDEN"]);
    let end = (app.app.services.clock.now() + Duration::days(1)).to_rfc3339();
    let bound = json!({
        "name": "bound", "scopes": ["api_keys:create"], "allowedCidrs": ["127.0.0.0/8"], "expiresAt": end,
    });
    let bound = create(&tenant.owner, bound).await;
    let (key, own) = (tenant.owner.with_token(&bound.at("/secret")), bound.at("/apiKey/id"));
    for (id, input, path) in [
        (&own, json!({ "allowedCidrs": [] }), "input.allowedCidrs"),
        (&own, json!({ "allowedCidrs": ["0.0.0.0/0"] }), "input.allowedCidrs"),
        // It does not hand out what it has not: another key that ends later, or is used from elsewhere.
        (&id, json!({ "name": "x" }), "input.expiresAt"),
    ] {
        let mut input = input;
        input["id"] = json!(id);
        let refused = key.try_mutate("apiKeyUpdate", KEY, input).await.payload("apiKeyUpdate");
        assert_eq!(refused.user_errors(), [format!("PERMISSION_ESCALATION at {path}")]);
    }
    key.mutate("apiKeyUpdate", KEY, json!({ "id": own, "allowedCidrs": ["127.0.0.1"] })).await;
}
