//! Two demo tenants, Acme and Globex, with rows in every tenant table.

use tenantry::db::embedded::SUPERUSER;
use tokio_postgres::Client;

use crate::support::cluster::TestDatabase;

pub const ACME: &str = "00000000-0000-7000-8000-00000000000a";
pub const GLOBEX: &str = "00000000-0000-7000-8000-00000000000b";
/// The people: Ada owns Acme, Bob owns Globex.
pub const ADA: &str = "00000000-0000-7000-8000-0000000000a1";
pub const BOB: &str = "00000000-0000-7000-8000-0000000000b1";
/// Their memberships, and the default workspaces.
pub const ADA_AT_ACME: &str = "00000000-0000-7000-8000-0000000000a2";
pub const BOB_AT_GLOBEX: &str = "00000000-0000-7000-8000-0000000000b2";
pub const ACME_GENERAL: &str = "00000000-0000-7000-8000-0000000000a3";
pub const GLOBEX_GENERAL: &str = "00000000-0000-7000-8000-0000000000b3";

/// The SQL that makes both people and tenants, as the platform login.
pub fn tenants() -> String {
    let mut sql = String::new();
    for (slug, tenant, user, member, workspace) in
        [("acme", ACME, ADA, ADA_AT_ACME, ACME_GENERAL), ("globex", GLOBEX, BOB, BOB_AT_GLOBEX, GLOBEX_GENERAL)]
    {
        let email = user.replacen("0000", "eeee", 1);
        sql.push_str(&format!(
            "SELECT app.user_create('{user}', '{email}', 'Owner@{slug}.test', 'owner@{slug}.test', 'Owner of {slug}', '$argon2id$demo', now(), now());
             SELECT app.tenant_create('{tenant}', '{slug}', 'Demo {slug}', '{user}', '{member}', '{workspace}', now(), 'free', ARRAY['{slug}.tenantry.test']);"
        ));
    }
    sql
}

/// Rows in the tables that `tenant_create` leaves empty, as the runtime login, through the policies.
pub fn rows(tenant: &str) -> String {
    let (member, workspace, letter) =
        if tenant == ACME { (ADA_AT_ACME, ACME_GENERAL, 'a') } else { (BOB_AT_GLOBEX, GLOBEX_GENERAL, 'b') };
    let id = |n: u8| format!("00000000-0000-7000-8000-0000000{letter}{n:04x}");
    let (project, task, key, audit, event, custom) = (id(0x10), id(0x11), id(0x12), id(0x13), id(0x14), id(0x15));
    format!(
        "BEGIN; SET LOCAL app.tenant_id = '{tenant}'; SET LOCAL app.actor_id = '{member}';
         INSERT INTO workspace_members (tenant_id, id, workspace_id, member_id) VALUES ('{tenant}', gen_random_uuid(), '{workspace}', '{member}');
         INSERT INTO projects (tenant_id, id, workspace_id, name) VALUES ('{tenant}', '{project}', '{workspace}', 'Atlas');
         INSERT INTO tasks (tenant_id, id, project_id, workspace_id, title, assignee_member_id) VALUES ('{tenant}', '{task}', '{project}', '{workspace}', 'First', '{member}');
         INSERT INTO roles (tenant_id, id, key, name, level) VALUES ('{tenant}', '{custom}', 'custom', 'Custom', 'tenant');
         INSERT INTO api_keys (tenant_id, id, name, prefix, hint, owner_member_id) VALUES ('{tenant}', '{key}', 'demo', 'tnk_demo', 'abcd', '{member}');
         INSERT INTO api_key_scopes (tenant_id, api_key_id, permission) VALUES ('{tenant}', '{key}', 'tasks:read');
         SELECT app.api_key_index_add(sha256('{slug}'), '{key}');
         INSERT INTO audit_logs (tenant_id, id, at, action, outcome, actor_kind, actor_id, source) VALUES ('{tenant}', app.uuid_v7(now()), now(), 'task.created', 'success', 'member', '{member}', 'api'), ('{tenant}', '{audit}', to_timestamp(0), 'task.created', 'success', 'member', '{member}', 'api');
         INSERT INTO events (tenant_id, id, type, api_version, payload, actor_kind, occurred_at) VALUES ('{tenant}', '{event}', 'task.created', '2026-11', '{{}}', 'member', now());
         INSERT INTO idempotency_keys (tenant_id, principal, key, request_hash, created_at, expires_at) VALUES ('{tenant}', '{member}', 'k', sha256('x'), now(), now() + interval '1 day');
         COMMIT;",
        slug = if tenant == ACME { "acme-key" } else { "globex-key" },
    )
}

/// Fills a migrated database.
pub async fn fill(database: &TestDatabase) {
    database.run("tenantry_platform", &tenants()).await;
    for tenant in [ACME, GLOBEX] {
        database.run("tenantry_app", &rows(tenant)).await;
    }
}

/// A number, asked as the superuser, whom no policy binds.
pub async fn count(database: &TestDatabase, what: &str) -> i64 {
    let client = database.connect(SUPERUSER).await;
    client
        .query_one(&format!("SELECT count(*) FROM {what}"), &[])
        .await
        .unwrap_or_else(|e| panic!("{what}: {e:?}"))
        .get(0)
}

/// Begins a transaction of the runtime in this tenant.
pub async fn enter(client: &Client, tenant: &str) {
    client.batch_execute(&format!("BEGIN; SET LOCAL app.tenant_id = '{tenant}'")).await.expect("begins");
}

/// The constraint or message that refused the statement.
pub async fn refusal(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
    let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    error.constraint().unwrap_or_else(|| error.message()).to_owned()
}
