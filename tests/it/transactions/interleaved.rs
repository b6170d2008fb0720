//! Two tenants over two connections, a thousand requests, a third of them cut off somewhere.
//!
//! Here against PostgreSQL itself; `pooling` does the same through a pooler.

use std::time::Duration;

use diesel::QueryDsl;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tenantry::{
    db::{Db, TenantSql, tables::workspaces},
    ids::WorkspaceId,
};

use super::ending::{pool, pool_that_forgets, scope};
use crate::database::demo::{self, ACME, GLOBEX};
use crate::support::database::migrated;

const REQUESTS: usize = 1_200;

const SLOWLY: TenantSql = TenantSql::new("SELECT id, pg_sleep(0.002) FROM workspaces WHERE tenant_id = {tenant}");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_is_seen_by_the_wrong_tenant_and_no_connection_keeps_a_tenant() {
    let database = migrated().await;
    demo::fill(&database).await;
    interleave(&pool(&database, 2), [ACME, GLOBEX]).await;
}

/// A statement that is not prepared yet waits for its own preparation, and must not run before the tenant is set or after
/// the transaction has ended. With connections that forget at every turn, or at every third, any statement may be one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_is_not_prepared_runs_inside_its_transaction() {
    let database = migrated().await;
    demo::fill(&database).await;
    for statements_last in [1, 3] {
        interleave(&pool_that_forgets(&database, 2, statements_last), [ACME, GLOBEX]).await;
    }
}

/// Runs many requests of two tenants at once, each of which must see its tenant's workspaces and nothing else; how many
/// were answered and how many were cut off.
pub async fn interleave(db: &Db, tenants: [&str; 2]) -> (usize, usize) {
    let mut own = Vec::new();
    for tenant in tenants {
        let tx = db.read(&scope(tenant)).await.expect("a connection");
        own.push(workspaces::in_tenant(&tx).select(workspaces::id).load::<WorkspaceId, _>().await.expect("rows"));
        tx.commit().await.expect("a commit");
    }
    assert!(own.iter().all(|rows| !rows.is_empty()) && own[0] != own[1], "{own:?}");

    let mut random = StdRng::seed_from_u64(7);
    let mut requests = Vec::new();
    for number in 0..REQUESTS {
        let (db, which) = (db.clone(), number % 2);
        let request = scope(tenants[which]);
        let cut_after = random.random_bool(0.33).then(|| Duration::from_micros(random.random_range(0..6_000)));
        let expected = own[which].clone();
        let slowly = random.random_bool(0.5);
        requests.push(tokio::spawn(async move {
            let work = async {
                let tx = db.read(&request).await.expect("a connection");
                if slowly {
                    tx.raw(SLOWLY).execute().await.expect("an answer");
                }
                let seen: Vec<WorkspaceId> =
                    workspaces::in_tenant(&tx).select(workspaces::id).load().await.expect("rows");
                tx.finish();
                seen
            };
            match cut_after {
                None => Some(work.await == expected),
                Some(after) => tokio::time::timeout(after, work).await.ok().map(|seen| seen == expected),
            }
        }));
    }
    let (mut answered, mut cut) = (0, 0);
    for request in requests {
        match request.await.expect("no request panics") {
            Some(right) => {
                assert!(right, "a request saw other rows than its tenant's");
                answered += 1;
            }
            None => cut += 1,
        }
    }
    assert!(answered >= REQUESTS / 2 && cut >= REQUESTS / 20, "{answered} answered, {cut} cut off");

    // Whoever comes next, on whichever connection, stands in no tenant: outside of a tenant there are no rows.
    for _ in 0..20 {
        let tx = db.person(None, &std::sync::Arc::default()).await.expect("a connection");
        let rows: Vec<Left> = tx
            .call("SELECT coalesce(current_setting('app.tenant_id', true), '') AS tenant, count(*) AS rows FROM workspaces")
            .load()
            .await
            .expect("an answer");
        assert_eq!(rows, [Left { tenant: String::new(), rows: 0 }]);
        tx.commit().await.expect("a commit");
    }
    (answered, cut)
}

#[derive(diesel::QueryableByName, Debug, PartialEq)]
struct Left {
    #[diesel(sql_type = diesel::sql_types::Text)]
    tenant: String,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    rows: i64,
}
