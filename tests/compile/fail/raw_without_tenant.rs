//! A raw text without the tenant's filter is refused by the compiler.
use tenantry::db::TenantSql;

fn main() {
    let _ = const { TenantSql::new("SELECT title FROM tasks") };
}
