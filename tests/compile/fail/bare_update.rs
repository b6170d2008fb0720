//! A table is no value: nothing can be updated without a transaction.
use diesel::ExpressionMethods;
use tenantry::db::tables::tasks;

fn main() {
    let _ = diesel::update(tasks::table).set(tasks::title.eq("x"));
}
