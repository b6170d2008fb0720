//! A tenant with one thing of every kind, and unknown ids of every kind.

use serde_json::json;
use tenantry::ids::{self, Id};

use super::walk::Ids;
use crate::support::app::TestTenant;

/// Makes one thing of every kind and gives their ids by prefix.
pub async fn one_of_each(tenant: &TestTenant) -> Ids {
    let owner = &tenant.owner;
    let workspace = owner.mutate("workspaceCreate", "workspace { id }", json!({ "name": "Atlas" })).await;
    let workspace = workspace.at("/workspace/id");
    let project = json!({ "workspaceId": workspace, "name": "Borealis" });
    let project = owner.mutate("projectCreate", "project { id }", project).await.at("/project/id");
    // Somebody else than who asks: much of what is done to a member nobody does to themselves.
    let member = tenant.member("member").await.member.expect("a member").to_string();
    let task = json!({ "projectId": project, "title": "Chart the coast", "assigneeId": member });
    let task = owner.mutate("taskCreate", "task { id }", task).await.at("/task/id");
    let key = json!({ "name": "Demo key", "scopes": ["tasks:read"] });
    let key = owner.mutate("apiKeyCreate", "apiKey { id }", key).await.at("/apiKey/id");
    let role = json!({ "name": "Demo role", "permissions": ["tasks:read"] });
    let role = owner.mutate("roleCreate", "role { id }", role).await.at("/role/id");
    let group = owner.mutate("groupCreate", "group { id }", json!({ "name": "Demo group" })).await.at("/group/id");
    let account = json!({ "name": "Demo account" });
    let account = owner.mutate("serviceAccountCreate", "serviceAccount { id }", account).await.at("/serviceAccount/id");
    let offer = json!({ "toMemberId": member, "confirm": tenant.slug });
    let offer = owner.mutate("ownershipTransferRequest", "ownershipTransfer { id }", offer).await;
    let grant =
        json!({ "principal": { "groupId": group }, "roleId": super::super::access::role_id(owner, "member").await });
    let grant = owner.mutate("roleGrantCreate", "roleGrant { id }", grant).await.at("/roleGrant/id");
    // Last, because a query leaves the owner's rights in the cache, and a change drops them.
    let lists = owner.query("{ auditLogs(first: 1) { nodes { id } } }", json!({})).await;
    let id_at = |pointer: &str| lists.data().pointer(pointer).and_then(|id| id.as_str()).expect("an id").to_owned();
    [
        ("wsp", workspace),
        ("prj", project),
        ("tsk", task),
        ("key", key),
        ("mbr", member),
        ("otr", offer.at("/ownershipTransfer/id")),
        ("usr", owner.user.to_string()),
        ("tnt", tenant.id.to_string()),
        ("rol", role),
        ("rgr", grant),
        ("grp", group),
        ("sva", account),
        ("aud", id_at("/auditLogs/nodes/0/id")),
    ]
    .into_iter()
    .map(|(prefix, id)| (prefix.to_owned(), id))
    .collect()
}

/// Ids that belong to nothing.
pub fn unknown() -> Ids {
    let uuid = || ids::uuid_v7(tenantry::clock::Clock::system().now());
    [
        ("wsp", ids::WorkspaceId::from_uuid(uuid()).to_string()),
        ("prj", ids::ProjectId::from_uuid(uuid()).to_string()),
        ("tsk", ids::TaskId::from_uuid(uuid()).to_string()),
        ("key", ids::ApiKeyId::from_uuid(uuid()).to_string()),
        ("mbr", ids::MemberId::from_uuid(uuid()).to_string()),
        ("otr", ids::OwnershipTransferId::from_uuid(uuid()).to_string()),
        ("usr", ids::UserId::from_uuid(uuid()).to_string()),
        ("tnt", ids::TenantId::from_uuid(uuid()).to_string()),
        ("rol", ids::RoleId::from_uuid(uuid()).to_string()),
        ("rgr", ids::RoleGrantId::from_uuid(uuid()).to_string()),
        ("grp", ids::GroupId::from_uuid(uuid()).to_string()),
        ("sva", ids::ServiceAccountId::from_uuid(uuid()).to_string()),
        ("aud", ids::AuditLogId::from_uuid(uuid()).to_string()),
    ]
    .into_iter()
    .map(|(prefix, id)| (prefix.to_owned(), id))
    .collect()
}
