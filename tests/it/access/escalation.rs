//! Ways to more rights than one holds, as a table: each is refused with its code, and each refusal is in the audit log.

use serde_json::{Value, json};

use super::{give, member, role_id, role_with, role_without};
use crate::support::app::{TestApp, TestUser};

/// One attempt: what it is called, who tries it, by which mutation, with what, what is answered, and which audit action.
struct Attempt<'a> {
    way: &'static str,
    who: &'a TestUser,
    field: &'static str,
    input: Value,
    answer: &'static str,
    audited: (&'static str, &'static str),
}

/// What was answered: the first user error with its place, or the code of the refusal.
async fn tried(attempt: &Attempt<'_>) -> String {
    let reply = attempt.who.try_mutate(attempt.field, "__typename", attempt.input.clone()).await;
    match reply.codes().first() {
        Some(code) => (*code).to_owned(),
        None => reply.payload(attempt.field).user_errors().first().cloned().unwrap_or_else(|| "DONE".to_owned()),
    }
}

#[tokio::test]
async fn every_way_to_more_rights_is_refused_and_recorded() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let owner = &tenant.owner;
    // Mallory manages roles, groups, keys and workspaces, and holds little besides.
    let mallory = tenant.member("member").await;
    let friend = tenant.member("member").await;
    let powers = [
        "roles:create",
        "roles:update",
        "roles:delete",
        "roles:grant",
        "groups:write",
        "service_accounts:write",
        "api_keys:create",
        "workspaces:update",
        "members:read",
        "tasks:read",
    ];
    let manager = role_with(owner, "Manager", &powers).await;
    give(owner, member(&mallory), &manager, None).await;
    let (owners, admin) = (role_id(owner, "owner").await, role_id(owner, "admin").await);
    let billing = role_with(owner, "Billing", &["billing:write"]).await;
    let unlocked = role_with(owner, "Tasks", &["tasks:read"]).await;
    let careful = role_without(owner, "Careful", &["projects:delete"]).await;
    let denied = give(owner, member(&mallory), &careful, None).await;
    let group = owner.mutate("groupCreate", "group { id }", json!({ "name": "Finance" })).await.at("/group/id");
    give(owner, json!({ "groupId": group }), &billing, None).await;
    let strict = owner.mutate("groupCreate", "group { id }", json!({ "name": "Strict" })).await.at("/group/id");
    give(owner, json!({ "groupId": strict }), &careful, None).await;
    owner.mutate("groupMembersAdd", "group { id }", json!({ "groupId": strict, "memberIds": [mallory.member] })).await;
    let account = owner.mutate("serviceAccountCreate", "serviceAccount { id }", json!({ "name": "Robot" })).await;
    let account = account.at("/serviceAccount/id");
    give(owner, json!({ "serviceAccountId": account }), &admin, None).await;
    let input = json!({ "name": "Mine", "parentId": null });
    let mine = owner.mutate("workspaceCreate", "workspace { id }", input).await.at("/workspace/id");
    let administrator = role_id(owner, "workspace_admin").await;
    give(owner, member(&mallory), &administrator, Some(mine.parse().expect("an id"))).await;
    // A right of the past: a grant that has ended, which only needs another end.
    let input = json!({ "principal": member(&mallory), "roleId": billing, "expiresAt": "2099-01-01T00:00:00.000Z" });
    let ended = owner.mutate("roleGrantCreate", "roleGrant { id }", input).await.at("/roleGrant/id");
    let client = app.database.connect("tenantry").await;
    let uuid = tenantry::ids::Id::uuid(ended.parse::<tenantry::ids::RoleGrantId>().expect("an id")).to_string();
    client
        .execute("UPDATE role_grants SET expires_at = now() - interval '1 hour' WHERE id::text = $1", &[&uuid])
        .await
        .expect("an update");
    // A key that may give roles and little else.
    let key = json!({ "name": "Key", "scopes": ["roles:grant", "api_keys:create", "members:read"] });
    let key = owner.mutate("apiKeyCreate", "secret", key).await.at("/secret");
    let key = owner.with_token(&key);
    let deputy = tenant.member("admin").await;
    let own_owner = owner
        .query("query($r: ID!) { roleGrants(filter: { roleId: $r }) { nodes { id } } }", json!({ "r": owners }))
        .await
        .data()["roleGrants"]["nodes"][0]["id"]
        .clone();
    let to = |principal: Value, role: &str| json!({ "principal": principal, "roleId": role });
    let grant_create = ("role_grant.create", "error");

    let table = [
        Attempt {
            way: "self-grant",
            who: &mallory,
            field: "roleGrantCreate",
            input: to(member(&mallory), &billing),
            answer: "PERMISSION_ESCALATION at input.roleId",
            audited: grant_create,
        },
        Attempt {
            way: "grant to a friend",
            who: &mallory,
            field: "roleGrantCreate",
            input: to(member(&friend), &admin),
            answer: "PERMISSION_ESCALATION at input.roleId",
            audited: grant_create,
        },
        Attempt {
            way: "role edit",
            who: &mallory,
            field: "roleUpdate",
            input: json!({ "id": manager, "version": 1, "permissions": ["roles:update", "billing:write"] }),
            answer: "PERMISSION_ESCALATION at input.permissions",
            audited: ("role.update", "error"),
        },
        Attempt {
            way: "new role",
            who: &mallory,
            field: "roleCreate",
            input: json!({ "name": "Boss", "permissions": ["tenant:delete"] }),
            answer: "PERMISSION_ESCALATION at input.permissions",
            audited: ("role.create", "error"),
        },
        Attempt {
            way: "copy of a built-in role",
            who: &mallory,
            field: "roleCopy",
            input: json!({ "id": owners, "name": "Boss" }),
            answer: "PERMISSION_ESCALATION at input.id",
            audited: ("role.copy", "error"),
        },
        Attempt {
            way: "key with more scopes",
            who: &mallory,
            field: "apiKeyCreate",
            input: json!({ "name": "Key", "scopes": ["billing:write"] }),
            answer: "PERMISSION_ESCALATION at input.scopes",
            audited: ("api_key.create", "error"),
        },
        Attempt {
            way: "key of a stronger service account",
            who: &mallory,
            field: "apiKeyCreate",
            input: json!({ "name": "Key", "scopes": ["members:remove"], "serviceAccountId": account }),
            answer: "PERMISSION_ESCALATION at input.scopes",
            audited: ("api_key.create", "error"),
        },
        Attempt {
            way: "a key gives beyond its scopes",
            who: &key,
            field: "roleGrantCreate",
            input: to(member(&friend), &billing),
            answer: "PERMISSION_ESCALATION at input.roleId",
            audited: grant_create,
        },
        Attempt {
            way: "group route: join",
            who: &mallory,
            field: "groupMembersAdd",
            input: json!({ "groupId": group, "memberIds": [mallory.member] }),
            answer: "PERMISSION_ESCALATION at input.groupId",
            audited: ("group.members_add", "error"),
        },
        Attempt {
            way: "group route: give to one's group",
            who: &mallory,
            field: "roleGrantCreate",
            input: to(json!({ "groupId": strict }), &billing),
            answer: "PERMISSION_ESCALATION at input.roleId",
            audited: grant_create,
        },
        Attempt {
            way: "service account route",
            who: &mallory,
            field: "roleGrantCreate",
            input: to(json!({ "serviceAccountId": account }), &billing),
            answer: "PERMISSION_ESCALATION at input.roleId",
            audited: grant_create,
        },
        Attempt {
            way: "workspace route: a role where one holds little",
            who: &mallory,
            field: "roleGrantCreate",
            input: json!({ "principal": member(&mallory), "roleId": administrator, "workspaceId": tenant.workspace }),
            answer: "PERMISSION_ESCALATION at input.roleId",
            audited: grant_create,
        },
        Attempt {
            way: "workspace route: from a workspace to the tenant",
            who: &mallory,
            field: "roleGrantCreate",
            input: to(member(&mallory), &administrator),
            answer: "PERMISSION_ESCALATION at input.roleId",
            audited: grant_create,
        },
        Attempt {
            way: "workspace route: move another below one's own",
            who: &mallory,
            field: "workspaceUpdate",
            input: json!({ "id": tenant.workspace, "parentId": mine }),
            answer: "PERMISSION_ESCALATION at input.parentId",
            audited: ("workspace.update", "error"),
        },
        Attempt {
            way: "inheritance route: inherit from a stronger role",
            who: &mallory,
            field: "roleUpdate",
            input: json!({ "id": unlocked, "version": 1, "inheritsRoleId": billing }),
            answer: "PERMISSION_ESCALATION at input.inheritsRoleId",
            audited: ("role.update", "error"),
        },
        Attempt {
            way: "inheritance route: a new heir",
            who: &mallory,
            field: "roleCreate",
            input: json!({ "name": "Heir", "inheritsRoleId": admin }),
            answer: "PERMISSION_ESCALATION at input.permissions",
            audited: ("role.create", "error"),
        },
        Attempt {
            way: "replacement route",
            who: &mallory,
            field: "roleDelete",
            input: json!({ "id": manager, "replacementRoleId": admin }),
            answer: "PERMISSION_ESCALATION at input.replacementRoleId",
            audited: ("role.delete", "error"),
        },
        Attempt {
            way: "expired grant",
            who: &mallory,
            field: "roleGrantUpdate",
            input: json!({ "id": ended, "expiresAt": "2099-01-01T00:00:00.000Z" }),
            answer: "PERMISSION_ESCALATION at input.expiresAt",
            audited: ("role_grant.update", "error"),
        },
        Attempt {
            way: "deny bypass: take the grant away",
            who: &mallory,
            field: "roleGrantDelete",
            input: json!({ "id": denied }),
            answer: "PERMISSION_ESCALATION at input.id",
            audited: ("role_grant.delete", "error"),
        },
        Attempt {
            way: "deny bypass: let it end soon",
            who: &mallory,
            field: "roleGrantUpdate",
            input: json!({ "id": denied, "expiresAt": "2098-01-01T00:00:00.000Z" }),
            answer: "PERMISSION_ESCALATION at input.expiresAt",
            audited: ("role_grant.update", "error"),
        },
        Attempt {
            way: "deny bypass: edit the role",
            who: &mallory,
            field: "roleUpdate",
            input: json!({ "id": careful, "version": 1, "deniedPermissions": [] }),
            answer: "PERMISSION_ESCALATION at input.permissions",
            audited: ("role.update", "error"),
        },
        Attempt {
            way: "deny bypass: another role in its place",
            who: &mallory,
            field: "roleDelete",
            input: json!({ "id": careful, "replacementRoleId": unlocked }),
            answer: "PERMISSION_ESCALATION at input.replacementRoleId",
            audited: ("role.delete", "error"),
        },
        Attempt {
            way: "deny bypass: leave the group",
            who: &mallory,
            field: "groupMembersRemove",
            input: json!({ "groupId": strict, "memberIds": [mallory.member] }),
            answer: "PERMISSION_ESCALATION at input.groupId",
            audited: ("group.members_remove", "error"),
        },
        Attempt {
            way: "deny bypass: delete the group",
            who: &mallory,
            field: "groupDelete",
            input: json!({ "id": strict }),
            answer: "PERMISSION_ESCALATION at input.id",
            audited: ("group.delete", "error"),
        },
        Attempt {
            way: "ownership route: an administrator makes an owner",
            who: &deputy,
            field: "roleGrantCreate",
            input: to(member(&deputy), &owners),
            answer: "PERMISSION_ESCALATION at input.roleId",
            audited: grant_create,
        },
        Attempt {
            way: "ownership route: an administrator unmakes an owner",
            who: &deputy,
            field: "roleGrantDelete",
            input: json!({ "id": own_owner }),
            answer: "PERMISSION_ESCALATION at input.id",
            audited: ("role_grant.delete", "error"),
        },
        Attempt {
            way: "ownership route: through a group",
            who: owner,
            field: "roleGrantCreate",
            input: to(json!({ "groupId": strict }), &owners),
            answer: "INVALID at input.principal",
            audited: grant_create,
        },
        Attempt {
            way: "without the right to give at all",
            who: &friend,
            field: "roleGrantCreate",
            input: to(member(&friend), &unlocked),
            answer: "FORBIDDEN",
            audited: ("role_grant.create", "denied"),
        },
    ];
    for attempt in &table {
        let before = tenant.audit().await.len();
        assert_eq!(tried(attempt).await, attempt.answer, "{}", attempt.way);
        let (action, outcome) = attempt.audited;
        let recorded = tenant.audit().await.split_off(before);
        assert_eq!(recorded, [(action.to_owned(), outcome.to_owned())], "{}", attempt.way);
    }
    // The control: what Mallory holds she may give, take and change.
    let role =
        mallory.mutate("roleCreate", "role { id }", json!({ "name": "Reader", "permissions": ["tasks:read"] })).await;
    let role = role.at("/role/id");
    let grant = give(&mallory, member(&friend), &role, None).await;
    mallory.mutate("roleGrantDelete", "roleGrant { id }", json!({ "id": grant })).await;
}
