//! Every id argument with another tenant's id answers, to the byte, like an unknown id; and the other tenant's rows stay
//! as they are.

use super::{fixture, walk::Walk};
use crate::support::app::{TestApp, TestTenant};

/// Every row of a tenant as text.
async fn rows_of(tenant: &TestTenant) -> String {
    let client = tenant.app.database.connect("tenantry").await;
    let tables = client
        .query(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' \
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1",
            &[],
        )
        .await
        .expect("tables");
    let mut all = String::new();
    for table in tables {
        let table: String = table.get(0);
        let sql = format!(
            "SELECT coalesce(string_agg(r::text, E'\\n' ORDER BY r::text), '') FROM {table} r WHERE r.tenant_id::text = $1"
        );
        let rows = client.query_one(&sql, &[&tenantry::ids::Id::uuid(tenant.id).to_string()]).await.expect("rows");
        all.push_str(&format!("{table}\n{}\n", rows.get::<_, String>(0)));
    }
    all
}

#[tokio::test]
async fn a_foreign_id_answers_like_an_unknown_one() {
    // Nothing is kept between requests, so that no entry can end between two answers that are compared.
    let app = TestApp::with(|settings| settings.auth.rights_cache_ttl_ms = 0).await;
    foreign_ids_are_unknown(&app).await;
}

/// Tries every place that takes an id with one of another tenant and with one of nobody.
pub async fn foreign_ids_are_unknown(app: &TestApp) {
    let (ours, theirs) = (app.tenant().await, app.tenant().await);
    let foreign = fixture::one_of_each(&theirs).await;
    let own = fixture::one_of_each(&ours).await;
    theirs.audit().await;
    let before = rows_of(&theirs).await;

    let walk = Walk::new();
    let mut tried = 0;
    for root in walk.roots() {
        for (path, prefix) in walk.id_places(&root) {
            let unknown = &fixture::unknown()[&prefix];
            let mut answers = Vec::new();
            for id in [&foreign[&prefix], unknown] {
                let (document, variables) = walk.document_with(&root, &own, &path, id);
                let reply = ours.owner.query(&document, variables).await;
                assert_ne!(reply.codes(), ["GRAPHQL_VALIDATION_FAILED"], "{document}\n{reply:?}");
                answers.push((reply.status, reply.comparable().replace(id.as_str(), "ID")));
            }
            assert_eq!(answers[0], answers[1], "{}({})", root.name, path.join("."));
            assert!(!answers[0].1.contains("INTERNAL"), "{}({}): {:?}", root.name, path.join("."), answers[0]);
            tried += 1;
        }
    }
    assert!(tried >= 20, "only {tried} places take an id: the walk does not see them");
    assert_eq!(rows_of(&theirs).await, before, "rows of the other tenant have changed");
}

/// The control: with an id of one's own the same walk finds something, so that the comparison above compares more than
/// errors.
#[tokio::test]
async fn an_own_id_answers_differently() {
    let app = TestApp::start().await;
    let ours = app.tenant().await;
    let own = fixture::one_of_each(&ours).await;
    let walk = Walk::new();
    let mut found = 0;
    for root in walk.roots().into_iter().filter(|root| root.operation == "query") {
        for (path, prefix) in walk.id_places(&root) {
            let (document, variables) = walk.document_with(&root, &own, &path, &own[&prefix]);
            let mine = ours.owner.query(&document, variables).await;
            let unknown = &fixture::unknown()[&prefix];
            let (document, variables) = walk.document_with(&root, &own, &path, unknown);
            let nothing = ours.owner.query(&document, variables).await;
            found += usize::from(mine.body["data"] != nothing.body["data"]);
        }
    }
    assert!(found >= 5, "own ids were found in {found} places only");
}
