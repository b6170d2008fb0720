//! Every limit answers with its own code, before any SQL of the document runs.

use serde_json::json;

use crate::support::app::{TestApp, TestUser};

#[tokio::test]
async fn each_limit_has_its_own_code() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let deep = format!("{{ workspaces {{ nodes {} id {} }} }}", "{ children { nodes ".repeat(6) + "{", "}".repeat(13));
    let many = |part: &str, times: usize| format!("{{ {} }}", part.repeat(times));
    let aliases: String = (0..31).map(|number| format!("a{number}: __typename ")).collect();
    let roots: String = (0..21).map(|number| format!("a{number}: tenant {{ id }} ")).collect();
    for (what, document, code) in [
        ("depth", deep, "QUERY_TOO_DEEP"),
        ("aliases", format!("{{ tenant {{ id {aliases} }} }}"), "QUERY_TOO_WIDE"),
        ("root fields", format!("{{ {roots} }}"), "QUERY_TOO_WIDE"),
        ("tokens", many("__typename ", 5_001), "QUERY_TOO_WIDE"),
        ("directives", format!("{{ tenant {} {{ id }} }}", "@include(if: true) ".repeat(21)), "QUERY_TOO_WIDE"),
        (
            "cost",
            "{ workspaces(first: 100) { nodes { tasks(first: 100) { nodes { id } } } } }".to_owned(),
            "QUERY_TOO_COMPLEX",
        ),
        ("syntax", "{ tenant { id ".to_owned(), "GRAPHQL_PARSE_FAILED"),
        ("unknown field", "{ tenant { secrets } }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        ("no such operation", "query A { __typename } query B { __typename }".to_owned(), "OPERATION_NOT_FOUND"),
    ] {
        let reply = tenant.owner.query(&document, json!({})).await;
        assert_eq!((reply.status, reply.codes().first().copied()), (400, Some(code)), "{what}: {:#}", reply.body);
        assert!(reply.body.get("data").is_none(), "{what}");
        let text = reply.body.to_string();
        assert!(!text.contains("SELECT") && !text.contains("/src/"), "{what}: {text}");
    }
    let mutations: String = (0..11)
        .map(|n| format!("a{n}: workspaceCreate(input: {{ name: \"Demo\" }}) {{ workspace {{ id }} }} "))
        .collect();
    let reply = tenant.owner.query(&format!("mutation {{ {mutations} }}"), json!({})).await;
    assert_eq!((reply.status, reply.codes()), (400, vec!["QUERY_TOO_WIDE"]));
}

#[tokio::test]
async fn one_forbidden_field_refuses_the_operation_whole() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let member = tenant.member("member").await;
    let reply = member
        .query("{ viewer { user { id } } tenant { id roles { nodes { id } } } apiKeys { nodes { id } } }", json!({}))
        .await;
    assert_eq!((reply.status, reply.codes()), (403, vec!["FORBIDDEN"]));
    assert!(reply.body.get("data").is_none());
    let paths: Vec<_> =
        reply.body["errors"].as_array().expect("errors").iter().map(|error| error["path"].clone()).collect();
    // Every place that is refused, and what is below it.
    let refused = [
        json!(["tenant", "roles"]),
        json!(["tenant", "roles", "nodes"]),
        json!(["apiKeys"]),
        json!(["apiKeys", "nodes"]),
    ];
    assert_eq!(paths, refused);
    assert_eq!(reply.body["errors"][0]["extensions"]["requiredPermission"], "roles:read");
}

#[tokio::test]
async fn introspection_is_for_whoever_is_signed_in() {
    let app = TestApp::start().await;
    let person = app.person().await;
    let ask = "{ __schema { types { name fields { name type { name ofType { name ofType { name } } } } } } }";
    let reply = person.query(ask, json!({})).await;
    assert!(reply.data()["__schema"]["types"].as_array().expect("types").len() > 50);
    let anonymous = app.send("/graphql", &[], &json!({ "query": ask })).await;
    assert_eq!((anonymous.status, anonymous.codes()), (401, vec!["UNAUTHENTICATED"]));
}

#[tokio::test]
async fn credentials_that_are_none_say_why() {
    let app = TestApp::start().await;
    for (token, reason) in [("nonsense", "malformed"), ("tnk_live_AAAA_00000000", "malformed")] {
        let bearer = format!("Bearer {token}");
        let reply = app
            .send("/graphql", &[("authorization", &bearer)], &json!({ "query": "{ viewer { user { id } } }" }))
            .await;
        assert_eq!((reply.status, reply.codes()), (401, vec!["UNAUTHENTICATED"]), "{token}");
        assert_eq!(reply.body["errors"][0]["extensions"]["reason"], reason, "{token}");
    }
    let reply = app.send("/graphql", &[], &json!({ "query": "{ viewer { user { id } } }" })).await;
    assert_eq!((reply.status, reply.codes()), (401, vec!["UNAUTHENTICATED"]));
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped() {
    let app = TestApp::isolated().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    tenant.task(&project, "Locked").await;
    let database = &app.database.name;
    let sql = format!("ALTER ROLE tenantry_app IN DATABASE {database} SET statement_timeout = '300ms'");
    app.database.run("tenantry", &sql).await;
    // The setting is for new connections: another server on the same database.
    let app = TestApp::on(app.database.clone(), tenantry::clock::Clock::system(), |_| {}).await;
    let owner = TestUser { app: app.clone(), ..tenant.owner.clone() };
    let blocker = app.database.connect("tenantry").await;
    blocker.batch_execute("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let reply = owner.query("{ tasks { nodes { id } } }", json!({})).await;
    assert_eq!(reply.codes(), ["TIMEOUT"], "{:#}", reply.body);
    blocker.batch_execute("ROLLBACK").await.expect("gives the lock back");
    assert_eq!(owner.query("{ tasks { nodes { id } } }", json!({})).await.codes(), Vec::<&str>::new());
}
