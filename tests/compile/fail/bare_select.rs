//! A table is no value: nothing can be selected from it without a transaction.
use diesel::QueryDsl;
use tenantry::db::tables::tasks;

fn main() {
    let _ = tasks::table.select(tasks::title);
}
