//! Two servers on one database, as in production: what one changes, the other one knows.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use tenantry::ids::{Id, TaskId};

use super::{TASKS, as_another_process, proxy::Proxy, until, within};
use crate::support::{
    app::{TestApp, TestTenant, TestUser},
    process::{ServerProcess, serve},
    socket::Socket,
};

const LIST: &str = "{ tasks { totalCount } }";
/// Within this another process must know.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Never later than this, even if every notice is lost.
const AT_LAST: Duration = Duration::from_secs(5);

/// Two processes, and a server of the test's own on the same database for setting the scene.
struct Fleet {
    app: TestApp,
    a: ServerProcess,
    b: ServerProcess,
    tenant: TestTenant,
}

impl Fleet {
    async fn start(of_b: &[(&str, &str)], app: TestApp) -> Self {
        let (a, b) = tokio::join!(ServerProcess::start(&app.database, &[]), ServerProcess::start(&app.database, of_b));
        let tenant = app.tenant().await;
        Self { app, a, b, tenant }
    }

    fn on_a(&self, user: &TestUser) -> TestUser {
        user.through(&self.a.of(&self.app))
    }

    fn on_b(&self, user: &TestUser) -> TestUser {
        user.through(&self.b.of(&self.app))
    }

    /// Has B know this caller, so that it answers from its caches.
    async fn known_to_b(&self, user: &TestUser) -> TestUser {
        let there = self.on_b(user);
        assert_eq!(there.query(LIST, json!({})).await.status, 200);
        there
    }

    /// Everything that takes a right away, each done through A or, where the API has no way yet, straight in the database;
    /// how long B went on admitting.
    async fn taken_away(&self, patience: Duration) -> Vec<(&'static str, Duration)> {
        let tenant = &self.tenant;
        let owner = self.on_a(&tenant.owner);
        let mut took = Vec::new();
        let refused = async |there: &TestUser| there.query(LIST, json!({})).await.status != 200;

        let key = json!({ "name": "demo", "scopes": ["tasks:read"] });
        let made = owner.mutate("apiKeyCreate", "secret apiKey { id }", key).await;
        let there = self.known_to_b(&tenant.owner.with_token(&made.at("/secret"))).await;
        owner.mutate("apiKeyRevoke", "apiKey { id }", json!({ "id": made.at("/apiKey/id") })).await;
        took.push(("key revoked", within(patience, "the key is refused", async || refused(&there).await).await));

        let person = tenant.member("developer").await;
        let there = self.known_to_b(&person).await;
        self.on_a(&person).query("mutation { signOut { sessionId } }", json!({})).await;
        took.push(("signed out", within(patience, "the session is refused", async || refused(&there).await).await));

        for (what, mutation, selection) in
            [("suspended", "memberSuspend", "member { id }"), ("removed", "memberRemove", "memberId")]
        {
            let person = tenant.member("developer").await;
            let there = self.known_to_b(&person).await;
            owner.mutate(mutation, selection, json!({ "id": person.member })).await;
            took.push((what, within(patience, what, async || refused(&there).await).await));
        }

        for (what, sql) in [
            (
                "demoted",
                "UPDATE role_grants SET role_id = (SELECT id FROM roles WHERE tenant_id = app.tenant_id() AND key = 'billing_admin') WHERE member_id = $",
            ),
            ("grant ended", "UPDATE role_grants SET expires_at = clock_timestamp() WHERE member_id = $"),
            ("grant taken", "DELETE FROM role_grants WHERE member_id = $"),
        ] {
            let person = tenant.member("developer").await;
            let there = self.known_to_b(&person).await;
            let id = format!("'{}'", person.member.expect("a member").uuid());
            as_another_process(&self.app, tenant, &sql.replace('$', &id)).await;
            took.push((what, within(patience, what, async || refused(&there).await).await));
        }

        // A grant with an end: nobody does anything when it comes.
        let person = tenant.member("developer").await;
        let id = person.member.expect("a member").uuid();
        let end = format!(
            "UPDATE role_grants SET expires_at = clock_timestamp() + interval '1500 ms' WHERE member_id = '{id}'"
        );
        let ends = Instant::now() + Duration::from_millis(1500);
        as_another_process(&self.app, tenant, &end).await;
        let there = self.known_to_b(&person).await;
        within(patience + Duration::from_millis(1500), "the grant ends", async || refused(&there).await).await;
        took.push(("expired", ends.elapsed()));
        took
    }

    /// Suspends the tenant by the operators' command, in a process of its own.
    async fn suspended(&self, patience: Duration) -> Duration {
        let there = self.known_to_b(&self.tenant.owner).await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        let model = serve(&self.app.database, &[]);
        command.args(["tenant", "suspend", &self.tenant.slug, "--reason", "a test"]).env_clear().current_dir("/");
        command.envs(model.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("no panic");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let refused = async || there.query(LIST, json!({})).await.codes() == ["TENANT_SUSPENDED"];
        within(patience, "the tenant is suspended", refused).await
    }
}

#[tokio::test]
async fn what_one_process_takes_away_another_refuses_within_a_second() {
    let fleet = Fleet::start(&[], TestApp::start().await).await;
    for (what, took) in fleet.taken_away(AT_ONCE).await {
        println!("{what}: refused by the other process after {took:?}");
    }
    println!("tenant suspended: {:?}", fleet.suspended(AT_ONCE).await);
}

#[tokio::test]
async fn a_socket_of_another_process_is_closed_within_a_second() {
    let fleet = Fleet::start(&[], TestApp::start().await).await;
    let person = fleet.tenant.member("developer").await;
    let mut socket = Socket::of(&fleet.on_b(&person)).await;
    socket.subscribe(TASKS, json!({})).await;
    socket.ping().await;
    let began = Instant::now();
    fleet.on_a(&person).query("mutation { signOut { sessionId } }", json!({})).await;
    let answered = Instant::now();
    assert_eq!(socket.closed().await, 4401);
    println!("session ended: its socket elsewhere closed after {:?}", began.elapsed());
    assert!(answered.elapsed() < AT_ONCE, "{:?}", answered.elapsed());
}

#[tokio::test]
async fn events_of_one_process_reach_subscribers_of_another() {
    let fleet = Fleet::start(&[], TestApp::start().await).await;
    let tenant = &fleet.tenant;
    let project = tenant.project("Atlas").await;
    let (a, b) = (fleet.a.of(&fleet.app), fleet.b.of(&fleet.app));
    let mut sockets = Vec::new();
    for app in [&a, &b] {
        let mut socket = Socket::of(&tenant.owner.through(app)).await;
        let id = socket.subscribe(TASKS, json!({})).await;
        let name = "tenantry_feed_subscribers{feed=\"tasks\"}";
        until("the subscription stands", async || app.metric(name).await == 1.0).await;
        sockets.push((socket, id));
    }
    // Written through both, while both listen.
    let write = async |app: &TestApp| {
        let owner = tenant.owner.through(app);
        for number in 0..20 {
            let input = json!({ "projectId": project, "title": format!("Task {number}") });
            owner.mutate("taskCreate", "task { id }", input).await;
        }
    };
    let began = Instant::now();
    tokio::join!(write(&a), write(&b));
    let mut heard = Vec::new();
    for (socket, id) in &mut sockets {
        let mut events = Vec::new();
        for _ in 0..40 {
            events.push(socket.next(id).await["taskChanged"]["eventId"].clone());
        }
        socket.ping().await;
        assert!(socket.is_silent());
        heard.push(events);
    }
    println!("40 events of two processes heard in both after {:?}", began.elapsed());
    assert_eq!(heard[0], heard[1], "both processes tell the same in the same order");

    // One event, on its way from one process to the other.
    let began = Instant::now();
    tenant
        .owner
        .through(&a)
        .mutate("taskCreate", "task { id }", json!({ "projectId": project, "title": "Last" }))
        .await;
    let answered = began.elapsed();
    let (socket, id) = &mut sockets[1];
    socket.next(id).await;
    println!("one event: answered after {answered:?}, heard elsewhere after {:?}", began.elapsed());
}

#[tokio::test]
async fn without_notices_a_process_is_late_but_never_later_than_five_seconds() {
    let app = TestApp::start().await;
    let proxy = Proxy::before(&app.database).await;
    // The test does not read all the time, so its sockets do not answer pings.
    let of_b = [("TENANTRY_LISTEN_URL", proxy.url()), ("TENANTRY_SOCKET_PING_MS", "600000")];
    let fleet = Fleet::start(&of_b, app).await;
    let b = fleet.b.of(&fleet.app);
    assert_eq!(b.metric("tenantry_notices_connected").await, 1.0);
    let project = fleet.tenant.project("Atlas").await;
    let mut socket = Socket::of(&fleet.on_b(&fleet.tenant.owner)).await;
    let id = socket.subscribe(TASKS, json!({})).await;
    let name = "tenantry_feed_subscribers{feed=\"tasks\"}";
    until("the subscription stands", async || b.metric(name).await == 1.0).await;
    let member = fleet.tenant.member("developer").await;
    let mut theirs = Socket::of(&fleet.on_b(&member)).await;
    theirs.subscribe(TASKS, json!({})).await;
    theirs.ping().await;

    proxy.cut();
    until("the loss is noticed", async || b.metric("tenantry_notices_connected").await == 0.0).await;
    let ready = reqwest::get(format!("{}/readyz", b.admin_url)).await.expect("an answer");
    assert_eq!(ready.status().as_u16(), 200, "it can still answer");
    let ready = ready.text().await.expect("a text");
    assert!(ready.contains("connection for notices is down"), "{ready}");

    for (what, took) in fleet.taken_away(AT_LAST).await {
        println!("without notices, {what}: refused by the other process after {took:?}");
    }
    // Events come as well, only later.
    fleet.tenant.task(&project, "Late").await;
    let began = Instant::now();
    assert_eq!(socket.next(&id).await["taskChanged"]["task"]["title"], "Late");
    println!("without notices, an event is heard after {:?}", began.elapsed());
    let began = Instant::now();
    fleet.on_a(&member).query("mutation { signOut { sessionId } }", json!({})).await;
    assert_eq!(theirs.closed().await, 4401);
    println!("without notices, a socket is closed after {:?}", began.elapsed());
    assert!(began.elapsed() < AT_LAST);
    println!("without notices, tenant suspended: {:?}", fleet.suspended(AT_LAST).await);
}

/// What is cached is not read again as long as changes are heard of, and is read again soon after they are not.
#[tokio::test]
async fn what_nobody_has_announced_has_not_changed() {
    let app = TestApp::start().await;
    let tenant = app.tenant().await;
    let proxy = Proxy::before(&app.database).await;
    let of_b = [("TENANTRY_LISTEN_URL", proxy.url()), ("TENANTRY_SHOW_SQL_FIGURES", "true")];
    let b = ServerProcess::start(&app.database, &of_b).await;
    let there = tenant.owner.through(&b.of(&app));
    let statements = async || {
        let reply = there.query("{ tenant { name } }", json!({})).await;
        assert_eq!(reply.status, 200, "{:#}", reply.body);
        reply.body["extensions"]["cost"]["sqlStatements"].as_i64().expect("a number")
    };
    assert!(statements().await > 1, "the tenant, the session and the rights are looked up");
    let began = Instant::now();
    // Longer than anything is believed that nobody vouches for: four seconds.
    while began.elapsed() < Duration::from_secs(5) {
        assert_eq!(statements().await, 1, "after {:?}", began.elapsed());
    }

    // A change of what is kept is seen at once all the same.
    let read = async |query: &str| there.query(query, json!({})).await.body["extensions"]["cost"]["tenant"].clone();
    assert_ne!(read("{ tenant { name } }").await["limit"], 5_000);
    let tenant = tenant.id.uuid();
    let own = format!(
        "WITH own AS (INSERT INTO plans (id, key, name, limits, created_at, updated_at) \
           SELECT gen_random_uuid(), 'own_' || substr(md5(random()::text), 1, 12), 'Own', '{{\"ratePoints\": 5000}}', now(), now() \
           RETURNING id) UPDATE tenants SET plan_id = own.id FROM own WHERE tenants.id = '{tenant}'"
    );
    app.database.run("tenantry", &own).await;
    until("another plan is heard of", async || read("{ tenant { name } }").await["limit"] == 5_000).await;
    let limits = format!(
        "UPDATE plans SET limits = '{{\"ratePoints\": 6000}}' WHERE id = (SELECT plan_id FROM tenants WHERE id = '{tenant}')"
    );
    app.database.run("tenantry", &limits).await;
    until("other limits of the plan are heard of", async || read("{ tenant { name } }").await["limit"] == 6_000).await;

    proxy.cut();
    let began = Instant::now();
    until("what is known is asked for again", async || statements().await > 1).await;
    assert!(began.elapsed() < AT_LAST);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_given_up() {
    let app = TestApp::start().await;
    let proxy = Proxy::before(&app.database).await;
    let b = ServerProcess::start(&app.database, &[("TENANTRY_LISTEN_URL", proxy.url())]).await;
    let b = b.of(&app);
    proxy.silence();
    let lost = async || b.metric("tenantry_notices_connected").await == 0.0;
    let took = within(AT_LAST, "the silence is noticed", lost).await;
    println!("a silent connection was given up after {took:?}");
}

/// The backend that listens is killed; the process connects again, and what it missed counts as changed.
#[tokio::test]
async fn a_lost_connection_comes_back_and_nothing_was_missed() {
    let app = TestApp::isolated().await;
    let fleet = Fleet::start(&[], app).await;
    let b = fleet.b.of(&fleet.app);
    let project = fleet.tenant.project("Atlas").await;
    let mut socket = Socket::of(&fleet.on_b(&fleet.tenant.owner)).await;
    let id = socket.subscribe(TASKS, json!({})).await;
    let name = "tenantry_feed_subscribers{feed=\"tasks\"}";
    until("the subscription stands", async || b.metric(name).await == 1.0).await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = 'tenantry listen' AND datname = current_database()";
    fleet.app.database.run("tenantry", kill).await;
    let task = fleet.tenant.task(&project, "Missed").await;
    assert!(task.parse::<TaskId>().is_ok());
    assert_eq!(socket.next(&id).await["taskChanged"]["task"]["title"], "Missed");
    until("notices are heard again", async || b.metric("tenantry_notices_connected").await == 1.0).await;
    until("it says so", async || fleet.b.log().contains("notices are heard again")).await;
    println!("tenant suspended, after a reconnection: {:?}", fleet.suspended(AT_ONCE).await);
}

/// A pooler in transaction mode takes LISTEN and delivers nothing. The proof at the start finds it.
#[tokio::test]
async fn a_server_that_cannot_hear_does_not_start() {
    let app = TestApp::start().await;
    // Another database of the same cluster: LISTEN works there, and nothing of ours arrives.
    let url = TestApp::isolated().await.database.url("tenantry_app");
    let mut command = serve(&app.database, &[("TENANTRY_LISTEN_URL", url.as_str())]);
    let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("no panic");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("TENANTRY_LISTEN_URL") && said.contains("pooler"), "{said}");
}

/// Servers believe what they know of a tenant until they hear of a change.
#[tokio::test]
async fn what_a_tenant_is_known_by_announces_its_changes() {
    use crate::database::demo::{self, ACME};
    use tenantry::db::{Heard, Listener};
    let database = crate::support::database::migrated().await;
    demo::fill(&database).await;
    let gone = "00000000-0000-7000-8000-00000000dead";
    let create =
        format!("INSERT INTO tenants (id, slug, name, plan_id) SELECT '{gone}', 'gone', 'Gone', id FROM plans LIMIT 1");
    database.run("tenantry", &create).await;
    let db = crate::transactions::ending::pool(&database, 1);
    let listener = Listener::new(&database.url("tenantry_app").into(), &["tenantry_tenants"]).expect("a URL");
    let mut ears = listener.connect(&db).await.expect("a connection");
    let host = format!("INSERT INTO hostnames (hostname, tenant_id, kind) VALUES ('demo.test', '{ACME}', 'subdomain')");
    database.run("tenantry", &host).await;
    for (change, payload) in [
        ("UPDATE hostnames SET is_active = NOT is_active WHERE hostname = 'demo.test'", ACME),
        ("DELETE FROM hostnames WHERE hostname = 'demo.test'", ACME),
        ("UPDATE plans SET limits = '{\"ratePoints\": 7}'", "*"),
        ("DELETE FROM tenants WHERE slug = 'gone'", gone),
    ] {
        database.run("tenantry", change).await;
        let heard = loop {
            if let Heard::Notice(notice) = ears.next().await.expect("it stands") {
                break notice;
            }
        };
        assert_eq!(heard.payload, payload, "{change}");
    }
}
