//! What stands between this server and PostgreSQL, looked at once when a server starts.
//!
//! A pooler in transaction mode lends each transaction another one of PostgreSQL's sessions. Our statements are prepared
//! in one transaction and run in later ones, so the pooler has to carry them along under names of its own. PgBouncer does
//! since 1.21, where `max_prepared_statements` is set. Without that, statements fail as soon as two transactions run at
//! the same time, and worse: two servers use the same names, so the statement of one can run in the place of the other's.
//!
//! How it is seen: two connections that are served by one session of PostgreSQL have a pooler before them. In that session
//! `pg_prepared_statements` shows under which name a statement of ours arrived: under ours, nobody carries it along. And
//! while one connection keeps the session to itself, the other must be able to run its statement in the next one.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Client, Error, SimpleQueryMessage, Statement, error::SqlState};

use super::{
    client::{self, ConnectError},
    pool,
};
use crate::ids::uuid_v7;

/// How long a connection and its first answers may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the second session may take, and the pooler's console. A busy pooler may have no second one.
const TURN: Duration = Duration::from_secs(2);
/// How often the two connections take turns: in between, somebody else may get the session that both are to share.
const ROUNDS: usize = 4;
/// The oldest PgBouncer that carries prepared statements along.
const OLDEST: (u32, u32) = (1, 21);

/// Why the way to PostgreSQL will not do.
#[derive(Debug, thiserror::Error)]
pub enum PoolerError {
    /// There is none.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// PostgreSQL or what stands before it does not answer.
    #[error("the database cannot be asked: {0}")]
    Unanswered(String),
    /// The pooler's version is known, and too old.
    #[error(
        "before the database stands PgBouncer {0} in transaction mode, which breaks prepared statements whatever its settings. \
         Use PgBouncer 1.21 or newer with max_prepared_statements = 100, or a URL of PostgreSQL itself"
    )]
    TooOld(String),
    /// It behaves as those that are too old, or not set up, do.
    #[error(
        "before the database stands a pooler in transaction mode{version} that breaks prepared statements ({how}). With PgBouncer, \
         use 1.21 or newer and set max_prepared_statements = 100; or use a URL of PostgreSQL itself",
        version = .version.as_ref().map(|version| format!(" (PgBouncer {version})")).unwrap_or_default()
    )]
    Breaks {
        /// What was seen.
        how: String,
        /// PgBouncer's version, where it tells this login.
        version: Option<String>,
    },
}

/// Refuses a pooler that breaks prepared statements. Two connections, some fifteen statements.
///
/// # Errors
/// [`PoolerError`]. That a busy pooler has no second session is none.
pub async fn check(url: &SecretString) -> Result<(), PoolerError> {
    let url = url.expose_secret();
    let found = tokio::time::timeout(PATIENCE, look(url)).await;
    let found = found.map_err(|_| PoolerError::Unanswered(format!("no answer within {} s", PATIENCE.as_secs())))??;
    let how = match found {
        Found::Nobody => return Ok(()),
        Found::Pooler { breaks } => breaks,
    };
    let version = tokio::time::timeout(TURN, version(url)).await.ok().flatten();
    match (version, how) {
        (Some(version), _) if is_too_old(&version) => Err(PoolerError::TooOld(version)),
        (version, Some(how)) => Err(PoolerError::Breaks { how, version }),
        (version, None) => {
            tracing::info!(pgbouncer = version, "a pooler in transaction mode stands before the database");
            Ok(())
        }
    }
}

enum Found {
    /// Nobody that shows: PostgreSQL itself, or a pooler that lends whole sessions.
    Nobody,
    Pooler {
        breaks: Option<String>,
    },
}

impl Found {
    fn breaking(how: impl Into<String>) -> Self {
        Self::Pooler { breaks: Some(how.into()) }
    }
}

async fn look(url: &str) -> Result<Found, PoolerError> {
    let (one, other) = tokio::try_join!(client::connect(url, NAME), client::connect(url, NAME))?;
    match turns(&one, &other).await {
        Ok(found) => Ok(found),
        Err(error) if is_of_a_lost_statement(&error) => Ok(Found::breaking(pool::reason(&error))),
        Err(error) => Err(PoolerError::Unanswered(pool::reason(&error))),
    }
}

const NAME: &str = "tenantry start";

async fn turns(one: &Client, other: &Client) -> Result<Found, Error> {
    // A text that nobody else prepares, so that it is found again.
    let nonce = uuid_v7(chrono::DateTime::UNIX_EPOCH).simple().to_string();
    let text = format!(
        "SELECT pg_backend_pid(), (SELECT name FROM pg_prepared_statements WHERE statement LIKE '%{nonce}%' LIMIT 1)"
    );
    let statement = one.prepare(&text).await?;
    for _ in 0..ROUNDS {
        let (first, name) = ask(one, &statement).await?;
        other.batch_execute("BEGIN").await?;
        let shared = session_of(other).await?;
        let second = tokio::time::timeout(TURN, ask(one, &statement)).await;
        let second = second.ok().transpose()?.map_or(first, |(second, _)| second);
        if shared != Some(first) && first == second {
            other.batch_execute("COMMIT").await?;
            continue;
        }
        let breaks = is_ours(&name).then(|| "they arrive under the names that every server uses".to_owned());
        return Ok(Found::Pooler { breaks });
    }
    Ok(Found::Nobody)
}

/// The session of PostgreSQL that runs the statement, and the name under which it has it.
async fn ask(client: &Client, statement: &Statement) -> Result<(i32, String), Error> {
    let row = client.query_one(statement, &[]).await?;
    Ok((row.try_get(0)?, row.try_get::<_, Option<String>>(1)?.unwrap_or_default()))
}

async fn session_of(client: &Client) -> Result<Option<i32>, Error> {
    Ok(first_value(&client.simple_query("SELECT pg_backend_pid()").await?).and_then(|pid| pid.parse().ok()))
}

fn first_value(messages: &[SimpleQueryMessage]) -> Option<String> {
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

/// Whether tokio-postgres gave this name: `s` and a number.
fn is_ours(name: &str) -> bool {
    name.strip_prefix('s').is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The statement is not there, another one has its name, or another one ran in its place.
fn is_of_a_lost_statement(error: &Error) -> bool {
    let Some(error) = error.as_db_error() else { return false };
    match error.code() {
        &SqlState::INVALID_SQL_STATEMENT_NAME | &SqlState::DUPLICATE_PSTATEMENT => true,
        // PgBouncer has this code for whatever it refuses; PostgreSQL for values that do not fit the statement.
        &SqlState::PROTOCOL_VIOLATION => error.message().starts_with("bind message"),
        _ => false,
    }
}

/// PgBouncer's version, from its console: shown to logins that stand in `stats_users` or `admin_users`.
async fn version(url: &str) -> Option<String> {
    let client = client::connect_to(url, NAME, Some("pgbouncer")).await.ok()?;
    let text = first_value(&client.simple_query("SHOW VERSION").await.ok()?)?;
    Some(text.strip_prefix("PgBouncer ")?.to_owned())
}

fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_1_21_are_too_old() {
        assert!(is_too_old("1.18.0") && is_too_old("1.9") && is_too_old("0.30.1"));
        assert!(!is_too_old("1.21.0") && !is_too_old("1.24.1") && !is_too_old("2.0") && !is_too_old("unknown"));
    }

    #[test]
    fn a_name_of_the_pooler_is_not_ours() {
        assert!(is_ours("s0") && is_ours("s17"));
        assert!(!is_ours("PGBOUNCER_1") && !is_ours("s") && !is_ours("") && !is_ours("sum1"));
    }
}
