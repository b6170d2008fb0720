//! Who belongs to a workspace, and what that does and does not give.

use serde_json::{Value, json};

use crate::support::app::{TestApp, TestTenant, TestUser};

async fn private(tenant: &TestTenant, name: &str) -> String {
    let input = json!({ "name": name, "visibility": "PRIVATE" });
    tenant.owner.mutate("workspaceCreate", "workspace { id }", input).await.at("/workspace/id")
}

async fn roster(user: &TestUser, workspace: &str) -> Value {
    let query = "query($id: ID!) { workspaceMembers(workspaceId: $id) { totalCount nodes { member { id } } } }";
    user.query(query, json!({ "id": workspace })).await.data()["workspaceMembers"].clone()
}

#[tokio::test]
async fn members_are_added_and_taken_out_with_the_roles_they_had_there() {
    let tenant = TestApp::start().await.tenant().await;
    let atlas = private(&tenant, "Atlas").await;
    let here = tenant.member_on("workspace_editor", Some(atlas.parse().expect("an id"))).await;
    let local = tenant.member_on("workspace_admin", Some(atlas.parse().expect("an id"))).await;
    let stranger = tenant.member("member").await;
    let input = json!({ "workspaceId": atlas, "memberId": here.member });
    let added = tenant.owner.mutate("workspaceMemberAdd", "workspaceMember { id member { id } }", input.clone()).await;
    assert!(added.at("/workspaceMember/id").starts_with("wsm_"));
    let again = tenant.owner.try_mutate("workspaceMemberAdd", "workspaceMember { id }", input.clone()).await;
    assert_eq!(again.payload("workspaceMemberAdd").user_errors(), ["ALREADY_MEMBER at input.memberId"]);
    let expected = json!({ "totalCount": 1, "nodes": [{ "member": { "id": here.member } }] });
    assert_eq!(roster(&tenant.owner, &atlas).await, expected);
    assert_eq!(roster(&local, &atlas).await, expected);
    // Invisible equals unknown, and whoever manages this workspace only, adds nobody whom they do not see.
    assert!(roster(&stranger, &atlas).await.is_null());
    let add = |member| json!({ "workspaceId": atlas, "memberId": member });
    let unseen = local.try_mutate("workspaceMemberAdd", "workspaceMember { id }", add(stranger.member)).await;
    assert_eq!(unseen.payload("workspaceMemberAdd").user_errors(), ["NOT_FOUND at input.memberId"]);
    let refused = here.try_mutate("workspaceMemberRemove", "memberId", input.clone()).await;
    assert_eq!(refused.codes(), ["FORBIDDEN"]);

    let project = json!({ "workspaceId": atlas, "name": "Borealis" });
    here.mutate("projectCreate", "project { id }", project.clone()).await;
    let gone = local.mutate("workspaceMemberRemove", "memberId", input.clone()).await;
    assert_eq!(gone.0["memberId"], json!(here.member));
    let out = here.try_mutate("projectCreate", "project { id }", project).await;
    assert_eq!(out.codes(), ["FORBIDDEN"], "the role on the workspace is gone: {out:?}");
    assert_eq!(roster(&tenant.owner, &atlas).await["totalCount"], 0);
    let nothing = tenant.owner.try_mutate("workspaceMemberRemove", "memberId", input).await;
    assert_eq!(nothing.payload("workspaceMemberRemove").user_errors(), ["NOT_FOUND at input.memberId"]);
}

#[tokio::test]
async fn belonging_gives_no_right() {
    let tenant = TestApp::start().await.tenant().await;
    let atlas = private(&tenant, "Atlas").await;
    let developer = tenant.member("developer").await;
    let sees = async || {
        let query = "query($id: ID!) { workspace(id: $id) { id } workspaces { totalCount } }";
        developer.query(query, json!({ "id": atlas })).await.data().clone()
    };
    let before = sees().await;
    assert!(before["workspace"].is_null());
    let input = json!({ "workspaceId": atlas, "memberId": developer.member });
    tenant.owner.mutate("workspaceMemberAdd", "workspaceMember { id }", input).await;
    assert_eq!(sees().await, before);
}

#[tokio::test]
async fn a_roster_is_paged_and_holds_members_only() {
    let tenant = TestApp::start().await.tenant().await;
    let mut all = Vec::new();
    for _ in 0..5 {
        let member = tenant.member("member").await.member.expect("a member");
        let input = json!({ "workspaceId": tenant.workspace, "memberId": member });
        tenant.owner.mutate("workspaceMemberAdd", "workspaceMember { id }", input).await;
        all.push(json!(member));
    }
    tenant.owner.mutate("memberRemove", "memberId", json!({ "id": all[1] })).await;
    all.remove(1);
    let query = "query($id: ID!, $after: String) { workspaceMembers(workspaceId: $id, first: 3, after: $after) \
                 { totalCount pageInfo { endCursor hasNextPage } nodes { member { id } } } }";
    let (mut after, mut seen) = (Value::Null, Vec::new());
    for has_next in [true, false] {
        let reply = tenant.owner.query(query, json!({ "id": tenant.workspace, "after": after })).await;
        let page = &reply.data()["workspaceMembers"];
        assert_eq!((&page["totalCount"], &page["pageInfo"]["hasNextPage"]), (&json!(4), &json!(has_next)));
        seen.extend(page["nodes"].as_array().expect("nodes").iter().map(|node| node["member"]["id"].clone()));
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen, all);
    // The same list under the workspace, with cursors of its own.
    let under =
        "query($id: ID!, $after: String) { workspace(id: $id) { members(first: 3, after: $after) { totalCount } } }";
    let foreign = tenant.owner.query(under, json!({ "id": tenant.workspace, "after": after })).await;
    assert_eq!(foreign.codes(), ["INVALID_CURSOR"]);
}
