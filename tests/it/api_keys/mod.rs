//! API keys: made once, used within their scopes, cut by their owner, replaced and revoked.

mod life;
mod limits;
mod look_up;
mod update;
mod use_of_keys;

use serde_json::{Value, json};

use crate::support::app::{Payload, Reply, TestUser};

/// What is read of a key.
pub const KEY: &str = "secret apiKey { id name hint prefix scopes workspaceId allowedCidrs expiresAt lastUsedAt \
                       revokedAt overlapUntil version }";

pub async fn create(user: &TestUser, input: Value) -> Payload {
    user.mutate("apiKeyCreate", KEY, input).await
}

pub async fn try_create(user: &TestUser, input: Value) -> Reply {
    user.try_mutate("apiKeyCreate", KEY, input).await
}

/// A key of this person with these scopes in the whole tenant: somebody who uses it, and its id.
pub async fn key_of(user: &TestUser, scopes: &[&str]) -> (TestUser, String) {
    let made = create(user, json!({ "name": "demo key", "scopes": scopes })).await;
    (user.with_token(&made.at("/secret")), made.at("/apiKey/id"))
}

/// The ids in a list of keys.
pub async fn listed(user: &TestUser, arguments: &str) -> Vec<String> {
    let document = format!("{{ apiKeys{arguments} {{ nodes {{ id }} totalCount }} }}");
    let reply = user.query(&document, json!({})).await;
    let nodes = reply.data()["apiKeys"]["nodes"].as_array().expect("nodes").clone();
    nodes.iter().map(|node| node["id"].as_str().expect("an id").to_owned()).collect()
}

/// `extensions.reason` of a refused request.
pub fn reason(reply: &Reply) -> &str {
    assert_eq!((reply.status, reply.codes()), (401, vec!["UNAUTHENTICATED"]), "{reply:?}");
    reply.body["errors"][0]["extensions"]["reason"].as_str().unwrap_or("none")
}
