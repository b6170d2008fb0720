//! The functions that stand where the runtime has no grant.

use tenantry::db::embedded::SUPERUSER;
use tokio_postgres::Client;

use super::demo::{self, ACME, ADA, ADA_AT_ACME, GLOBEX, count, enter, refusal};
use crate::support::{cluster::TestDatabase, database::migrated};

const APP: &str = "tenantry_app";

async fn filled() -> (TestDatabase, Client) {
    let database = migrated().await;
    demo::fill(&database).await;
    let client = database.connect(APP).await;
    (database, client)
}

/// Rows as text, columns separated by spaces.
async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let rows = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or("-")).collect::<Vec<_>>().join(" "))
            }
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_tenant_is_found_by_host_slug_id_and_key() {
    let (_database, client) = filled().await;
    let acme = format!("{ACME} acme active");
    assert_eq!(rows(&client, "SELECT * FROM app.resolve_host('Acme.Tenantry.Test')").await, [&*acme]);
    assert_eq!(rows(&client, "SELECT * FROM app.resolve_slug('acme')").await, [&*acme]);
    assert_eq!(rows(&client, &format!("SELECT * FROM app.resolve_tenant_id('{ACME}')")).await, [&*acme]);
    let key = rows(&client, "SELECT tenant_id, slug, status FROM app.find_api_key(sha256('acme-key'))").await;
    assert_eq!(key, [&*acme]);
    for nothing in [
        "SELECT * FROM app.resolve_host('nobody.test')",
        "SELECT * FROM app.resolve_slug('nobody')",
        "SELECT * FROM app.resolve_slug(NULL)",
        "SELECT * FROM app.find_api_key(sha256('nobody'))",
        "SELECT * FROM app.find_password('nobody@acme.test')",
        "SELECT * FROM app.viewer()",
    ] {
        assert!(rows(&client, nothing).await.is_empty(), "{nothing}");
    }
    let memberships =
        rows(&client, &format!("SELECT slug, status, member_id, member_status FROM app.memberships_of('{ADA}')")).await;
    assert_eq!(memberships, [format!("acme active {ADA_AT_ACME} active")]);
}

#[tokio::test]
async fn a_slug_that_was_given_up_leads_home_for_90_days_and_to_nobody_else() {
    let (_database, client) = filled().await;
    enter(&client, ACME).await;
    client
        .batch_execute("UPDATE tenants SET slug = 'acme-inc', updated_at = '2026-01-01'; COMMIT")
        .await
        .expect("renames");
    let home = format!("{ACME} acme-inc active");
    assert_eq!(rows(&client, "SELECT * FROM app.resolve_slug('acme', '2026-03-31')").await, [&*home]);
    assert!(rows(&client, "SELECT * FROM app.resolve_slug('acme', '2026-04-02')").await.is_empty());

    enter(&client, GLOBEX).await;
    let take = |at: &str| format!("UPDATE tenants SET slug = 'acme', updated_at = '{at}'");
    assert_eq!(refusal(&client, &take("2026-03-31")).await, "tenants_slug_key");
    client.batch_execute("ROLLBACK").await.expect("ends");
    enter(&client, GLOBEX).await;
    client.batch_execute(&take("2026-04-02")).await.expect("free again");
    client.batch_execute("ROLLBACK").await.expect("ends");
    // The former owner may take it back at once.
    enter(&client, ACME).await;
    client.batch_execute(&take("2026-01-02")).await.expect("back");
    assert_eq!(rows(&client, "SELECT slug FROM app.resolve_slug('acme-inc', '2026-01-03')").await, ["acme"]);
    for reserved in ["admin", "www", "-a", "a-", "A", "a_b", "xn--abc", ""] {
        client.batch_execute("SAVEPOINT s").await.expect("saves");
        assert!(
            refusal(&client, &format!("UPDATE tenants SET slug = '{reserved}'")).await.starts_with("tenants_slug_")
        );
        client.batch_execute("ROLLBACK TO s").await.expect("goes back");
    }
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_theft_ends_the_session() {
    let (database, client) = filled().await;
    let (session, user) = ("00000000-0000-7000-8000-0000000000f0", ADA);
    let create = |hash: &str, at: &str| {
        format!(
            "SELECT app.session_create('{session}', '{user}', gen_random_uuid(), sha256('{hash}'), '{at}', '{at}'::timestamptz + interval '30 days', '{at}'::timestamptz + interval '7 days', '{at}'::timestamptz + interval '30 days', '127.0.0.1', 'demo')"
        )
    };
    client.batch_execute(&create("one", "2026-01-01")).await.expect("signs in");
    let rotate = |old: &str, new: &str, at: &str| {
        format!(
            "SELECT outcome, session_id, user_id FROM app.refresh_rotate(sha256('{old}'), gen_random_uuid(), sha256('{new}'), '{at}', '{at}'::timestamptz + interval '30 days', '{at}'::timestamptz + interval '7 days')"
        )
    };
    let outcome = |what: &str| vec![format!("{what} {session} {user}")];
    assert_eq!(rows(&client, &rotate("nothing", "x", "2026-01-02")).await, ["unknown - -"]);
    assert_eq!(rows(&client, &rotate("one", "two", "2026-01-02")).await, outcome("rotated"));
    assert_eq!(rows(&client, &rotate("two", "three", "2026-01-10")).await, outcome("expired"), "idle for 8 days");
    assert_eq!(rows(&client, &rotate("two", "three", "2026-01-08")).await, outcome("rotated"));
    assert_eq!(rows(&client, &rotate("one", "four", "2026-01-08")).await, outcome("reused"));
    assert_eq!(rows(&client, &rotate("three", "five", "2026-01-08")).await, outcome("revoked"));
    let state =
        rows(&client, &format!("SELECT revoked_at IS NOT NULL, user_status FROM app.session_state('{session}')")).await;
    assert_eq!(state, ["t active"]);
    assert_eq!(count(&database, "refresh_tokens").await, 3);

    // Two exchanges of one token at once: one gets through, and then the session is over.
    client.batch_execute(&create("six", "2026-01-01").replace("f0'", "f9'")).await.expect("signs in");
    let other = database.connect(APP).await;
    let (a, b) = (rotate("six", "seven", "2026-01-02"), rotate("six", "eight", "2026-01-02"));
    let (a, b) = tokio::join!(rows(&client, &a), rows(&other, &b));
    let mut both: Vec<_> =
        [a, b].concat().iter().map(|row| row.split(' ').next().unwrap_or_default().to_owned()).collect();
    both.sort();
    assert_eq!(both, ["reused", "rotated"]);
}

#[tokio::test]
async fn a_session_ends_once() {
    let (database, client) = filled().await;
    let session = "00000000-0000-7000-8000-0000000000f0";
    let create = format!(
        "SELECT app.session_create('{session}', '{ADA}', gen_random_uuid(), sha256('a'), now(), now(), now(), now())"
    );
    client.batch_execute(&create).await.expect("signs in");
    let revoke = format!("SELECT app.session_revoke('{session}', 'signed out', now())");
    assert_eq!([rows(&client, &revoke).await, rows(&client, &revoke).await].concat(), ["t", "f"]);
    database.run(SUPERUSER, "UPDATE users SET status = 'locked'").await;
    assert!(refusal(&client, &create).await.contains("not active"));
}

#[tokio::test]
async fn failed_sign_ins_lock_the_account_for_a_while() {
    let (_database, client) = filled().await;
    let record = |ok: bool, at: &str| {
        format!(
            "SELECT failed_attempts, locked_until IS NOT NULL FROM app.record_sign_in('{ADA}', {ok}, '2026-01-01 {at}', 3, 60)"
        )
    };
    let mut seen = Vec::new();
    for (ok, at) in [
        (false, "00:00:00"),
        (false, "00:00:01"),
        (false, "00:00:02"), // locked until 00:01:02
        (false, "00:00:30"),
        (false, "00:02:00"), // the lock is over, the count starts again
        (true, "00:02:01"),
    ] {
        seen.extend(rows(&client, &record(ok, at)).await);
    }
    assert_eq!(seen, ["1 f", "2 f", "3 t", "4 t", "1 f", "0 f"]);
    assert!(rows(&client, "SELECT * FROM app.record_sign_in(gen_random_uuid(), false, now(), 3, 60)").await.is_empty());
}

#[tokio::test]
async fn a_tenant_is_made_whole_or_not_at_all() {
    let (database, client) = filled().await;
    enter(&client, ACME).await;
    assert_eq!(
        rows(&client, "SELECT seats_used, owners, owners_min, workspaces_used, seats_limit FROM tenant_counters").await,
        ["1 1 1 1 5"]
    );
    let roles = rows(&client, "SELECT count(*) FROM roles WHERE is_system").await;
    assert_eq!(roles, ["11"]);
    let default = rows(&client, "SELECT key FROM roles r JOIN tenant_settings s ON s.default_role_id = r.id").await;
    assert_eq!(default, ["member"]);

    let platform = database.connect("tenantry_platform").await;
    let new = |slug: &str, user: &str, plan: &str| {
        format!(
            "SELECT app.tenant_create(gen_random_uuid(), '{slug}', 'New', '{user}', gen_random_uuid(), gen_random_uuid(), now(), '{plan}')"
        )
    };
    let before = count(&database, "tenants").await;
    assert_eq!(refusal(&platform, &new("acme", ADA, "team")).await, "tenants_slug_key");
    assert_eq!(refusal(&platform, &new("new", GLOBEX, "team")).await, "members_user_id_fkey");
    assert_eq!(refusal(&platform, &new("new", ADA, "gold")).await, "tenants_plan_id_fkey");
    assert_eq!(refusal(&platform, &new("admin", ADA, "team")).await, "tenants_slug_reserved");
    assert_eq!(count(&database, "tenants").await, before);
    platform.batch_execute(&new("new", ADA, "enterprise")).await.expect("made");
    assert_eq!(rows(&client, &format!("SELECT slug FROM app.memberships_of('{ADA}')")).await, ["acme", "new"]);
    let taken = "SELECT app.user_create(gen_random_uuid(), gen_random_uuid(), 'Owner@acme.test', 'owner@acme.test', 'Eve', NULL, now(), now())";
    assert_eq!(refusal(&platform, taken).await, "user_emails_verified");
}

#[tokio::test]
async fn a_key_is_indexed_for_the_tenant_of_the_transaction_only() {
    let (database, client) = filled().await;
    enter(&client, GLOBEX).await;
    let acme_key =
        rows(&database.connect(SUPERUSER).await, &format!("SELECT id FROM api_keys WHERE tenant_id = '{ACME}'"))
            .await
            .remove(0);
    client.batch_execute("SAVEPOINT s").await.expect("saves");
    let refused = refusal(&client, &format!("SELECT app.api_key_index_add(sha256('mine'), '{acme_key}')")).await;
    assert!(refused.contains("no such API key"), "{refused}");
    client.batch_execute("ROLLBACK TO s").await.expect("goes back");
    assert_eq!(rows(&client, &format!("SELECT app.api_key_index_remove('{acme_key}')")).await, ["f"]);
    client.batch_execute("COMMIT").await.expect("commits");
    let refused = refusal(&client, &format!("SELECT app.api_key_index_add(sha256('mine'), '{acme_key}')")).await;
    assert!(refused.contains("no such API key"), "{refused}");
    assert_eq!(count(&database, "api_key_index").await, 2);
}

#[tokio::test]
async fn the_viewer_is_the_person_of_the_transaction() {
    let (_database, client) = filled().await;
    client.batch_execute(&format!("BEGIN; SET LOCAL app.user_id = '{ADA}'")).await.expect("begins");
    let viewer = "SELECT display_name, primary_email, last_tenant_id FROM app.viewer()";
    assert_eq!(rows(&client, viewer).await, ["Owner of acme Owner@acme.test -"]);
    let visit = |tenant: &str| format!("SELECT app.viewer_visit('{tenant}', now())");
    assert_eq!(rows(&client, &visit(GLOBEX)).await, ["f"], "not a member there");
    assert_eq!(rows(&client, &visit(ACME)).await, ["t"]);
    assert_eq!(rows(&client, viewer).await, [format!("Owner of acme Owner@acme.test {ACME}")]);
}

#[tokio::test]
async fn two_servers_make_one_signing_key() {
    let (database, _client) = filled().await;
    let add = |kid: &str| {
        format!("SELECT app.signing_key_add('{kid}', 'EdDSA', '{{}}', 'x', '2026-01-01', '2026-07-01', '2026-01-01')")
    };
    let (one, two) = (database.connect(APP).await, database.connect(APP).await);
    let (a, b) = (add("a"), add("b"));
    let (a, b) = tokio::join!(rows(&one, &a), rows(&two, &b));
    assert_ne!(a, b);
    assert_eq!(rows(&one, "SELECT count(*) FROM app.signing_keys()").await, ["1"]);
}

#[tokio::test]
async fn rows_that_came_before_their_partition_move_into_it() {
    let (database, client) = filled().await;
    let far = "date_trunc('month', now() AT TIME ZONE 'UTC') + interval '5 months 10 days'";
    enter(&client, ACME).await;
    client
        .batch_execute(&format!("INSERT INTO events (tenant_id, id, type, api_version, payload, actor_kind, occurred_at) VALUES ('{ACME}', app.uuid_v7({far}), 'task.created', '1', '{{}}', 'system', now()); COMMIT"))
        .await
        .expect("writes");
    let before = count(&database, "events_default").await;
    assert_eq!(rows(&client, "SELECT app.ensure_partitions(5)").await, ["4"], "two months of two tables");
    assert_eq!(rows(&client, "SELECT app.ensure_partitions(5)").await, ["0"]);
    assert_eq!(count(&database, "events_default").await, before - 1);
    assert_eq!(count(&database, "events").await, 3);
    assert!(refusal(&client, "SELECT app.ensure_partitions(1000)").await.contains("expected 0 to 24"));
}
