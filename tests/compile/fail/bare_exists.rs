//! Not even inside `exists`.
use diesel::QueryDsl;
use tenantry::db::tables::tasks;

fn main() {
    let _ = diesel::select(diesel::dsl::exists(tasks::table.select(tasks::id)));
}
