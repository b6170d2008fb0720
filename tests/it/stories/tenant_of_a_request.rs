//! Which tenant a request names, and what is told to whom.

use serde_json::json;

use crate::support::app::{Reply, TestApp, TestTenant};

const ASK: &str = "{ tenant { id } }";

/// Every source, with how it names a tenant.
const SOURCES: [&str; 4] = ["host", "path", "query", "header"];

/// Asks with these sources, each naming a tenant or none.
async fn ask(app: &TestApp, token: &str, named: [Option<&TestTenant>; 4]) -> Reply {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", bearer)];
    let mut path = "/graphql".to_owned();
    for (source, tenant) in SOURCES.into_iter().zip(named) {
        let Some(tenant) = tenant else { continue };
        match source {
            "host" => headers.push(("host", format!("{}.tenantry.test", tenant.slug))),
            "path" => path = format!("/t/{}/graphql", tenant.slug),
            "query" => {}
            _ => headers.push(("x-tenant", tenant.id.to_string())),
        }
    }
    if let Some(tenant) = named[2] {
        path = format!("{path}?tenant={}", tenant.slug);
    }
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    app.send(&path, &headers, &json!({ "query": ASK })).await
}

#[tokio::test]
async fn all_sources_that_are_present_must_agree() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant().await, app.tenant().await);
    let key = json!({ "name": "Demo", "scopes": ["tenant:read"] });
    let key = ours.owner.mutate("apiKeyCreate", "secret", key).await.at("/secret");

    // Every combination of silent, our tenant and another, with a person's token and with a key of ours.
    let mut asked = 0;
    for choice in 0..3usize.pow(4) {
        let digit = |place: u32| choice / 3usize.pow(place) % 3;
        let named: [Option<&TestTenant>; 4] =
            std::array::from_fn(|place| [None, Some(&ours), Some(&theirs)][digit(place as u32)]);
        let mut slugs: Vec<_> = named.iter().flatten().map(|tenant| tenant.slug.as_str()).collect();
        for (credential, token) in [("person", &ours.owner.token), ("key", &key)] {
            if credential == "key" {
                slugs.push(&ours.slug);
            }
            let mut distinct = slugs.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let reply = ask(&app, token, named).await;
            let what = format!("{credential} {:?}", named.map(|tenant| tenant.map(|tenant| &tenant.slug)));
            match distinct.as_slice() {
                [] => assert_eq!((reply.status, reply.codes()), (400, vec!["TENANT_REQUIRED"]), "{what}"),
                [one] if *one == ours.slug => {
                    assert_eq!(reply.data()["tenant"]["id"], ours.id.to_string(), "{what}");
                    assert_eq!(reply.header("x-tenant"), Some(ours.slug.as_str()), "{what}");
                }
                // A person who is no member is told the same as about a tenant that does not exist.
                [_] => assert_eq!((reply.status, reply.codes()), (404, vec!["TENANT_NOT_FOUND"]), "{what}"),
                _ => assert_eq!((reply.status, reply.codes()), (400, vec!["TENANT_MISMATCH"]), "{what}"),
            }
            asked += 1;
        }
    }
    assert_eq!(asked, 162);
}

#[tokio::test]
async fn a_foreign_tenant_answers_like_an_unknown_one() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant().await, app.tenant().await);
    let foreign = ours.owner.at(Some(&theirs.slug)).query(ASK, json!({})).await;
    let unknown = ours.owner.at(Some("nobody-has-this")).query(ASK, json!({})).await;
    assert_eq!((foreign.status, foreign.comparable()), (unknown.status, unknown.comparable()));
}

#[tokio::test]
async fn custom_hosts_lead_to_their_tenant() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let host = format!("{}.customer.example", tenant.slug);
    let sql = format!(
        "INSERT INTO hostnames (hostname, tenant_id, kind) VALUES ('{host}', '{}', 'custom')",
        tenantry::ids::Id::uuid(tenant.id)
    );
    app.database.run("tenantry", &sql).await;
    let owner = tenant.owner.at(None);
    let reply = owner.query_with(ASK, json!({}), &[("host", &host)]).await;
    assert_eq!(reply.data()["tenant"]["id"], tenant.id.to_string());
    let unknown = owner.query_with(ASK, json!({}), &[("host", "nobody.customer.example")]).await;
    assert_eq!((unknown.status, unknown.codes()), (404, vec!["TENANT_NOT_FOUND"]));
}

#[tokio::test]
async fn suspended_and_deleted_tenants_are_refused_with_codes_of_their_own() {
    let app = TestApp::with(|settings| settings.auth.rights_cache_ttl_ms = 0).await;
    let tenant = app.tenant().await;
    let services = &app.app.services;
    let named = tenant.named().await;
    use tenantry::domain::platform::service::{tenant_resume, tenant_suspend};
    tenant_suspend(services, "test", named.clone(), "demo".to_owned()).await.expect("suspended");
    let reply = tenant.owner.query(ASK, json!({})).await;
    assert_eq!((reply.status, reply.codes()), (403, vec!["TENANT_SUSPENDED"]));
    // A stranger is not told that it exists, suspended or not.
    let stranger = app.person().await.at(Some(&tenant.slug)).query(ASK, json!({})).await;
    assert_eq!((stranger.status, stranger.codes()), (404, vec!["TENANT_NOT_FOUND"]));
    tenant_resume(services, "test", named).await.expect("resumed");
    assert_eq!(tenant.owner.query(ASK, json!({})).await.codes(), Vec::<&str>::new());

    let id = tenantry::ids::Id::uuid(tenant.id);
    let sql = format!("UPDATE tenants SET status = 'deleting', deleted_at = now() WHERE id = '{id}'");
    app.database.run("tenantry", &sql).await;
    let reply = tenant.owner.query(ASK, json!({})).await;
    assert_eq!((reply.status, reply.codes()), (410, vec!["TENANT_DELETED"]));

    let sql = format!("UPDATE tenants SET status = 'read_only', deleted_at = NULL WHERE id = '{id}'");
    app.database.run("tenantry", &sql).await;
    assert_eq!(tenant.owner.query(ASK, json!({})).await.codes(), Vec::<&str>::new());
    let reply = tenant.owner.try_mutate("workspaceCreate", "workspace { id }", json!({ "name": "Atlas" })).await;
    assert_eq!(reply.codes(), ["TENANT_READ_ONLY"]);
}

#[tokio::test]
async fn an_old_slug_leads_to_its_tenant_for_ninety_days() {
    let app = TestApp::with(|settings| settings.auth.rights_cache_ttl_ms = 0).await;
    let tenant = app.tenant().await;
    let id = tenantry::ids::Id::uuid(tenant.id);
    let renamed = format!("{}-renamed", tenant.slug);
    app.database.run("tenantry", &format!("UPDATE tenants SET slug = '{renamed}' WHERE id = '{id}'")).await;
    let reply = tenant.owner.query(ASK, json!({})).await;
    assert_eq!(reply.data()["tenant"]["id"], tenant.id.to_string());
    assert_eq!(reply.header("x-tenant"), Some(renamed.as_str()), "the answer names the current slug");
    let sql = format!("UPDATE slug_history SET released_at = now() - interval '91 days' WHERE tenant_id = '{id}'");
    app.database.run("tenantry", &sql).await;
    let reply = tenant.owner.query(ASK, json!({})).await;
    assert_eq!((reply.status, reply.codes()), (404, vec!["TENANT_NOT_FOUND"]));
}
