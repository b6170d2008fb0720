//! `OR` beside the tenant's filter would undo it, so it does not exist.
use diesel::{ExpressionMethods, QueryDsl};
use tenantry::{db::{TenantTx, tables::tasks}, ids::TaskId};

fn widen(tx: &TenantTx, id: TaskId) {
    let _ = tasks::in_tenant(tx).or_filter(tasks::id.eq(id));
}

fn main() {
    let _ = widen;
}
