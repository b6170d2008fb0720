//! Roles that tenants shape themselves, who holds them, what is told about them, and what nobody gets by any way.

mod audit;
mod escalation;
mod explain;
mod groups;
mod review;
mod roles;
mod service_accounts;
mod workspaces;

pub use self::review::reviewed;

use serde_json::{Value, json};
use tenantry::ids::WorkspaceId;

use crate::support::app::{Payload, Reply, TestUser};

/// What is read of a role.
pub const ROLE: &str = "role { id key name description level isSystem permissions deniedPermissions effectivePermissions \
                        inherits { key } version }";

/// The id of the role with this key.
pub async fn role_id(user: &TestUser, key: &str) -> String {
    let reply = user.query("{ roles(first: 100) { nodes { id key } } }", json!({})).await;
    let nodes = reply.data()["roles"]["nodes"].as_array().expect("nodes").clone();
    let found = nodes.iter().find(|node| node["key"] == key);
    found.unwrap_or_else(|| panic!("there is no role {key}"))["id"].as_str().expect("an id").to_owned()
}

/// A new role that allows these permissions: its id.
pub async fn role_with(user: &TestUser, name: &str, permissions: &[&str]) -> String {
    let input = json!({ "name": name, "permissions": permissions });
    user.mutate("roleCreate", ROLE, input).await.at("/role/id")
}

/// A new role that denies these permissions: its id.
pub async fn role_without(user: &TestUser, name: &str, denied: &[&str]) -> String {
    let input = json!({ "name": name, "deniedPermissions": denied });
    user.mutate("roleCreate", ROLE, input).await.at("/role/id")
}

/// Gives a role, tenant-wide or on a workspace, to whoever is named as `{"memberId": …}`: the id of the grant.
pub async fn give(user: &TestUser, principal: Value, role: &str, workspace: Option<WorkspaceId>) -> String {
    try_give(user, principal, role, workspace).await.payload("roleGrantCreate").at("/roleGrant/id")
}

/// The same, whatever comes of it.
pub async fn try_give(user: &TestUser, principal: Value, role: &str, workspace: Option<WorkspaceId>) -> Reply {
    let input = json!({ "principal": principal, "roleId": role, "workspaceId": workspace });
    user.try_mutate("roleGrantCreate", "roleGrant { id }", input).await
}

/// The principal that this person is.
pub fn member(user: &TestUser) -> Value {
    json!({ "memberId": user.member })
}

/// The user errors of a mutation that is refused.
pub fn refused(reply: &Reply, field: &str) -> Vec<String> {
    let payload: Payload = reply.payload(field);
    let errors = payload.user_errors();
    assert!(!errors.is_empty(), "{reply:?}");
    errors
}
