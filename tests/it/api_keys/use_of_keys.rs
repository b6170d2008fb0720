//! Requests that come with a key.

use std::sync::Arc;

use serde_json::json;
use tenantry::{db::Stats, domain::identity::Authenticator};

use super::{create, key_of, reason};
use crate::support::app::TestApp;

const TASKS: &str = "{ tasks { nodes { id } } }";

#[tokio::test]
async fn a_key_works_within_its_scopes_and_names_its_tenant_itself() {
    let tenant = TestApp::start().await.tenant().await;
    let project = tenant.project("atlas").await;
    let task = tenant.task(&project, "mow the lawn").await;
    let (key, _) = key_of(&tenant.owner, &["tasks:read"]).await;
    let key = key.at(None);
    let reply = key.query(TASKS, json!({})).await;
    assert_eq!(reply.data()["tasks"]["nodes"], json!([{ "id": task }]));
    assert_eq!(reply.header("x-tenant"), Some(tenant.slug.as_str()));
    let reply = key.try_mutate("taskCreate", "task { id }", json!({ "projectId": project, "title": "no" })).await;
    assert_eq!(reply.codes(), ["FORBIDDEN"], "{reply:?}");
}

#[tokio::test]
async fn a_key_does_not_work_in_another_tenant() {
    let app = TestApp::start().await;
    let (one, other) = (app.tenant().await, app.tenant().await);
    let (key, _) = key_of(&one.owner, &["tasks:read"]).await;
    assert_eq!(key.at(Some(&other.slug)).query(TASKS, json!({})).await.codes(), ["TENANT_MISMATCH"]);
}

#[tokio::test]
async fn a_key_is_cut_by_what_its_owner_may_still_do() {
    let tenant = TestApp::start().await.tenant().await;
    let developer = tenant.member("developer").await;
    let (key, _) = key_of(&developer, &["tasks:write"]).await;
    assert_eq!(key.query(TASKS, json!({})).await.status, 200);
    let member = tenantry::ids::Id::uuid(developer.member.expect("a member"));
    let database = &tenant.app.database;
    database.run("tenantry", &format!("DELETE FROM role_grants WHERE member_id = '{member}'")).await;
    tenant.app.app.services.memberships.forget(tenant.id);
    assert_eq!(key.query(TASKS, json!({})).await.codes(), ["FORBIDDEN"]);
    database.run("tenantry", &format!("UPDATE members SET status = 'suspended' WHERE id = '{member}'")).await;
    tenant.app.app.services.memberships.forget(tenant.id);
    assert_eq!(reason(&key.query(TASKS, json!({})).await), "key_revoked");
}

#[tokio::test]
async fn a_typo_is_refused_without_a_word_to_the_database() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (key, _) = key_of(&tenant.owner, &["tasks:read"]).await;
    let authenticator = Authenticator::new(app.app.services.identity.clone());
    let stats = Arc::new(Stats::default());
    let mut typo: Vec<char> = key.token.chars().collect();
    typo.swap(20, 21);
    if typo[20] == typo[21] {
        typo[20] = if typo[20] == 'x' { 'y' } else { 'x' };
    }
    let header = format!("Bearer {}", typo.iter().collect::<String>());
    let (db, now) = (&app.app.services.db, app.app.services.clock.now());
    let refused = authenticator.authenticate(db, Some(&header), now, &stats).await;
    assert_eq!(refused.expect_err("refused").reason(), "malformed");
    assert_eq!(stats.statements(), 0);
    let header = format!("Bearer {}", key.token);
    for _ in 0..3 {
        authenticator.authenticate(db, Some(&header), now, &stats).await.expect("good");
    }
    assert_eq!(stats.statements(), 1, "known for a few seconds");
}

#[tokio::test]
async fn a_key_may_be_bound_to_networks() {
    let tenant = TestApp::start().await.tenant().await;
    for (cidrs, is_let_in) in [
        (vec!["127.0.0.0/8", "10.0.0.0/8"], true),
        (vec!["127.0.0.1"], true),
        (vec!["192.0.2.0/24", "2001:db8::/32"], false),
    ] {
        let input = json!({ "name": "demo", "scopes": ["tasks:read"], "allowedCidrs": cidrs });
        let made = create(&tenant.owner, input).await;
        let reply = tenant.owner.with_token(&made.at("/secret")).query(TASKS, json!({})).await;
        match is_let_in {
            true => assert_eq!(reply.status, 200, "{cidrs:?}: {reply:?}"),
            false => assert_eq!((reply.status, reply.codes()), (403, vec!["ADDRESS_NOT_ALLOWED"]), "{cidrs:?}"),
        }
    }
}

#[tokio::test]
async fn the_last_use_of_a_key_is_noted_after_the_answer() {
    let tenant = TestApp::start().await.tenant().await;
    let (key, id) = key_of(&tenant.owner, &["tasks:read"]).await;
    let query = "query($id: ID!) { apiKey(id: $id) { lastUsedAt version } }";
    let before = tenant.owner.query(query, json!({ "id": id })).await;
    assert!(before.data()["apiKey"]["lastUsedAt"].is_null());
    key.query(TASKS, json!({})).await.data();
    let began = std::time::Instant::now();
    loop {
        let after = tenant.owner.query(query, json!({ "id": id })).await;
        if !after.data()["apiKey"]["lastUsedAt"].is_null() {
            assert_eq!(after.data()["apiKey"]["version"], 1, "using a key does not change it");
            break;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "never noted");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_is_stored_of_a_key_opens_nothing() {
    let tenant = TestApp::start().await.tenant().await;
    let (key, _) = key_of(&tenant.owner, &["tasks:read"]).await;
    let database = tenant.app.database.connect("tenantry").await;
    for table in ["api_keys", "api_key_scopes", "api_key_index", "audit_logs", "events", "idempotency_keys"] {
        // All but the hint: eight characters of the random part.
        let part = &key.token[12..20];
        let count = format!("SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%' || $1 || '%'");
        let count: i64 = database.query_one(&count, &[&part]).await.expect("a count").get(0);
        assert_eq!(count, 0, "{table}");
    }
}
