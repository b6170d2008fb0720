//! No connection is free.

use super::stage::{POOL, Stage, assert_field_unavailable, assert_refused, count_tasks};

#[tokio::test]
async fn who_finds_no_connection_is_told_to_come_again_and_then_served() {
    let stage = Stage::set(|settings| settings.pool.pool_wait_ms = 500).await;
    // The server has never seen this person and must ask the database who it is.
    let stranger = stage.app.tenant().await.owner;
    let held = stage.hold("LOCK TABLE audit_logs IN SHARE MODE").await;
    let requests: Vec<_> = (0..POOL).map(|_| stage.creating(&[])).collect();
    stage.stopped(POOL).await;
    let (known, unknown) = tokio::join!(count_tasks(stage.owner()), count_tasks(&stranger));
    assert_field_unavailable(&known, "tasks");
    assert_refused(&unknown);

    held.release().await;
    for request in requests {
        let reply = request.await.expect("no panic");
        assert_eq!(reply.payload("taskCreate").user_errors(), Vec::<String>::new());
    }
    assert_eq!(count_tasks(stage.owner()).await.data()["tasks"]["totalCount"], 4);
    assert_eq!(count_tasks(&stranger).await.data()["tasks"]["totalCount"], 0);
    stage.is_clean().await;
}
