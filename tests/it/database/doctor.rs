//! Each rule of the doctor: break it, see table and fix named, run the fix, be healthy again.

use std::collections::HashSet;

use tenantry::db::{
    doctor::{self, DoctorError, Finding, Rule},
    embedded::SUPERUSER,
};

use super::demo;
use crate::support::{
    cluster::{TestDatabase, empty_database},
    database::migrated,
};

struct Case {
    rule: Rule,
    /// What the finding must name.
    object: &'static str,
    /// Run as superuser.
    break_it: &'static str,
    /// Run after the fix, where the fix alone leaves a thing of the test behind.
    clean_up: &'static str,
}

const fn case(rule: Rule, object: &'static str, break_it: &'static str) -> Case {
    Case { rule, object, break_it, clean_up: "" }
}

const CASES: &[Case] = &[
    Case {
        rule: Rule::UnlistedTable,
        object: "notes",
        break_it: "CREATE TABLE notes (id uuid PRIMARY KEY, body text); ALTER TABLE notes OWNER TO tenantry_owner",
        clean_up: "DROP TABLE notes",
    },
    Case {
        rule: Rule::TenantColumn,
        object: "notes",
        break_it: "CREATE TABLE notes (tenant_id text NOT NULL, id uuid, PRIMARY KEY (tenant_id, id)); SELECT pg_temp.wall('notes')",
        clean_up: "DROP TABLE notes",
    },
    Case {
        rule: Rule::PrimaryKey,
        object: "notes",
        break_it: "CREATE TABLE notes (tenant_id uuid NOT NULL REFERENCES tenants, id uuid, PRIMARY KEY (id, tenant_id)); SELECT pg_temp.wall('notes')",
        clean_up: "DROP TABLE notes",
    },
    Case {
        rule: Rule::SharedSequence,
        object: "notes.number",
        break_it: "CREATE TABLE notes (tenant_id uuid NOT NULL REFERENCES tenants, id uuid, number int GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (tenant_id, id)); SELECT pg_temp.wall('notes')",
        clean_up: "DROP TABLE notes",
    },
    case(Rule::RowSecurity, "tasks", "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY"),
    case(Rule::RowSecurity, "members", "ALTER TABLE members NO FORCE ROW LEVEL SECURITY"),
    case(Rule::RowSecurity, "user_passwords", "ALTER TABLE user_passwords NO FORCE ROW LEVEL SECURITY"),
    case(Rule::Policy, "tasks", "DROP POLICY tenant_app ON tasks"),
    case(Rule::Policy, "tasks", "CREATE POLICY support ON tasks FOR SELECT TO tenantry_app USING (true)"),
    case(Rule::Policy, "projects", "ALTER POLICY tenant_app ON projects USING (true)"),
    case(Rule::Policy, "projects", "ALTER POLICY tenant_app ON projects TO PUBLIC"),
    case(Rule::Policy, "projects", "ALTER POLICY tenant_app ON projects WITH CHECK (true)"),
    // A third text of the expression, though it means the same.
    case(Rule::Policy, "projects", "ALTER POLICY tenant_app ON projects USING (tenant_id = app.tenant_id())"),
    case(Rule::Policy, "tenants", "ALTER POLICY tenant_app ON tenants USING (true)"),
    case(Rule::Policy, "users", "ALTER POLICY person_or_fellow ON users USING (true)"),
    case(Rule::Policy, "users", "DROP POLICY person_self ON users"),
    case(Rule::Policy, "user_emails", "ALTER POLICY fellow_address ON user_emails USING (is_primary)"),
    case(Rule::TenantReference, "tasks", "ALTER TABLE tasks DROP CONSTRAINT tasks_tenant_id_fkey"),
    Case {
        rule: Rule::ForeignKey,
        object: "notes",
        break_it: "CREATE TABLE notes (tenant_id uuid, id uuid, task_id uuid, task_tenant uuid, PRIMARY KEY (tenant_id, id), CONSTRAINT to_task FOREIGN KEY (task_tenant, task_id) REFERENCES tasks (tenant_id, id)); CREATE INDEX ON notes (tenant_id, task_id, task_tenant); SELECT app.enrol_table('access_versions'); SELECT pg_temp.wall('notes'); ALTER TABLE notes ADD FOREIGN KEY (tenant_id) REFERENCES tenants",
        clean_up: "DROP TABLE notes",
    },
    Case {
        rule: Rule::ForeignKey,
        object: "user_emails",
        break_it: "ALTER TABLE user_emails ADD COLUMN t uuid, ADD COLUMN m uuid, ADD CONSTRAINT to_member FOREIGN KEY (t, m) REFERENCES members",
        clean_up: "ALTER TABLE user_emails DROP COLUMN t, DROP COLUMN m",
    },
    case(Rule::ForeignKeyIndex, "role_grants", "DROP INDEX role_grants_role_created_at"),
    case(
        Rule::ForeignKeyIndex,
        "projects",
        "DROP INDEX projects_owner; CREATE INDEX projects_owner ON projects (tenant_id, owner_member_id) WHERE name <> ''",
    ),
    case(Rule::UniqueIndex, "projects", "CREATE UNIQUE INDEX one_id ON projects (id) WHERE state = 'active'"),
    case(Rule::UniqueIndex, "api_keys", "ALTER TABLE api_keys ADD CONSTRAINT one_id UNIQUE (id, hint)"),
    case(Rule::IndexOrder, "tasks", "CREATE INDEX by_title ON tasks (title, tenant_id)"),
    case(Rule::IndexOrder, "tasks", "CREATE INDEX by_lower_title ON tasks (lower(title))"),
    case(Rule::Ownership, "tasks", "ALTER TABLE tasks OWNER TO tenantry_app"),
    case(Rule::Ownership, "schema mine", "CREATE SCHEMA mine AUTHORIZATION tenantry_app"),
    case(Rule::Grant, "audit_logs", "GRANT UPDATE, DELETE ON audit_logs TO tenantry_app"),
    case(Rule::Grant, "tasks", "GRANT TRUNCATE ON tasks TO tenantry_app"),
    case(Rule::Grant, "users", "GRANT SELECT ON users TO tenantry_app"),
    case(Rule::Grant, "users", "GRANT SELECT (last_tenant_id) ON users TO tenantry_app"),
    case(Rule::Grant, "user_passwords", "GRANT SELECT ON user_passwords TO PUBLIC"),
    case(Rule::Grant, "tenant_counters", "GRANT UPDATE (seats_limit) ON tenant_counters TO tenantry_app"),
    case(Rule::Grant, "__diesel_schema_migrations", "GRANT DELETE ON __diesel_schema_migrations TO tenantry_app"),
    case(Rule::Grant, "schema public", "GRANT CREATE ON SCHEMA public TO tenantry_app"),
    case(
        Rule::Grant,
        "database",
        "DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database()); END $$",
    ),
    case(
        Rule::Timeout,
        "tenantry_app",
        "DO $$ BEGIN EXECUTE format('ALTER ROLE tenantry_app IN DATABASE %I SET statement_timeout = 0', current_database()); END $$",
    ),
    case(
        Rule::Timeout,
        "tenantry_platform",
        "DO $$ BEGIN EXECUTE format('ALTER ROLE tenantry_platform IN DATABASE %I SET idle_in_transaction_session_timeout = 0', current_database()); END $$",
    ),
    case(Rule::Definer, "app.resolve_slug", "ALTER FUNCTION app.resolve_slug(text, timestamptz) RESET search_path"),
    case(
        Rule::Definer,
        "app.resolve_slug",
        "ALTER FUNCTION app.resolve_slug(text, timestamptz) SET search_path = public",
    ),
    case(Rule::Definer, "app.find_password", "GRANT EXECUTE ON FUNCTION app.find_password(text) TO PUBLIC"),
    case(Rule::Definer, "app.viewer", "ALTER FUNCTION app.viewer() OWNER TO tenantry"),
    Case {
        rule: Rule::View,
        object: "open_tasks",
        break_it: "CREATE VIEW open_tasks AS SELECT * FROM tasks WHERE state = 'todo'",
        clean_up: "DROP VIEW open_tasks",
    },
    case(
        Rule::View,
        "task_counts",
        "CREATE MATERIALIZED VIEW task_counts AS SELECT tenant_id, count(*) FROM tasks GROUP BY 1",
    ),
    case(Rule::Partition, "audit_logs_default", "GRANT SELECT ON audit_logs_default TO tenantry_app"),
    case(Rule::Partition, "events_default", "ALTER TABLE events_default DISABLE ROW LEVEL SECURITY"),
    case(Rule::Policy, "events_default", "CREATE POLICY open ON events_default USING (true)"),
    case(
        Rule::PartitionsAhead,
        "events",
        "DO $$ BEGIN EXECUTE 'DROP TABLE events_' || to_char(now() AT TIME ZONE 'UTC' + interval '2 months', '\"y\"YYYY\"m\"MM'); END $$",
    ),
    case(Rule::PartitionsAhead, "audit_logs", "DROP TABLE audit_logs_default"),
    case(Rule::Trigger, "plans", "ALTER TABLE plans DISABLE TRIGGER USER"),
    case(Rule::Trigger, "tasks", "ALTER TABLE tasks DISABLE TRIGGER ALL"),
    case(Rule::Trigger, "events", "ALTER TABLE events DISABLE TRIGGER USER"),
    case(
        Rule::Orphan,
        "api_key_index",
        "INSERT INTO api_key_index VALUES (sha256('gone'), gen_random_uuid(), gen_random_uuid())",
    ),
    case(
        Rule::Orphan,
        "membership_index",
        "INSERT INTO membership_index VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid())",
    ),
    Case {
        rule: Rule::Schema,
        object: "tasks.colour",
        break_it: "ALTER TABLE tasks ADD COLUMN colour text",
        clean_up: "ALTER TABLE tasks DROP COLUMN colour",
    },
    Case {
        rule: Rule::Schema,
        object: "tasks.points",
        break_it: "ALTER TABLE tasks ALTER COLUMN points TYPE bigint",
        clean_up: "ALTER TABLE tasks ALTER COLUMN points TYPE int",
    },
    Case {
        rule: Rule::Schema,
        object: "tasks.assignee_member_id",
        break_it: "ALTER TABLE tasks ALTER COLUMN assignee_member_id SET NOT NULL",
        clean_up: "ALTER TABLE tasks ALTER COLUMN assignee_member_id DROP NOT NULL",
    },
    Case {
        rule: Rule::MissingTable,
        object: "idempotency_keys",
        break_it: "ALTER TABLE idempotency_keys RENAME TO put_away",
        clean_up: "ALTER TABLE put_away RENAME TO idempotency_keys",
    },
];

/// The walls without the checks of `app.enrol_table`, to stand around a table that it would refuse.
const WALL: &str = "
    CREATE FUNCTION pg_temp.wall(name regclass) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE condition text := app.policy_expression();
    BEGIN
        IF (SELECT atttypid <> 'uuid'::regtype FROM pg_attribute WHERE attrelid = name AND attname = 'tenant_id') THEN
            condition := 'true';
        END IF;
        EXECUTE format('ALTER TABLE %s OWNER TO tenantry_owner', name);
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_app ON %s TO tenantry_app USING (%s) WITH CHECK (%2$s)', name, condition);
        EXECUTE format('CREATE POLICY tenant_platform ON %s TO tenantry_platform USING (%s) WITH CHECK (%2$s)', name, condition);
        EXECUTE format('CREATE POLICY tenant_owner ON %s TO tenantry_owner USING (true) WITH CHECK (true)', name);
    END $$;";

async fn examine(database: &TestDatabase) -> Vec<Finding> {
    doctor::examine(&database.url("tenantry_migrate")).await.unwrap_or_else(|error| panic!("{error}"))
}

fn print(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_broken_rule_is_found_named_and_mended() {
    let database = migrated().await;
    demo::fill(&database).await;
    let healthy = examine(&database).await;
    assert!(healthy.is_empty(), "{}", print(&healthy));

    let superuser = database.connect(SUPERUSER).await;
    superuser.batch_execute(WALL).await.expect("helper");
    let mut wrong = Vec::new();
    for case in CASES {
        let run =
            async |sql: &str| superuser.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
        run(case.break_it).await;
        let findings = examine(&database).await;
        let found = findings.iter().any(|finding| finding.rule == case.rule && finding.object.starts_with(case.object));
        if !found {
            wrong.push(format!("{}: not found; instead {}", case.break_it, print(&findings)));
        }
        for finding in &findings {
            run(&finding.fix).await;
        }
        run(case.clean_up).await;
        let rest = examine(&database).await;
        if !rest.is_empty() {
            panic!(
                "{}\nstill broken after the fix:\n{}\nbefore:\n{}\n{}",
                case.break_it,
                print(&rest),
                print(&findings),
                wrong.join("\n")
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Roles belong to the whole cluster and other tests use them: these breaks are seen inside one connection only.
#[tokio::test]
async fn logins_with_too_much_are_found() {
    // Its own cluster, because the attributes of a role are everybody's.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cluster");
    let cluster = tokio::task::spawn_blocking(move || {
        tenantry::db::embedded::Cluster::start(crate::support::cluster::options(&path))
            .unwrap_or_else(|e| panic!("{e}"))
    })
    .await
    .expect("starts");
    let url = |role: &str| cluster.url(role, "scratch");
    cluster.create_database("scratch", SUPERUSER).await.expect("created");
    tenantry::db::migrate::up(&url(SUPERUSER)).await.expect("up");
    for (break_it, role) in [
        ("ALTER ROLE tenantry_app BYPASSRLS", "tenantry_app"),
        ("ALTER ROLE tenantry_app SUPERUSER", "tenantry_app"),
        ("ALTER ROLE tenantry_platform CREATEROLE", "tenantry_platform"),
        ("ALTER ROLE tenantry_migrate BYPASSRLS", "tenantry_migrate"),
        ("ALTER ROLE tenantry_owner LOGIN", "tenantry_owner"),
        ("GRANT tenantry_owner TO tenantry_app", "tenantry_app"),
        ("GRANT pg_read_all_data TO tenantry_platform", "tenantry_platform"),
    ] {
        cluster.run_as_superuser("scratch", break_it).await.expect(break_it);
        let findings = doctor::examine(&url("tenantry_migrate")).await.expect("examined");
        assert_eq!(findings.len(), 1, "{break_it}: {}", print(&findings));
        assert_eq!((findings[0].rule, findings[0].object.as_str()), (Rule::Login, role));
        cluster.run_as_superuser("scratch", &findings[0].fix).await.expect("the fix");
        assert_eq!(doctor::examine(&url("tenantry_migrate")).await.expect("examined"), []);
    }
}

#[test]
fn every_rule_has_a_case() {
    let mut tested: HashSet<Rule> = CASES.iter().map(|case| case.rule).collect();
    tested.insert(Rule::Login); // logins_with_too_much_are_found
    let untested: Vec<_> = Rule::ALL.iter().filter(|rule| !tested.contains(rule)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[tokio::test]
async fn a_table_of_a_user_is_fine_once_it_is_enrolled() {
    let database = migrated().await;
    let create =
        "CREATE TABLE invoices (tenant_id uuid NOT NULL, id uuid NOT NULL, total int, PRIMARY KEY (tenant_id, id))";
    database.run("tenantry_migrate", create).await;
    let findings = examine(&database).await;
    assert!(
        !findings.is_empty() && findings.iter().all(|finding| finding.object == "invoices"),
        "{}",
        print(&findings)
    );
    database.run("tenantry_migrate", "SET ROLE tenantry_owner; RESET ROLE; SELECT app.enrol_table('invoices')").await;
    assert_eq!(examine(&database).await, []);
}

#[tokio::test]
async fn an_empty_database_is_not_called_healthy() {
    migrated().await;
    let database = empty_database().await;
    let findings = doctor::examine(&database.url(SUPERUSER)).await.expect("examined");
    assert!(findings.iter().any(|finding| finding.rule == Rule::MissingTable && finding.object == "tenants"));
    let gone = crate::support::cluster::shared().url("tenantry_migrate", "no_such_database");
    assert!(matches!(doctor::examine(&gone).await, Err(DoctorError::Connect(_))));
}
