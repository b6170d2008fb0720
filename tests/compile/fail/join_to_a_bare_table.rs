//! A join adds the tenant to its ON clause; a bare table cannot be joined.
use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl};
use tenantry::db::{TenantTx, tables::{members, roles, role_grants}};

fn join(tx: &TenantTx) {
    let _ = role_grants::in_tenant(tx).inner_join(roles::table.on(roles::id.eq(role_grants::role_id)));
    let _ = members::in_tenant(tx);
}

fn main() {
    let _ = join;
}
