//! Members: found, suspended, removed, leaving; ownership handed over; who sees what in which workspace.

mod life;
mod lists;
mod ownership;
mod races;
mod roster;
mod search;

use serde_json::{Value, json};
use tenantry::{
    domain::platform,
    ids::{MemberId, UserId, WorkspaceId},
};

use crate::support::app::{TestTenant, TestUser};

/// What is read of a member.
pub const MEMBER: &str = "member { id status displayName version }";

/// Whether the person is let in.
pub async fn is_in(user: &TestUser) -> bool {
    let reply = user.query("{ viewer { permissions } tasks { totalCount } }", json!({})).await;
    match reply.codes().first() {
        None => true,
        Some(&"FORBIDDEN") => true,
        Some(&"TENANT_NOT_FOUND") => false,
        _ => panic!("{reply:?}"),
    }
}

/// Makes a person a member, as operators do.
pub async fn add(tenant: &TestTenant, user: UserId, role: &str, workspace: Option<WorkspaceId>) -> MemberId {
    let services = &tenant.app.app.services;
    let roles = vec![role.to_owned()];
    platform::service::member_add(services, "test", tenant.named().await, user, roles, workspace)
        .await
        .expect("a member")
}

/// The detail of the newest entry of this action in the audit log.
pub async fn detail(tenant: &TestTenant, action: &str) -> Value {
    let query = "query($a: String!) { auditLogs(first: 1, filter: { actions: [$a] }) { nodes { detail targetId } } }";
    let reply = tenant.owner.query(query, json!({ "a": action })).await;
    reply.data()["auditLogs"]["nodes"][0].clone()
}

/// Where a member stands, asked by the owner; `None` if there is no such member.
pub async fn status(tenant: &TestTenant, member: MemberId) -> Option<String> {
    let query = "query($id: ID!) { member(id: $id) { status } }";
    let reply = tenant.owner.query(query, json!({ "id": member })).await;
    reply.data()["member"]["status"].as_str().map(str::to_owned)
}

/// What an answer says: all but what it cost, which counts the rows that were looked at, with this id left out.
pub fn said(reply: &crate::support::app::Reply, id: &str) -> String {
    let mut body = reply.body.clone();
    body["extensions"] = Value::Null;
    format!("{} {body}", reply.status)
        .replace(reply.header("x-request-id").unwrap_or("none"), "REQUEST")
        .replace(id, "ID")
}
