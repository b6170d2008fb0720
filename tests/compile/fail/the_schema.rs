//! The generated schema is private.
fn main() {
    let _ = tenantry::db::schema::tasks::table;
}
