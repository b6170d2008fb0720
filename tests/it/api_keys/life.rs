//! The life of a key: made, listed, replaced, revoked, over.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use tenantry::clock::Clock;

use super::{KEY, create, key_of, listed, reason, try_create};
use crate::support::app::TestApp;

const TASKS: &str = "{ tasks { nodes { id } } }";

async fn at_a_fixed_time() -> (crate::support::app::TestTenant, Clock) {
    let clock = Clock::fixed(DateTime::<Utc>::from_timestamp(1_795_000_000, 0).expect("a time"));
    let database = TestApp::isolated().await.database;
    let app = TestApp::on(database, clock.clone(), |_| {}).await;
    (app.tenant().await, clock)
}

#[tokio::test]
async fn a_key_is_shown_once_and_remembered_by_its_end() {
    let tenant = TestApp::start().await.tenant().await;
    let made =
        create(&tenant.owner, json!({ "name": " Deploys ", "scopes": ["tasks:write", "tasks:read", "tasks:read"] }))
            .await;
    let secret = made.at("/secret");
    assert!(secret.starts_with("tnk_live_") && secret.ends_with(&made.at("/apiKey/hint")), "{secret}");
    assert_eq!(made.0["apiKey"]["name"], "Deploys");
    assert_eq!(made.0["apiKey"]["scopes"], json!(["tasks:read", "tasks:write"]));
    assert!(made.0["apiKey"]["workspaceId"].is_null());
    let query = "query($id: ID!) { apiKey(id: $id) { name hint scopes } node(id: $id) { id } }";
    let found = tenant.owner.query(query, json!({ "id": made.at("/apiKey/id") })).await;
    assert_eq!(found.data()["apiKey"]["hint"], made.0["apiKey"]["hint"]);
    assert!(!found.body.to_string().contains(&secret));
    assert!(tenant.audit().await.contains(&("api_key.create".to_owned(), "success".to_owned())));
}

#[tokio::test]
async fn a_repetition_gets_the_key_without_its_secret() {
    let tenant = TestApp::start().await.tenant().await;
    let document = format!(
        "mutation($input: ApiKeyCreateInput!) {{ apiKeyCreate(input: $input) {{ {KEY} userErrors {{ code }} }} }}"
    );
    let variables = json!({ "input": { "name": "demo", "scopes": ["tasks:read"] } });
    let headers = [("idempotency-key", "api-key-life-0001")];
    let first = tenant.owner.query_with(&document, variables.clone(), &headers).await.payload("apiKeyCreate");
    let again = tenant.owner.query_with(&document, variables, &headers).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let again = again.payload("apiKeyCreate");
    assert_eq!(again.at("/apiKey/id"), first.at("/apiKey/id"));
    assert!(again.0["secret"].is_null() && again.user_errors().is_empty(), "{again:?}");
    assert!(!first.at("/secret").is_empty());
    assert_eq!(listed(&tenant.owner, "").await.len(), 1);
}

#[tokio::test]
async fn both_keys_of_a_rotation_work_until_the_overlap_is_over() {
    let (tenant, clock) = at_a_fixed_time().await;
    let (old, id) = key_of(&tenant.owner, &["tasks:read"]).await;
    let rotated =
        tenant.owner.mutate("apiKeyRotate", KEY, json!({ "id": id, "version": 1, "overlapSeconds": 600 })).await;
    let new = tenant.owner.with_token(&rotated.at("/secret"));
    assert_ne!(rotated.at("/apiKey/id"), id);
    assert_eq!(rotated.0["apiKey"]["scopes"], json!(["tasks:read"]));
    clock.advance(Duration::seconds(599));
    for key in [&old, &new] {
        assert_eq!(key.query(TASKS, json!({})).await.status, 200);
    }
    clock.advance(Duration::seconds(1));
    assert_eq!(reason(&old.query(TASKS, json!({})).await), "key_expired");
    // The owner's token has ended as well by now or not; the key needs nobody's.
    assert_eq!(new.query(TASKS, json!({})).await.status, 200);
    assert_eq!(listed(&tenant.owner, "(filter: { isActive: false })").await, std::slice::from_ref(&id));
    assert_eq!(listed(&tenant.owner, "(filter: { isActive: true })").await, [rotated.at("/apiKey/id")]);

    let again = tenant.owner.try_mutate("apiKeyRotate", KEY, json!({ "id": id })).await;
    assert_eq!(again.payload("apiKeyRotate").user_errors(), ["INVALID_STATE at input.id"]);
    let id = rotated.at("/apiKey/id");
    for overlap in [-1, 7 * 86_400 + 1] {
        let far = tenant.owner.try_mutate("apiKeyRotate", KEY, json!({ "id": id, "overlapSeconds": overlap })).await;
        assert_eq!(far.payload("apiKeyRotate").user_errors(), ["OUT_OF_RANGE at input.overlapSeconds"]);
    }
    let at_once = tenant.owner.mutate("apiKeyRotate", KEY, json!({ "id": id, "overlapSeconds": 0 })).await;
    assert_eq!(
        reason(&new.query(TASKS, json!({})).await),
        "key_expired",
        "no overlap: the old one ends with the answer"
    );
    assert_eq!(tenant.owner.with_token(&at_once.at("/secret")).query(TASKS, json!({})).await.status, 200);
}

#[tokio::test]
async fn a_revoked_key_is_refused_from_the_next_request_on() {
    let tenant = TestApp::start().await.tenant().await;
    let (key, id) = key_of(&tenant.owner, &["tasks:read"]).await;
    assert_eq!(key.query(TASKS, json!({})).await.status, 200);
    let stale = tenant.owner.try_mutate("apiKeyRevoke", "apiKey { id }", json!({ "id": id, "version": 7 })).await;
    assert_eq!(stale.payload("apiKeyRevoke").user_errors(), ["STALE_VERSION at input.version"]);
    let input = json!({ "id": id, "version": 1, "reason": "found in a log" });
    let revoked = tenant.owner.mutate("apiKeyRevoke", "apiKey { revokedAt revokedReason version }", input).await;
    assert_eq!(revoked.0["apiKey"]["revokedReason"], "found in a log");
    assert_eq!(revoked.0["apiKey"]["version"], 2);
    assert_eq!(reason(&key.query(TASKS, json!({})).await), "key_revoked");
    let again = tenant.owner.try_mutate("apiKeyRevoke", "apiKey { id }", json!({ "id": id })).await;
    assert_eq!(again.payload("apiKeyRevoke").user_errors(), ["INVALID_STATE at input.id"]);
    let rotate = tenant.owner.try_mutate("apiKeyRotate", KEY, json!({ "id": id })).await;
    assert_eq!(rotate.payload("apiKeyRotate").user_errors(), ["INVALID_STATE at input.id"]);
}

#[tokio::test]
async fn a_key_ends_when_it_was_told_to() {
    let (tenant, clock) = at_a_fixed_time().await;
    let ends = clock.now() + Duration::seconds(60);
    let made =
        create(&tenant.owner, json!({ "name": "demo", "scopes": ["tasks:read"], "expiresAt": ends.to_rfc3339() }))
            .await;
    let key = tenant.owner.with_token(&made.at("/secret"));
    assert_eq!(key.query(TASKS, json!({})).await.status, 200);
    clock.advance(Duration::seconds(60));
    assert_eq!(reason(&key.query(TASKS, json!({})).await), "key_expired");
}

#[tokio::test]
async fn keys_are_listed_newest_first_in_pages() {
    let tenant = TestApp::start().await.tenant().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(key_of(&tenant.owner, &["tasks:read"]).await.1);
    }
    made.reverse();
    assert_eq!(listed(&tenant.owner, "").await, made);
    assert_eq!(listed(&tenant.owner, "(last: 2)").await, made[3..]);
    let document = "query($after: String) { apiKeys(first: 2, after: $after) { nodes { id } totalCount pageInfo { endCursor hasNextPage } } }";
    let (mut seen, mut after) = (Vec::new(), json!(null));
    loop {
        let reply = tenant.owner.query(document, json!({ "after": after })).await;
        let page = &reply.data()["apiKeys"];
        assert_eq!(page["totalCount"], 5);
        seen.extend(
            page["nodes"].as_array().expect("nodes").iter().map(|node| node["id"].as_str().unwrap_or("").to_owned()),
        );
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn what_is_wrong_with_a_new_key_is_told_all_at_once() {
    let tenant = TestApp::start().await.tenant().await;
    let input =
        json!({ "name": "", "scopes": [], "expiresAt": "2001-01-01T00:00:00Z", "allowedCidrs": ["10.0.0.1/8"] });
    let refused = try_create(&tenant.owner, input).await.payload("apiKeyCreate");
    assert_eq!(
        refused.user_errors(),
        [
            "REQUIRED at input.name",
            "REQUIRED at input.scopes",
            "OUT_OF_RANGE at input.expiresAt",
            "INVALID at input.allowedCidrs.0"
        ]
    );
    assert!(refused.0["secret"].is_null() && refused.0["apiKey"].is_null());
}
