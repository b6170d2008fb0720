//! A pooler in transaction mode before the database: one that works, and those that are refused.

use std::{env, sync::Arc, time::Duration};

use serde_json::json;
use tenantry::{
    app::{App, AppError},
    clock::Clock,
    config::Settings,
    db::{Db, PoolOptions},
    ids::Id,
};

use crate::{
    docs::blocks,
    support::{
        app::{TestApp, TestTenant, keys},
        cluster::TestDatabase,
        database::migrated,
        pgbouncer::{TestPooler, Version},
        process::ServerProcess,
    },
    transactions::interleaved::interleave,
};

/// The lines of `[pgbouncer]` that the documents give, without those about this machine.
fn documented() -> String {
    let ini = blocks::all().into_iter().find(|block| block.note("run") == Some("pgbouncer")).expect("a pgbouncer.ini");
    let (_, settings) = ini.text.split_once("[pgbouncer]\n").expect("its section");
    let local = ["listen_", "auth_", "unix_socket_dir", "server_tls"];
    settings.lines().filter(|line| !local.iter().any(|name| line.starts_with(name))).collect::<Vec<_>>().join("\n")
}

fn small_pool(database: &TestDatabase) -> Db {
    let options = PoolOptions {
        size: 2,
        wait: Duration::from_secs(120),
        shares: 0,
        statements_last: PoolOptions::STATEMENTS_LAST,
    };
    Db::new(&database.url("tenantry_app").into(), None, &options).expect("the URL is ours")
}

/// A server whose notices come from PostgreSQL itself.
async fn server(database: Arc<TestDatabase>, listen_url: String) -> TestApp {
    TestApp::on(database, Clock::system(), |settings| {
        settings.pool.pool_size = 2;
        // Many wait for two connections: on a busy machine longer than anybody should in life.
        settings.pool.pool_wait_ms = 60_000;
        settings.server.request_timeout_ms = 120_000;
        settings.pool.listen_url = Some(listen_url.into());
    })
    .await
}

/// Two tenants, interleaved over two connections.
async fn leaks_nothing(app: &TestApp) {
    let (one, other) = (app.tenant().await, app.tenant().await);
    let tenants = [&one, &other].map(|tenant| tenant.id.uuid().to_string());
    let (answered, cut) = interleave(&small_pool(&app.database), [&tenants[0], &tenants[1]]).await;
    println!("{answered} transactions answered, {cut} cut off, no row of the wrong tenant");
    each_sees_its_own(&one, &other).await;
}

/// The same through the whole server: what one tenant has made, the other one does not see.
async fn each_sees_its_own(one: &TestTenant, other: &TestTenant) {
    for tenant in [one, other] {
        let project = tenant.project(&format!("Project of {}", tenant.slug)).await;
        tenant.task(&project, "Draw").await;
    }
    let asks = (0..100).map(|number| {
        let tenant = [one, other][number % 2].clone();
        tokio::spawn(async move {
            let reply = tenant.owner.query("{ projects(first: 9) { nodes { name tasks { totalCount } } } }", json!({}));
            let expected = json!([{ "name": format!("Project of {}", tenant.slug), "tasks": { "totalCount": 1 } }]);
            assert_eq!(reply.await.data()["projects"]["nodes"], expected);
        })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.expect("no panic");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_pgbouncer_as_documented_no_row_is_seen_by_the_wrong_tenant() {
    let database = migrated().await;
    // As many sessions of PostgreSQL as connections of ours: each is lent to both tenants.
    let pooler = TestPooler::start(Version::Current, &database, &documented()).await;
    let app = server(Arc::new(pooler.before(&database)), database.url("tenantry_app")).await;
    leaks_nothing(&app).await;
}

/// Whatever pooler somebody uses: `ROLE` in the URL stands for `tenantry_app` and `tenantry_platform`. Without one, the
/// database itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_the_pooler_that_was_named_no_row_is_seen_by_the_wrong_tenant() {
    let (database, listen_url) = match env::var("TENANTRY_TEST_POOLER_URL") {
        Ok(url) => {
            let listen = env::var("TENANTRY_TEST_LISTEN_URL").expect("PostgreSQL's own URL for tenantry_app");
            (TestDatabase::elsewhere(&url), listen)
        }
        Err(_) => {
            let database = migrated().await;
            let listen = database.url("tenantry_app");
            (database, listen)
        }
    };
    leaks_nothing(&server(Arc::new(database), listen_url).await).await;
}

/// What a server says that does not start.
async fn refusal(database: &TestDatabase) -> String {
    let (url, platform) = (database.url("tenantry_app").into(), database.url("tenantry_platform").into());
    match App::new(&Settings::default(), &keys(), &url, Some(&platform), Clock::system()).await {
        Err(error @ AppError::Pooler(_)) => error.to_string(),
        Err(other) => panic!("refused for another reason: {other:?}"),
        Ok(_) => panic!("it starts"),
    }
}

#[tokio::test]
async fn pgbouncer_without_prepared_statements_is_refused() {
    let database = migrated().await;
    for size in [1, 20] {
        let settings = format!("pool_mode = transaction\nmax_prepared_statements = 0\ndefault_pool_size = {size}");
        let pooler = TestPooler::start(Version::Current, &database, &settings).await;
        let message = refusal(&pooler.before(&database)).await;
        assert!(message.starts_with("before the database stands a pooler in transaction mode"), "{message}");
        assert!(message.contains("use 1.21 or newer and set max_prepared_statements = 100"), "{message}");
    }
}

#[tokio::test]
async fn a_pgbouncer_that_is_too_old_is_refused() {
    let database = migrated().await;
    if Version::Old.program().is_none() {
        println!("this system's PgBouncer is new enough; nothing to refuse");
        return;
    }
    let settings = "pool_mode = transaction\ndefault_pool_size = 20";
    let silent = TestPooler::start(Version::Old, &database, settings).await;
    let message = refusal(&silent.before(&database)).await;
    assert!(message.starts_with("before the database stands a pooler in transaction mode"), "{message}");
    assert!(message.contains("use 1.21 or newer"), "{message}");

    // Where the console is open to the login, the version is named.
    let telling = TestPooler::start(Version::Old, &database, &format!("{settings}\nstats_users = tenantry_app")).await;
    let message = refusal(&telling.before(&database)).await;
    assert!(message.starts_with("before the database stands PgBouncer 1.18"), "{message}");
    assert!(message.contains("Use PgBouncer 1.21 or newer with max_prepared_statements = 100"), "{message}");
}

#[tokio::test]
async fn a_server_says_so_and_ends() {
    let database = migrated().await;
    let settings = "pool_mode = transaction\nmax_prepared_statements = 0";
    let pooler = TestPooler::start(Version::Current, &database, settings).await;
    let (code, said) = ServerProcess::refused(&pooler.before(&database), &[]).await;
    assert_ne!(code, Some(0));
    assert!(said.contains("max_prepared_statements = 100"), "{said}");
}

#[tokio::test]
async fn a_pooler_that_lends_whole_sessions_is_no_reason_to_refuse() {
    let database = migrated().await;
    let pooler = TestPooler::start(Version::Current, &database, "pool_mode = session\ndefault_pool_size = 20").await;
    let app = server(Arc::new(pooler.before(&database)), database.url("tenantry_app")).await;
    let tenant = app.tenant().await;
    assert_eq!(tenant.owner.query("{ tasks { totalCount } }", json!({})).await.data()["tasks"]["totalCount"], 0);
}
