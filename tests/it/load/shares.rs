//! The tenants' shares, on the admin address.

use serde_json::{Value, json};

use crate::support::app::{TestApp, TestUser};

async fn report(app: &TestApp) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let reply = client.get(format!("{}/tenants", app.admin_url)).send().await.expect("an answer");
    assert_eq!(reply.status(), 200);
    reply.json().await.expect("JSON")
}

async fn ask(user: &TestUser, name: &str) {
    user.query(&format!("query {name} {{ tasks(first: 1) {{ totalCount nodes {{ id }} }} }}"), json!({})).await.data();
}

#[tokio::test]
async fn the_tenant_that_asks_most_has_the_largest_share() {
    let app = TestApp::start().await;
    let (busy, quiet) = (app.tenant().await, app.tenant().await);
    let before = report(&app).await;
    assert_eq!(before["tenants"], json!([]), "operators' work is nobody's request");
    for _ in 0..30 {
        ask(&busy.owner, "Dashboard").await;
    }
    ask(&busy.owner, "Export").await;
    ask(&quiet.owner, "Dashboard").await;
    app.send("/graphql", &[], &json!({ "query": "{ __typename }" })).await;

    let report = report(&app).await;
    let tenants = report["tenants"].as_array().expect("a list");
    let line = |id: &str| tenants.iter().find(|line| line["tenant"] == id).unwrap_or_else(|| panic!("{report:#}"));
    let (most, least) = (line(&busy.id.to_string()), line(&quiet.id.to_string()));
    assert_eq!(tenants[0]["tenant"], busy.id.to_string(), "the largest share stands first");
    assert_eq!((&most["requests"], &least["requests"]), (&json!(31), &json!(1)));
    let share = |line: &Value| line["share"].as_f64().expect("a number");
    let statements = |line: &Value| line["statements"].as_u64().expect("a number");
    assert!(share(most) > share(least) && share(least) > 0.0, "{report:#}");
    assert!(statements(most) > statements(least) && statements(least) > 0, "{report:#}");
    assert_eq!(most["operations"][0]["operation"], "Dashboard");
    assert_eq!(
        (&most["operations"][0]["requests"], &most["operations"][1]["operation"]),
        (&json!(30), &json!("Export"))
    );
    assert_eq!(report["without_tenant"]["requests"], 1);
    let all: f64 = tenants.iter().chain([&report["others"], &report["without_tenant"]]).map(share).sum();
    assert!((all - 1.0).abs() < 1e-6, "{all}");
    // Names and figures: nothing of what was asked.
    assert!(!report.to_string().contains(&busy.owner.email));
}

#[tokio::test]
async fn a_stranger_who_names_a_tenant_is_not_in_its_share() {
    let app = TestApp::start().await;
    let (tenant, stranger) = (app.tenant().await, app.tenant().await.owner);
    let reply = stranger.at(Some(&tenant.slug)).query("{ tasks(first: 1) { totalCount } }", json!({})).await;
    assert_eq!(reply.codes(), ["TENANT_NOT_FOUND"]);
    let report = report(&app).await;
    assert_eq!((&report["tenants"], &report["without_tenant"]["requests"]), (&json!([]), &json!(1)));
}
