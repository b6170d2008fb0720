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
                      AND c.relnamespace = 'public'::regnamespace AND pg_has_role(current_user, c.relowner, 'MEMBER')) AS owned \
                 FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
            )
            .first()
            .await?;
        tx.finish();
        Ok(match facts {
            Some(facts) if facts.is_superuser => Err(LoginError::Superuser(facts.name)),
            Some(facts) if facts.bypasses_rls => Err(LoginError::BypassesRls(facts.name)),
            Some(facts) if facts.owned > 0 => Err(LoginError::OwnsTables(facts.name)),
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
