//! Who pays how much from which bucket.

use chrono::Duration;
use serde_json::json;

use super::{CHEAP, ask, at_rest, cost, exhaust, is_limited_by};
use crate::support::app::{TestApp, TestUser};

#[tokio::test]
async fn an_answer_says_what_was_asked_what_it_took_and_what_is_left() {
    let (app, clock) = at_rest(|settings| {
        (settings.rates.rate_tenant_points, settings.rates.rate_tenant_refill) = (1_000, 10);
        (settings.rates.rate_principal_points, settings.rates.rate_principal_refill) = (200, 2);
    })
    .await;
    let owner = app.tenant().await.owner;
    // A page of 20, of which there is one: 2 + 20 × 1 asked for, 2 + 1 taken.
    let reply = ask(&owner, "{ workspaces(first: 20) { nodes { id } } }").await;
    assert_eq!((&cost(&reply)["requested"], &cost(&reply)["actual"]), (&json!(22), &json!(3)), "{reply:?}");
    assert_eq!(cost(&reply)["tenant"], json!({ "limit": 1_000, "remaining": 997, "refillPerSecond": 10.0 }));
    assert_eq!(cost(&reply)["principal"], json!({ "limit": 200, "remaining": 197, "refillPerSecond": 2.0 }));
    let policy = r#""tenant";q=1000;w=100;qu="points", "principal";q=200;w=100;qu="points""#;
    assert_eq!(reply.header("ratelimit-policy"), Some(policy));
    assert_eq!(reply.header("ratelimit"), Some(r#""tenant";r=997;t=1, "principal";r=197;t=2"#));
    assert_eq!(reply.header("retry-after"), None);

    clock.advance(Duration::seconds(60));
    let reply = ask(&owner, CHEAP).await;
    assert_eq!(reply.header("ratelimit"), Some(r#""tenant";r=999;t=1, "principal";r=199;t=1"#), "never more than full");
}

#[tokio::test]
async fn the_query_says_the_same_as_the_extension() {
    let (app, _) = at_rest(|_| {}).await;
    let owner = app.tenant().await.owner;
    let bucket = "limit remaining refillPerSecond";
    let document = format!("{{ rateLimit {{ tenant {{ {bucket} }} principal {{ {bucket} }} }} }}");
    let reply = ask(&owner, &document).await;
    assert_eq!((&cost(&reply)["requested"], &cost(&reply)["actual"]), (&json!(1), &json!(1)));
    for policy in ["tenant", "principal"] {
        assert_eq!(reply.data()["rateLimit"][policy], cost(&reply)[policy]);
    }
    let reply = ask(&owner.at(None), &document).await;
    assert_eq!(reply.data()["rateLimit"]["tenant"], json!(null));
    assert_eq!(reply.data()["rateLimit"]["principal"], cost(&reply)["principal"]);
    let anonymous = app.send("/graphql", &[], &json!({ "query": document })).await;
    assert_eq!((anonymous.status, anonymous.codes()), (401, vec!["UNAUTHENTICATED"]));
}

#[tokio::test]
async fn over_the_limit_is_429_whatever_the_media_type_and_nothing_runs() {
    let (app, clock) = at_rest(|settings| {
        (settings.rates.rate_principal_points, settings.rates.rate_principal_refill) = (40, 2);
    })
    .await;
    let tenant = app.tenant().await;
    let create =
        "mutation { workspaceCreate(input: { name: \"One too many\" }) { workspace { id } userErrors { code } } }";
    let (admitted, reply) = exhaust(&tenant.owner, create).await;
    assert_eq!(admitted, 3, "eleven points each");
    assert!(is_limited_by(&reply, "principal"), "{reply:?}");
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("2")));
    assert_eq!(reply.body["errors"][0]["extensions"]["retryAfterSeconds"], 2);
    assert!(reply.body.get("data").is_none());
    assert!(reply.header("ratelimit").is_some_and(|left| left.contains("\"principal\";r=7;")), "{reply:?}");
    let plain = tenant.owner.query_with(create, json!({}), &[("accept", "application/json")]).await;
    assert_eq!((plain.status, plain.codes()), (429, vec!["RATE_LIMITED"]));

    clock.advance(Duration::milliseconds(1_999));
    assert_eq!(ask(&tenant.owner, create).await.status, 429);
    clock.advance(Duration::milliseconds(1));
    assert_eq!(ask(&tenant.owner, create).await.codes(), Vec::<&str>::new(), "after the stated time");
    let made = "{ workspaces(first: 1) { totalCount } }";
    clock.advance(Duration::seconds(60));
    assert_eq!(ask(&tenant.owner, made).await.data()["workspaces"]["totalCount"], 5);
}

#[tokio::test]
async fn what_no_bucket_ever_holds_is_told_and_not_put_off() {
    let (app, _) = at_rest(|settings| settings.rates.rate_principal_points = 50).await;
    let owner = app.tenant().await.owner;
    let reply = ask(&owner, "{ workspaces(first: 100) { nodes { id } } }").await;
    assert_eq!((reply.status, reply.codes()), (400, vec!["QUERY_TOO_COMPLEX"]), "{reply:?}");
    let extensions = &reply.body["errors"][0]["extensions"];
    assert_eq!((&extensions["cost"], &extensions["limit"]), (&json!(102), &json!(50)));
    assert_eq!(ask(&owner, CHEAP).await.codes(), Vec::<&str>::new());
}

#[tokio::test]
async fn members_share_the_bucket_of_their_tenant_and_no_other() {
    let (app, _) = at_rest(|settings| settings.rates.rate_tenant_points = 20).await;
    let (ours, theirs) = (app.tenant().await, app.tenant().await);
    let member = ours.member("member").await;
    assert_eq!(ask(&member, CHEAP).await.codes(), Vec::<&str>::new());
    let (admitted, reply) = exhaust(&ours.owner, CHEAP).await;
    assert_eq!(admitted, 19);
    assert!(is_limited_by(&reply, "tenant"), "{reply:?}");
    assert!(is_limited_by(&ask(&member, CHEAP).await, "tenant"));
    assert_eq!(ask(&theirs.owner, CHEAP).await.codes(), Vec::<&str>::new());
    // Outside of the tenant the same person pays alone.
    assert_eq!(ask(&ours.owner.at(None), CHEAP).await.codes(), Vec::<&str>::new());
    // Strangers take nothing from a tenant that they name.
    let stranger = app.person().await.at(Some(&theirs.slug));
    for _ in 0..30 {
        assert_eq!(ask(&stranger, CHEAP).await.codes(), ["TENANT_NOT_FOUND"]);
    }
    assert_eq!(ask(&theirs.owner, CHEAP).await.codes(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_plan_sets_the_limits_of_its_tenants() {
    let (app, _) = at_rest(|settings| settings.rates.rate_tenant_points = 1_000).await;
    let sql =
        r#"UPDATE plans SET limits = limits || '{"ratePoints": 5, "ratePointsPerSecond": 3}' WHERE key = 'enterprise'"#;
    app.database.run("tenantry", sql).await;
    let owner = app.tenant().await.owner;
    let reply = ask(&owner, CHEAP).await;
    assert_eq!(cost(&reply)["tenant"], json!({ "limit": 5, "remaining": 4, "refillPerSecond": 3.0 }));
    assert_eq!(exhaust(&owner, CHEAP).await.0, 4);
}

async fn key(owner: &TestUser, rate: serde_json::Value) -> TestUser {
    let input = json!({ "name": "demo key", "scopes": ["workspaces:read", "api_keys:create"], "rateLimit": rate });
    let made = owner.mutate("apiKeyCreate", "secret apiKey { rateLimit { capacity refillPerSecond } }", input).await;
    assert_eq!(made.0["apiKey"]["rateLimit"], rate);
    owner.with_token(&made.at("/secret"))
}

#[tokio::test]
async fn a_key_has_a_bucket_of_its_own_that_only_gets_smaller() {
    let (app, _) = at_rest(|settings| {
        (settings.rates.rate_principal_points, settings.rates.rate_principal_refill) = (100, 10);
    })
    .await;
    let owner = app.tenant().await.owner;
    let small = key(&owner, json!({ "capacity": 30, "refillPerSecond": 3 })).await;
    let reply = ask(&small, CHEAP).await;
    assert_eq!(cost(&reply)["principal"], json!({ "limit": 30, "remaining": 29, "refillPerSecond": 3.0 }));

    for (rate, at) in [
        (json!({ "capacity": 101, "refillPerSecond": 3 }), "input.rateLimit.capacity"),
        (json!({ "capacity": 10, "refillPerSecond": 0 }), "input.rateLimit.refillPerSecond"),
    ] {
        let input = json!({ "name": "demo key", "scopes": ["workspaces:read"], "rateLimit": rate });
        let errors = owner.try_mutate("apiKeyCreate", "secret", input).await.payload("apiKeyCreate").user_errors();
        assert_eq!(errors, [format!("OUT_OF_RANGE at {at}")]);
    }
    // A key with a limit makes none that may ask for more.
    let input = json!({ "name": "demo key", "scopes": ["workspaces:read"] });
    let errors = small.try_mutate("apiKeyCreate", "secret", input).await.payload("apiKeyCreate").user_errors();
    assert_eq!(errors, ["PERMISSION_ESCALATION at input.rateLimit"]);

    let (_, refused) = exhaust(&small, CHEAP).await;
    assert!(is_limited_by(&refused, "principal"));
    assert_eq!(ask(&owner, CHEAP).await.codes(), Vec::<&str>::new(), "its owner has another");
    let plain = key(&owner, json!(null)).await;
    assert_eq!(cost(&ask(&plain, CHEAP).await)["principal"]["limit"], 100);
}

#[tokio::test]
async fn who_sends_no_credential_pays_by_address() {
    let (app, _) = at_rest(|settings| {
        settings.rates.rate_address_points = 10;
        settings.server.trusted_proxies = vec!["127.0.0.1".parse().expect("a network")];
    })
    .await;
    let from = |address: &'static str| {
        let app = app.clone();
        async move { app.send("/graphql", &[("x-forwarded-for", address)], &json!({ "query": "{ __typename }" })).await }
    };
    for _ in 0..10 {
        assert_eq!(from("192.0.2.1").await.codes(), Vec::<&str>::new());
    }
    let reply = from("192.0.2.1").await;
    assert!(is_limited_by(&reply, "principal"), "{reply:?}");
    assert!(reply.header("ratelimit").is_some_and(|left| left.starts_with("\"principal\";r=0;")), "{reply:?}");
    assert_eq!(from("192.0.2.2").await.codes(), Vec::<&str>::new());
}

#[tokio::test]
async fn what_is_refused_is_not_free() {
    let (app, _) = at_rest(|settings| settings.rates.rate_address_points = 5).await;
    let guess = |app: TestApp| async move {
        app.send("/graphql", &[("authorization", "Bearer guessed")], &json!({ "query": CHEAP })).await
    };
    for _ in 0..5 {
        assert_eq!(guess(app.clone()).await.codes(), ["UNAUTHENTICATED"]);
    }
    let reply = guess(app).await;
    assert_eq!((reply.status, reply.codes()), (429, vec!["RATE_LIMITED"]), "{reply:?}");
}
