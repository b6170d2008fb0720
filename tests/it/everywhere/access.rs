//! Every field at the root × every built-in role: what the schema declares is what happens.

use std::fmt::Write;

use serde_json::{Value, json};
use tenantry::access::{BuiltinRole, Permission, PermissionSet, RoleLevel};

use super::{
    exceptions::NOT_FOR_TENANTS,
    fixture,
    walk::{Root, Walk, directive},
};
use crate::access::role_id;
use crate::support::app::{TestApp, TestTenant, TestUser};

/// What the schema says about a caller with these rights somewhere in the tenant.
fn declared(root: &Root, held: Option<PermissionSet>) -> &'static str {
    if directive(root, "public").is_some() {
        return "yes";
    }
    let Some(held) = held else { return "UNAUTHENTICATED" };
    let Some(scopes) = directive(root, "requiresScopes") else { return "yes" };
    let scopes = scopes.get_argument("scopes").expect("it has scopes").node.clone().into_json().expect("JSON");
    let sets: Vec<Vec<Permission>> = serde_json::from_value(scopes).expect("lists of permissions");
    let admitted = sets.iter().any(|set| set.iter().all(|permission| held.contains(*permission)));
    if admitted { "yes" } else { "FORBIDDEN" }
}

/// What happens when the caller asks: `yes`, or the code of the refusal.
async fn actual(walk: &Walk, root: &Root, caller: &TestUser) -> String {
    // Unknown ids: whoever is admitted changes nothing that exists.
    let (document, variables) = walk.document(root, &fixture::unknown(), 0, 1);
    let reply = caller.query(&document, variables).await;
    match reply.codes().first() {
        Some(code @ (&"FORBIDDEN" | &"UNAUTHENTICATED" | &"TENANT_REQUIRED")) if reply.status != 200 => {
            (*code).to_owned()
        }
        Some(&"INTERNAL" | &"GRAPHQL_VALIDATION_FAILED" | &"GRAPHQL_PARSE_FAILED") => panic!("{document}\n{reply:?}"),
        _ => "yes".to_owned(),
    }
}

#[tokio::test]
async fn what_the_schema_declares_is_what_happens() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let mut callers = vec![("anonymous".to_owned(), None, tenant.owner.with_token("none"))];
    for role in BuiltinRole::ALL {
        let user = match role.level() {
            RoleLevel::Tenant if *role == BuiltinRole::Owner => tenant.owner.clone(),
            RoleLevel::Tenant => tenant.member(role.key()).await,
            RoleLevel::Workspace => tenant.member_on(role.key(), Some(tenant.workspace)).await,
        };
        let held = match role.level() {
            RoleLevel::Tenant => role.permissions().closure(),
            // A grant on a workspace never gives what only a tenant can give.
            RoleLevel::Workspace => role.permissions().closure().intersection(PermissionSet::WORKSPACE),
        };
        callers.push((role.key().to_owned(), Some(held), user));
    }

    // Roles that the tenant made itself: one by one right, one that inherits and takes something away.
    let reader = own_role(&tenant, "Reader of tasks", json!({ "permissions": ["tasks:read"] })).await;
    callers.push(("own:reader".to_owned(), Some(PermissionSet::of(&[Permission::TasksRead])), reader));
    let developer = role_id(&tenant.owner, "developer").await;
    let cautious = json!({ "inheritsRoleId": developer, "deniedPermissions": ["tasks:delete", "api_keys:create"] });
    let held = BuiltinRole::Developer.permissions();
    let held = held.minus(PermissionSet::of(&[Permission::TasksDelete, Permission::ApiKeysCreate])).closure();
    callers.push(("own:cautious".to_owned(), Some(held), own_role(&tenant, "Cautious developer", cautious).await));

    let walk = Walk::new();
    let mut table = String::new();
    for root in walk.roots() {
        if NOT_FOR_TENANTS.iter().any(|(name, _)| *name == root.name) {
            continue;
        }
        // End the session or the membership that the walk speaks with.
        if ["signOut", "memberLeave"].contains(&root.name.as_str()) {
            continue;
        }
        let mut admitted = Vec::new();
        for (name, held, caller) in &callers {
            let expected = declared(&root, *held);
            let happened =
                if held.is_none() { anonymous(&walk, &root, caller).await } else { actual(&walk, &root, caller).await };
            assert_eq!(happened, expected, "{} as {name}", root.name);
            if happened == "yes" {
                admitted.push(name.as_str());
            }
        }
        writeln!(table, "{:<22} {}", root.name, admitted.join(" ")).expect("a String takes everything");
    }
    insta::assert_snapshot!("access_matrix", table);
}

/// A member who holds nothing but a role made for the purpose.
async fn own_role(tenant: &TestTenant, name: &str, mut role: Value) -> TestUser {
    role["name"] = json!(name);
    let role = tenant.owner.mutate("roleCreate", "role { id }", role).await.at("/role/id");
    let member = tenant.member_with(Vec::new(), None).await;
    let principal = json!({ "memberId": member.member });
    tenant.owner.mutate("roleGrantCreate", "roleGrant { id }", json!({ "principal": principal, "roleId": role })).await;
    member
}

async fn anonymous(walk: &Walk, root: &Root, caller: &TestUser) -> String {
    let (document, variables) = walk.document(root, &fixture::unknown(), 0, 1);
    let tenant = caller.tenant.clone().unwrap_or_default();
    let headers = [("x-tenant", tenant.as_str())];
    let body = serde_json::json!({ "query": document, "variables": variables });
    let reply = caller.app.send("/graphql", &headers, &body).await;
    match reply.codes().first() {
        Some(code @ &"UNAUTHENTICATED") => (*code).to_owned(),
        _ => "yes".to_owned(),
    }
}
