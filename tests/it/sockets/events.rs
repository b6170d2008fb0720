//! What subscribers get, and what they do not.

use serde_json::{Value, json};
use tenantry::ids::{Id, TaskId};

use super::{TASKS, as_another_process, auditing, listening, until};
use crate::support::{app::TestApp, process::ServerProcess, socket::Socket};

#[tokio::test]
async fn every_change_of_a_task_is_told_once_and_in_order() {
    let tenant = TestApp::start().await.tenant().await;
    let project = tenant.project("Atlas").await;
    let mut socket = Socket::of(&tenant.owner).await;
    let id = socket.subscribe(TASKS, json!({})).await;
    listening(&tenant, 1).await;

    let owner = &tenant.owner;
    let task = tenant.task(&project, "Draw").await;
    owner.mutate("taskUpdate", "task { id }", json!({ "id": task, "title": "Paint" })).await;
    owner.mutate("taskAssign", "task { id }", json!({ "id": task, "assigneeId": owner.member })).await;
    owner.mutate("taskComplete", "task { id }", json!({ "id": task })).await;
    owner.mutate("taskDelete", "task { id }", json!({ "id": task })).await;
    let rows: Vec<_> = (0..300).map(|number| json!({ "title": format!("Row {number}") })).collect();
    owner.mutate("tasksImport", "count", json!({ "projectId": project, "rows": rows })).await;

    let mut kinds = Vec::new();
    for _ in 0..6 {
        let event = socket.next(&id).await["taskChanged"].clone();
        let kind = event["kind"].as_str().expect("a kind").to_owned();
        if kind == "IMPORTED" {
            assert_eq!((event["taskIds"].as_array().map(Vec::len), &event["task"]), (Some(300), &Value::Null));
        } else {
            assert_eq!(event["taskIds"], json!([task]));
        }
        kinds.push(kind);
    }
    assert_eq!(kinds, ["CREATED", "UPDATED", "ASSIGNED", "COMPLETED", "DELETED", "IMPORTED"]);
    socket.ping().await;
    assert!(socket.is_silent());
}

#[tokio::test]
async fn an_event_reaches_only_those_whose_filter_takes_it() {
    let tenant = TestApp::start().await.tenant().await;
    let (atlas, borealis) = (tenant.project("Atlas").await, tenant.project("Borealis").await);
    let elsewhere = tenant.owner.mutate("workspaceCreate", "workspace { id }", json!({ "name": "Other" })).await;
    let elsewhere = elsewhere.at("/workspace/id");
    let input = json!({ "workspaceId": elsewhere, "name": "Far" });
    let far = tenant.owner.mutate("projectCreate", "project { id }", input).await.at("/project/id");

    let mut socket = Socket::of(&tenant.owner).await;
    let of_project = "subscription($id: ID) { taskChanged(projectId: $id) { task { title project { name } } } }";
    let of_project = socket.subscribe(of_project, json!({ "id": atlas })).await;
    let of_workspace = "subscription($id: ID) { taskChanged(workspaceId: $id) { task { title workspace { id } } } }";
    let of_workspace = socket.subscribe(of_workspace, json!({ "id": elsewhere })).await;
    listening(&tenant, 2).await;
    tenant.task(&borealis, "not this").await;
    tenant.task(&far, "far").await;
    tenant.task(&atlas, "near").await;
    let near = socket.next(&of_project).await["taskChanged"]["task"].clone();
    assert_eq!(near, json!({ "title": "near", "project": { "name": "Atlas" } }));
    let far = socket.next(&of_workspace).await["taskChanged"]["task"].clone();
    assert_eq!(far, json!({ "title": "far", "workspace": { "id": elsewhere } }));
    socket.ping().await;
    assert!(socket.is_silent());
}

/// Two tenants whose events come at the same time, each with the same subscriptions.
#[tokio::test]
async fn nobody_hears_of_another_tenant() {
    const ROUNDS: usize = 25;
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant().await, app.tenant().await);
    let mut sockets = Vec::new();
    for tenant in [&ours, &theirs] {
        let mut socket = Socket::of(&tenant.owner).await;
        let tasks = socket.subscribe(TASKS, json!({})).await;
        let audit = socket.subscribe("subscription { auditLogAppended { id action targetId } }", json!({})).await;
        listening(tenant, 1).await;
        auditing(tenant, 1).await;
        sockets.push((socket, tasks, audit));
    }
    let (our_project, their_project) = (ours.project("Ours").await, theirs.project("Theirs").await);
    let (mut our_tasks, mut their_tasks) = (Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        let title = format!("Round {number}");
        let (one, other) = tokio::join!(ours.task(&our_project, &title), theirs.task(&their_project, &title));
        our_tasks.push(one);
        their_tasks.push(other);
    }
    for ((socket, tasks, audit), (expected, foreign)) in
        sockets.iter_mut().zip([(&our_tasks, &their_tasks), (&their_tasks, &our_tasks)])
    {
        let mut got = Vec::new();
        for _ in 0..ROUNDS {
            got.push(socket.next(tasks).await["taskChanged"]["taskIds"][0].as_str().expect("an id").to_owned());
        }
        assert_eq!(&got, expected);
        let mut targets = Vec::new();
        // The project and the tasks.
        for _ in 0..=ROUNDS {
            targets.push(socket.next(audit).await["auditLogAppended"]["targetId"].clone());
        }
        assert!(expected.iter().all(|task| targets.contains(&json!(task))));
        assert!(!foreign.iter().any(|task| targets.contains(&json!(task))));
        socket.ping().await;
        assert!(socket.is_silent());
    }
}

#[tokio::test]
async fn a_task_that_was_moved_out_of_sight_is_not_shown() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let guest = tenant.member_on("workspace_viewer", Some(tenant.workspace)).await;
    let project = tenant.project("Atlas").await;
    let elsewhere = tenant.owner.mutate("workspaceCreate", "workspace { id }", json!({ "name": "Other" })).await;
    let elsewhere: tenantry::ids::WorkspaceId = elsewhere.at("/workspace/id").parse().expect("an id");
    let task = tenant.task(&project, "Draw").await;

    let mut socket = Socket::of(&guest).await;
    let id = socket.subscribe(TASKS, json!({})).await;
    let mut owners = Socket::of(&tenant.owner).await;
    let all = owners.subscribe(TASKS, json!({})).await;
    listening(&tenant, 2).await;
    // The event tells of the workspace that the guest sees; by the time it is read, the task is elsewhere.
    let uuid = task.parse::<TaskId>().expect("an id").uuid();
    let moved = format!(
        "SET LOCAL session_replication_role = replica;
         UPDATE projects SET workspace_id = '{elsewhere}' WHERE tenant_id = app.tenant_id();
         UPDATE tasks SET workspace_id = '{elsewhere}' WHERE id = '{uuid}';
         SET LOCAL session_replication_role = origin;
         INSERT INTO events (tenant_id, id, type, api_version, workspace_id, subject_id, payload, actor_kind, occurred_at)
         SELECT tenant_id, app.uuid_v7(now()), 'task.updated', api_version, workspace_id, subject_id, payload, actor_kind, now()
         FROM events WHERE tenant_id = app.tenant_id() AND type = 'task.created'",
        elsewhere = elsewhere.uuid()
    );
    as_another_process(&app, &tenant, &moved).await;
    let event = socket.next(&id).await["taskChanged"].clone();
    assert_eq!((&event["kind"], &event["task"]), (&json!("UPDATED"), &Value::Null));
    assert_eq!(owners.next(&all).await["taskChanged"]["task"]["title"], "Draw");

    // What happens where the guest sees nothing is not told at all.
    let input = json!({ "workspaceId": elsewhere, "name": "Hidden" });
    let hidden = tenant.owner.mutate("projectCreate", "project { id }", input).await.at("/project/id");
    tenant.task(&hidden, "Secret").await;
    assert_eq!(owners.next(&all).await["taskChanged"]["task"]["title"], "Secret");
    socket.ping().await;
    assert!(socket.is_silent());
}

#[tokio::test]
async fn the_audit_log_is_told_as_the_filter_wants_it() {
    let tenant = TestApp::start().await.tenant().await;
    let project = tenant.project("Atlas").await;
    let mut socket = Socket::of(&tenant.owner).await;
    let query = "subscription($filter: AuditLogFilter) {
        auditLogAppended(filter: $filter) { id action outcome actor { label } } }";
    let filter = json!({ "actions": ["task.create"], "outcome": "SUCCESS" });
    let id = socket.subscribe(query, json!({ "filter": filter })).await;
    auditing(&tenant, 1).await;
    let task = tenant.task(&project, "Draw").await;
    tenant.owner.mutate("taskDelete", "task { id }", json!({ "id": task })).await;
    tenant.owner.try_mutate("taskCreate", "task { id }", json!({ "projectId": project, "title": "" })).await;
    tenant.task(&project, "Paint").await;
    for _ in 0..2 {
        let entry = socket.next(&id).await["auditLogAppended"].clone();
        assert_eq!((&entry["action"], &entry["outcome"]), (&json!("task.create"), &json!("SUCCESS")));
        assert!(entry["actor"]["label"].is_string(), "{entry}");
    }
    tenant.audit().await;
    socket.ping().await;
    assert!(socket.is_silent());
}

/// A hundred subscribers cost the database no more reads of the feed than one.
#[tokio::test]
async fn many_subscribers_are_fed_by_one_reader() {
    let app = TestApp::start().await;
    let process = ServerProcess::start(&app.database, &[]).await;
    let there = process.of(&app);
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let mut socket = Socket::of(&tenant.owner.through(&there)).await;
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(socket.subscribe(TASKS, json!({})).await);
        }
        sockets.push((socket, ids));
    }
    let standing = async || there.metric("tenantry_feed_subscribers{feed=\"tasks\"}").await == 100.0;
    until("the subscriptions stand", standing).await;
    tenant.task(&project, "Draw").await;
    for (socket, ids) in &mut sockets {
        for id in ids {
            assert_eq!(socket.next(id).await["taskChanged"]["task"]["title"], "Draw");
        }
    }
    assert_eq!(there.metric("tenantry_feed_rows_total{feed=\"tasks\"}").await, 1.0);
    assert_eq!(there.metric("tenantry_socket_events_total").await, 100.0);
}
