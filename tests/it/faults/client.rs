//! The client hangs up.

use futures::future::join_all;

use super::stage::{POOL, Stage, create_task, until};

#[tokio::test]
async fn requests_whose_clients_are_gone_stop_in_the_database_and_leave_nothing_behind() {
    let stage = Stage::set(|_| {}).await;
    let before = stage.written().await;
    let held = stage.hold("LOCK TABLE audit_logs IN SHARE MODE").await;
    // As many as there are connections: were one of them lost to the pool, the next requests would show it.
    let requests: Vec<_> = (0..POOL).map(|_| stage.creating(&[])).collect();
    let backends = stage.stopped(POOL).await;
    for request in &requests {
        request.abort();
    }
    for request in join_all(requests).await {
        assert!(request.expect_err("it was aborted").is_cancelled());
    }
    // A backend that waits for a lock does not look at its socket: only a cancel request ends it, the lock is held on.
    until("nobody waits for the lock", async || stage.waiting().await.is_empty()).await;
    let gone = format!(
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid IN ({})",
        backends.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
    );
    until("the connections are closed", async || stage.is(&gone).await).await;
    held.release().await;
    assert_eq!(stage.written().await, before);
    stage.is_clean().await;

    let replies = join_all((0..POOL).map(|_| create_task(stage.owner(), &stage.project, &[]))).await;
    for reply in replies {
        assert_eq!(reply.payload("taskCreate").user_errors(), Vec::<String>::new());
    }
    assert_eq!(stage.written().await[0], before[0] + 4);
}
