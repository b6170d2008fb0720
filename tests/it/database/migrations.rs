//! Up, down and up again, by every login that may, on databases that hold data.

use tenantry::db::{
    doctor,
    embedded::SUPERUSER,
    migrate::{self, MigrateError},
};

use super::demo::{self, count};
use crate::support::{
    cluster::{empty_database, shared},
    database::migrated,
};

const MIGRATE: &str = "tenantry_migrate";

#[tokio::test]
async fn up_down_and_up_again_with_data() {
    let database = empty_database().await;
    let (superuser, owner) = (database.url(SUPERUSER), database.url(MIGRATE));
    let before = migrate::status(&superuser).await.expect("status of an empty database");
    assert!(before.steps.iter().all(|step| !step.is_applied));

    let all = migrate::up(&superuser).await.expect("up as a superuser");
    assert_eq!(all, before.pending());
    assert_eq!(migrate::up(&owner).await.expect("nothing left"), Vec::<String>::new());
    demo::fill(&database).await;

    // One step back and forth keeps what tenants have.
    assert_eq!(migrate::down(&owner, 1).await.expect("one down"), all[all.len() - 1..]);
    assert_eq!(
        migrate::pending(&database.url("tenantry_app")).await.expect("the runtime may ask"),
        all[all.len() - 1..]
    );
    migrate::up(&owner).await.expect("one up");
    assert_eq!(count(&database, "tasks").await, 2);
    assert_eq!(count(&database, "builtin_roles").await, 11);

    let mut back = migrate::down(&owner, 99).await.expect("all down, data and all");
    back.reverse();
    assert_eq!(back, all);
    assert_eq!(count(&database, "pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '\\_\\_%'").await, 0);
    assert_eq!(migrate::up(&owner).await.expect("up again, no longer as a superuser"), all);
    demo::fill(&database).await;
    assert_eq!(doctor::examine(&owner).await.expect("examined"), []);
}

#[tokio::test]
async fn a_database_prepared_by_a_dba_needs_no_superuser() {
    migrated().await; // somebody has made the roles
    let database = empty_database().await;
    let url = database.url(MIGRATE);
    assert!(matches!(migrate::up(&url).await, Err(MigrateError::NotOwner { .. })));

    database.run(SUPERUSER, &format!("ALTER DATABASE {} OWNER TO tenantry_owner", database.name)).await;
    migrate::up(&url).await.expect("up as the migration login");
    demo::fill(&database).await;
    assert_eq!(doctor::examine(&url).await.expect("examined"), []);
    let strangers = count(&database, "pg_tables WHERE schemaname = 'public' AND tableowner <> 'tenantry_owner'").await;
    assert_eq!(strangers, 0);
}

#[tokio::test]
async fn a_migration_sees_and_changes_the_rows_of_every_tenant_under_force() {
    let database = migrated().await;
    demo::fill(&database).await;
    let client = database.connect(MIGRATE).await;
    client.batch_execute("SET ROLE tenantry_owner").await.expect("becomes the owner");
    assert_eq!(client.execute("UPDATE tasks SET points = 5", &[]).await.expect("updates"), 2);
    assert_eq!(client.execute("UPDATE tenants SET metadata = '{\"a\": 1}'", &[]).await.expect("updates"), 2);

    // Without its own policy the owner changes nothing, and is told nothing.
    client.batch_execute("DROP POLICY tenant_owner ON tasks").await.expect("drops");
    assert_eq!(client.execute("UPDATE tasks SET points = 6", &[]).await.expect("updates"), 0);
}

#[tokio::test]
async fn two_migrators_take_turns() {
    let database = empty_database().await;
    let url = database.url(SUPERUSER);
    let (one, two) = tokio::join!(migrate::up(&url), migrate::up(&url));
    let (one, two) = (one.expect("first"), two.expect("second"));
    assert!(one.is_empty() != two.is_empty(), "{one:?} {two:?}");
}

#[tokio::test]
async fn the_wrong_login_is_told_so() {
    let database = migrated().await;
    let error = migrate::up(&database.url("tenantry_app")).await.expect_err("refused");
    assert!(matches!(&error, MigrateError::WrongLogin { login } if login == "tenantry_app"), "{error}");
    assert!(error.to_string().contains("TENANTRY_MIGRATE_URL"));
    let gone = shared().url(MIGRATE, "no_such_database");
    let error = migrate::up(&gone).await.expect_err("refused");
    assert!(error.to_string().contains("no_such_database"), "{error}");
    assert!(matches!(migrate::up("postgres://%").await, Err(MigrateError::Connect(_))));
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let database = migrated().await;
    database.run(MIGRATE, "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000000')").await;
    let error = migrate::up(&database.url(MIGRATE)).await.expect_err("refused");
    assert!(matches!(&error, MigrateError::Newer(versions) if versions == &["20991231000000"]), "{error}");
    assert!(matches!(migrate::down(&database.url(MIGRATE), 1).await, Err(MigrateError::Newer(_))));
    assert_eq!(migrate::pending(&database.url("tenantry_app")).await.expect("it can be served"), Vec::<String>::new());
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_and_says_why() {
    let database = migrated().await;
    let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).expect("the steps");
    let names = folders.map(|folder| folder.expect("a folder").file_name().to_string_lossy().into_owned());
    let later = names.filter(|name| name.as_str() >= "2026-11-23-000600" && name.starts_with("20")).count();
    migrate::down(&database.url(MIGRATE), later).await.expect("down to before the catalogue");
    // Somebody's own constraint is in the way of the step that fills it.
    database.run(MIGRATE, "ALTER TABLE plans ADD CONSTRAINT no_plans CHECK (key <> 'team')").await;
    let error = migrate::up(&database.url(MIGRATE)).await.expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("catalogue") && text.contains("no_plans"), "{text}");
    assert_eq!(count(&database, "permissions").await, 0);
}
