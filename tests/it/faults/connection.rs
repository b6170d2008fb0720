//! The backend that runs a request's statement is killed.

use serde_json::json;

use super::stage::{Stage, assert_field_unavailable, assert_unavailable, count_tasks, create_task};

#[tokio::test]
async fn a_mutation_that_loses_its_connection_has_written_nothing_and_can_be_repeated() {
    const KEY: &[(&str, &str)] = &[("idempotency-key", "demo-idempotency-key")];
    let stage = Stage::set(|_| {}).await;
    let before = stage.written().await;
    // The task is written by then; its audit entry is not.
    let held = stage.hold("LOCK TABLE audit_logs IN SHARE MODE").await;
    let request = stage.creating(KEY);
    let backend = stage.stopped(1).await[0];
    stage.kill(backend).await;
    assert_field_unavailable(&request.await.expect("no panic"), "taskCreate");
    held.release().await;
    assert_eq!(stage.written().await, before);
    stage.is_clean().await;

    let again = create_task(stage.owner(), &stage.project, KEY).await;
    assert_eq!(again.payload("taskCreate").user_errors(), Vec::<String>::new());
    assert_eq!(again.header("idempotency-replayed"), None);
    assert_eq!(stage.written().await, before.map(|count| count + 1));
    assert_eq!(count_tasks(stage.owner()).await.data()["tasks"]["totalCount"], 1);
}

#[tokio::test]
async fn a_query_that_loses_its_connection_says_so_in_every_field() {
    let stage = Stage::set(|_| {}).await;
    let held = stage.hold("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await;
    let owner = stage.owner().clone();
    let document = "{ tasks(first: 1) { totalCount } projects(first: 1) { nodes { tasks(first: 1) { totalCount } } } }";
    let request = tokio::spawn(async move { owner.query(document, json!({})).await });
    let backend = stage.stopped(1).await[0];
    stage.kill(backend).await;
    let reply = request.await.expect("no panic");
    assert_unavailable(&reply);
    assert_eq!(reply.status, 200);
    held.release().await;
    stage.owner().query(document, json!({})).await.data();
    stage.is_clean().await;
}
