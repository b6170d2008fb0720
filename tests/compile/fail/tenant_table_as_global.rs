//! A tenant table has no door for global tables.
use diesel::QueryDsl;
use tenantry::db::{TenantTx, scope::JoinedGlobal, tables::{role_grants, roles}};

fn join<On>(tx: &TenantTx, right: JoinedGlobal<roles::table, On>) {
    let _ = role_grants::in_tenant(tx).inner_join(right);
}

fn main() {
    let _ = join::<()>;
}
