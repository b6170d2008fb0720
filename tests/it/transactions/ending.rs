//! Every way a transaction can end, and what the next user of the connection sees.

use std::{sync::Arc, time::Duration};

use diesel::{
    ExpressionMethods, QueryDsl, QueryableByName,
    sql_types::{Integer, Text},
};
use tenantry::{
    db::{Db, DbError, PoolOptions, Scope, Stats, TenantSql, tables::tasks},
    ids::{Id, RequestId, TenantId},
};

use crate::database::demo::{self, ACME, GLOBEX};
use crate::support::{cluster::TestDatabase, database::migrated};

/// A pool of the runtime login.
pub fn pool(database: &TestDatabase, size: usize) -> Db {
    pool_that_forgets(database, size, PoolOptions::STATEMENTS_LAST)
}

/// The same, whose connections forget their prepared statements after being lent out so many times.
pub fn pool_that_forgets(database: &TestDatabase, size: usize, statements_last: usize) -> Db {
    let options = PoolOptions { size, wait: Duration::from_secs(120), shares: 0, statements_last };
    Db::new(&database.url("tenantry_app").into(), None, &options).expect("the URL is ours")
}

/// A request inside this tenant.
pub fn scope(tenant: &str) -> Scope {
    Scope {
        tenant: TenantId::from_uuid(tenant.parse().expect("a uuid")),
        user: None,
        actor: None,
        request: RequestId::new(tenantry::clock::Clock::system().now()),
        stats: Arc::new(Stats::default()),
    }
}

#[derive(QueryableByName, Debug, PartialEq)]
struct Backend {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Text)]
    tenant: String,
}

/// Which backend serves, and which tenant it knows before ours is set: outside of our own transactions.
async fn backend(db: &Db) -> Backend {
    let tx = db.person(None, &Arc::new(Stats::default())).await.expect("a connection");
    let found = tx
        .call("SELECT pg_backend_pid() AS pid, coalesce(current_setting('app.tenant_id', true), '') AS tenant")
        .first()
        .await
        .expect("an answer")
        .expect("a row");
    tx.commit().await.expect("a commit");
    found
}

const SLEEP: TenantSql = TenantSql::new("SELECT 1 FROM tasks, pg_sleep(60) WHERE tasks.tenant_id = {tenant}");

/// Waits until the database says so.
async fn until(database: &TestDatabase, what: &str, condition: &str) {
    let client = database.connect("tenantry").await;
    for _ in 0..2_000 {
        if client.query_one(condition, &[]).await.expect("an answer").get::<_, bool>(0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain for: {what}");
}

const SLEEPS: &str = "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active' \
                      AND datname = current_database() AND pid <> pg_backend_pid()";
const SLEEPS_NO_MORE: &str = "SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' \
                              AND state = 'active' AND datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test]
async fn a_committed_transaction_gives_a_clean_connection_back() {
    let database = migrated().await;
    demo::fill(&database).await;
    let db = pool(&database, 1);
    let before = backend(&db).await;
    let tx = db.read(&scope(ACME)).await.expect("a connection");
    let titles: Vec<String> = tasks::in_tenant(&tx).select(tasks::title).load().await.expect("rows");
    assert_eq!(titles, ["First"]);
    tx.commit().await.expect("a commit");
    assert_eq!(backend(&db).await, Backend { pid: before.pid, tenant: String::new() });
}

#[tokio::test]
async fn a_dropped_transaction_closes_its_connection_and_stops_its_statement() {
    let database = migrated().await;
    demo::fill(&database).await;
    let db = pool(&database, 1);
    let before = backend(&db).await;
    let request = tokio::spawn({
        let db = db.clone();
        async move {
            let tx = db.read(&scope(ACME)).await.expect("a connection");
            tx.raw(SLEEP).execute().await
        }
    });
    until(&database, "the statement to run", SLEEPS).await;
    request.abort();
    assert!(request.await.expect_err("it was aborted").is_cancelled());
    let after = backend(&db).await;
    assert_ne!(after.pid, before.pid, "the connection of the dropped transaction was used again");
    assert_eq!(after.tenant, "");
    until(&database, "the cancel request to stop the statement", SLEEPS_NO_MORE).await;
}

/// What the rule above is for: with an ordinary pool the next user of a dropped transaction's connection stands inside
/// the tenant of the request before. If this ever fails, the closing of connections may have become superfluous.
#[tokio::test]
async fn without_closing_the_next_user_would_see_the_tenant_of_the_one_before() {
    use diesel_async::{AsyncPgConnection, SimpleAsyncConnection, pooled_connection::AsyncDieselConnectionManager};
    let database = migrated().await;
    demo::fill(&database).await;
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(database.url("tenantry_app"));
    let pool = deadpool::managed::Pool::builder(manager).max_size(1).build().expect("a pool");
    {
        #[expect(clippy::disallowed_methods, reason = "shows what our own pool prevents")]
        let mut connection: deadpool::managed::Object<_> = pool.get().await.expect("a connection");
        let text = format!("BEGIN; SET LOCAL app.tenant_id = '{ACME}'");
        connection.batch_execute(&text).await.expect("begins");
    }
    #[expect(clippy::disallowed_methods, reason = "shows what our own pool prevents")]
    let mut connection: deadpool::managed::Object<_> = pool.get().await.expect("a connection");
    #[expect(clippy::disallowed_methods, reason = "shows what our own pool prevents")]
    let query = diesel::select(diesel::dsl::sql::<Text>("current_setting('app.tenant_id', true)"));
    let tenant: String = diesel_async::RunQueryDsl::get_result(query, &mut connection).await.expect("an answer");
    assert_eq!(tenant, ACME);
}

#[tokio::test]
async fn a_transaction_that_was_not_used_costs_nothing() {
    let database = migrated().await;
    let db = pool(&database, 1);
    let before = backend(&db).await;
    let request = scope(ACME);
    drop(db.read(&request).await.expect("a connection"));
    assert_eq!(request.stats.statements(), 0);
    assert_eq!(backend(&db).await.pid, before.pid);
}

#[tokio::test]
async fn a_failed_write_is_never_committed() {
    let database = migrated().await;
    demo::fill(&database).await;
    let db = pool(&database, 1);
    let tx = db.begin(&scope(ACME)).await.expect("a connection");
    tasks::in_tenant(&tx).set(&tx, tasks::title.eq("Changed")).execute().await.expect("one change works");
    let refused = tasks::in_tenant(&tx).set(&tx, tasks::title.eq("")).execute().await;
    assert!(matches!(refused, Err(DbError::Check(_))), "{refused:?}");
    let next = tasks::in_tenant(&tx).set(&tx, tasks::title.eq("Again")).execute().await;
    assert!(matches!(next, Err(DbError::Aborted)), "{next:?}");
    let committed = tx.commit().await;
    assert!(matches!(committed, Err(DbError::Aborted)), "{committed:?}");
    let tx = db.read(&scope(ACME)).await.expect("a connection");
    let titles: Vec<String> = tasks::in_tenant(&tx).select(tasks::title).load().await.expect("rows");
    assert_eq!(titles, ["First"]);
}

#[tokio::test]
async fn an_attempt_that_fails_undoes_itself_and_nothing_else() {
    let database = migrated().await;
    demo::fill(&database).await;
    let db = pool(&database, 1);
    let tx = db.begin(&scope(ACME)).await.expect("a connection");
    tasks::in_tenant(&tx).set(&tx, tasks::title.eq("Changed")).execute().await.expect("works");
    let refused = tx
        .attempt(async {
            tasks::in_tenant(&tx).set(&tx, tasks::points.eq(Some(5))).execute().await?;
            tasks::in_tenant(&tx).set(&tx, tasks::title.eq("")).execute().await
        })
        .await;
    assert!(matches!(refused, Err(DbError::Check(_))), "{refused:?}");
    tx.commit().await.expect("the rest is committed");
    let tx = db.read(&scope(ACME)).await.expect("a connection");
    let rows: Vec<(String, Option<i32>)> =
        tasks::in_tenant(&tx).select((tasks::title, tasks::points)).load().await.expect("rows");
    assert_eq!(rows, [("Changed".to_owned(), None)]);
}

#[tokio::test]
async fn a_read_cannot_write() {
    let database = migrated().await;
    demo::fill(&database).await;
    let tx = pool(&database, 1).read(&scope(ACME)).await.expect("a connection");
    const DELETE: TenantSql = TenantSql::new("DELETE FROM tasks WHERE tenant_id = {tenant}");
    let refused = tx.raw(DELETE).execute().await;
    assert!(matches!(refused, Err(DbError::Other(_))), "{refused:?}");
}

#[tokio::test]
async fn a_request_never_waits_for_a_connection_while_it_holds_one() {
    let database = migrated().await;
    let db = pool(&database, 5);
    let request = scope(GLOBEX);
    let first = db.read(&request).await.expect("a connection");
    let second = db.begin(&request).await.map(|_| ());
    assert!(matches!(second, Err(DbError::WaitsWhileHolding)), "{second:?}");
    drop(first);
    db.begin(&request).await.expect("after the first was given back, there is another");
}

#[tokio::test]
async fn statements_that_are_asked_together_leave_together() {
    let database = migrated().await;
    demo::fill(&database).await;
    let db = pool(&database, 1);
    let ask = async |request: &Scope| {
        let tx = db.read(request).await.expect("a connection");
        let titles = async || tasks::in_tenant(&tx).select(tasks::title).load::<String, _>().await;
        let count = async || tasks::in_tenant(&tx).count().first::<i64, _>().await;
        let (one, two, three) = tokio::join!(titles(), count(), titles());
        assert_eq!((one.expect("rows").len(), two.expect("rows"), three.expect("rows").len()), (1, Some(1), 1));
        titles().await.expect("rows");
        tx.commit().await.expect("a commit");
    };
    let request = scope(ACME);
    ask(&request).await;
    assert_eq!((request.stats.statements(), request.stats.flights()), (4, 2));
}

const RETITLE: TenantSql = TenantSql::new("UPDATE tasks SET title = {} WHERE tenant_id = {tenant}");

/// Gives all tasks of the tenant this title, by the last statement of a transaction; `COMMIT` leaves with it.
async fn retitle(db: &Db, title: &str) -> Result<(), DbError> {
    let tx = db.begin(&scope(ACME)).await?;
    let update = tx.raw(RETITLE).bind::<Text, _>(title.to_owned());
    tx.last(vec![Box::pin(async { update.execute().await.map(drop) })]).await?;
    tx.commit().await
}

async fn titles(database: &TestDatabase) -> Vec<String> {
    let sql = format!("SELECT DISTINCT title FROM tasks WHERE tenant_id = '{ACME}'");
    let rows = database.connect("tenantry").await.query(&sql, &[]).await.expect("an answer");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_failure_of_the_last_statement_undoes_a_transaction_whose_commit_has_left() {
    let database = migrated().await;
    demo::fill(&database).await;
    let db = pool(&database, 1);
    // Prepared by the first; from the second on, COMMIT does not wait.
    for title in ["One", "Two"] {
        retitle(&db, title).await.expect("a title");
        assert_eq!(titles(&database).await, [title]);
    }
    let tx = db.begin(&scope(ACME)).await.expect("a transaction");
    tx.raw(RETITLE).bind::<Text, _>("Three").execute().await.expect("a title");
    let bad = tx.raw(RETITLE).bind::<Text, _>("");
    let failed = tx.last(vec![Box::pin(async { bad.execute().await.map(drop) })]).await;
    assert!(matches!(failed, Err(DbError::Check(_))), "{failed:?}");
    assert!(tx.commit().await.is_err());
    assert_eq!(titles(&database).await, ["Two"]);
    retitle(&db, "Four").await.expect("the pool goes on");
    assert_eq!(titles(&database).await, ["Four"]);
}

/// tokio lets a task give way when it has done much; a statement that did would leave behind its own `COMMIT`, outside of
/// its transaction.
#[tokio::test]
async fn commit_does_not_overtake_a_statement_of_a_task_that_has_to_give_way() {
    let database = migrated().await;
    demo::fill(&database).await;
    let db = pool(&database, 1);
    for title in ["One", "Two", "Three"] {
        let tx = db.begin(&scope(ACME)).await.expect("a transaction");
        let update = tx.raw(RETITLE).bind::<Text, _>(title);
        let last = tx.last(vec![Box::pin(async { update.execute().await.map(drop) })]);
        while tokio::task::coop::has_budget_remaining() {
            tokio::task::coop::consume_budget().await;
        }
        last.await.expect("a title");
        tx.commit().await.expect("a commit");
        assert_eq!(titles(&database).await, [title]);
    }
}
