//! The tenant column cannot be named: nobody can filter by another tenant or move a row.
fn main() {
    let _ = tenantry::db::tables::tasks::tenant_id;
}
