//! Nothing of the last hour is lost: after a break, and however transactions overtake each other.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use tenantry::{
    clock::Clock,
    ids::{EventId, Id},
};

use super::{TASKS, listening, until};
use crate::support::{
    app::{TestApp, TestTenant},
    socket::Socket,
};

fn event_id(data: &Value) -> String {
    data["taskChanged"]["eventId"].as_str().expect("an id").to_owned()
}

/// The ids of all events about tasks, in the order of their ids.
async fn events(tenant: &TestTenant) -> Vec<String> {
    let client = tenant.app.database.connect("tenantry").await;
    let sql = format!(
        "SELECT id::text FROM events WHERE tenant_id = '{}' AND type LIKE 'task%' ORDER BY id",
        Id::uuid(tenant.id)
    );
    let rows = client.query(&sql, &[]).await.expect("rows");
    let id = |row: &tokio_postgres::Row| EventId::from_uuid(row.get::<_, String>(0).parse().expect("a uuid"));
    rows.iter().map(|row| id(row).to_string()).collect()
}

#[tokio::test]
async fn a_subscriber_goes_on_where_it_was() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    let mut socket = Socket::of(&tenant.owner).await;
    let id = socket.subscribe(TASKS, json!({})).await;
    listening(&tenant, 1).await;
    tenant.task(&project, "First").await;
    let last = event_id(&socket.next(&id).await);
    drop(socket);
    listening(&tenant, 0).await;

    // More than one read's worth.
    for number in 0..110 {
        tenant.task(&project, &format!("Missed {number}")).await;
    }
    let mut socket = Socket::of(&tenant.owner).await;
    let id = socket.subscribe(TASKS, json!({ "after": last })).await;
    // While it catches up, more is made.
    let more = async {
        for number in 0..10 {
            tenant.task(&project, &format!("Live {number}")).await;
        }
    };
    let all = async {
        let mut titles = Vec::new();
        for _ in 0..120 {
            titles.push(socket.next(&id).await["taskChanged"]["task"]["title"].as_str().expect("a title").to_owned());
        }
        titles
    };
    let (titles, ()) = tokio::join!(all, more);
    let expected: Vec<_> = (0..110)
        .map(|number| format!("Missed {number}"))
        .chain((0..10).map(|number| format!("Live {number}")))
        .collect();
    assert_eq!(titles, expected);
    socket.ping().await;
    assert!(socket.is_silent(), "something came twice");
}

#[tokio::test]
async fn an_id_to_resume_from_is_one_of_the_last_hour_and_of_this_tenant() {
    let clock = Clock::fixed(DateTime::<Utc>::from_timestamp(1_795_000_000, 0).expect("a time"));
    let database = TestApp::isolated().await.database;
    let app = TestApp::on(database, clock.clone(), |_| {}).await;
    let (ours, theirs) = (app.tenant().await, app.tenant().await);
    for tenant in [&ours, &theirs] {
        let project = tenant.project("Atlas").await;
        tenant.task(&project, "Draw").await;
    }
    let (own, foreign) = (events(&ours).await.remove(0), events(&theirs).await.remove(0));
    let unknown = EventId::from_uuid(tenantry::ids::uuid_v7(clock.now())).to_string();
    let key = json!({ "name": "demo", "scopes": ["tasks:read"] });
    let key = ours.owner.mutate("apiKeyCreate", "secret", key).await.at("/secret");
    let mut socket = Socket::of(&ours.owner.with_token(&key)).await;
    for id in [&foreign, &unknown] {
        let id = socket.subscribe(TASKS, json!({ "after": id })).await;
        assert_eq!(socket.refused(&id).await, ["INVALID_CURSOR"]);
    }
    clock.advance(Duration::minutes(59));
    let resumed = socket.subscribe(TASKS, json!({ "after": own })).await;
    listening(&ours, 1).await;
    clock.advance(Duration::minutes(2));
    let late = socket.subscribe(TASKS, json!({ "after": own })).await;
    assert_eq!(socket.refused(&late).await, ["INVALID_CURSOR"]);
    let _ = resumed;
}

/// Ids are made before the commit: the transaction with the smaller id commits last here. A reader that went on from the
/// largest id it had seen would never see it.
#[tokio::test]
async fn a_transaction_that_commits_late_is_not_lost() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    tenant.task(&project, "Template").await;
    let mut socket = Socket::of(&tenant.owner).await;
    let id = socket.subscribe(TASKS, json!({})).await;
    listening(&tenant, 1).await;

    let tenant_id = Id::uuid(tenant.id);
    let copy = |second: u32| {
        format!(
            "INSERT INTO events (tenant_id, id, type, api_version, workspace_id, subject_id, payload, actor_kind, occurred_at)
             SELECT tenant_id, app.uuid_v7(now() + interval '{second} s'), 'task.updated', api_version, workspace_id,
                    subject_id, payload, actor_kind, now()
             FROM events WHERE tenant_id = app.tenant_id() AND type = 'task.created' LIMIT 1"
        )
    };
    let begin = format!("BEGIN; SET LOCAL app.tenant_id = '{tenant_id}'");
    let early = app.database.connect("tenantry").await;
    let late = app.database.connect("tenantry").await;
    // The first to begin has the smaller number and, of the two, the smaller id.
    early.batch_execute(&format!("{begin}; {}", copy(1))).await.expect("inserted");
    late.batch_execute(&format!("{begin}; {}; COMMIT", copy(2))).await.expect("committed");
    // It is committed, and waits: whoever resumes behind it later must not have passed the other.
    socket.ping().await;
    assert!(socket.is_silent(), "an event was told before an older transaction had ended");
    early.batch_execute("COMMIT").await.expect("committed");
    let (first, second) = (event_id(&socket.next(&id).await), event_id(&socket.next(&id).await));
    let known = events(&tenant).await;
    assert_eq!([&first, &second], [&known[1], &known[2]]);

    // The other way round: the larger id belongs to the transaction that began, and commits, first.
    early.batch_execute(&format!("{begin}; {}", copy(9))).await.expect("inserted");
    late.batch_execute(&format!("{begin}; {}", copy(5))).await.expect("inserted");
    early.batch_execute("COMMIT").await.expect("committed");
    let nine = event_id(&socket.next(&id).await);
    late.batch_execute("COMMIT").await.expect("committed");
    let five = event_id(&socket.next(&id).await);
    assert!(nine > five, "{nine} {five}");

    // And whoever resumes gets each once, from wherever.
    for (after, expected) in [(&first, vec![&second, &nine, &five]), (&nine, vec![&five]), (&five, vec![])] {
        let resumed = socket.subscribe(TASKS, json!({ "after": after })).await;
        listening(&tenant, 2).await;
        for wanted in expected {
            assert_eq!(&event_id(&socket.next(&resumed).await), wanted, "after {after}");
        }
        socket.ping().await;
        assert!(socket.is_silent());
        socket.say(json!({ "type": "complete", "id": resumed })).await;
        listening(&tenant, 1).await;
    }
}

/// Many writers at once, and a subscriber that breaks off and resumes all the time, gets every event exactly once.
#[tokio::test]
async fn many_writers_and_many_breaks_lose_and_repeat_nothing() {
    const WRITERS: usize = 6;
    const EACH: usize = 20;
    let app = TestApp::with(|settings| settings.pool.pool_size = 8).await;
    let tenant = app.tenant().await;
    let project = tenant.project("Atlas").await;
    tenant.task(&project, "Template").await;
    let start = events(&tenant).await.remove(0);
    let writing = tokio::spawn({
        let (tenant, project) = (tenant.clone(), project.clone());
        async move {
            let writer = async |writer: usize| {
                for number in 0..EACH {
                    tenant.task(&project, &format!("{writer}.{number}")).await;
                }
            };
            futures::future::join_all((0..WRITERS).map(writer)).await;
        }
    });
    let mut got = vec![start];
    while got.len() <= WRITERS * EACH {
        let mut socket = Socket::of(&tenant.owner).await;
        let id = socket.subscribe(TASKS, json!({ "after": got.last() })).await;
        for _ in 0..(WRITERS * EACH + 1 - got.len()).min(17) {
            got.push(event_id(&socket.next(&id).await));
        }
        drop(socket);
        until("the place is free", async || app.app.services.live.tasks.subscribers(tenant.id) == 0).await;
    }
    writing.await.expect("no panic");
    let mut sorted = got.clone();
    sorted.sort();
    assert_eq!(sorted, events(&tenant).await);
}
