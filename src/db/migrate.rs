//! Migrations: the folders of `migrations/`, inside the binary, run with the migration login.
//!
//! What must always hold: everything but the first step runs as `tenantry_owner`, whoever logs in; one migrator at a
//! time (an advisory lock); a step is applied whole or not at all (one transaction each). The first step makes the
//! roles, so it alone runs as the login itself: a superuser, or `tenantry_migrate` where a DBA made the roles.
//!
//! Start reading at [`up`]. How to write a migration stands in `migrations/README.md`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use diesel::{
    connection::{Instrumentation, InstrumentationEvent, SimpleConnection},
    migration::Migration,
    pg::Pg,
};
use diesel_async::{AsyncConnection, AsyncPgConnection, async_connection_wrapper::AsyncConnectionWrapper};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio_postgres::Client;

use super::client::{self, ConnectError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Months of partitions that are made ahead; `doctor` wants as many.
pub const MONTHS_AHEAD: i32 = 3;

/// How long a migrator waits for another one.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// One migration and whether this database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The name of its folder.
    pub name: String,
    /// Whether it has run.
    pub is_applied: bool,
}

/// What a database has and what this binary brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The migrations of this binary, oldest first.
    pub steps: Vec<Step>,
    /// Versions that the database has and this binary does not know: the database is newer.
    pub unknown: Vec<String>,
}

impl Status {
    /// The names of the migrations that have not run.
    pub fn pending(&self) -> Vec<String> {
        self.steps.iter().filter(|step| !step.is_applied).map(|step| step.name.clone()).collect()
    }
}

/// Why migrating did not work.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The login may not do this.
    #[error(
        "the login {login} cannot migrate: it is neither a superuser nor a member of tenantry_owner. \
         Use tenantry_migrate (TENANTRY_MIGRATE_URL)"
    )]
    WrongLogin {
        /// The login of the URL.
        login: String,
    },
    /// The roles do not exist, and the login may not make them.
    #[error(
        "the roles of Tenantry do not exist in this cluster, and {login} may not create them. \
         Migrate once as a superuser, or let a DBA run the statements in migrations/README.md"
    )]
    RolesMissing {
        /// The login of the URL.
        login: String,
    },
    /// The database belongs to somebody else.
    #[error(
        "the database {database} does not belong to tenantry_owner, and {login} may not change that. \
         As its owner or a superuser: ALTER DATABASE {database} OWNER TO tenantry_owner"
    )]
    NotOwner {
        /// The database of the URL.
        database: String,
        /// The login of the URL.
        login: String,
    },
    /// Somebody else migrates this database.
    #[error("another migration of this database has been running for {} s; try again when it has ended", LOCK_WAIT.as_secs())]
    Busy,
    /// The database has migrations that this binary does not know.
    #[error("the database has migrations that this binary does not know ({}): it belongs to a newer version", .0.join(", "))]
    Newer(Vec<String>),
    /// A migration failed; nothing of it was kept.
    #[error("migration {name} failed and was rolled back: {reason}{}", hint.as_ref().map(|hint| format!(". Hint: {hint}")).unwrap_or_default())]
    Step {
        /// The name of its folder.
        name: String,
        /// The server's message.
        reason: String,
        /// What the server suggests.
        hint: Option<String>,
    },
    /// Something around the migrations failed.
    #[error("could not {what}: {reason}")]
    Other {
        /// What was tried.
        what: &'static str,
        /// The server's message.
        reason: String,
    },
}

/// Runs every migration that has not run, then makes the partitions of the coming months; returns the names.
///
/// Works on any tokio runtime. Waits up to a minute for another migrator.
///
/// # Errors
/// [`MigrateError`]; what ran before the failing step stays.
pub async fn up(url: &str) -> Result<Vec<String>, MigrateError> {
    let client = client::connect(url, "tenantry migrate").await?;
    may_migrate(&client).await?;
    refuse_newer(read_status(&client).await?)?;
    blocking(client, |connection, refusal| {
        let pending = connection.pending_migrations(MIGRATIONS).map_err(other("read which migrations have run"))?;
        let mut done = Vec::new();
        for migration in &pending {
            if !is_first(migration.as_ref()) {
                become_owner(connection)?;
            }
            connection
                .run_migration(migration.as_ref())
                .map_err(|error| failed(migration.as_ref(), refusal, &error))?;
            done.push(migration.name().to_string());
        }
        become_owner(connection)?;
        connection
            .batch_execute(&format!("SELECT app.ensure_partitions({MONTHS_AHEAD})"))
            .map_err(|error| other("make the partitions of the coming months")(error.into()))?;
        Ok(done)
    })
    .await
}

/// Takes back the last `steps` migrations, newest first; returns their names. Fewer if there are fewer.
///
/// # Errors
/// [`MigrateError`]; what was taken back before the failing step stays so.
pub async fn down(url: &str, steps: usize) -> Result<Vec<String>, MigrateError> {
    let client = client::connect(url, "tenantry migrate").await?;
    may_migrate(&client).await?;
    let status = refuse_newer(read_status(&client).await?)?;
    let names: Vec<String> =
        status.steps.into_iter().rev().filter(|step| step.is_applied).take(steps).map(|step| step.name).collect();
    if names.is_empty() {
        return Ok(names);
    }
    blocking(client, move |connection, refusal| {
        become_owner(connection)?;
        let all = migrations()?;
        for name in &names {
            if let Some(migration) = all.iter().find(|migration| migration.name().to_string() == *name) {
                connection
                    .revert_migration(migration.as_ref())
                    .map_err(|error| failed(migration.as_ref(), refusal, &error))?;
            }
        }
        Ok(names)
    })
    .await
}

/// Which migrations have run. Changes nothing, also on an empty database.
///
/// # Errors
/// [`MigrateError::Connect`], or [`MigrateError::Other`] if the login may not read the list.
pub async fn status(url: &str) -> Result<Status, MigrateError> {
    read_status(&client::connect(url, "tenantry migrate").await?).await
}

/// The names of the migrations that have not run; for readiness, with the runtime login.
///
/// # Errors
/// As [`status`]; [`MigrateError::Newer`] is none: a newer database serves an older binary during an upgrade.
pub async fn pending(url: &str) -> Result<Vec<String>, MigrateError> {
    Ok(status(url).await?.pending())
}

async fn read_status(client: &Client) -> Result<Status, MigrateError> {
    let what = "read which migrations have run";
    let failed = |error: tokio_postgres::Error| MigrateError::Other { what, reason: super::pool::reason(&error) };
    let table = client.query_one("SELECT to_regclass('public.__diesel_schema_migrations') IS NOT NULL", &[]).await;
    let mut applied: Vec<String> = Vec::new();
    if table.map_err(failed)?.get(0) {
        let rows = client.query("SELECT version::text FROM public.__diesel_schema_migrations ORDER BY 1", &[]).await;
        applied.extend(rows.map_err(failed)?.iter().map(|row| row.get::<_, String>(0)));
    }
    let mut steps = Vec::new();
    for migration in migrations()? {
        let version = migration.name().version().to_string();
        let found = applied.iter().position(|one| *one == version);
        steps.push(Step { name: migration.name().to_string(), is_applied: found.is_some() });
        if let Some(index) = found {
            applied.swap_remove(index);
        }
    }
    applied.sort();
    Ok(Status { steps, unknown: applied })
}

fn refuse_newer(status: Status) -> Result<Status, MigrateError> {
    if status.unknown.is_empty() { Ok(status) } else { Err(MigrateError::Newer(status.unknown)) }
}

/// The embedded migrations, oldest first.
fn migrations() -> Result<Vec<Box<dyn Migration<Pg>>>, MigrateError> {
    let mut all = diesel::migration::MigrationSource::<Pg>::migrations(&MIGRATIONS)
        .map_err(other("read the embedded migrations"))?;
    all.sort_by(|a, b| a.name().version().cmp(&b.name().version()));
    Ok(all)
}

fn is_first(migration: &dyn Migration<Pg>) -> bool {
    migration.name().version().to_string() == "00000000000000"
}

/// Refuses a login that could only fail later, with a message that says less.
async fn may_migrate(client: &Client) -> Result<(), MigrateError> {
    let row = client
        .query_one(
            "SELECT r.rolname::text, r.rolsuper, r.rolsuper OR r.rolcreaterole,
                    (SELECT count(*) = 4 FROM pg_roles
                     WHERE rolname IN ('tenantry_owner', 'tenantry_migrate', 'tenantry_app', 'tenantry_platform')),
                    coalesce((SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = 'tenantry_owner'), false),
                    current_database()::text,
                    EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND pg_has_role(current_user, datdba, 'USAGE'))
             FROM pg_roles r WHERE r.rolname = current_user",
            &[],
        )
        .await
        .map_err(|error| MigrateError::Other { what: "ask what the login may do", reason: super::pool::reason(&error) })?;
    let (login, is_super, makes_roles, roles, is_owner): (String, bool, bool, bool, bool) =
        (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
    if !roles {
        return if makes_roles { Ok(()) } else { Err(MigrateError::RolesMissing { login }) };
    }
    if !is_super && !is_owner {
        return Err(MigrateError::WrongLogin { login });
    }
    if !is_super && !row.get::<_, bool>(6) {
        return Err(MigrateError::NotOwner { database: row.get(5), login });
    }
    Ok(())
}

type Connection = AsyncConnectionWrapper<AsyncPgConnection>;

/// Runs diesel's blocking harness on a thread that may block, holding the lock of the migrators.
async fn blocking<T: Send + 'static>(
    client: Client,
    work: impl FnOnce(&mut Connection, &Refusal) -> Result<T, MigrateError> + Send + 'static,
) -> Result<T, MigrateError> {
    lock(&client).await?;
    let mut connection = AsyncPgConnection::try_from(client)
        .await
        .map_err(|error| MigrateError::Other { what: "prepare the connection", reason: error.to_string() })?;
    let refusal = Refusal::default();
    connection.set_instrumentation(remember(&refusal));
    // The lock belongs to the session and goes with it.
    tokio::task::spawn_blocking(move || work(&mut Connection::from(connection), &refusal))
        .await
        .map_err(|error| MigrateError::Other { what: "finish the migration", reason: error.to_string() })?
}

async fn lock(client: &Client) -> Result<(), MigrateError> {
    let started = std::time::Instant::now();
    loop {
        let row = client.query_one("SELECT pg_try_advisory_lock(hashtextextended('tenantry migrate', 0))", &[]).await;
        let row =
            row.map_err(|error| MigrateError::Other { what: "take the lock", reason: super::pool::reason(&error) })?;
        if row.get(0) {
            return Ok(());
        }
        if started.elapsed() > LOCK_WAIT {
            return Err(MigrateError::Busy);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn become_owner(connection: &mut Connection) -> Result<(), MigrateError> {
    connection.batch_execute("SET ROLE tenantry_owner").map_err(|error| other("act as tenantry_owner")(error.into()))
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn other(what: &'static str) -> impl Fn(AnyError) -> MigrateError {
    move |error| MigrateError::Other { what, reason: error.to_string() }
}

fn failed(migration: &dyn Migration<Pg>, refusal: &Refusal, error: &AnyError) -> MigrateError {
    let said = refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let (reason, hint) = said.unwrap_or_else(|| (error.to_string(), None));
    MigrateError::Step { name: migration.name().to_string(), reason, hint }
}

/// Message and hint of the last statement that PostgreSQL refused. The harness's own error keeps the message only, in a
/// type it does not export.
type Refusal = Arc<Mutex<Option<(String, Option<String>)>>>;

fn remember(refusal: &Refusal) -> impl Instrumentation + use<> {
    let refusal = Arc::clone(refusal);
    move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::FinishQuery {
            error: Some(diesel::result::Error::DatabaseError(_, info)), ..
        } = event
        {
            *refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                Some((info.message().to_owned(), info.hint().map(str::to_owned)));
        }
    }
}
