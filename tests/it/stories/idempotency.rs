//! `Idempotency-Key`: once, and the same answer again.

use serde_json::json;

use crate::support::app::{Reply, TestApp, TestTenant, TestUser};

const CREATE: &str =
    "mutation($input: TaskCreateInput!) { taskCreate(input: $input) { task { id title } userErrors { code } } }";

async fn create(user: &TestUser, project: &str, title: &str, key: &str) -> Reply {
    let variables = json!({ "input": { "projectId": project, "title": title } });
    user.query_with(CREATE, variables, &[("idempotency-key", key)]).await
}

async fn tasks(tenant: &TestTenant) -> usize {
    let reply = tenant.owner.query("{ tasks(first: 100) { nodes { id } } }", json!({})).await;
    reply.data()["tasks"]["nodes"].as_array().expect("nodes").len()
}

#[tokio::test]
async fn a_repetition_gets_the_same_payload_and_does_nothing() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let first = create(&tenant.owner, &project, "Once", "demo-key-0123456789").await;
    assert_eq!(first.header("idempotency-replayed"), None);
    let second = create(&tenant.owner, &project, "Once", "demo-key-0123456789").await;
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.data(), second.data());
    assert_eq!(tasks(&tenant).await, 1);

    let other = create(&tenant.owner, &project, "Another", "demo-key-0123456789").await;
    assert_eq!((other.status, other.codes()), (409, vec!["IDEMPOTENCY_KEY_REUSED"]));
    // Keys are kept for each principal.
    let editor = tenant.member_on("workspace_editor", Some(tenant.workspace)).await;
    create(&editor, &project, "Once", "demo-key-0123456789").await.data();
    assert_eq!(tasks(&tenant).await, 2);
}

#[tokio::test]
async fn what_was_refused_is_refused_again_the_same_way() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let first = create(&tenant.owner, &project, "", "demo-key-0123456789").await;
    assert_eq!(first.payload("taskCreate").user_errors(), ["REQUIRED at "]);
    let second = create(&tenant.owner, &project, "", "demo-key-0123456789").await;
    assert_eq!(first.data(), second.data());
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(tasks(&tenant).await, 0);
}

#[tokio::test]
async fn twenty_at_once_do_it_once() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let all = (0..20).map(|_| create(&tenant.owner, &project, "Once", "demo-key-0123456789"));
    for reply in futures::future::join_all(all).await {
        match reply.status {
            200 => assert_eq!(reply.payload("taskCreate").user_errors(), Vec::<String>::new()),
            _ => assert_eq!((reply.status, reply.codes()), (409, vec!["IDEMPOTENCY_IN_PROGRESS"])),
        }
    }
    assert_eq!(tasks(&tenant).await, 1);
}

#[tokio::test]
async fn a_key_needs_one_mutation_and_a_tenant() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let key = [("idempotency-key", "demo-key-0123456789")];
    let query = tenant.owner.query_with("{ tenant { id } }", json!({}), &key).await;
    assert_eq!((query.status, query.codes()), (400, vec!["BAD_REQUEST"]));
    let short = [("idempotency-key", "short")];
    let input = json!({ "input": { "name": "Atlas" } });
    let create = "mutation($input: WorkspaceCreateInput!) { workspaceCreate(input: $input) { workspace { id } } }";
    let reply = tenant.owner.query_with(create, input, &short).await;
    assert_eq!((reply.status, reply.codes()), (400, vec!["BAD_REQUEST"]));
}
