//! The four kinds of transaction. There is no fifth way to the database.

use std::{ops::Deref, sync::Arc};

use futures::future::BoxFuture;

use super::{
    DbError,
    core::Core,
    pool::ConnectionPool,
    raw::{Raw, TenantSql},
    stats::Stats,
};
use crate::ids::{Id, RequestId, TenantId, UserId};

/// For whom a transaction is opened. Made from the request's context, never from a request's text.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The tenant that PostgreSQL is told.
    pub tenant: TenantId,
    /// The person behind the request, for tables whose policies ask for a person.
    pub user: Option<UserId>,
    /// Who acts, for triggers: the uuid of a member, a key or nobody.
    pub actor: Option<uuid::Uuid>,
    /// The request, for triggers and logs.
    pub request: RequestId,
    /// Where the request's statements are counted.
    pub stats: Arc<Stats>,
}

/// Reads inside one tenant: `REPEATABLE READ READ ONLY`, so that a page and its total agree.
///
/// Shared by reference; statements polled together leave in one flight.
pub struct TenantTx {
    core: Core,
    tenant: TenantId,
}

impl TenantTx {
    pub(super) async fn begin(pool: &ConnectionPool, scope: &Scope, write: bool) -> Result<Self, DbError> {
        let holding = scope.stats.hold()?;
        let connection = pool.get(&scope.stats).await?;
        // SET LOCAL takes no parameters; only typed values reach these texts, never a string from a request.
        let mut preamble = Vec::with_capacity(4);
        preamble.push(if write { "BEGIN" } else { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" }.to_owned());
        preamble.push(format!("SET LOCAL app.tenant_id = '{}'", scope.tenant.uuid()));
        if write {
            preamble.push(format!("SET LOCAL app.request_id = '{}'", scope.request));
            if let Some(actor) = scope.actor {
                preamble.push(format!("SET LOCAL app.actor_id = '{actor}'"));
            }
        }
        let core = Core::new(connection, preamble, scope.user, Arc::clone(&scope.stats), holding, pool.tls.clone());
        Ok(Self { core, tenant: scope.tenant })
    }

    /// The tenant this transaction is bound to.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// A raw statement with the tenant's filter in its text.
    pub fn raw(&self, sql: TenantSql) -> Raw<'_> {
        Raw::of_tenant(self, sql)
    }

    /// A call of one of the functions in schema `app`, which decide themselves what the tenant of the transaction may.
    pub fn call(&self, text: &'static str) -> Raw<'_> {
        Raw::global(&self.core, text, false)
    }

    /// The same transaction, asked as the person behind the request; `None` if there is none.
    pub fn person(&self) -> Option<Person<'_>> {
        self.core.user().map(|user| Person { core: &self.core, user })
    }

    /// Ends the transaction. Nobody waits for it.
    pub fn finish(self) {
        self.core.end();
    }

    /// How many statements it was asked for.
    pub fn sent(&self) -> u32 {
        self.core.sent()
    }

    /// Ends the transaction in the flight of the statements that are under way; no statement may follow. Does nothing if
    /// they cannot share a flight.
    pub fn commit_ahead(&self) {
        self.core.commit_ahead();
    }

    /// Whether a statement followed all the same, and was refused.
    pub fn is_short(&self) -> bool {
        self.core.is_short()
    }

    /// Ends the transaction and waits for it.
    ///
    /// # Errors
    /// [`DbError::Aborted`] if one of its statements had failed.
    pub async fn commit(self) -> Result<(), DbError> {
        self.core.commit().await
    }
}

/// One mutation inside one tenant: `READ COMMITTED`.
///
/// Remembers any failed statement and refuses to commit after one.
pub struct WriteTx(TenantTx);

impl Deref for WriteTx {
    type Target = TenantTx;
    fn deref(&self) -> &TenantTx {
        &self.0
    }
}

impl WriteTx {
    pub(super) async fn begin(pool: &ConnectionPool, scope: &Scope) -> Result<Self, DbError> {
        TenantTx::begin(pool, scope, true).await.map(Self)
    }

    /// Holds the tenant's rights still until the end of this transaction. Many writers may hold it at once.
    pub fn lock_rights_shared(&self) -> BoxFuture<'_, Result<(), DbError>> {
        self.lock("pg_advisory_xact_lock_shared")
    }

    /// Waits until nobody writes in this tenant and keeps others out: for changes of rights, so that nothing is
    /// written after a demotion has committed.
    pub fn lock_rights_exclusive(&self) -> BoxFuture<'_, Result<(), DbError>> {
        self.lock("pg_advisory_xact_lock")
    }

    /// Takes a lock on these bytes inside the tenant until the end of the transaction; false if somebody holds it.
    ///
    /// # Errors
    /// [`DbError`] if the database cannot be asked.
    pub async fn try_lock(&self, name: &[u8]) -> Result<bool, DbError> {
        use sha2::Digest;
        let digest = sha2::Sha256::new().chain_update(self.tenant.uuid()).chain_update(name).finalize();
        let mut key = [0; 8];
        key.copy_from_slice(&digest[..8]);
        #[derive(diesel::QueryableByName)]
        struct Locked {
            #[diesel(sql_type = diesel::sql_types::Bool)]
            locked: bool,
        }
        let row: Option<Locked> = Raw::global(&self.core, "SELECT pg_try_advisory_xact_lock({}) AS locked", false)
            .bind::<diesel::sql_types::BigInt, _>(i64::from_be_bytes(key))
            .first()
            .await?;
        Ok(row.is_some_and(|row| row.locked))
    }

    fn lock(&self, function: &'static str) -> BoxFuture<'_, Result<(), DbError>> {
        let (high, low) = self.tenant.uuid().as_u64_pair();
        let key = (high ^ low).cast_signed();
        Box::pin(async move { self.core.control(&format!("SELECT {function}({key})")).await })
    }

    /// Runs `work` inside a savepoint: its failure is undone and does not fail the transaction.
    ///
    /// # Errors
    /// What `work` returned; its changes are gone then.
    pub async fn attempt<R, E: From<DbError>>(&self, work: impl Future<Output = Result<R, E>>) -> Result<R, E> {
        self.core.control("SAVEPOINT attempt").await?;
        match work.await {
            Ok(result) => {
                self.core.control("RELEASE SAVEPOINT attempt").await?;
                Ok(result)
            }
            Err(error) => {
                self.core.roll_back_to("attempt").await?;
                Err(error)
            }
        }
    }

    /// Runs the last statements, one for each future: `COMMIT` leaves in their flight where it can, and
    /// [`commit`](Self::commit) has nothing left to do then. No statement may follow, and a future may not fail for another
    /// reason than its statement.
    ///
    /// # Errors
    /// The first failure; nothing was committed then.
    pub async fn last(&self, statements: Vec<BoxFuture<'_, Result<(), DbError>>>) -> Result<(), DbError> {
        self.0.core.last(statements).await
    }

    /// Commits.
    ///
    /// # Errors
    /// [`DbError::Aborted`] if a statement had failed before.
    pub async fn commit(self) -> Result<(), DbError> {
        self.0.core.commit().await
    }

    /// Undoes everything and gives the connection back.
    pub async fn roll_back(self) {
        if let Err(error) = self.0.core.roll_back().await {
            tracing::debug!(error = %error, "a rollback did not end cleanly; the connection was closed");
        }
    }
}

/// A person's own rows: identity tables, seen through policies that ask for `app.user_id`.
#[derive(Clone, Copy)]
pub struct Person<'t> {
    core: &'t Core,
    user: UserId,
}

impl<'t> Person<'t> {
    /// Who this is.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// A statement over global tables; policies show only what the person may see.
    pub fn call(&self, text: &'static str) -> Raw<'t> {
        Raw::global(self.core, text, true)
    }
}

/// Identity before or without a tenant: sign-in, sessions, a person's own profile and memberships.
pub struct PersonTx {
    core: Core,
}

impl PersonTx {
    pub(super) async fn begin(
        pool: &ConnectionPool,
        user: Option<UserId>,
        stats: &Arc<Stats>,
    ) -> Result<Self, DbError> {
        let holding = stats.hold()?;
        let connection = pool.get(stats).await?;
        let preamble = vec!["BEGIN".to_owned()];
        Ok(Self { core: Core::new(connection, preamble, user, Arc::clone(stats), holding, pool.tls.clone()) })
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// The person, if one is known.
    pub fn person(&self) -> Option<Person<'_>> {
        self.core.user().map(|user| Person { core: &self.core, user })
    }

    /// A statement on the narrow functions that answer before a tenant or person is known.
    pub fn call(&self, text: &'static str) -> Raw<'_> {
        Raw::global(&self.core, text, false)
    }

    /// Commits.
    ///
    /// # Errors
    /// [`DbError::Aborted`] if a statement had failed before.
    pub async fn commit(self) -> Result<(), DbError> {
        self.core.commit().await
    }

    /// Ends a transaction that only read. Nobody waits for it.
    pub fn finish(self) {
        self.core.end();
    }
}

/// What operators do across tenants, through the login `tenantry_platform` and its own policies.
pub struct PlatformTx {
    core: Core,
}

impl PlatformTx {
    pub(super) async fn begin(pool: &ConnectionPool, request: RequestId, stats: &Arc<Stats>) -> Result<Self, DbError> {
        let holding = stats.hold()?;
        let connection = pool.get(stats).await?;
        let preamble = vec!["BEGIN".to_owned(), format!("SET LOCAL app.request_id = '{request}'")];
        Ok(Self { core: Core::new(connection, preamble, None, Arc::clone(stats), holding, pool.tls.clone()) })
    }

    /// A statement over global tables and the operators' functions.
    pub fn call(&self, text: &'static str) -> Raw<'_> {
        Raw::global(&self.core, text, false)
    }

    /// Commits.
    ///
    /// # Errors
    /// [`DbError::Aborted`] if a statement had failed before.
    pub async fn commit(self) -> Result<(), DbError> {
        self.core.commit().await
    }
}
