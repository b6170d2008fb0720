//! Tasks: optimistic locking, import, rights by workspace.

use serde_json::json;

use crate::support::app::TestApp;

#[tokio::test]
async fn the_slower_of_two_editors_is_told() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let task = tenant.task(&project, "Draw").await;
    let edit = |title: &str| json!({ "id": task, "version": 1, "title": title });
    tenant.owner.mutate("taskUpdate", "task { version }", edit("First")).await;
    let late = tenant.owner.try_mutate("taskUpdate", "task { id }", edit("Second")).await;
    let late = late.payload("taskUpdate");
    assert_eq!(late.user_errors(), ["STALE_VERSION at input.version"]);
    assert_eq!(late.0["userErrors"][0]["params"], json!({ "current": 2 }));
    let reply = tenant.owner.query("query($id: ID!) { task(id: $id) { title } }", json!({ "id": task })).await;
    assert_eq!(reply.data()["task"]["title"], "First");
}

#[tokio::test]
async fn absent_keeps_and_null_clears() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let input = json!({ "projectId": project, "title": "Draw", "points": 5, "dueOn": "2031-02-03" });
    let task = tenant.owner.mutate("taskCreate", "task { id }", input).await.at("/task/id");
    let selection = "task { title points dueOn }";
    let kept = tenant.owner.mutate("taskUpdate", selection, json!({ "id": task, "title": "Paint" })).await;
    assert_eq!(kept.0["task"], json!({ "title": "Paint", "points": 5, "dueOn": "2031-02-03" }));
    let cleared = json!({ "id": task, "points": null, "dueOn": null });
    let cleared = tenant.owner.mutate("taskUpdate", selection, cleared).await;
    assert_eq!(cleared.0["task"], json!({ "title": "Paint", "points": null, "dueOn": null }));
}

#[tokio::test]
async fn an_import_is_all_or_nothing_and_names_every_bad_row() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let mut rows: Vec<_> = (0..500).map(|number| json!({ "title": format!("Demo {number}") })).collect();
    rows[17] = json!({ "title": "" });
    rows[499] = json!({ "title": "Fine", "points": 101 });
    let bad =
        tenant.owner.try_mutate("tasksImport", "count taskIds", json!({ "projectId": project, "rows": rows })).await;
    let bad = bad.payload("tasksImport");
    assert_eq!(bad.user_errors(), ["REQUIRED at input.rows.17.title", "OUT_OF_RANGE at input.rows.499.points"]);
    assert_eq!(bad.0["count"], 0);
    rows[17] = json!({ "title": "Now it has one" });
    rows[499] = json!({ "title": "Fine", "points": 100 });
    let good = tenant.owner.mutate("tasksImport", "count", json!({ "projectId": project, "rows": rows })).await;
    assert_eq!(good.0["count"], 500);
    let total = tenant.owner.query("{ tasks(first: 1) { totalCount } }", json!({})).await;
    assert_eq!(total.data()["tasks"]["totalCount"], 500);
    rows.push(json!({ "title": "One too many" }));
    let many = tenant.owner.try_mutate("tasksImport", "count", json!({ "projectId": project, "rows": rows })).await;
    assert_eq!(many.payload("tasksImport").user_errors(), ["TOO_LONG at input.rows"]);
}

#[tokio::test]
async fn rights_on_one_workspace_end_there() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let elsewhere = json!({ "name": "Elsewhere" });
    let elsewhere = tenant.owner.mutate("workspaceCreate", "workspace { id }", elsewhere).await.at("/workspace/id");
    let here = tenant.project("Here").await;
    let there = json!({ "workspaceId": elsewhere, "name": "There" });
    let there = tenant.owner.mutate("projectCreate", "project { id }", there).await.at("/project/id");
    let (mine, hidden) = (tenant.task(&here, "Mine").await, tenant.task(&there, "Hidden").await);

    let editor = tenant.member_on("workspace_editor", Some(tenant.workspace)).await;
    let list = editor.query("{ tasks { nodes { id } totalCount } }", json!({})).await;
    assert_eq!(list.data()["tasks"], json!({ "nodes": [{ "id": mine }], "totalCount": 1 }));
    let find = "query($id: ID!) { task(id: $id) { id } node(id: $id) { id } }";
    let found = editor.query(find, json!({ "id": hidden })).await;
    assert_eq!(found.data(), &json!({ "task": null, "node": null }));
    let refused = editor.try_mutate("taskComplete", "task { id }", json!({ "id": hidden })).await;
    assert_eq!(refused.payload("taskComplete").user_errors(), ["NOT_FOUND at input.id"]);

    let viewer = tenant.member_on("workspace_viewer", Some(tenant.workspace)).await;
    let refused = viewer.try_mutate("taskComplete", "task { id }", json!({ "id": mine })).await;
    assert_eq!((refused.status, refused.codes()), (403, vec!["FORBIDDEN"]));
}

#[tokio::test]
async fn a_demotion_by_another_process_stops_the_next_write() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let editor = tenant.member_on("workspace_editor", Some(tenant.workspace)).await;
    let input = json!({ "projectId": project, "title": "Allowed" });
    editor.mutate("taskCreate", "task { id }", input.clone()).await;
    // This process has the rights in its cache. It hears of the change in a moment; the write does not wait for that.
    let member = tenantry::ids::Id::uuid(editor.member.expect("a member"));
    app.database.run("tenantry", &format!("DELETE FROM role_grants WHERE member_id = '{member}'")).await;
    let late = editor.try_mutate("taskCreate", "task { id }", input).await;
    let refused_by_the_pass = late.codes() == ["FORBIDDEN"];
    assert!(
        refused_by_the_pass || late.payload("taskCreate").user_errors() == ["NOT_FOUND at input.projectId"],
        "{late:?}"
    );
    let tasks = tenant.owner.query("{ tasks { totalCount } }", json!({})).await;
    assert_eq!(tasks.data()["tasks"]["totalCount"], 1);
}

#[tokio::test]
async fn nothing_can_be_put_into_an_archived_project() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    tenant.owner.mutate("projectArchive", "project { state }", json!({ "id": project })).await;
    let late = json!({ "projectId": project, "title": "Too late" });
    let late = tenant.owner.try_mutate("taskCreate", "task { id }", late).await;
    assert_eq!(late.payload("taskCreate").user_errors(), ["INVALID_STATE at input.projectId"]);
}

#[tokio::test]
async fn malformed_ids_are_refused_before_any_look_up() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let bare = uuid::Uuid::nil().to_string();
    for id in [project.as_str(), bare.as_str(), "tsk_", "TSK_01H455VB4PEX5VSKNK084SN02Q", ""] {
        let reply =
            tenant.owner.query("query($id: ID!) { task(id: $id) { id } tenant { id } }", json!({ "id": id })).await;
        assert_eq!((reply.status, reply.codes()), (200, vec!["INVALID_ID"]), "{id}");
        assert_eq!(reply.body["data"]["task"], json!(null));
        assert_eq!(reply.body["data"]["tenant"]["id"], tenant.id.to_string(), "one refused field blanks no other");
    }
}

/// A list reads no more of its tasks than is selected, whichever way that is written.
#[tokio::test]
async fn a_list_shows_of_a_task_what_the_task_itself_shows() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let member = tenant.member("member").await.member;
    let input = json!({ "projectId": project, "title": "Draw", "description": "In ink", "state": "DONE", "points": 5,
        "dueOn": "2031-02-03", "assigneeId": member });
    let task = tenant.owner.mutate("taskCreate", "task { id }", input).await.at("/task/id");

    let kind = "{ __type(name: \"Task\") { fields { name type { kind name ofType { kind } } } } }";
    let kind = tenant.owner.query(kind, json!({})).await;
    let fields = kind.data()["__type"]["fields"].as_array().expect("fields").iter().map(|field| {
        let name = field["name"].as_str().expect("a name");
        let named = if field["type"]["kind"] == "NON_NULL" { &field["type"]["ofType"] } else { &field["type"] };
        if named["kind"] == "OBJECT" { format!("{name} {{ id }}") } else { name.to_owned() }
    });
    for field in fields {
        let list = format!(
            "nodes {{ ... on Task @include(if: true) {{ it: {field} }} }} edges {{ node {{ ...of }} }} \
             more: edges {{ node {{ id }} again: node {{ it: {field} }} }}"
        );
        let document = format!(
            "query($id: ID!, $w: ID!, $p: ID!, $m: ID!) {{ task(id: $id) {{ ...of }} all: tasks {{ {list} }} \
             workspace(id: $w) {{ tasks {{ {list} }} tasks {{ nodes {{ title }} }} }} project(id: $p) {{ tasks {{ {list} }} }} \
             member(id: $m) {{ tasks: assignedTasks {{ {list} }} }} }} fragment of on Task {{ it: {field} }}"
        );
        let ids = json!({ "id": task, "w": tenant.workspace, "p": project, "m": member });
        let reply = tenant.owner.query(&document, ids).await;
        let expected = &reply.data()["task"]["it"];
        assert!(!expected.is_null(), "{field}");
        for list in ["/all", "/workspace/tasks", "/project/tasks", "/member/tasks"] {
            let list = reply.data().pointer(list).expect("a list");
            for place in ["/nodes/0/it", "/edges/0/node/it", "/more/0/again/it"] {
                assert_eq!(list.pointer(place), Some(expected), "{field} at {place}: {list:#}");
            }
        }
    }
}
