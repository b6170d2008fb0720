//! Groups: what is given to one is held by everybody in it, as long as they are.

use serde_json::{Value, json};

use super::{give, refused, role_with};
use crate::support::app::{TestApp, TestUser};

async fn may_read_billing(user: &TestUser) -> bool {
    let document =
        "query($p: AccessPrincipalInput!) { explainAccess(principal: $p, permission: \"billing:read\") { isAllowed } }";
    let reply = user.query(document, json!({ "p": { "memberId": user.member } })).await;
    reply.data()["explainAccess"]["isAllowed"] == true
}

#[tokio::test]
async fn members_of_a_group_hold_its_roles_while_they_are_in_it() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let (owner, ada, bo) = (&tenant.owner, tenant.member("member").await, tenant.member("member").await);
    let role = role_with(owner, "Bookkeeper", &["billing:read"]).await;
    let input = json!({ "name": "Finance", "description": "Money." });
    let group = owner.mutate("groupCreate", "group { id version }", input).await.at("/group/id");
    give(owner, json!({ "groupId": group }), &role, None).await;
    assert!(!may_read_billing(&ada).await);

    let input = json!({ "groupId": group, "memberIds": [ada.member, bo.member], "reason": "Joined." });
    owner.mutate("groupMembersAdd", "group { id }", input).await;
    assert!(may_read_billing(&ada).await && may_read_billing(&bo).await);

    let document = format!(
        "{{ group(id: \"{group}\") {{ name members(first: 1) {{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ memberId member {{ displayName }} }} }} }} }}"
    );
    let reply = owner.query(&document, json!({})).await;
    let members = &reply.data()["group"]["members"];
    assert_eq!((&members["totalCount"], &members["pageInfo"]["hasNextPage"]), (&json!(2), &json!(true)));
    assert_eq!(members["nodes"][0]["memberId"], json!(ada.member));
    let after = members["pageInfo"]["endCursor"].as_str().expect("a cursor");
    let document =
        format!("{{ group(id: \"{group}\") {{ members(first: 1, after: \"{after}\") {{ nodes {{ memberId }} }} }} }}");
    let reply = owner.query(&document, json!({})).await;
    assert_eq!(reply.data()["group"]["members"]["nodes"], json!([{ "memberId": bo.member }]));

    let input = json!({ "groupId": group, "memberIds": [ada.member] });
    owner.mutate("groupMembersRemove", "group { id }", input).await;
    assert!(!may_read_billing(&ada).await && may_read_billing(&bo).await);
    owner.mutate("groupDelete", "group { name }", json!({ "id": group, "reason": "Dissolved." })).await;
    assert!(!may_read_billing(&bo).await, "its grants have gone with it");
    assert_eq!(
        owner.query(&format!("{{ node(id: \"{group}\") {{ id }} }}"), json!({})).await.data()["node"],
        Value::Null
    );
}

#[tokio::test]
async fn members_join_all_or_none() {
    let app = TestApp::start().await;
    let (tenant, other) = (app.tenant().await, app.tenant().await);
    let (owner, ada) = (&tenant.owner, tenant.member("member").await);
    let group = owner.mutate("groupCreate", "group { id }", json!({ "name": "Crew" })).await.at("/group/id");
    let add = async |ids: Value| {
        let input = json!({ "groupId": group, "memberIds": ids });
        owner.try_mutate("groupMembersAdd", "group { id }", input).await
    };
    let foreign = add(json!([ada.member, other.owner.member])).await;
    assert_eq!(refused(&foreign, "groupMembersAdd"), ["NOT_FOUND at input.memberIds.1"]);
    let twice = add(json!([ada.member, ada.member])).await;
    assert_eq!(refused(&twice, "groupMembersAdd"), ["INVALID at input.memberIds.1"]);
    assert_eq!(refused(&add(json!([])).await, "groupMembersAdd"), ["REQUIRED at input.memberIds"]);
    assert_eq!(refused(&add(json!(vec![ada.member; 101])).await, "groupMembersAdd")[0], "TOO_LONG at input.memberIds");
    assert!(add(json!([ada.member])).await.payload("groupMembersAdd").user_errors().is_empty(), "nobody had joined");
    assert_eq!(refused(&add(json!([ada.member])).await, "groupMembersAdd"), ["ALREADY_MEMBER at input.memberIds.0"]);
    let input = json!({ "groupId": group, "memberIds": [owner.member] });
    let absent = owner.try_mutate("groupMembersRemove", "group { id }", input).await;
    assert_eq!(refused(&absent, "groupMembersRemove"), ["NOT_FOUND at input.memberIds.0"]);
    let same = owner.try_mutate("groupCreate", "group { id }", json!({ "name": "CREW" })).await;
    assert_eq!(refused(&same, "groupCreate"), ["TAKEN at input.name"]);
    let stale =
        owner.try_mutate("groupUpdate", "group { id }", json!({ "id": group, "version": 7, "name": "X" })).await;
    assert_eq!(refused(&stale, "groupUpdate"), ["STALE_VERSION at input.version"]);
}
