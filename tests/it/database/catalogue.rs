//! The catalogue of permissions and the built-in roles: the database says what Rust says.

use tenantry::access::{BuiltinRole, Permission, PermissionLevel};
use tenantry::db::embedded::SUPERUSER;

use crate::support::database::migrated;

#[tokio::test]
async fn permissions_are_the_same_in_rust_and_in_the_database() {
    let client = migrated().await.connect(SUPERUSER).await;
    let rows = client
        .query("SELECT name, level, description, implied FROM permissions ORDER BY name", &[])
        .await
        .expect("rows");
    let stored: Vec<(String, String, String, Vec<String>)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let mut known: Vec<_> = Permission::ALL
        .iter()
        .map(|permission| {
            let level = match permission.level() {
                PermissionLevel::Tenant => "tenant",
                PermissionLevel::Workspace => "workspace",
                PermissionLevel::Platform => "platform",
            };
            let implied = permission.implies().iter().map(|one| one.name().to_owned()).collect();
            (permission.name().to_owned(), level.to_owned(), permission.description().to_owned(), implied)
        })
        .collect();
    known.sort();
    assert_eq!(stored, known);
}

#[tokio::test]
async fn built_in_roles_are_the_same_in_rust_and_in_the_database() {
    let client = migrated().await.connect(SUPERUSER).await;
    let rows = client
        .query(
            "SELECT key, name, level, description,
                    ARRAY(SELECT permission FROM builtin_role_permissions p WHERE p.role_key = r.key ORDER BY permission)
             FROM builtin_roles r ORDER BY position",
            &[],
        )
        .await
        .expect("rows");
    let stored: Vec<(String, String, String, String, Vec<String>)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))).collect();
    let known: Vec<_> = BuiltinRole::ALL
        .iter()
        .map(|role| {
            let mut permissions: Vec<String> = role.permissions().iter().map(|one| one.name().to_owned()).collect();
            permissions.sort();
            let text = |text: &str| text.to_owned();
            (text(role.key()), text(role.name()), text(role.level().as_str()), text(role.description()), permissions)
        })
        .collect();
    assert_eq!(stored, known);
}
