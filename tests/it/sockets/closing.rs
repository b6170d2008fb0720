//! What ends the right to listen closes the socket, with a code that says why.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use tenantry::{
    clock::Clock,
    domain::platform::service::tenant_suspend,
    ids::{Id, MemberId},
};

use super::{TASKS, as_another_process, listening};
use crate::support::{app::TestApp, process::ServerProcess, socket::Socket};

async fn listens(user: &crate::support::app::TestUser) -> Socket {
    let mut socket = Socket::of(user).await;
    socket.subscribe(TASKS, json!({})).await;
    socket.ping().await;
    socket
}

#[tokio::test]
async fn the_end_of_the_token_closes() {
    let clock = Clock::fixed(DateTime::<Utc>::from_timestamp(1_795_000_000, 0).expect("a time"));
    let database = TestApp::isolated().await.database;
    let app = TestApp::on(database, clock.clone(), |_| {}).await;
    let tenant = app.tenant().await;
    let mut socket = listens(&tenant.owner).await;
    clock.advance(Duration::minutes(15));
    socket.ping().await;
    clock.advance(Duration::seconds(6));
    let (code, reason) = socket.closed_with().await;
    assert_eq!(code, 4401, "{reason}");
    assert!(reason.contains("expired"), "{reason}");
}

#[tokio::test]
async fn the_end_of_the_session_closes() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let mut socket = listens(&tenant.owner).await;
    tenant.owner.query("mutation { signOut { sessionId } }", json!({})).await;
    assert_eq!(socket.closed().await, 4401);

    let member = tenant.member("developer").await;
    let mut socket = listens(&member).await;
    let user = member.user.uuid();
    app.database.run("tenantry", &format!("UPDATE users SET status = 'locked' WHERE id = '{user}'")).await;
    assert_eq!(socket.closed().await, 4401);
}

#[tokio::test]
async fn a_revoked_key_closes() {
    let tenant = TestApp::start().await.tenant().await;
    let key = json!({ "name": "demo", "scopes": ["tasks:read"] });
    let made = tenant.owner.mutate("apiKeyCreate", "secret apiKey { id }", key).await;
    let mut socket = listens(&tenant.owner.with_token(&made.at("/secret"))).await;
    tenant.owner.mutate("apiKeyRevoke", "apiKey { id }", json!({ "id": made.at("/apiKey/id") })).await;
    assert_eq!(socket.closed().await, 4401);
}

fn uuid(member: Option<MemberId>) -> uuid::Uuid {
    member.expect("a member").uuid()
}

#[tokio::test]
async fn a_lost_membership_closes() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    for change in ["status = 'suspended'", "status = 'removed', deleted_at = now()"] {
        let member = tenant.member("developer").await;
        let mut socket = listens(&member).await;
        let id = uuid(member.member);
        as_another_process(&app, &tenant, &format!("UPDATE members SET {change} WHERE id = '{id}'")).await;
        assert_eq!(socket.closed().await, 4403, "{change}");
    }
}

#[tokio::test]
async fn a_lost_right_closes_where_a_subscription_needs_it() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let member = tenant.member("admin").await;
    let mut needs_it = Socket::of(&member).await;
    let id = needs_it.subscribe("subscription { auditLogAppended { id } }", json!({})).await;
    let mut does_not = listens(&member).await;
    let watch = "subscription { viewerPermissionsChanged { eventId permissions workspaceId } }";
    let watching = does_not.subscribe(watch, json!({})).await;
    does_not.ping().await;
    super::auditing(&tenant, 1).await;
    listening(&tenant, 1).await;
    let _ = id;

    let demote = format!(
        "UPDATE role_grants SET role_id = (SELECT id FROM roles WHERE tenant_id = app.tenant_id() AND key = 'developer')
         WHERE member_id = '{}'",
        uuid(member.member)
    );
    as_another_process(&app, &tenant, &demote).await;
    let (code, reason) = needs_it.closed_with().await;
    assert_eq!(code, 4403);
    assert!(reason.contains("audit_logs:read"), "{reason}");
    let event = does_not.next(&watching).await["viewerPermissionsChanged"].clone();
    let permissions: Vec<_> = event["permissions"].as_array().expect("a list").iter().collect();
    assert!(!permissions.is_empty() && !permissions.contains(&&json!("audit_logs:read")), "{event}");
    assert!(event["eventId"].is_string() && event["workspaceId"].is_null(), "{event}");
}

#[tokio::test]
async fn a_lost_workspace_closes_who_listens_to_it() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let viewer = tenant.member_on("workspace_viewer", Some(tenant.workspace)).await;
    let elsewhere = tenant.owner.mutate("workspaceCreate", "workspace { id }", json!({ "name": "Other" })).await;
    let project = tenant.project("Atlas").await;
    let id = uuid(viewer.member);
    let other: tenantry::ids::WorkspaceId = elsewhere.at("/workspace/id").parse().expect("an id");
    let also_there = format!(
        "INSERT INTO role_grants (tenant_id, id, member_id, role_id, workspace_id)
         SELECT tenant_id, app.uuid_v7(now()), member_id, role_id, '{}' FROM role_grants
         WHERE tenant_id = app.tenant_id() AND member_id = '{id}'",
        other.uuid()
    );
    as_another_process(&app, &tenant, &also_there).await;

    let mut of_workspace = Socket::of(&viewer).await;
    let query = "subscription($id: ID) { taskChanged(workspaceId: $id) { eventId } }";
    of_workspace.subscribe(query, json!({ "id": tenant.workspace })).await;
    let mut of_project = Socket::of(&viewer).await;
    let query = "subscription($id: ID) { taskChanged(projectId: $id) { eventId } }";
    of_project.subscribe(query, json!({ "id": project })).await;
    let mut of_all = listens(&viewer).await;
    listening(&tenant, 3).await;

    let workspace = tenant.workspace.uuid();
    let lose = format!("DELETE FROM role_grants WHERE member_id = '{id}' AND workspace_id = '{workspace}'");
    as_another_process(&app, &tenant, &lose).await;
    assert_eq!(of_workspace.closed().await, 4403);
    assert_eq!(of_project.closed().await, 4403);
    // Whoever listens anywhere listens to what is left.
    of_all.ping().await;
    listening(&tenant, 1).await;
}

#[tokio::test]
async fn a_suspended_tenant_closes() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant().await, app.tenant().await);
    let mut socket = listens(&tenant.owner).await;
    let mut untouched = listens(&other.owner).await;
    tenant_suspend(&app.app.services, "test", tenant.named().await, "a test".to_owned()).await.expect("suspended");
    assert_eq!(socket.closed().await, 4423);
    untouched.ping().await;
}

#[tokio::test]
async fn a_server_that_goes_says_so() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let process = ServerProcess::start(&app.database, &[]).await;
    let mut socket = listens(&tenant.owner.through(&process.of(&app))).await;
    let mut silent = Socket::connect(&process.of(&app), "/graphql/ws", &[]).await.expect("a socket");
    process.terminate();
    assert_eq!(socket.closed().await, 1001);
    assert_eq!(silent.closed().await, 1001);
    assert_eq!(process.ended().await, Some(0));
}
