//! Each wall alone. Here: without row-level security the filters of the statements still keep tenants apart. That
//! row-level security holds without any filter is shown by `database::isolation`, that a statement without a filter does
//! not compile by `transactions::compile`.

use std::sync::Arc;

use tenantry::{clock::Clock, db::embedded::SUPERUSER};

use super::{fixture, foreign_ids::foreign_ids_are_unknown, walk::Walk};
use crate::support::{app::TestApp, database::migrated};

/// Takes the policies from every tenant table, partitions included. Global tables keep theirs: they have no tenant to
/// filter by.
const SWITCH_OFF: &str = "
    DO $$
    DECLARE name regclass;
    BEGIN
        FOR name IN SELECT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT a.attisdropped
                      AND (a.attname = 'tenant_id' OR (c.relname = 'tenants' AND a.attname = 'id'))
        LOOP
            EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', name);
        END LOOP;
    END $$";

#[tokio::test]
async fn filters_hold_without_row_level_security() {
    let app = TestApp::on(Arc::new(migrated().await), Clock::system(), |settings| {
        // The walk asks for everything at once.
        settings.limits.limit_cost = 10_000_000;
        settings.limits.limit_tokens = 100_000;
        settings.limits.limit_depth = 40;
        // No entry can end between two answers that are compared.
        settings.auth.rights_cache_ttl_ms = 0;
    })
    .await;
    app.database.run(SUPERUSER, SWITCH_OFF).await;
    foreign_ids_are_unknown(&app).await;

    let (ours, theirs) = (app.tenant().await, app.tenant().await);
    let (own, foreign) = (fixture::one_of_each(&ours).await, fixture::one_of_each(&theirs).await);
    // The wall is really down: the runtime login sees both tenants' rows in one statement.
    let client = app.database.connect("tenantry_app").await;
    let row = client.query_one("SELECT count(DISTINCT tenant_id) FROM tasks", &[]).await.expect("rows");
    assert!(row.get::<_, i64>(0) >= 2);

    let walk = Walk::new();
    let mut shown = 0;
    for root in walk.roots().into_iter().filter(|root| root.operation == "query") {
        let (document, variables) = walk.document(&root, &own, 2, 20);
        let reply = ours.owner.query(&document, variables).await;
        assert_eq!(reply.codes(), Vec::<&str>::new(), "{document}\n{:#}", reply.body["errors"]);
        let text = reply.body["data"].to_string();
        for (prefix, id) in &foreign {
            assert!(!text.contains(id.as_str()), "{} shows the {prefix} of another tenant:\n{text}", root.name);
        }
        assert!(!text.contains(&theirs.slug), "{} shows the other tenant", root.name);
        shown += own.values().filter(|id| text.contains(id.as_str())).count();
    }
    assert!(shown >= 10, "own things are shown {shown} times only: the walk does not see them");
}
