//! Nothing that is forgotten holds its locks for ever.

use std::sync::Arc;

use tenantry::{
    app::{App, AppError},
    clock::Clock,
    config::Settings,
    db::{DbError, LoginError},
};

use crate::{
    faults::stage::until,
    support::{app::keys, database::migrated},
    transactions::ending::pool,
};

#[tokio::test]
async fn both_runtime_logins_have_their_timeouts() {
    let database = migrated().await;
    for (login, statement, idle) in [("tenantry_app", "5s", "15s"), ("tenantry_platform", "30s", "1min")] {
        let client = database.connect(login).await;
        for (setting, expected) in [("statement_timeout", statement), ("idle_in_transaction_session_timeout", idle)] {
            let row = client.query_one("SELECT current_setting($1)", &[&setting]).await.expect("an answer");
            assert_eq!(row.get::<_, &str>(0), expected, "{setting} of {login}");
        }
    }
}

#[tokio::test]
async fn a_transaction_that_is_left_idle_is_ended_by_the_database() {
    let database = migrated().await;
    let sql = "ALTER ROLE tenantry_app IN DATABASE {} SET idle_in_transaction_session_timeout = '100ms'";
    database.run("tenantry", &sql.replace("{}", &database.name)).await;
    let db = pool(&database, 1);
    let tx = db.person(None, &Arc::default()).await.expect("a connection");
    tx.call("SELECT 1").execute().await.expect("an answer");
    let watch = database.connect("tenantry").await;
    until("the session is ended", async || {
        let gone =
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND usename = 'tenantry_app'";
        watch.query_one(gone, &[]).await.expect("an answer").get::<_, bool>(0)
    })
    .await;
    let next = tx.call("SELECT 1").execute().await;
    assert!(matches!(next, Err(DbError::Unavailable(_))), "{next:?}");
    drop(tx);
    let tx = db.person(None, &Arc::default()).await.expect("a connection");
    tx.call("SELECT 1").execute().await.expect("the pool has a fresh one");
}

#[tokio::test]
async fn a_login_without_timeouts_is_refused() {
    let database = migrated().await;
    for setting in ["statement_timeout", "idle_in_transaction_session_timeout"] {
        let alter = format!("ALTER ROLE tenantry_app IN DATABASE {}", database.name);
        database.run("tenantry", &format!("{alter} SET {setting} = 0")).await;
        let url = database.url("tenantry_app").into();
        match App::new(&Settings::default(), &keys(), &url, None, Clock::system()).await {
            Err(AppError::Login(error @ LoginError::NoTimeout { .. })) => {
                let message = error.to_string();
                assert!(message.contains(&format!("ALTER ROLE tenantry_app SET {setting} = '")), "{message}");
            }
            Err(other) => panic!("refused for another reason: {other:?}"),
            Ok(_) => panic!("it starts without {setting}"),
        }
        database.run("tenantry", &format!("{alter} RESET {setting}")).await;
    }
}
