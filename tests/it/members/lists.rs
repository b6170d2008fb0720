//! Every list × everybody: what one may see and nothing else, with right pages and totals; and what one may not see is
//! answered like what is not there, to the byte.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::said;
use crate::{
    api_keys::create,
    support::app::{TestApp, TestTenant, TestUser},
};

struct Place {
    workspace: String,
    project: String,
    task: String,
}

/// An open workspace, a private one with one below it, and another private one; in each a project with three tasks.
struct House {
    tenant: TestTenant,
    open: Place,
    atlas: Place,
    research: Place,
    borealis: Place,
}

async fn place(tenant: &TestTenant, name: &str, workspace: Value) -> Place {
    let owner = &tenant.owner;
    let workspace = owner.mutate("workspaceCreate", "workspace { id }", workspace).await.at("/workspace/id");
    let project = json!({ "workspaceId": workspace, "name": format!("{name} project") });
    let project = owner.mutate("projectCreate", "project { id }", project).await.at("/project/id");
    let mut task = String::new();
    for number in 0..3 {
        task = tenant.task(&project, &format!("{name} task {number}")).await;
    }
    Place { workspace, project, task }
}

async fn house() -> House {
    let tenant = TestApp::start().await.tenant().await;
    let open = place(&tenant, "Open", json!({ "name": "Open" })).await;
    let atlas = place(&tenant, "Atlas", json!({ "name": "Atlas", "visibility": "PRIVATE" })).await;
    let research = json!({ "name": "Research", "parentId": atlas.workspace });
    let research = place(&tenant, "Research", research).await;
    let borealis = place(&tenant, "Borealis", json!({ "name": "Borealis", "visibility": "PRIVATE" })).await;
    House { tenant, open, atlas, research, borealis }
}

/// The names in a list, read page by page forward and backward: both the same, as many as the total says, none twice.
async fn listed(user: &TestUser, list: &str, name: &str) -> Option<BTreeSet<String>> {
    let mut ways = Vec::new();
    for (size, cursor, info, more) in
        [("first", "after", "endCursor", "hasNextPage"), ("last", "before", "startCursor", "hasPreviousPage")]
    {
        let query = format!(
            "query($c: String) {{ {list}({size}: 2, {cursor}: $c) {{ totalCount pageInfo {{ {info} {more} }} nodes {{ {name} }} }} }}"
        );
        let (mut at, mut names) = (Value::Null, Vec::new());
        loop {
            let reply = user.query(&query, json!({ "c": at })).await;
            if reply.codes() == ["FORBIDDEN"] {
                return None;
            }
            let page = reply.data()[list].clone();
            let nodes = page["nodes"].as_array().expect("nodes");
            names.extend(nodes.iter().map(|node| node[name].as_str().expect("a name").to_owned()));
            if page["pageInfo"][more] == json!(false) {
                assert_eq!(page["totalCount"], json!(names.len()), "{list}: {names:?}");
                break;
            }
            assert_eq!(nodes.len(), 2, "{list}: a page in the middle is full");
            at = page["pageInfo"][info].clone();
        }
        let once: BTreeSet<_> = names.iter().cloned().collect();
        assert_eq!(once.len(), names.len(), "{list}: {names:?}");
        ways.push(once);
    }
    assert_eq!(ways[0], ways[1], "{list}");
    ways.pop()
}

/// The places whose things are in a list, by the first word of the names.
async fn places(user: &TestUser, list: &str, name: &str) -> Option<Vec<String>> {
    let names = listed(user, list, name).await?;
    let words: BTreeSet<_> = names.iter().map(|name| name.split(' ').next().expect("a word").to_owned()).collect();
    Some(words.into_iter().collect())
}

#[tokio::test]
async fn lists_show_what_one_may_see() {
    let house = house().await;
    let tenant = &house.tenant;
    let on = |place: &Place| Some(place.workspace.parse().expect("an id"));
    let key = |place: &Place| json!({ "name": "demo", "scopes": ["workspaces:read", "projects:read", "tasks:read"], "workspaceId": place.workspace });
    let key_of_atlas = create(&tenant.owner, key(&house.atlas)).await.at("/secret");
    let developer = tenant.member("developer").await;
    // A developer may use a key on an open workspace; on a private one there is nothing of theirs to cut.
    let key_of_open = create(&developer, key(&house.open)).await.at("/secret");
    let member_of_atlas = {
        let person = tenant.member("member").await;
        let input = json!({ "workspaceId": house.atlas.workspace, "memberId": person.member });
        tenant.owner.mutate("workspaceMemberAdd", "workspaceMember { id }", input).await;
        let viewer = tenant.member_on("workspace_viewer", on(&house.atlas)).await;
        // One person with both: the role in the tenant and the one on the workspace.
        let (from, to) = (viewer.member.expect("a member"), person.member.expect("a member"));
        let (from, to) = (tenantry::ids::Id::uuid(from), tenantry::ids::Id::uuid(to));
        let sql = format!("UPDATE role_grants SET member_id = '{to}' WHERE member_id = '{from}'");
        tenant.app.database.run("tenantry", &sql).await;
        tenant.app.app.services.memberships.forget(tenant.id);
        person
    };
    let all = ["Atlas", "Borealis", "Open", "Research"];
    let everywhere = ["Atlas", "Borealis", "General", "Open", "Research"];
    let callers: Vec<(&str, TestUser, Vec<&str>, Vec<&str>)> = vec![
        ("admin", tenant.member("admin").await, everywhere.to_vec(), all.to_vec()),
        ("developer of the tenant", developer.clone(), vec!["General", "Open"], vec!["Open"]),
        (
            "member of a private workspace",
            member_of_atlas,
            vec!["Atlas", "General", "Open", "Research"],
            vec!["Atlas", "Research"],
        ),
        ("guest", tenant.member_on("guest", on(&house.research)).await, vec!["Research"], vec!["Research"]),
        ("guest of another", tenant.member_on("guest", on(&house.borealis)).await, vec!["Borealis"], vec!["Borealis"]),
        (
            "key on a workspace",
            tenant.owner.with_token(&key_of_atlas),
            vec!["Atlas", "Research"],
            vec!["Atlas", "Research"],
        ),
        ("developer's key", developer.with_token(&key_of_open), vec!["Open"], vec!["Open"]),
    ];
    for (who, user, workspaces, things) in &callers {
        assert_eq!(places(user, "workspaces", "name").await.expect("admitted"), *workspaces, "{who}");
        assert_eq!(places(user, "projects", "name").await.expect("admitted"), *things, "{who}");
        assert_eq!(places(user, "tasks", "title").await.expect("admitted"), *things, "{who}");
        assert_eq!(listed(user, "tasks", "title").await.expect("admitted").len(), 3 * things.len(), "{who}");
    }

    // What is hidden is answered like what is not there, by every way to it.
    let unknown = Place {
        workspace: "wsp_01h455vb4pex5vsknk084sn02q".to_owned(),
        project: "prj_01h455vb4pex5vsknk084sn02q".to_owned(),
        task: "tsk_01h455vb4pex5vsknk084sn02q".to_owned(),
    };
    for (who, user, _, things) in &callers {
        for (name, place) in [
            ("Open", &house.open),
            ("Atlas", &house.atlas),
            ("Research", &house.research),
            ("Borealis", &house.borealis),
        ] {
            // An open workspace is seen by members without its projects; here it is about what is not seen at all.
            let is_open_to_members = name == "Open" && *who == "member of a private workspace";
            let is_shown = things.contains(&name);
            let is_hidden = !is_shown && !is_open_to_members;
            for (document, hidden, missing) in ways(place, &unknown) {
                let is_control = is_shown && document.starts_with("query");
                if !is_hidden && !is_control {
                    continue;
                }
                let mut replies = Vec::new();
                for id in [&hidden, &missing] {
                    replies.push(said(&user.query(document, json!({ "id": id })).await, id));
                }
                if is_hidden {
                    assert_eq!(replies[0], replies[1], "{who}: {document} in {name}");
                } else {
                    assert_ne!(replies[0], replies[1], "{who}: {document} in {name}: the control");
                }
            }
        }
    }
}

/// Every way to a workspace, a project and a task by id, reading and writing.
fn ways(place: &Place, unknown: &Place) -> Vec<(&'static str, String, String)> {
    let mut all = Vec::new();
    for document in [
        "query($id: ID!) { workspace(id: $id) { name } }",
        "query($id: ID!) { node(id: $id) { id } }",
        "query($id: ID!) { projects(filter: { workspaceId: $id }) { totalCount nodes { name } } }",
        "query($id: ID!) { tasks(filter: { workspaceId: $id }) { totalCount nodes { title } } }",
        "mutation($id: ID!) { workspaceUpdate(input: { id: $id, name: \"x\" }) { userErrors { code message path } } }",
        "mutation($id: ID!) { projectCreate(input: { workspaceId: $id, name: \"x\" }) { userErrors { code message path } } }",
    ] {
        all.push((document, place.workspace.clone(), unknown.workspace.clone()));
    }
    for document in [
        "query($id: ID!) { project(id: $id) { name } }",
        "query($id: ID!) { tasks(filter: { projectId: $id }) { totalCount } }",
        "mutation($id: ID!) { taskCreate(input: { projectId: $id, title: \"x\" }) { userErrors { code message path } } }",
    ] {
        all.push((document, place.project.clone(), unknown.project.clone()));
    }
    for document in [
        "query($id: ID!) { task(id: $id) { title } }",
        "mutation($id: ID!) { taskDelete(input: { id: $id }) { userErrors { code message path } } }",
    ] {
        all.push((document, place.task.clone(), unknown.task.clone()));
    }
    all
}

#[tokio::test]
async fn members_and_audit_entries_are_seen_where_the_workspace_is() {
    let house = house().await;
    let tenant = &house.tenant;
    let on = |place: &Place| Some(place.workspace.parse().expect("an id"));
    let (admin, auditor) = (tenant.member("admin").await, tenant.member("auditor").await);
    let local = tenant.member_on("workspace_admin", on(&house.atlas)).await;
    let viewer = tenant.member_on("workspace_viewer", on(&house.research)).await;
    let guest = tenant.member_on("guest", on(&house.research)).await;
    let ids = |users: &[&TestUser]| -> BTreeSet<String> {
        users.iter().map(|user| user.member.expect("a member").to_string()).collect()
    };
    let owner = &tenant.owner;
    let all = [owner, &admin, &auditor, &local, &viewer, &guest];
    assert_eq!(listed(&admin, "members", "id").await.expect("admitted"), ids(&all));
    assert_eq!(listed(&auditor, "members", "id").await.expect("admitted"), ids(&all));
    // Those with a role on Atlas or below it; those on Research, and oneself.
    assert_eq!(listed(&local, "members", "id").await.expect("admitted"), ids(&[&local, &viewer, &guest]));
    assert_eq!(listed(&viewer, "members", "id").await.expect("admitted"), ids(&[&viewer, &guest]));
    assert_eq!(listed(&guest, "members", "id").await, None);

    // One entry for the workspace, one for the project, three for the tasks of each place.
    let entries = async |user: &TestUser| -> Option<Vec<Option<String>>> {
        let query = "{ auditLogs(first: 100) { totalCount nodes { workspaceId } } }";
        let reply = user.query(query, json!({})).await;
        if reply.codes() == ["FORBIDDEN"] {
            return None;
        }
        let page = reply.data()["auditLogs"].clone();
        let nodes = page["nodes"].as_array().expect("nodes");
        assert_eq!(page["totalCount"], json!(nodes.len()));
        Some(nodes.iter().map(|node| node["workspaceId"].as_str().map(str::to_owned)).collect())
    };
    let of = |entries: &[Option<String>], place: &Place| {
        entries.iter().filter(|entry| entry.as_deref() == Some(&place.workspace)).count()
    };
    let seen = entries(&admin).await.expect("admitted");
    for place in [&house.open, &house.atlas, &house.research, &house.borealis] {
        assert_eq!(of(&seen, place), 5);
    }
    assert!(seen.iter().any(Option::is_none));
    // An auditor of the tenant does not look into private workspaces; who administers one looks into that and nothing else.
    let seen = entries(&auditor).await.expect("admitted");
    let counts = [&house.open, &house.atlas, &house.research, &house.borealis].map(|place| of(&seen, place));
    assert_eq!(counts, [5, 0, 0, 0]);
    let seen = entries(&local).await.expect("admitted");
    assert_eq!(seen.len(), 10);
    assert_eq!((of(&seen, &house.atlas), of(&seen, &house.research)), (5, 5));
    assert_eq!(entries(&viewer).await, None);
    assert_eq!(entries(&guest).await, None);
    // A hidden entry and a hidden member are unknown ones.
    let secret = admin.query("{ auditLogs(first: 100) { nodes { id workspaceId } } }", json!({})).await;
    let nodes = secret.data()["auditLogs"]["nodes"].as_array().expect("nodes").clone();
    let in_borealis = nodes.iter().find(|node| node["workspaceId"] == json!(house.borealis.workspace)).expect("one");
    let hidden = in_borealis["id"].as_str().expect("an id").to_owned();
    let (admins, node) = (admin.member.expect("a member").to_string(), "query($id: ID!) { node(id: $id) { id } }");
    for (user, document, hidden, unknown) in [
        (&local, node, hidden.clone(), "aud_01h455vb4pex5vsknk084sn02q"),
        (&auditor, node, hidden, "aud_01h455vb4pex5vsknk084sn02q"),
        (&local, "query($id: ID!) { member(id: $id) { id } }", admins.clone(), "mbr_01h455vb4pex5vsknk084sn02q"),
        (&viewer, node, admins.clone(), "mbr_01h455vb4pex5vsknk084sn02q"),
        (
            &local,
            "mutation($id: ID!) { memberRemove(input: { id: $id }) { userErrors { code message path } } }",
            admins,
            "mbr_01h455vb4pex5vsknk084sn02q",
        ),
    ] {
        let of_hidden = said(&user.query(document, json!({ "id": hidden })).await, &hidden);
        let of_unknown = said(&user.query(document, json!({ "id": unknown })).await, unknown);
        assert_eq!(of_hidden, of_unknown, "{document}");
    }
}

#[tokio::test]
async fn members_are_found_by_a_role_that_a_group_gives_them() {
    let tenant = TestApp::start().await.tenant().await;
    let (by_group, by_grant) = (tenant.member("member").await, tenant.member("auditor").await);
    let _none = tenant.member("member").await;
    let uuid = |user: &TestUser| tenantry::ids::Id::uuid(user.member.expect("a member"));
    let sql = format!(
        "WITH made AS (INSERT INTO groups (tenant_id, id, name) VALUES ('{tenant}', gen_random_uuid(), 'Watch') RETURNING id), \
              put AS (INSERT INTO group_members (tenant_id, group_id, member_id) SELECT '{tenant}', id, '{member}' FROM made) \
         INSERT INTO role_grants (tenant_id, id, group_id, role_id) SELECT '{tenant}', gen_random_uuid(), made.id, r.id \
         FROM made, roles r WHERE r.tenant_id = '{tenant}' AND r.key = 'auditor'",
        tenant = tenantry::ids::Id::uuid(tenant.id),
        member = uuid(&by_group),
    );
    tenant.app.database.run("tenantry", &sql).await;
    let role = "{ roles(first: 100) { nodes { id key } } }";
    let roles = tenant.owner.query(role, json!({})).await.data()["roles"]["nodes"].as_array().expect("nodes").clone();
    let auditor = roles.iter().find(|role| role["key"] == "auditor").expect("built in")["id"].clone();
    let query = "query($role: ID!) { members(filter: { roleId: $role }) { totalCount nodes { id } } }";
    let found = tenant.owner.query(query, json!({ "role": auditor })).await.data()["members"].clone();
    let ids: BTreeSet<_> =
        found["nodes"].as_array().expect("nodes").iter().map(|node| node["id"].to_string()).collect();
    assert_eq!(found["totalCount"], 2);
    assert_eq!(ids, [&by_group, &by_grant].map(|user| json!(user.member).to_string()).into_iter().collect());
}
