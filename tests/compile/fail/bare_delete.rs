//! A table is no value: nothing can be deleted without a transaction.
use tenantry::db::tables::tasks;

fn main() {
    let _ = diesel::delete(tasks::table);
}
