//! `app.enrol_table`: the walls for a table of one's own, and what it refuses.

use tenantry::db::doctor;

use super::demo::{self, ACME, ADA_AT_ACME, GLOBEX, enter};
use crate::support::database::migrated;

const MIGRATE: &str = "tenantry_migrate";

#[tokio::test]
async fn an_enrolled_table_has_the_walls_and_the_audit() {
    let database = migrated().await;
    demo::fill(&database).await;
    let enrol = "SELECT app.enrol_table('invoices', audit => 'trigger')";
    database
        .run(
            MIGRATE,
            &format!(
                "CREATE TABLE invoices (tenant_id uuid NOT NULL DEFAULT app.tenant_id(), id uuid NOT NULL DEFAULT gen_random_uuid(), total int NOT NULL, PRIMARY KEY (tenant_id, id));
                 {enrol}; {enrol}"
            ),
        )
        .await;
    assert_eq!(doctor::examine(&database.url(MIGRATE)).await.expect("examined"), []);

    let client = database.connect("tenantry_app").await;
    for (tenant, total) in [(ACME, 1), (GLOBEX, 2)] {
        enter(&client, tenant).await;
        client
            .batch_execute(&format!(
                "SET LOCAL app.actor_id = '{ADA_AT_ACME}'; INSERT INTO invoices (total) VALUES ({total}); COMMIT"
            ))
            .await
            .expect("writes");
    }
    enter(&client, ACME).await;
    client.batch_execute(&format!("SET LOCAL app.actor_id = '{ADA_AT_ACME}'")).await.expect("sets");
    assert_eq!(client.execute("UPDATE invoices SET total = 7", &[]).await.expect("updates"), 1);
    assert_eq!(client.execute("UPDATE invoices SET total = 7", &[]).await.expect("changes nothing"), 1);
    assert_eq!(client.execute("DELETE FROM invoices", &[]).await.expect("deletes"), 1);
    let rows = client
        .query("SELECT action, actor_kind, actor_id::text, target_kind, detail::text FROM audit_logs WHERE target_kind = 'invoices' ORDER BY at, id", &[])
        .await
        .expect("audit");
    let entries: Vec<[String; 5]> = rows.iter().map(|row| std::array::from_fn(|at| row.get(at))).collect();
    let entry = |action: &str, detail: &str| [action, "member", ADA_AT_ACME, "invoices", detail].map(str::to_owned);
    assert_eq!(
        entries,
        [
            entry("table_invoices.created", "{}"),
            entry("table_invoices.updated", "{\"columns\": [\"total\"]}"),
            entry("table_invoices.deleted", "{}"),
        ]
    );
}

#[tokio::test]
async fn a_partitioned_table_is_reached_through_its_parent_only() {
    let database = migrated().await;
    demo::fill(&database).await;
    database
        .run(
            MIGRATE,
            "CREATE TABLE readings (tenant_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (tenant_id, id)) PARTITION BY HASH (tenant_id);
             CREATE TABLE readings_0 PARTITION OF readings FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE readings_1 PARTITION OF readings FOR VALUES WITH (MODULUS 2, REMAINDER 1);
             SELECT app.enrol_table('readings')",
        )
        .await;
    assert_eq!(doctor::examine(&database.url(MIGRATE)).await.expect("examined"), []);
    let client = database.connect("tenantry_app").await;
    enter(&client, ACME).await;
    client.batch_execute(&format!("INSERT INTO readings VALUES ('{ACME}', gen_random_uuid())")).await.expect("writes");
    assert_eq!(client.query("SELECT 1 FROM readings", &[]).await.expect("reads").len(), 1);
    for partition in ["readings_0", "readings_1"] {
        assert!(client.query(&format!("SELECT 1 FROM {partition}"), &[]).await.is_err());
        client.batch_execute(&format!("ROLLBACK; BEGIN; SET LOCAL app.tenant_id = '{ACME}'")).await.expect("again");
    }
}

/// `docs/adr/0024-plans-for-large-tenants.md`.
#[tokio::test]
async fn plans_are_made_for_large_tenants_in_every_table_and_partition() {
    let database = migrated().await;
    let enrolled = "CREATE TABLE invoices (tenant_id uuid, id uuid, PRIMARY KEY (tenant_id, id));
        CREATE TABLE readings (tenant_id uuid, id uuid, PRIMARY KEY (tenant_id, id)) PARTITION BY HASH (tenant_id);
        CREATE TABLE readings_0 PARTITION OF readings FOR VALUES WITH (MODULUS 1, REMAINDER 0);
        SELECT app.enrol_table('invoices'), app.enrol_table('readings')";
    database.run(MIGRATE, enrolled).await;
    let client = database.connect(MIGRATE).await;
    let later = "SELECT app.ensure_partitions(7)";
    assert!(client.query_one(later, &[]).await.expect("partitions").get::<_, i32>(0) > 0);
    let tables = "SELECT c.relname::text, a.attoptions @> '{n_distinct=100, n_distinct_inherited=100}'
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'tenant_owner' WHERE c.relkind IN ('r', 'p')";
    let tables = client.query(tables, &[]).await.expect("tables");
    assert!(tables.len() > 40, "{} tables", tables.len());
    for row in tables {
        assert_eq!(row.get::<_, Option<bool>>(1), Some(true), "{}", row.get::<_, String>(0));
    }
}

#[tokio::test]
async fn what_would_break_isolation_is_refused_with_the_cure() {
    let database = migrated().await;
    let client = database.connect(MIGRATE).await;
    let key = "PRIMARY KEY (tenant_id, id)";
    for (create, message, hint) in [
        ("id uuid PRIMARY KEY".to_owned(), "has no column tenant_id", "ADD COLUMN tenant_id uuid NOT NULL"),
        ("tenant_id text NOT NULL, id uuid PRIMARY KEY".to_owned(), "of type text, not uuid", "TYPE uuid"),
        ("tenant_id uuid, id uuid PRIMARY KEY".to_owned(), "may be NULL", "SET NOT NULL"),
        (
            "tenant_id uuid NOT NULL, id uuid PRIMARY KEY".to_owned(),
            "does not begin with tenant_id",
            "ADD PRIMARY KEY (tenant_id, id)",
        ),
        (
            "tenant_id uuid NOT NULL, id uuid".to_owned(),
            "does not begin with tenant_id",
            "ADD PRIMARY KEY (tenant_id, id)",
        ),
        (
            format!("tenant_id uuid, id uuid, slug text UNIQUE, {key}"),
            "does not contain tenant_id: one tenant could find out",
            "UNIQUE (tenant_id, …)",
        ),
        (
            format!("tenant_id uuid, id uuid, t uuid, task uuid, FOREIGN KEY (t, task) REFERENCES tasks, {key}"),
            "could point into another tenant",
            "FOREIGN KEY (tenant_id, …) REFERENCES tasks",
        ),
        (format!("tenant_id uuid, id bigserial, {key}"), "numbered by a sequence", "Use a uuid"),
        (
            format!("tenant_id uuid, id uuid, number int GENERATED BY DEFAULT AS IDENTITY, {key}"),
            "numbered by a sequence",
            "Use a uuid",
        ),
    ] {
        client
            .batch_execute(&format!("BEGIN; CREATE TABLE mine ({create})"))
            .await
            .unwrap_or_else(|error| panic!("{create}: {error:?}"));
        let error = client.batch_execute("SELECT app.enrol_table('mine')").await.expect_err(&create);
        let error = error.as_db_error().expect("from the server").clone();
        assert!(error.message().contains(message), "{create}: {}", error.message());
        assert!(error.hint().is_some_and(|text| text.contains(hint)), "{create}: {:?}", error.hint());
        client.batch_execute("ROLLBACK").await.expect("ends");
    }
    for (sql, message) in [
        ("SELECT app.enrol_table('nothing')", "there is no table nothing"),
        ("SELECT app.enrol_table('tasks; DROP TABLE tasks')", "invalid name syntax"),
        ("SELECT app.enrol_table('tasks', 'maybe')", "expected none or trigger"),
        ("SELECT app.enrol_table('audit_logs_default')", "is a partition"),
        ("CREATE POLICY more ON tasks USING (true); SELECT app.enrol_table('tasks')", "would widen"),
    ] {
        client.batch_execute("BEGIN; SET LOCAL ROLE tenantry_owner").await.expect("begins");
        let error = client.batch_execute(sql).await.expect_err(sql);
        assert!(error.as_db_error().is_some_and(|error| error.message().contains(message)), "{sql}: {error:?}");
        client.batch_execute("ROLLBACK").await.expect("ends");
    }
}

#[tokio::test]
async fn enrolling_again_keeps_narrower_grants() {
    let database = migrated().await;
    demo::fill(&database).await;
    database.run(MIGRATE, "SELECT app.enrol_table('audit_logs'); SELECT app.enrol_table('tenant_counters')").await;
    assert_eq!(doctor::examine(&database.url(MIGRATE)).await.expect("examined"), []);
}
