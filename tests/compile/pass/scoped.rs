//! The control: what the failing programs beside this one are meant to be written like.

use diesel::{ExpressionMethods, QueryDsl};
use tenantry::{
    db::{
        DbError, TenantSql, TenantTx, WriteTx,
        tables::{members, projects, tasks},
    },
    ids::TaskId,
};

async fn reads(tx: &TenantTx, id: TaskId) -> Result<(), DbError> {
    let _: Vec<String> = tasks::in_tenant(tx).filter(tasks::id.eq(id)).select(tasks::title).load().await?;
    let _: Vec<String> = tasks::in_tenant(tx)
        .filter(tasks::project_id.eq_any(projects::in_tenant(tx).select(projects::id).sub()))
        .select(tasks::title)
        .load()
        .await?;
    let _: i64 = members::in_tenant(tx).count().first().await?.unwrap_or_default();
    let sql = const { TenantSql::new("SELECT 1 FROM tasks WHERE tenant_id = {tenant}") };
    tx.raw(sql).execute().await?;
    Ok(())
}

async fn writes(tx: &WriteTx, id: TaskId) -> Result<(), DbError> {
    tasks::in_tenant(tx).filter(tasks::id.eq(id)).set(tx, tasks::title.eq("x")).execute().await?;
    tasks::in_tenant(tx).filter(tasks::id.eq(id)).delete(tx).execute().await?;
    Ok(())
}

fn main() {
    let _ = (reads, writes);
}
