//! What the runtime login may do beyond its business: asked once when a server starts.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Text};

use super::{Db, DbError, Stats};

/// Why a login must not serve requests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Row-level security does not bind it.
    #[error(
        "the login {0} is a superuser: row-level security does not bind it. Use tenantry_app, or a login with no more rights"
    )]
    Superuser(String),
    /// Row-level security does not bind it.
    #[error("the login {0} has BYPASSRLS: row-level security does not bind it. Run: ALTER ROLE {0} NOBYPASSRLS")]
    BypassesRls(String),
    /// It could change the policies of its tables.
    #[error(
        "the login {0} owns tables (or is a member of their owner) and could change their policies. Use tenantry_app"
    )]
    OwnsTables(String),
    /// What it began and forgot would hold locks for ever.
    #[error(
        "the login {login} has no {setting}: a statement or transaction that is forgotten would hold its locks for ever. Run: ALTER ROLE {login} SET {setting} = '{usual}'"
    )]
    NoTimeout {
        /// The login.
        login: String,
        /// The setting that is 0.
        setting: &'static str,
        /// What our migrations set.
        usual: &'static str,
    },
}

#[derive(QueryableByName)]
struct Facts {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    is_superuser: bool,
    #[diesel(sql_type = Bool)]
    bypasses_rls: bool,
    #[diesel(sql_type = BigInt)]
    owned: i64,
    #[diesel(sql_type = BigInt)]
    statement_timeout: i64,
    #[diesel(sql_type = BigInt)]
    idle_timeout: i64,
}

impl Db {
    /// Examines the runtime login. One statement.
    ///
    /// # Errors
    /// [`DbError`] if the database cannot be asked; the inner result says what is wrong with the login.
    pub async fn check_login(&self) -> Result<Result<(), LoginError>, DbError> {
        let tx = self.person(None, &std::sync::Arc::new(Stats::default())).await?;
        let facts: Option<Facts> = tx
            .call(
                "SELECT current_user::text AS name, r.rolsuper AS is_superuser, r.rolbypassrls AS bypasses_rls, \
                   (SELECT count(*) FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p') \
                      AND c.relnamespace = 'public'::regnamespace AND pg_has_role(current_user, c.relowner, 'MEMBER')) AS owned, \
                   (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'statement_timeout') AS statement_timeout, \
                   (SELECT setting::bigint FROM pg_catalog.pg_settings \
                      WHERE name = 'idle_in_transaction_session_timeout') AS idle_timeout \
                 FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
            )
            .first()
            .await?;
        tx.finish();
        Ok(match facts {
            Some(facts) if facts.is_superuser => Err(LoginError::Superuser(facts.name)),
            Some(facts) if facts.bypasses_rls => Err(LoginError::BypassesRls(facts.name)),
            Some(facts) if facts.owned > 0 => Err(LoginError::OwnsTables(facts.name)),
            Some(facts) if facts.statement_timeout == 0 => {
                Err(LoginError::NoTimeout { login: facts.name, setting: "statement_timeout", usual: "5s" })
            }
            Some(facts) if facts.idle_timeout == 0 => {
                let setting = "idle_in_transaction_session_timeout";
                Err(LoginError::NoTimeout { login: facts.name, setting, usual: "15s" })
            }
            _ => Ok(()),
        })
    }

    /// Makes the partitions of the coming months. One statement.
    ///
    /// # Errors
    /// [`DbError`] if the database cannot be asked.
    pub async fn ensure_partitions(&self, months: i32) -> Result<(), DbError> {
        let tx = self.person(None, &std::sync::Arc::new(Stats::default())).await?;
        let made = tx.call("SELECT app.ensure_partitions({})").bind::<diesel::sql_types::Integer, _>(months);
        made.execute().await?;
        tx.commit().await
    }
}
