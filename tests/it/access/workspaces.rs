//! Moving and opening workspaces changes who reaches them: it is weighed like a grant.

use serde_json::json;

use super::{give, member, refused, role_with, role_without};
use crate::support::app::{TestApp, TestTenant};

async fn workspace(tenant: &TestTenant, name: &str, parent: Option<&str>) -> (String, tenantry::ids::WorkspaceId) {
    let input = json!({ "name": name, "parentId": parent });
    let id = tenant.owner.mutate("workspaceCreate", "workspace { id }", input).await.at("/workspace/id");
    let parsed = id.parse().expect("an id");
    (id, parsed)
}

#[tokio::test]
async fn nobody_moves_a_workspace_below_their_own_rights() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let (_, mine) = workspace(&tenant, "Mine", None).await;
    let (theirs, _) = workspace(&tenant, "Theirs", None).await;
    let mover = role_with(owner, "Mover", &["workspaces:update"]).await;
    let writer = role_with(owner, "Writer", &["projects:write"]).await;
    give(owner, member(&ada), &mover, None).await;
    give(owner, member(&ada), &writer, Some(mine)).await;
    let input = json!({ "id": theirs, "parentId": mine });
    let moved = ada.try_mutate("workspaceUpdate", "workspace { id }", input.clone()).await;
    assert_eq!(refused(&moved, "workspaceUpdate"), ["PERMISSION_ESCALATION at input.parentId"]);
    owner.mutate("workspaceUpdate", "workspace { id }", input).await;
}

#[tokio::test]
async fn nobody_moves_a_workspace_out_of_a_denial() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let (parent, above) = workspace(&tenant, "Above", None).await;
    let (child, _) = workspace(&tenant, "Below", Some(&parent)).await;
    let mover = role_with(owner, "Mover", &["workspaces:update", "projects:write"]).await;
    let never = role_without(owner, "Never", &["projects:write"]).await;
    give(owner, member(&ada), &mover, None).await;
    give(owner, member(&ada), &never, Some(above)).await;
    let input = json!({ "id": child, "parentId": null });
    let moved = ada.try_mutate("workspaceUpdate", "workspace { id }", input).await;
    assert_eq!(refused(&moved, "workspaceUpdate"), ["PERMISSION_ESCALATION at input.parentId"]);
}

#[tokio::test]
async fn nobody_opens_a_private_workspace_to_rights_they_lack_there() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let input = json!({ "name": "Secret", "visibility": "PRIVATE" });
    let secret = owner.mutate("workspaceCreate", "workspace { id }", input).await.at("/workspace/id");
    let writer = role_with(owner, "Writer", &["projects:write"]).await;
    let opener = role_with(owner, "Opener", &["workspaces:update"]).await;
    give(owner, member(&ada), &writer, None).await;
    give(owner, member(&ada), &opener, Some(secret.parse().expect("an id"))).await;
    let input = json!({ "id": secret, "visibility": "TENANT" });
    let opened = ada.try_mutate("workspaceUpdate", "workspace { id }", input.clone()).await;
    assert_eq!(refused(&opened, "workspaceUpdate"), ["PERMISSION_ESCALATION at input.visibility"]);
    owner.mutate("workspaceUpdate", "workspace { id }", input).await;
}

#[tokio::test]
async fn nobody_leaves_a_workspace_to_be_rid_of_a_denial() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let roster = role_with(owner, "Roster", &["workspace_members:write", "roles:grant", "workspaces:update"]).await;
    give(owner, member(&ada), &roster, None).await;
    let never = role_without(owner, "Never", &["projects:write"]).await;
    give(owner, member(&ada), &never, Some(tenant.workspace)).await;
    let input = json!({ "workspaceId": tenant.workspace, "memberId": ada.member });
    let left = ada.try_mutate("workspaceMemberRemove", "__typename", input.clone()).await;
    assert_eq!(refused(&left, "workspaceMemberRemove"), ["PERMISSION_ESCALATION at input.memberId"]);
    owner.mutate("workspaceMemberRemove", "__typename", input).await;
}
