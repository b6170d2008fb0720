//! A member's life: suspended, let in again, renamed, removed, leaving, back.

use serde_json::json;

use super::{MEMBER, add, detail, is_in, status};
use crate::{
    api_keys::{key_of, reason},
    support::app::TestApp,
};

const TASKS: &str = "{ tasks { totalCount } }";

#[tokio::test]
async fn a_suspended_member_is_out_at_once_and_comes_back_with_the_same_roles() {
    let tenant = TestApp::start().await.tenant().await;
    let developer = tenant.member("developer").await;
    let (key, _) = key_of(&developer, &["tasks:read"]).await;
    assert_eq!(key.query(TASKS, json!({})).await.status, 200);
    let id = developer.member.expect("a member");

    let done = tenant.owner.mutate("memberSuspend", MEMBER, json!({ "id": id, "version": 1 })).await;
    assert_eq!((&done.0["member"]["status"], &done.0["member"]["version"]), (&json!("SUSPENDED"), &json!(2)));
    assert!(!is_in(&developer).await);
    // The key rests with its owner; nothing of it is lost.
    assert_eq!(reason(&key.query(TASKS, json!({})).await), "key_revoked");
    let again = tenant.owner.try_mutate("memberSuspend", MEMBER, json!({ "id": id })).await;
    assert_eq!(again.payload("memberSuspend").user_errors(), ["INVALID_STATE at input.id"]);
    let list = tenant.owner.query("{ members(filter: { status: SUSPENDED }) { totalCount nodes { id } } }", json!({}));
    assert_eq!(list.await.data()["members"], json!({ "totalCount": 1, "nodes": [{ "id": id }] }));

    tenant.owner.mutate("memberReactivate", MEMBER, json!({ "id": id })).await;
    assert!(is_in(&developer).await);
    assert_eq!(key.query(TASKS, json!({})).await.status, 200);
    let again = tenant.owner.try_mutate("memberReactivate", MEMBER, json!({ "id": id })).await;
    assert_eq!(again.payload("memberReactivate").user_errors(), ["INVALID_STATE at input.id"]);
    let stale = tenant.owner.try_mutate("memberSuspend", MEMBER, json!({ "id": id, "version": 1 })).await;
    assert_eq!(stale.payload("memberSuspend").user_errors(), ["STALE_VERSION at input.version"]);
}

#[tokio::test]
async fn what_stood_on_a_membership_ends_with_it_and_the_rest_stays() {
    let tenant = TestApp::start().await.tenant().await;
    let developer = tenant.member("developer").await;
    let id = developer.member.expect("a member");
    let (key, key_id) = key_of(&developer, &["tasks:read"]).await;
    assert_eq!(key.query(TASKS, json!({})).await.status, 200);
    let add_to = json!({ "workspaceId": tenant.workspace, "memberId": id });
    tenant.owner.mutate("workspaceMemberAdd", "workspaceMember { id }", add_to).await;
    let project = tenant.project("atlas").await;
    for (title, state) in [("open", "TODO"), ("over", "DONE")] {
        let input = json!({ "projectId": project, "title": title, "state": state, "assigneeId": id });
        tenant.owner.mutate("taskCreate", "task { id }", input).await;
    }
    tenant.owner.mutate("projectUpdate", "project { id }", json!({ "id": project, "ownerId": id })).await;

    let gone = tenant.owner.mutate("memberRemove", "memberId", json!({ "id": id })).await;
    assert_eq!(gone.0["memberId"], json!(id));
    assert!(!is_in(&developer).await);
    assert_eq!(status(&tenant, id).await, None);
    assert_eq!(reason(&key.query(TASKS, json!({})).await), "key_revoked");
    let query = "query($id: ID!) { apiKey(id: $id) { revokedAt revokedReason } }";
    let revoked = tenant.owner.query(query, json!({ "id": key_id })).await;
    assert_eq!(revoked.data()["apiKey"]["revokedReason"], "its owner is no longer a member");
    let told = detail(&tenant, "member.remove").await;
    assert_eq!(told["targetId"], json!(id));
    let expected = json!({
        "roleGrants": 1, "groups": 0, "workspaces": 1, "serviceAccountsWithoutOwner": 0, "apiKeyIds": [key_id],
        "tasksUnassigned": 1, "projectsWithoutOwner": 1,
    });
    assert_eq!(told["detail"], expected);
    // What is done still says by whom; the member behind it is nobody's to see any more.
    let left = tenant.app.database.connect("tenantry").await;
    let member = tenantry::ids::Id::uuid(id).to_string();
    let sql = "SELECT title FROM tasks WHERE assignee_member_id::text = $1";
    let rows = left.query(sql, &[&member]).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["over"]);
    for table in ["role_grants", "workspace_members", "group_members"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE member_id::text = $1");
        assert_eq!(left.query_one(&sql, &[&member]).await.expect("a count").get::<_, i64>(0), 0, "{table}");
    }

    // The same person again: a new member with nothing of the old one.
    let anew = add(&tenant, developer.user, "member", None).await;
    assert_ne!(anew, id);
    assert!(is_in(&developer).await);
    assert_eq!(reason(&key.query(TASKS, json!({})).await), "key_revoked");
}

#[tokio::test]
async fn nobody_does_it_to_themselves_nor_to_an_owner_without_being_one() {
    let tenant = TestApp::start().await.tenant().await;
    let admin = tenant.member("admin").await;
    let second = tenant.member("owner").await;
    let (key, _) = key_of(&tenant.owner, &["members:suspend", "members:remove"]).await;
    for field in ["memberSuspend", "memberRemove"] {
        let selection = if field == "memberSuspend" { MEMBER } else { "memberId" };
        let itself = admin.try_mutate(field, selection, json!({ "id": admin.member })).await;
        assert_eq!(itself.payload(field).user_errors(), ["SELF_ACTION_FORBIDDEN at input.id"]);
        let owner = admin.try_mutate(field, selection, json!({ "id": second.member })).await;
        assert_eq!(owner.codes(), ["FORBIDDEN"], "{owner:?}");
        // An owner's key is not an owner.
        let by_key = key.try_mutate(field, selection, json!({ "id": second.member })).await;
        assert_eq!(by_key.codes(), ["FORBIDDEN"], "{by_key:?}");
    }
    tenant.owner.mutate("memberSuspend", MEMBER, json!({ "id": second.member })).await;
    let back = admin.try_mutate("memberReactivate", MEMBER, json!({ "id": second.member })).await;
    assert_eq!(back.codes(), ["FORBIDDEN"], "{back:?}");
    tenant.owner.mutate("memberReactivate", MEMBER, json!({ "id": second.member })).await;
    tenant.owner.mutate("memberRemove", "memberId", json!({ "id": second.member })).await;
    // Whoever lacks the right in the whole tenant.
    let local = tenant.member_on("workspace_admin", Some(tenant.workspace)).await;
    let fellow = tenant.member_on("workspace_viewer", Some(tenant.workspace)).await;
    let refused = local.try_mutate("memberRemove", "memberId", json!({ "id": fellow.member })).await;
    assert_eq!(refused.codes(), ["FORBIDDEN"], "{refused:?}");
    let unseen = local.try_mutate("memberRemove", "memberId", json!({ "id": admin.member })).await;
    assert_eq!(unseen.payload("memberRemove").user_errors(), ["NOT_FOUND at input.id"]);
}

#[tokio::test]
async fn members_leave_and_the_last_owner_stays() {
    let tenant = TestApp::start().await.tenant().await;
    let leave = "mutation { memberLeave { memberId userErrors { code path } } }";
    let guest = tenant.member_on("guest", Some(tenant.workspace)).await;
    let gone = guest.query(leave, json!({})).await.payload("memberLeave");
    assert_eq!(gone.0, json!({ "memberId": guest.member, "userErrors": [] }));
    assert!(!is_in(&guest).await);
    let (key, _) = key_of(&tenant.owner, &["members:remove"]).await;
    assert_eq!(key.query(leave, json!({})).await.codes(), ["FORBIDDEN"]);
    let last = tenant.owner.query(leave, json!({})).await.payload("memberLeave");
    assert_eq!(last.user_errors(), ["LAST_OWNER at input"]);
    assert!(is_in(&tenant.owner).await);
    let second = tenant.member("owner").await;
    tenant.owner.query(leave, json!({})).await.data();
    assert!(!is_in(&tenant.owner).await && is_in(&second).await);
    let audit = tenant.audit().await;
    assert_eq!(audit.iter().filter(|(action, outcome)| action == "member.leave" && outcome == "success").count(), 2);
    assert!(audit.contains(&("member.leave".to_owned(), "error".to_owned())));
}

#[tokio::test]
async fn a_suspended_member_takes_no_seat_and_comes_back_only_to_a_free_one() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let tenant_id = tenantry::ids::Id::uuid(tenant.id);
    let (one, two) = (tenant.member("member").await, tenant.member("member").await);
    tenant.owner.mutate("memberSuspend", MEMBER, json!({ "id": one.member })).await;
    let limit = format!("UPDATE tenant_counters SET seats_limit = 2 WHERE tenant_id = '{tenant_id}'");
    app.database.run("tenantry", &limit).await;
    let full = tenant.owner.try_mutate("memberReactivate", MEMBER, json!({ "id": one.member })).await;
    assert_eq!(full.payload("memberReactivate").user_errors(), ["SEAT_LIMIT_REACHED at input"]);
    tenant.owner.mutate("memberRemove", "memberId", json!({ "id": two.member })).await;
    tenant.owner.mutate("memberReactivate", MEMBER, json!({ "id": one.member })).await;
}

#[tokio::test]
async fn everybody_names_themselves_and_some_name_others() {
    let tenant = TestApp::start().await.tenant().await;
    let guest = tenant.member_on("guest", Some(tenant.workspace)).await;
    let own = json!({ "id": guest.member, "displayName": "  Ada of Acme " });
    guest.mutate("memberUpdate", "userErrors { code }", own).await;
    let query = "query($id: ID!) { member(id: $id) { displayName version } }";
    let named = tenant.owner.query(query, json!({ "id": guest.member })).await;
    assert_eq!(named.data()["member"], json!({ "displayName": "Ada of Acme", "version": 2 }));
    let refused = guest.try_mutate("memberUpdate", MEMBER, json!({ "id": tenant.owner.member, "displayName": "x" }));
    assert_eq!(refused.await.codes(), ["FORBIDDEN"]);
    for (name, code) in [("", "REQUIRED"), ("a\nb", "INVALID"), (&*"x".repeat(121), "TOO_LONG")] {
        let input = json!({ "id": guest.member, "displayName": name });
        let refused = tenant.owner.try_mutate("memberUpdate", MEMBER, input).await.payload("memberUpdate");
        assert_eq!(refused.user_errors(), [format!("{code} at input.displayName")]);
    }
    let cleared = json!({ "id": guest.member, "displayName": null });
    let cleared = tenant.owner.mutate("memberUpdate", MEMBER, cleared).await;
    assert!(cleared.at("/member/displayName").starts_with("person-"));
}
