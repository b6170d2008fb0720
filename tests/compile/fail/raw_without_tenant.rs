//! A raw text without the tenant's filter is refused by the compiler.
use tenantry::db::TenantSql;

const TITLES: TenantSql = TenantSql::new("SELECT title FROM tasks");

fn main() {
    let _ = TITLES;
}
