//! A table is no value: nothing can be inserted without a transaction.
use diesel::ExpressionMethods;
use tenantry::db::tables::tasks;

fn main() {
    let _ = diesel::insert_into(tasks::table).values(tasks::title.eq("x"));
}
