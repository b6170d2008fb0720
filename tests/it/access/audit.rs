//! Who got, lost or used which right, when, by whom and why.

use serde_json::{Value, json};
use tenantry::domain::audit::Action;

use super::{give, member, role_with, role_without};
use crate::support::app::{TestApp, TestTenant, TestUser};

const CHANGES: &str =
    "query($filter: AccessChangeFilter) { accessChanges(filter: $filter, first: 100) { totalCount nodes {
    action subjectKind subjectId groupId roleId workspaceId gained lost expiresAt reason actorKind actorId
    auditLog { action usedPermissions outcome } } } }";

async fn changes(user: &TestUser, filter: Value) -> Vec<Value> {
    let reply = user.query(CHANGES, json!({ "filter": filter })).await;
    reply.data()["accessChanges"]["nodes"].as_array().expect("nodes").clone()
}

fn actions(changes: &[Value]) -> Vec<&str> {
    changes.iter().map(|change| change["action"].as_str().expect("an action")).collect()
}

#[tokio::test]
async fn a_change_of_rights_is_found_by_whom_it_concerns() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let role = role_with(owner, "Writer", &["projects:write"]).await;
    let input = json!({
        "principal": member(&ada), "roleId": role, "workspaceId": tenant.workspace, "reason": "For the launch.",
    });
    let grant = owner.mutate("roleGrantCreate", "roleGrant { id }", input).await.at("/roleGrant/id");
    owner.mutate("roleGrantDelete", "roleGrant { id }", json!({ "id": grant, "reason": "Launched." })).await;

    let of_ada = changes(owner, json!({ "memberId": ada.member, "roleId": role })).await;
    assert_eq!(actions(&of_ada), ["role_grant.delete", "role_grant.create"], "newest first");
    let expected = json!({
        "action": "role_grant.create", "subjectKind": "MEMBER", "subjectId": ada.member, "groupId": null, "roleId": role,
        "workspaceId": tenant.workspace, "gained": ["projects:write"], "lost": [], "expiresAt": null,
        "reason": "For the launch.", "actorKind": "MEMBER", "actorId": owner.member,
        "auditLog": { "action": "role_grant.create", "usedPermissions": ["roles:grant"], "outcome": "SUCCESS" },
    });
    assert_eq!(of_ada[1], expected);
    assert_eq!((&of_ada[0]["lost"], &of_ada[0]["reason"]), (&json!(["projects:write"]), &json!("Launched.")));

    assert_eq!(changes(owner, json!({ "workspaceId": tenant.workspace })).await.len(), 2);
    let by_permission = changes(owner, json!({ "permission": "projects:write", "roleId": role })).await;
    assert_eq!(actions(&by_permission), ["role_grant.delete", "role_grant.create", "role.create"]);
    assert_eq!(changes(owner, json!({ "permission": "billing:write", "roleId": role })).await.len(), 0);
    assert_eq!(changes(owner, json!({ "from": "2099-01-01T00:00:00.000Z" })).await.len(), 0);
    assert_eq!(changes(owner, json!({ "to": "2020-01-01T00:00:00.000Z" })).await.len(), 0);

    let group = owner.mutate("groupCreate", "group { id }", json!({ "name": "Crew" })).await.at("/group/id");
    give(owner, json!({ "groupId": group }), &role, None).await;
    let input = json!({ "groupId": group, "memberIds": [ada.member], "reason": "Joined." });
    owner.mutate("groupMembersAdd", "group { id }", input).await;
    let of_group = changes(owner, json!({ "groupId": group })).await;
    assert_eq!(actions(&of_group), ["group.members_add", "role_grant.create"]);
    assert_eq!((&of_group[0]["subjectId"], &of_group[0]["gained"]), (&json!(ada.member), &json!(["projects:write"])));
}

#[tokio::test]
async fn what_a_role_says_differently_is_gained_and_lost() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let owner = &tenant.owner;
    let role = role_without(owner, "Careful", &["projects:delete"]).await;
    let input =
        json!({ "id": role, "version": 1, "permissions": ["tasks:read"], "deniedPermissions": ["tasks:delete"] });
    owner.mutate("roleUpdate", "role { id }", input).await;
    let of_role = changes(owner, json!({ "roleId": role })).await;
    assert_eq!(actions(&of_role), ["role.update", "role.create"]);
    assert_eq!(of_role[0]["gained"], json!(["projects:delete", "tasks:read"]), "allowed, and no longer denied");
    assert_eq!(of_role[0]["lost"], json!(["tasks:delete"]));
}

#[tokio::test]
async fn the_permission_audit_is_read_where_the_audit_log_is() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let role = role_with(owner, "Auditor of one", &["audit_logs:read"]).await;
    give(owner, member(&ada), &role, Some(tenant.workspace)).await;
    let seen = changes(&ada, json!(null)).await;
    assert_eq!(seen.len(), 1, "of the workspace, and nothing else: {seen:?}");
    assert_eq!(seen[0]["workspaceId"], json!(tenant.workspace));
    let bo = tenant.member("member").await;
    assert_eq!(bo.query(CHANGES, json!({})).await.codes(), ["FORBIDDEN"]);
}

/// Runs one of the mutations that change rights: its field, its selection, its input.
async fn done(tenant: &TestTenant, field: &str, input: Value) -> Value {
    tenant.owner.mutate(field, "__typename", input).await.0
}

/// Every action that changes somebody's rights tells whose, in the same transaction. Those of workspaces and of the tenant
/// change rights without changing who holds what; an offer changes nothing before it is accepted.
#[tokio::test]
async fn every_change_of_rights_says_whose() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let at = |value: &str| value.to_owned();
    let role = role_with(owner, "One", &["tasks:read"]).await;
    let copy = owner.mutate("roleCopy", "role { id }", json!({ "id": role, "name": "Two" })).await.at("/role/id");
    done(&tenant, "roleUpdate", json!({ "id": copy, "version": 1, "permissions": ["tasks:write"] })).await;
    done(&tenant, "roleDelete", json!({ "id": copy })).await;
    let grant = give(owner, member(&ada), &role, None).await;
    done(&tenant, "roleGrantUpdate", json!({ "id": grant, "expiresAt": "2099-01-01T00:00:00.000Z" })).await;
    done(&tenant, "roleGrantDelete", json!({ "id": grant })).await;
    let group = owner.mutate("groupCreate", "group { id }", json!({ "name": "Crew" })).await.at("/group/id");
    give(owner, json!({ "groupId": group }), &role, None).await;
    let members = json!({ "groupId": group, "memberIds": [ada.member] });
    done(&tenant, "groupMembersAdd", members.clone()).await;
    done(&tenant, "groupMembersRemove", members).await;
    done(&tenant, "groupDelete", json!({ "id": group })).await;
    let account = owner.mutate("serviceAccountCreate", "serviceAccount { id }", json!({ "name": "Robot" })).await;
    let account = at(&account.at("/serviceAccount/id"));
    done(&tenant, "serviceAccountDisable", json!({ "id": account })).await;
    done(&tenant, "serviceAccountEnable", json!({ "id": account })).await;
    done(&tenant, "serviceAccountDelete", json!({ "id": account })).await;
    let key = json!({ "name": "Demo", "scopes": ["tasks:read"] });
    let key = owner.mutate("apiKeyCreate", "apiKey { id }", key).await.at("/apiKey/id");
    let key = owner.mutate("apiKeyRotate", "apiKey { id }", json!({ "id": key })).await.at("/apiKey/id");
    done(&tenant, "apiKeyRevoke", json!({ "id": key })).await;

    let (bo, cy) = (tenant.member("member").await, tenant.member("member").await);
    let place = json!({ "workspaceId": tenant.workspace, "memberId": bo.member });
    done(&tenant, "workspaceMemberAdd", place.clone()).await;
    done(&tenant, "workspaceMemberRemove", place).await;
    let key = json!({ "name": "Demo", "scopes": ["tasks:read"] });
    let key = owner.mutate("apiKeyCreate", "apiKey { id }", key).await.at("/apiKey/id");
    done(&tenant, "apiKeyUpdate", json!({ "id": key, "name": "Other" })).await;
    done(&tenant, "memberSuspend", json!({ "id": bo.member })).await;
    done(&tenant, "memberReactivate", json!({ "id": bo.member })).await;
    done(&tenant, "memberRemove", json!({ "id": bo.member })).await;
    assert!(cy.query("mutation { memberLeave { userErrors { code } } }", json!({})).await.codes().is_empty());
    let offer = json!({ "toMemberId": ada.member, "confirm": tenant.slug });
    let offer = owner.mutate("ownershipTransferRequest", "ownershipTransfer { id }", offer).await;
    ada.mutate("ownershipTransferAccept", "__typename", json!({ "id": offer.at("/ownershipTransfer/id") })).await;

    let all = changes(&ada, json!(null)).await;
    let told: Vec<_> = actions(&all);
    for action in Action::ALL.iter().filter(|action| action.changes_rights()) {
        let name = action.name();
        let is_about_others = ["workspace.", "tenant.", "ownership_transfer.request", "ownership_transfer.cancel"];
        if !is_about_others.iter().any(|prefix| name.starts_with(prefix)) {
            assert!(told.contains(&name), "{name} says nothing about whose rights have changed: {told:?}");
        }
    }
    let taken = changes(&ada, json!({ "memberId": bo.member, "permission": "tenant:read" })).await;
    assert_eq!(actions(&taken), ["member.remove", "member.add"], "who is gone holds nothing");
}
