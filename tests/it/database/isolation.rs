//! The runtime login with SQL of its own: whatever it tries, it sees and touches one tenant.

use tenantry::db::embedded::SUPERUSER;
use tokio_postgres::Client;

use super::demo::{self, ACME, ADA, BOB, BOB_AT_GLOBEX, GLOBEX, enter, refusal};
use crate::support::{cluster::TestDatabase, database::migrated};

const APP: &str = "tenantry_app";

async fn filled() -> TestDatabase {
    let database = migrated().await;
    demo::fill(&database).await;
    database
}

/// Everything that can stand behind FROM: tables, partitions, views, sequences, also those of later migrations.
async fn relations(database: &TestDatabase) -> Vec<String> {
    let client = database.connect(SUPERUSER).await;
    let rows = client
        .query(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1",
            &[],
        )
        .await
        .expect("relations");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Every row of the relation that the login may see, as text; `None` without any right to it.
async fn visible(client: &Client, relation: &str) -> Option<Vec<String>> {
    let columns: Option<String> = client
        .query_one(
            "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
             WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
               AND has_column_privilege($1::text::regclass, attnum, 'SELECT')",
            &[&relation],
        )
        .await
        .expect("columns")
        .get(0);
    let sql = format!("SELECT row_to_json(t)::text FROM (SELECT {} FROM {relation}) AS t", columns?);
    let rows = client.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    Some(rows.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn every_relation_shows_the_rows_of_one_tenant_only() {
    let database = filled().await;
    let client = database.connect(APP).await;
    let relations = relations(&database).await;
    for (tenant, own, foreign) in [(ACME, "acme", "globex"), (GLOBEX, "globex", "acme")] {
        enter(&client, tenant).await;
        let mut own_rows = 0;
        for relation in &relations {
            for row in visible(&client, relation).await.unwrap_or_default() {
                let other = if tenant == ACME { GLOBEX } else { ACME };
                assert!(!row.contains(other) && !row.contains(foreign), "{own} sees in {relation}: {row}");
                own_rows += usize::from(row.contains(tenant));
            }
        }
        assert!(own_rows > 20, "the tenant sees its own rows ({own_rows})");
        client.batch_execute("ROLLBACK").await.expect("rolls back");
    }
}

#[tokio::test]
async fn without_a_tenant_there_is_nothing() {
    let database = filled().await;
    let client = database.connect(APP).await;
    // Also after a transaction that had one: the setting reads back as an empty text then.
    for round in ["fresh", "used"] {
        for relation in relations(&database).await {
            for row in visible(&client, &relation).await.unwrap_or_default() {
                assert!(!row.contains(ACME) && !row.contains(GLOBEX), "{round} connection sees in {relation}: {row}");
            }
        }
        enter(&client, ACME).await;
        client.batch_execute("COMMIT").await.expect("commits");
    }
    let refused = refusal(
        &client,
        &format!(
            "INSERT INTO projects (tenant_id, id, workspace_id, name) VALUES ('{ACME}', gen_random_uuid(), '{}', 'x')",
            demo::ACME_GENERAL
        ),
    )
    .await;
    assert!(refused.contains("row-level security"), "{refused}");
}

#[tokio::test]
async fn rows_of_another_tenant_cannot_be_written() {
    let database = filled().await;
    let superuser = database.connect(SUPERUSER).await;
    let client = database.connect(APP).await;
    for relation in relations(&database).await {
        let tenant_table = superuser
            .query_one(
                "SELECT EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                                WHERE a.attrelid = $1::text::regclass AND a.attname = 'tenant_id' AND c.relkind IN ('r', 'p'))",
                &[&relation],
            )
            .await
            .expect("asks")
            .get::<_, bool>(0);
        if !tenant_table {
            continue;
        }
        let sum = format!(
            "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {relation} t WHERE tenant_id = '{GLOBEX}'"
        );
        let before = superuser.query_one(&sum, &[]).await.expect("sums");
        for sql in [
            format!("DELETE FROM {relation} WHERE tenant_id = '{GLOBEX}'"),
            format!("UPDATE {relation} SET tenant_id = '{ACME}' WHERE tenant_id = '{GLOBEX}'"),
            format!("UPDATE {relation} SET tenant_id = '{GLOBEX}'"),
            format!(
                "INSERT INTO {relation} SELECT (jsonb_populate_record(t, jsonb_build_object('tenant_id', '{GLOBEX}'))).* FROM {relation} t"
            ),
            format!("INSERT INTO {relation} (tenant_id) VALUES ('{GLOBEX}')"),
            format!("TRUNCATE {relation}"),
        ] {
            enter(&client, ACME).await;
            // Refused or without effect, both will do.
            let _ = client.batch_execute(&sql).await;
            client.batch_execute("COMMIT").await.expect("ends");
        }
        let after = superuser.query_one(&sum, &[]).await.expect("sums");
        assert_eq!((before.get::<_, i64>(0), before.get::<_, String>(1)), (after.get(0), after.get(1)), "{relation}");
    }
}

#[tokio::test]
async fn not_even_a_superuser_can_link_two_tenants() {
    let database = filled().await;
    let superuser = database.connect(SUPERUSER).await;
    for sql in [
        format!("UPDATE tasks SET assignee_member_id = '{BOB_AT_GLOBEX}' WHERE tenant_id = '{ACME}'"),
        format!("UPDATE projects SET workspace_id = '{}' WHERE tenant_id = '{ACME}'", demo::GLOBEX_GENERAL),
        format!("UPDATE role_grants SET member_id = '{BOB_AT_GLOBEX}' WHERE tenant_id = '{ACME}'"),
    ] {
        let constraint = refusal(&superuser, &sql).await;
        assert!(constraint.ends_with("_fkey"), "{constraint}");
    }
}

#[tokio::test]
async fn the_runtime_cannot_become_more() {
    let database = filled().await;
    let client = database.connect(APP).await;
    for sql in [
        "SET ROLE tenantry_owner",
        "SET ROLE tenantry_platform",
        "SET SESSION AUTHORIZATION tenantry",
        "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
        "ALTER ROLE tenantry_app BYPASSRLS",
        "CREATE TABLE mine (a int)",
        "CREATE TEMPORARY TABLE mine (a int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "CREATE TRIGGER t AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION app.on_member()",
        "SELECT app.enrol_table('tasks')",
        "SELECT app.bump_access('00000000-0000-7000-8000-00000000000b')",
        "SELECT * FROM pg_authid",
        "SELECT hash FROM user_passwords",
        "SELECT last_tenant_id FROM users",
        "SELECT * FROM audit_logs_default",
        "DELETE FROM audit_logs",
        "UPDATE audit_logs SET action = 'x.y'",
        "COPY tasks TO PROGRAM 'cat'",
    ] {
        let error = client.batch_execute(sql).await.expect_err(sql);
        let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
        assert_eq!(code, "42501", "{sql}: {error:?}");
    }
    // Switching the policies off for oneself is an error and not a way around.
    client.batch_execute("SET row_security = off").await.expect("sets");
    assert!(refusal(&client, "SELECT * FROM tasks").await.contains("row-level security"));
}

#[tokio::test]
async fn statistics_show_no_values_of_other_tenants() {
    let database = filled().await;
    database.run(SUPERUSER, "ANALYZE").await;
    let client = database.connect(APP).await;
    enter(&client, ACME).await;
    let rows =
        client.query("SELECT tablename::text FROM pg_stats WHERE schemaname = 'public'", &[]).await.expect("asks");
    let readable: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(readable.iter().all(|table| table == "__diesel_schema_migrations"), "{readable:?}");
}

#[tokio::test]
async fn people_are_seen_by_themselves_and_by_fellow_members() {
    let database = filled().await;
    let client = database.connect(APP).await;
    let seen = async || -> Vec<String> {
        let rows = client.query("SELECT id::text FROM users ORDER BY 1", &[]).await.expect("asks");
        rows.iter().map(|row| row.get(0)).collect()
    };
    enter(&client, ACME).await;
    assert_eq!(seen().await, [ADA]);
    let addresses = client.query("SELECT user_id::text FROM user_emails", &[]).await.expect("asks");
    assert_eq!(addresses.iter().map(|row| row.get(0)).collect::<Vec<String>>(), [ADA]);
    client.batch_execute("ROLLBACK; BEGIN").await.expect("begins");
    client.batch_execute(&format!("SET LOCAL app.user_id = '{BOB}'")).await.expect("sets");
    assert_eq!(seen().await, [BOB]);
    let emails = client.query("SELECT email FROM user_emails", &[]).await.expect("asks");
    assert_eq!(emails.len(), 1);
    assert_eq!(client.execute("UPDATE users SET display_name = 'x'", &[]).await.expect("updates"), 1);
    client.batch_execute("ROLLBACK").await.expect("ends");
    // A former member is a stranger again.
    enter(&client, GLOBEX).await;
    client
        .batch_execute(&format!(
            "INSERT INTO members (tenant_id, id, user_id, joined_at) VALUES ('{GLOBEX}', gen_random_uuid(), '{ADA}', now())"
        ))
        .await
        .expect("joins");
    assert_eq!(seen().await, [ADA, BOB]);
    client
        .batch_execute(&format!("UPDATE members SET status = 'removed', deleted_at = now() WHERE user_id = '{ADA}'"))
        .await
        .expect("leaves");
    assert_eq!(seen().await, [BOB]);
}

/// Who may run which function: read this list as one reads code, every line is a way past the grants.
#[tokio::test]
async fn the_doors_are_these() {
    let database = migrated().await;
    let client = database.connect(SUPERUSER).await;
    let rows = client
        .query(
            "SELECT p.proname::text || CASE WHEN p.prosecdef THEN '' ELSE ' (as the caller)' END,
                    has_function_privilege('tenantry_app', p.oid, 'EXECUTE'), has_function_privilege('tenantry_platform', p.oid, 'EXECUTE')
             FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1",
            &[],
        )
        .await
        .expect("functions");
    let doors: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let who = match (row.get(1), row.get(2)) {
                (true, true) => "both",
                (true, false) => "app",
                (false, true) => "platform",
                (false, false) => return None,
            };
            Some(format!("{who}: {}", row.get::<_, String>(0)))
        })
        .collect();
    insta::assert_snapshot!(doors.join("\n"), @"
    both: api_key_index_add
    both: api_key_index_remove
    both: audit_row (as the caller)
    both: ensure_partitions
    app: feed_watch
    app: find_api_key
    app: find_password
    both: memberships_of
    platform: password_set
    platform: platform_audit_append
    both: policy_expression (as the caller)
    app: record_sign_in
    app: refresh_rotate
    both: resolve_host
    both: resolve_slug
    both: resolve_tenant_id
    both: search_terms_for (as the caller)
    both: search_words (as the caller)
    app: session_create
    app: session_reauthenticate
    both: session_revoke
    app: session_state
    app: signing_key_add
    app: signing_keys
    platform: statement_shares
    platform: tenant_create
    both: tenant_id (as the caller)
    both: tenant_limits
    both: tenant_state
    platform: user_create
    both: uuid_at (as the caller)
    both: uuid_v7 (as the caller)
    app: viewer
    app: viewer_visit
    ");
}
