//! How often the server waits for PostgreSQL, read off the wire: messages are counted, not time.

use std::sync::Arc;

use serde_json::json;
use tenantry::clock::Clock;

use crate::support::{
    app::{TestApp, TestTenant},
    database::migrated,
    wire::{Transaction, Wire},
};

const BEGIN_READ: [&str; 2] = ["BEGIN", "SET LOCAL app.tenant_id"];
const COMMIT: &str = "COMMIT";

/// A server whose words to PostgreSQL are read, with a tenant.
async fn overheard() -> (Wire, TestTenant) {
    let wire = Wire::start(&migrated().await).await;
    let database = Arc::new(wire.database());
    // One connection: a statement that was prepared once is prepared.
    let app = TestApp::on(database, Clock::system(), |settings| settings.pool.pool_size = 2).await;
    let tenant = app.tenant().await;
    (wire, tenant)
}

/// The flights of this document, once its statements are prepared on every connection.
async fn flights(wire: &Wire, tenant: &TestTenant, document: &str, variables: serde_json::Value) -> Transaction {
    let mut transactions = Vec::new();
    for _ in 0..6 {
        let reply = tenant.owner.query(document, variables.clone()).await;
        assert_eq!(reply.codes(), Vec::<&str>::new(), "{document}: {:#}", reply.body);
        transactions = wire.take();
        while transactions.is_empty() {
            // The end of a read leaves after the answer.
            tokio::task::yield_now().await;
            transactions = wire.take();
        }
    }
    let [transaction] = <[Transaction; 1]>::try_from(transactions).expect("one transaction");
    assert!(!transaction.iter().flatten().any(|message| message == "Parse"), "{transaction:?}");
    transaction
}

fn read(levels: &[usize]) -> Transaction {
    let mut expected: Transaction = levels.iter().map(|statements| vec!["Execute".to_owned(); *statements]).collect();
    expected[0].splice(0..0, BEGIN_READ.map(str::to_owned));
    // A document that has run before is known to end there.
    expected.last_mut().expect("a level").push(COMMIT.to_owned());
    expected
}

#[tokio::test]
async fn a_read_has_one_flight_for_each_level() {
    let (wire, tenant) = overheard().await;
    let project = tenant.project("Demo").await;
    for number in 0..3 {
        tenant.task(&project, &format!("Demo {number}")).await;
        tenant.member("member").await;
    }
    let workspace = json!({ "id": tenant.workspace });

    // The tenant and a workspace: both in the flight that opens the transaction.
    let found =
        flights(&wire, &tenant, "query ($id: ID!) { tenant { name } workspace(id: $id) { name } }", workspace.clone());
    assert_eq!(found.await, read(&[2]));

    let found = flights(
        &wire,
        &tenant,
        "query ($id: ID!) { workspace(id: $id) { tasks(first: 50) { edges { cursor node { id title } } } } }",
        workspace.clone(),
    );
    assert_eq!(found.await, read(&[2]));

    // Members; then people and grants; then roles and workspaces of the grants.
    let found = flights(
        &wire,
        &tenant,
        "{ members { nodes { id user { displayName } roleGrants { role { name } workspace { name } } } } }",
        json!({}),
    );
    assert_eq!(found.await, read(&[1, 2, 1]));

    // What stands on different branches is fetched together.
    let found = flights(
        &wire,
        &tenant,
        "query ($id: ID!) { workspace(id: $id) { tasks { nodes { project { name } assignee { id } } } projects { nodes { name } } } \
         members { nodes { id } } }",
        workspace,
    );
    assert_eq!(found.await, read(&[4, 1]));
}

/// `COMMIT` leaves with what the document read last time; if it reads on all the same, it begins anew.
#[tokio::test]
async fn a_read_that_goes_on_behind_its_expected_end_begins_anew() {
    let (wire, tenant) = overheard().await;
    let create = "mutation ($input: WorkspaceCreateInput!) { workspaceCreate(input: $input) { workspace { id } } }";
    let input = json!({ "input": { "name": "Inner", "parentId": tenant.workspace } });
    let inner = tenant.owner.query(create, input).await.body["data"]["workspaceCreate"]["workspace"]["id"].clone();
    let document =
        "query ($id: ID!, $deep: Boolean!) { workspace(id: $id) { name parent @include(if: $deep) { id } } }";
    let (shallow, deep) = (json!({ "id": inner, "deep": false }), json!({ "id": inner, "deep": true }));
    assert_eq!(flights(&wire, &tenant, document, shallow.clone()).await, read(&[1]));

    let reply = tenant.owner.query(document, deep.clone()).await;
    assert_eq!(reply.body["data"]["workspace"], json!({ "name": "Inner", "parent": { "id": tenant.workspace } }));
    let mut transactions = wire.take();
    while transactions.len() < 2 {
        tokio::task::yield_now().await;
        transactions.extend(wire.take());
    }
    let without_hope = |levels: &[usize]| {
        let mut expected = read(levels);
        let commit = expected.last_mut().and_then(Vec::pop).expect("a COMMIT");
        expected.push(vec![commit]);
        expected
    };
    assert_eq!(transactions, [read(&[1]), without_hope(&[1, 1])]);

    // By then it is known to be deeper, and may be less deep.
    assert_eq!(flights(&wire, &tenant, document, deep).await, read(&[1, 1]));
    assert_eq!(flights(&wire, &tenant, document, shallow).await, without_hope(&[1]));
}

/// A statement that a connection does not know yet leaves one flight later than those it knows. `COMMIT` must not overtake
/// it.
#[tokio::test]
async fn the_end_does_not_overtake_a_statement_that_is_prepared_first() {
    let (wire, tenant) = overheard().await;
    let document = "query ($id: ID!) { tenant { name } workspace(id: $id) { id } }";
    let variables = json!({ "id": tenant.workspace });
    assert_eq!(flights(&wire, &tenant, document, variables.clone()).await, read(&[2]));
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tenantry_app' \
                AND application_name <> 'tenantry listen' AND datname = current_database()";
    tenant.app.database.run("tenantry", kill).await;
    let reply = loop {
        let reply = tenant.owner.query(document, variables.clone()).await;
        if reply.status == 200 {
            break reply;
        }
        assert_eq!(reply.status, 503, "{:#}", reply.body);
        wire.take();
    };
    assert_eq!(reply.body["data"]["workspace"], json!({ "id": tenant.workspace }));
    let mut transactions = wire.take();
    while transactions.is_empty() {
        tokio::task::yield_now().await;
        transactions = wire.take();
    }
    let [transaction] = <[Transaction; 1]>::try_from(transactions).expect("one transaction");
    // Before it, the new connection sets itself up.
    let began = transaction.iter().position(|flight| flight[0] == "BEGIN").expect("a BEGIN");
    let flights: Vec<Vec<&str>> =
        transaction[began..].iter().map(|flight| flight.iter().map(String::as_str).collect()).collect();
    let first = vec!["BEGIN", "SET LOCAL app.tenant_id", "Parse"];
    assert_eq!(flights, [first, vec!["Execute", "Parse"], vec!["Execute"], vec![COMMIT]]);
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_end_of_its_reads() {
    let (wire, tenant) = overheard().await;
    // Session and tenant are known from here on: no look-up of theirs holds a connection.
    tenant.owner.query("{ tenant { name } }", json!({})).await;
    wire.let_commits_through(false);
    let reply = tenant.owner.query("{ tenant { name } }", json!({})).await;
    assert_eq!(reply.status, 200, "{:#}", reply.body);
    wire.let_commits_through(true);
}

#[tokio::test]
async fn a_change_has_two_flights() {
    let (wire, tenant) = overheard().await;
    let project = tenant.project("Demo").await;
    let member = tenant.member("member").await;
    let create =
        "mutation ($input: TaskCreateInput!) { taskCreate(input: $input) { task { id title version createdAt } } }";
    let input = json!({ "input": { "projectId": project, "title": "Demo", "assigneeId": member.member } });
    let found = flights(&wire, &tenant, create, input).await;
    let begin = ["BEGIN", "SET LOCAL app.tenant_id", "SET LOCAL app.request_id", "SET LOCAL app.actor_id"];
    let mut first: Vec<_> = begin.map(str::to_owned).to_vec();
    // The lock on the rights, their version, the project, the assignee.
    first.extend(["SELECT pg_advisory_xact_lock_shared", "Execute", "Execute", "Execute"].map(str::to_owned));
    // The task, its audit entry, its event.
    let last = ["Execute", "Execute", "Execute", COMMIT].map(str::to_owned).to_vec();
    assert_eq!(found, [first, last]);
}
