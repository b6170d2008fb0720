//! The life of a role: made, held, changed, replaced, gone.

use chrono::Duration;
use serde_json::{Value, json};
use tenantry::{clock::Clock, ids::WorkspaceId};

use super::{ROLE, give, member, refused, role_id, role_with, role_without, try_give};
use crate::support::app::{TestApp, TestUser};

async fn grants_of(user: &TestUser, filter: Value) -> Vec<Value> {
    let document = "query($filter: RoleGrantFilter) { roleGrants(filter: $filter, first: 100) { totalCount nodes {
        id isTenantWide isActive expiresAt reason role { key } member { id } workspace { slug } grantedBy { id } } } }";
    let reply = user.query(document, json!({ "filter": filter })).await;
    reply.data()["roleGrants"]["nodes"].as_array().expect("nodes").clone()
}

/// Whether somebody may create projects in a workspace.
async fn may_write(user: &TestUser, workspace: WorkspaceId) -> bool {
    let input = json!({ "workspaceId": workspace, "name": "Demo" });
    user.try_mutate("projectCreate", "project { id }", input).await.codes().is_empty()
}

#[tokio::test]
async fn a_role_of_their_own_from_beginning_to_end() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);

    let input = json!({
        "name": "Release manager", "permissions": ["projects:write", "workspaces:read"], "description": "Ships.",
    });
    let made = owner.mutate("roleCreate", ROLE, input).await;
    assert_eq!(made.at("/role/key"), "release_manager");
    assert_eq!(made.0["role"]["effectivePermissions"], json!(["workspaces:read", "projects:read", "projects:write"]));
    let role = made.at("/role/id");

    assert!(!may_write(&ada, tenant.workspace).await);
    let input = json!({
        "principal": member(&ada), "roleId": role, "expiresAt": "2099-01-01T00:00:00.000Z", "reason": "Ships the next one.",
    });
    owner.mutate("roleGrantCreate", "roleGrant { id }", input).await;
    assert!(may_write(&ada, tenant.workspace).await, "the next request has the right");
    let tried = ada.try_mutate("workspaceCreate", "workspace { id }", json!({ "name": "No" })).await;
    assert_eq!(tried.codes(), ["FORBIDDEN"], "and exactly that right");

    let held = grants_of(owner, json!({ "principal": member(&ada), "roleId": role })).await;
    assert_eq!(held.len(), 1);
    assert_eq!(
        (&held[0]["reason"], &held[0]["role"]["key"]),
        (&json!("Ships the next one."), &json!("release_manager"))
    );
    assert_eq!(held[0]["grantedBy"]["id"], json!(owner.member));

    let in_use = owner.try_mutate("roleDelete", "movedGrants", json!({ "id": role })).await;
    assert_eq!(refused(&in_use, "roleDelete"), ["ROLE_IN_USE at input.replacementRoleId"]);

    let viewer = role_id(owner, "workspace_viewer").await;
    let input = json!({ "id": role, "replacementRoleId": viewer, "reason": "Nobody ships any more." });
    let gone = owner.mutate("roleDelete", "movedGrants role { key }", input).await;
    assert_eq!(gone.0["movedGrants"], 1);
    assert!(!may_write(&ada, tenant.workspace).await, "the replacement gives less");
    let held = grants_of(owner, json!({ "principal": member(&ada), "roleId": viewer })).await;
    assert_eq!(held[0]["expiresAt"], "2099-01-01T00:00:00.000Z", "the grant keeps its end");
    assert_eq!(
        owner.query(&format!("{{ role(id: \"{role}\") {{ id }} }}"), json!({})).await.data()["role"],
        Value::Null
    );
    // The key is free again.
    let again = owner.mutate("roleCreate", ROLE, json!({ "name": "Release manager" })).await;
    assert_eq!(again.at("/role/key"), "release_manager");
}

#[tokio::test]
async fn a_change_of_a_role_is_a_change_for_its_holders_and_heirs() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let base = role_with(owner, "Base", &["workspaces:read"]).await;
    let input = json!({ "name": "Heir", "inheritsRoleId": base });
    let heir = owner.mutate("roleCreate", ROLE, input).await.at("/role/id");
    give(owner, member(&ada), &heir, None).await;
    assert!(!may_write(&ada, tenant.workspace).await);

    let input = json!({ "id": base, "version": 1, "permissions": ["workspaces:read", "projects:write"] });
    owner.mutate("roleUpdate", ROLE, input).await;
    assert!(may_write(&ada, tenant.workspace).await, "what an heir inherits is its own at once");

    let stale = owner.try_mutate("roleUpdate", ROLE, json!({ "id": base, "version": 1, "name": "Late" })).await;
    assert_eq!(refused(&stale, "roleUpdate"), ["STALE_VERSION at input.version"]);

    let input = json!({ "id": base, "version": 2, "deniedPermissions": ["projects:write"], "permissions": ["workspaces:read"] });
    owner.mutate("roleUpdate", ROLE, input).await;
    assert!(!may_write(&ada, tenant.workspace).await);

    // A circle, a role of the tenant under one for workspaces, and too long a line.
    let circle =
        owner.try_mutate("roleUpdate", ROLE, json!({ "id": base, "version": 3, "inheritsRoleId": heir })).await;
    assert_eq!(refused(&circle, "roleUpdate"), ["INVALID at input.inheritsRoleId"]);
    let input = json!({ "name": "On workspaces", "level": "WORKSPACE", "inheritsRoleId": base });
    let upward = owner.try_mutate("roleCreate", ROLE, input).await;
    assert_eq!(refused(&upward, "roleCreate"), ["INVALID at input.inheritsRoleId"]);
    let mut last = heir;
    for depth in 2..=10 {
        let input = json!({ "name": format!("Heir {depth}"), "inheritsRoleId": last });
        last = owner.mutate("roleCreate", ROLE, input).await.at("/role/id");
    }
    let input = json!({ "name": "Heir 11", "inheritsRoleId": last });
    let deep = owner.try_mutate("roleCreate", ROLE, input).await;
    assert_eq!(refused(&deep, "roleCreate"), ["INVALID at input.inheritsRoleId"]);
    // The line does not grow at its beginning either: what is behind the tenth would not be read.
    let root = role_with(owner, "Root", &[]).await;
    let deep = owner.try_mutate("roleUpdate", ROLE, json!({ "id": base, "version": 3, "inheritsRoleId": root })).await;
    assert_eq!(refused(&deep, "roleUpdate"), ["INVALID at input.inheritsRoleId"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_role_is_told() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let owner = &tenant.owner;
    let admin = role_id(owner, "admin").await;
    for (field, input, expected) in [
        ("roleCreate", json!({ "name": " " }), "REQUIRED at input.name"),
        ("roleCreate", json!({ "name": "Two", "key": "admin" }), "TAKEN at input.key"),
        (
            "roleCreate",
            json!({ "name": "Op", "permissions": ["platform:impersonate"] }),
            "INVALID at input.permissions",
        ),
        (
            "roleCreate",
            json!({ "name": "Place", "level": "WORKSPACE", "permissions": ["billing:read"] }),
            "INVALID at input.permissions",
        ),
        ("roleUpdate", json!({ "id": admin, "version": 1, "name": "Boss" }), "SYSTEM_ROLE_IMMUTABLE at input.id"),
        ("roleDelete", json!({ "id": admin }), "SYSTEM_ROLE_IMMUTABLE at input.id"),
    ] {
        let reply = owner.try_mutate(field, "role { id }", input.clone()).await;
        assert_eq!(refused(&reply, field), [expected], "{field} {input}");
    }
    // A copy of a built-in role is one's own.
    let copy = owner.mutate("roleCopy", ROLE, json!({ "id": admin, "name": "Deputy" })).await;
    assert_eq!((copy.at("/role/key").as_str(), &copy.0["role"]["isSystem"]), ("deputy", &json!(false)));
    let input = json!({ "id": copy.at("/role/id"), "version": 1, "permissions": ["members:read"] });
    owner.mutate("roleUpdate", ROLE, input).await;
}

#[tokio::test]
async fn a_replacement_fits_or_is_refused() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let role = role_with(owner, "Old", &["tasks:read"]).await;
    let input = json!({ "name": "Heir", "inheritsRoleId": role });
    let heir = owner.mutate("roleCreate", ROLE, input).await.at("/role/id");
    let owners = role_id(owner, "owner").await;
    for other in [&role, &heir, &owners] {
        let input = json!({ "id": role, "replacementRoleId": other });
        let reply = owner.try_mutate("roleDelete", "movedGrants", input).await;
        assert_eq!(refused(&reply, "roleDelete"), ["INVALID at input.replacementRoleId"]);
    }
    // Who holds both keeps one.
    let new = role_with(owner, "New", &["tasks:read"]).await;
    for held in [&role, &new] {
        give(owner, member(&ada), held, Some(tenant.workspace)).await;
    }
    let gone = owner.mutate("roleDelete", "movedGrants", json!({ "id": role, "replacementRoleId": new })).await;
    assert_eq!(gone.0["movedGrants"], 0);
    assert_eq!(grants_of(owner, json!({ "principal": member(&ada), "roleId": new })).await.len(), 1);
    let reply = owner.query(&format!("{{ role(id: \"{heir}\") {{ inherits {{ key }} }} }}"), json!({})).await;
    assert_eq!(reply.data()["role"]["inherits"]["key"], "new", "heirs inherit from the replacement");
}

#[tokio::test]
async fn a_grant_ends_when_it_says() {
    let clock = Clock::fixed(Clock::system().now());
    let start = clock.now();
    let shared = TestApp::start().await;
    let app = TestApp::on(shared.database.clone(), clock.clone(), |_| {}).await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let role = role_with(owner, "Writer", &["projects:write"]).await;
    let end = start + Duration::seconds(60);
    let input = json!({ "principal": member(&ada), "roleId": role, "expiresAt": end });
    let grant = owner.mutate("roleGrantCreate", "roleGrant { id isActive }", input).await.at("/roleGrant/id");
    assert!(may_write(&ada, tenant.workspace).await);
    clock.advance(Duration::seconds(61));
    assert!(!may_write(&ada, tenant.workspace).await, "from that instant on it counts for nothing");
    assert_eq!(grants_of(owner, json!({ "principal": member(&ada), "isActive": false })).await.len(), 1);
    let past = owner.try_mutate("roleGrantUpdate", "roleGrant { id }", json!({ "id": grant, "expiresAt": end })).await;
    assert_eq!(refused(&past, "roleGrantUpdate"), ["OUT_OF_RANGE at input.expiresAt"]);
    owner.mutate("roleGrantUpdate", "roleGrant { id }", json!({ "id": grant, "expiresAt": null })).await;
    assert!(may_write(&ada, tenant.workspace).await, "and counts again when it is given a new end");
    owner.mutate("roleGrantDelete", "roleGrant { id }", json!({ "id": grant })).await;
    assert!(!may_write(&ada, tenant.workspace).await);
}

#[tokio::test]
async fn a_workspace_administrator_gives_roles_there_and_sees_those_grants_only() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, bo, ada) = (&tenant.owner, tenant.member("member").await, tenant.member("member").await);
    let administrator = role_id(owner, "workspace_admin").await;
    give(owner, member(&bo), &administrator, Some(tenant.workspace)).await;
    let editor = role_id(&bo, "workspace_editor").await;
    give(&bo, member(&ada), &editor, Some(tenant.workspace)).await;
    assert!(may_write(&ada, tenant.workspace).await);
    let seen = grants_of(&bo, json!(null)).await;
    assert!(seen.len() >= 2 && seen.iter().all(|grant| grant["isTenantWide"] == false), "{seen:?}");
    let wide = try_give(&bo, member(&ada), &editor, None).await;
    assert_eq!(wide.codes(), ["FORBIDDEN"]);
    let twice = try_give(&bo, member(&ada), &editor, Some(tenant.workspace)).await;
    assert_eq!(refused(&twice, "roleGrantCreate"), ["TAKEN at input"]);
}

#[tokio::test]
async fn a_tenant_keeps_an_owner() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("admin").await);
    let owners = role_id(owner, "owner").await;
    let own = grants_of(owner, json!({ "roleId": owners })).await[0]["id"].as_str().expect("an id").to_owned();
    let last = owner.try_mutate("roleGrantDelete", "roleGrant { id }", json!({ "id": own })).await;
    assert_eq!(refused(&last, "roleGrantDelete"), ["LAST_OWNER at input.id"]);
    give(owner, member(&ada), &owners, None).await;
    owner.mutate("roleGrantDelete", "roleGrant { id }", json!({ "id": own, "reason": "Moves on." })).await;
    assert_eq!(grants_of(&ada, json!({ "roleId": owners })).await.len(), 1);
}

#[tokio::test]
async fn an_administrator_does_not_lock_an_owner_out() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, admin) = (&tenant.owner, tenant.member("admin").await);
    let nothing = role_without(&admin, "Nothing", &["roles:update", "roles:grant", "members:read"]).await;
    let bound = try_give(&admin, member(owner), &nothing, None).await;
    assert_eq!(refused(&bound, "roleGrantCreate"), ["PERMISSION_ESCALATION at input.principal.memberId"]);
    let group = admin.mutate("groupCreate", "group { id }", json!({ "name": "Trap" })).await.at("/group/id");
    give(&admin, json!({ "groupId": group }), &nothing, None).await;
    let input = json!({ "groupId": group, "memberIds": [owner.member] });
    let trapped = admin.try_mutate("groupMembersAdd", "group { id }", input).await;
    assert_eq!(refused(&trapped, "groupMembersAdd"), ["PERMISSION_ESCALATION at input.memberIds"]);
}
