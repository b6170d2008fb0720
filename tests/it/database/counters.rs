//! Seats, owners, quotas and trees hold by constraint, also when many try at once.

use futures::future::join_all;
use tenantry::db::embedded::SUPERUSER;

use super::demo::{self, ACME, ACME_GENERAL, ADA_AT_ACME, count, enter, refusal};
use crate::support::{cluster::TestDatabase, database::migrated};

const APP: &str = "tenantry_app";

async fn filled() -> TestDatabase {
    let database = migrated().await;
    demo::fill(&database).await;
    database
}

/// People that are members of nothing yet.
async fn people(database: &TestDatabase, number: usize) -> Vec<String> {
    let ids: Vec<String> = (0..number).map(|n| format!("00000000-0000-7000-8000-00000000d{n:03x}")).collect();
    let values: Vec<String> = ids.iter().map(|id| format!("('{id}', 'Demo')")).collect();
    database.run(SUPERUSER, &format!("INSERT INTO users (id, display_name) VALUES {}", values.join(", "))).await;
    ids
}

fn join(user: &str) -> String {
    format!("INSERT INTO members (tenant_id, id, user_id, joined_at) VALUES ('{ACME}', '{user}', '{user}', now())")
}

/// Runs each statement as the runtime on a connection of its own, all at once; which of them committed.
async fn at_once(database: &TestDatabase, statements: Vec<String>) -> Vec<bool> {
    join_all(statements.into_iter().map(|sql| async move {
        let client = database.connect(APP).await;
        enter(&client, ACME).await;
        client.batch_execute(&sql).await.is_ok() && client.batch_execute("COMMIT").await.is_ok()
    }))
    .await
}

#[tokio::test]
async fn seats_are_never_oversold() {
    let database = filled().await;
    let users = people(&database, 16).await;
    let joined = at_once(&database, users.iter().map(|user| join(user)).collect()).await;
    // The demo plan has five seats, and the owner sits on one.
    assert_eq!(joined.iter().filter(|joined| **joined).count(), 4);
    assert_eq!(count(&database, &format!("members WHERE tenant_id = '{ACME}'")).await, 5);

    let client = database.connect(APP).await;
    enter(&client, ACME).await;
    client
        .batch_execute("UPDATE members SET status = 'suspended' WHERE user_id::text LIKE '%d0%'")
        .await
        .expect("suspends");
    let row = client.query_one("SELECT seats_used, owners FROM tenant_counters", &[]).await.expect("counts");
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i32>(1)), (1, 1));
}

#[tokio::test]
async fn the_last_owner_stays_whatever_is_tried_at_once() {
    let database = filled().await;
    let second = people(&database, 1).await.remove(0);
    database
        .run(
            APP,
            &format!(
                "BEGIN; SET LOCAL app.tenant_id = '{ACME}'; {};
                 INSERT INTO role_grants (tenant_id, id, member_id, role_id) SELECT '{ACME}', gen_random_uuid(), '{second}', id FROM roles WHERE key = 'owner';
                 COMMIT",
                join(&second)
            ),
        )
        .await;
    let demote = |member: &str| format!("DELETE FROM role_grants WHERE member_id = '{member}'");
    let suspend = |member: &str| format!("UPDATE members SET status = 'suspended' WHERE id = '{member}'");
    let done = at_once(&database, vec![demote(ADA_AT_ACME), suspend(&second)]).await;
    assert_eq!(done.iter().filter(|done| **done).count(), 1, "{done:?}");

    let client = database.connect(APP).await;
    for sql in [
        "DELETE FROM role_grants".to_owned(),
        "UPDATE members SET status = 'suspended'".to_owned(),
        "UPDATE role_grants SET role_id = (SELECT id FROM roles WHERE key = 'member')".to_owned(),
    ] {
        enter(&client, ACME).await;
        assert_eq!(refusal(&client, &sql).await, "tenant_counters_owners");
        client.batch_execute("ROLLBACK").await.expect("ends");
    }
    enter(&client, ACME).await;
    let expiring =
        "UPDATE role_grants SET expires_at = now() WHERE role_id = (SELECT id FROM roles WHERE key = 'owner')";
    assert_eq!(refusal(&client, expiring).await, "role_grants_owner_is_unlimited");
}

#[tokio::test]
async fn two_moves_make_no_circle_together() {
    let database = filled().await;
    let id = |n: u8| format!("00000000-0000-7000-8000-0000000ac{n:03x}");
    let insert = |n: u8, parent: &str| {
        format!(
            "INSERT INTO workspaces (tenant_id, id, slug, name, parent_workspace_id) VALUES ('{ACME}', '{}', 'w{n}', 'W', {parent})",
            id(n)
        )
    };
    database
        .run(
            APP,
            &format!("BEGIN; SET LOCAL app.tenant_id = '{ACME}'; {}; {}; COMMIT", insert(1, "NULL"), insert(2, "NULL")),
        )
        .await;
    let below = |child: u8, parent: u8| {
        format!("UPDATE workspaces SET parent_workspace_id = '{}' WHERE id = '{}'", id(parent), id(child))
    };
    let done = at_once(&database, vec![below(1, 2), below(2, 1)]).await;
    assert_eq!(done.iter().filter(|done| **done).count(), 1, "{done:?}");

    let client = database.connect(APP).await;
    enter(&client, ACME).await;
    // The free plan has three workspaces.
    assert_eq!(refusal(&client, &insert(3, "NULL")).await, "tenant_counters_workspaces");
}

#[tokio::test]
async fn workspaces_are_nested_five_deep_at_most() {
    let database = filled().await;
    database.run(SUPERUSER, "UPDATE tenant_counters SET workspaces_limit = NULL").await;
    let client = database.connect(APP).await;
    enter(&client, ACME).await;
    let mut parent = ACME_GENERAL.to_owned();
    for n in 1..=4 {
        let id = format!("00000000-0000-7000-8000-0000000ac{n:03x}");
        let sql = format!(
            "INSERT INTO workspaces (tenant_id, id, slug, name, parent_workspace_id) VALUES ('{ACME}', '{id}', 'w{n}', 'W', '{parent}')"
        );
        client.batch_execute(&sql).await.expect("nested");
        parent = id;
    }
    client.batch_execute("SAVEPOINT deep").await.expect("saves");
    let sql = format!(
        "INSERT INTO workspaces (tenant_id, id, slug, name, parent_workspace_id) VALUES ('{ACME}', gen_random_uuid(), 'w5', 'W', '{parent}')"
    );
    assert_eq!(refusal(&client, &sql).await, "workspaces_tree");
    client.batch_execute("ROLLBACK TO deep").await.expect("goes back");
    let sql = format!("UPDATE workspaces SET parent_workspace_id = '{parent}' WHERE id = '{ACME_GENERAL}'");
    assert_eq!(refusal(&client, &sql).await, "workspaces_tree");
}

#[tokio::test]
async fn a_key_can_be_rotated_at_the_limit() {
    let database = filled().await;
    let client = database.connect(APP).await;
    enter(&client, ACME).await;
    let key = |name: &str| {
        format!(
            "INSERT INTO api_keys (tenant_id, id, name, prefix, hint, owner_member_id) VALUES ('{ACME}', gen_random_uuid(), '{name}', 'tnk_demo', 'abcd', '{ADA_AT_ACME}')"
        )
    };
    for name in ["two", "three"] {
        client.batch_execute(&key(name)).await.expect("fits");
    }
    client.batch_execute("SAVEPOINT here").await.expect("saves");
    assert_eq!(refusal(&client, &key("four")).await, "tenant_counters_api_keys");
    client.batch_execute("ROLLBACK TO here").await.expect("goes back");
    client
        .batch_execute("UPDATE api_keys SET overlap_until = now() + interval '1 day' WHERE name = 'two'")
        .await
        .expect("marks");
    client.batch_execute(&key("two again")).await.expect("takes the place");
}

#[tokio::test]
async fn the_version_of_rights_grows_with_every_change_of_rights_and_with_nothing_else() {
    let database = filled().await;
    let client = database.connect(APP).await;
    let version =
        async || -> i64 { client.query_one("SELECT version FROM access_versions", &[]).await.expect("version").get(0) };
    enter(&client, ACME).await;
    let grant = format!(
        "INSERT INTO role_grants (tenant_id, id, member_id, role_id) SELECT '{ACME}', gen_random_uuid(), '{ADA_AT_ACME}', id FROM roles WHERE key = 'custom'"
    );
    for sql in [
        grant.as_str(),
        "UPDATE role_grants SET expires_at = now() WHERE role_id = (SELECT id FROM roles WHERE key = 'custom')",
        "DELETE FROM role_grants WHERE role_id = (SELECT id FROM roles WHERE key = 'custom')",
        "INSERT INTO role_permissions (tenant_id, role_id, permission) SELECT tenant_id, id, 'tasks:read' FROM roles WHERE key = 'custom'",
        "UPDATE role_permissions SET effect = 'deny' WHERE role_id = (SELECT id FROM roles WHERE key = 'custom')",
        "DELETE FROM role_permissions WHERE role_id = (SELECT id FROM roles WHERE key = 'custom')",
        "UPDATE roles SET name = 'Other' WHERE key = 'custom'",
        "UPDATE workspaces SET visibility = 'private'",
        "DELETE FROM workspace_members",
        "INSERT INTO workspaces (tenant_id, id, slug, name, parent_workspace_id) SELECT tenant_id, gen_random_uuid(), 'nested', 'Nested', id FROM workspaces WHERE is_default",
        "INSERT INTO api_key_scopes (tenant_id, api_key_id, permission) SELECT tenant_id, id, 'tasks:write' FROM api_keys",
        "DELETE FROM api_key_scopes WHERE permission = 'tasks:write'",
        "UPDATE api_keys SET rate_capacity = 10, rate_refill_per_second = 1",
        "UPDATE api_keys SET allowed_cidrs = '{10.0.0.0/8}'",
        "UPDATE api_keys SET revoked_at = now(), revoked_reason = 'test'",
    ] {
        let before = version().await;
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert!(version().await > before, "{sql}");
    }
    let before = version().await;
    client
        .batch_execute(
            "UPDATE members SET last_seen_at = now(); UPDATE workspaces SET name = 'Other'; UPDATE tasks SET title = 'Other';
             UPDATE api_keys SET last_used_at = now()",
        )
        .await
        .expect("changes");
    assert_eq!(version().await, before);
    client.batch_execute("COMMIT").await.expect("commits");
    database.run("tenantry_platform", &format!("UPDATE tenants SET status = 'suspended', suspended_at = now(), suspended_reason = 'test' WHERE id = '{ACME}'")).await;
    enter(&client, ACME).await;
    assert!(version().await > before);
}

#[tokio::test]
async fn built_in_roles_are_locked() {
    let database = filled().await;
    let client = database.connect(APP).await;
    for sql in [
        "UPDATE roles SET name = 'Boss' WHERE key = 'owner'",
        "UPDATE roles SET is_system = true WHERE key = 'custom'",
        "DELETE FROM role_permissions WHERE role_id = (SELECT id FROM roles WHERE key = 'admin')",
        "INSERT INTO role_permissions (tenant_id, role_id, permission) SELECT tenant_id, id, 'tenant:delete' FROM roles WHERE key = 'admin'",
        "UPDATE role_permissions SET role_id = (SELECT id FROM roles WHERE key = 'custom') WHERE permission = 'tenant:delete'",
    ] {
        enter(&client, ACME).await;
        assert_eq!(refusal(&client, sql).await, "roles_system_is_locked", "{sql}");
        client.batch_execute("ROLLBACK").await.expect("ends");
    }
}
