//! Only a transaction for writes can change rows.
use diesel::{ExpressionMethods, QueryDsl};
use tenantry::{db::{TenantTx, tables::tasks}, ids::TaskId};

fn rename(tx: &TenantTx, id: TaskId) {
    let _ = tasks::in_tenant(tx).filter(tasks::id.eq(id)).set(tx, tasks::title.eq("x"));
}

fn main() {
    let _ = rename;
}
