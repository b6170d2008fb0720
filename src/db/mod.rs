//! The way to PostgreSQL, and the only one.
//!
//! What must always hold: tenant data is reachable only inside a transaction in which PostgreSQL itself knows the
//! tenant, and through statements that carry the tenant's filter. [`Db`] lends four kinds of transaction:
//! [`TenantTx`] reads, [`WriteTx`] changes, [`PersonTx`] serves identity, [`PlatformTx`] serves operators. The pools
//! are private, and so is `schema`: outside this module a table is a type and not a value.
//!
//! A worked example. Ada is a member of the demo tenant Acme, Bob of the demo tenant Globex. Ada's request opens a
//! `TenantTx` for Acme: `BEGIN`, `SET LOCAL app.tenant_id = '<acme>'` and her first statement leave together.
//! `tasks::in_tenant(tx).filter(tasks::id.eq(bobs_task))` becomes
//! `… WHERE tasks.tenant_id = '<acme>' AND tasks.id = '<bobs task>'`: no row, by the filter. Were the filter missing,
//! the policy would still compare `tenant_id` with the setting: no row, by row-level security. Were Bob's id written
//! into a foreign key of Ada's row, the composite key `(tenant_id, id)` would not find it: refused.
//!
//! Start reading at [`scope`] (statements), then `core` (how a transaction begins and ends).

mod client;
mod core;
pub mod doctor;
pub mod embedded;
mod error;
pub mod keyset;
mod login;
pub mod migrate;
mod notices;
mod plan;
mod pool;
mod pooler;
mod raw;
mod schema;
pub mod scope;
mod shares;
mod stats;
pub mod tables;
mod text_enum;
mod tx;

use std::sync::Arc;

use secrecy::SecretString;

pub use self::{
    client::ConnectError,
    error::DbError,
    login::LoginError,
    notices::{Ears, Heard, ListenError, Listener, Lost, Notice},
    pool::{BadUrl, PoolOptions},
    pooler::{PoolerError, check as check_pooler},
    raw::{Raw, TenantSql},
    shares::use_share,
    stats::{Stats, TracedStatement},
    tx::{Person, PersonTx, PlatformTx, Scope, TenantTx, WriteTx},
};
use crate::ids::{RequestId, UserId};
use pool::ConnectionPool;
use shares::Shares;

/// The database, lent out as transactions only.
#[derive(Clone)]
pub struct Db {
    app: Arc<Shares>,
    platform: Option<ConnectionPool>,
}

/// How many connections a pool has and how many wait for one.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolStatus {
    /// Connections that may exist.
    pub max: usize,
    /// Connections that exist.
    pub size: usize,
    /// Connections that are free.
    pub idle: usize,
    /// Requests that wait.
    pub waiting: usize,
}

impl Db {
    /// Makes the pools; connects on first use.
    ///
    /// # Errors
    /// [`BadUrl`] if a URL cannot be parsed.
    pub fn new(app: &SecretString, platform: Option<&SecretString>, options: &PoolOptions) -> Result<Self, BadUrl> {
        let platform = platform.map(|url| ConnectionPool::new("platform", url, options)).transpose()?;
        Ok(Self { app: Arc::new(Shares::new(app, options)?), platform })
    }

    fn platform_pool(&self) -> Result<&ConnectionPool, DbError> {
        self.platform.as_ref().ok_or(DbError::NotConfigured("platform"))
    }

    /// Opens a transaction for reads inside the scope's tenant.
    ///
    /// # Errors
    /// [`DbError::PoolExhausted`] and [`DbError::Unavailable`]; [`DbError::WaitsWhileHolding`] if the request already
    /// holds a connection.
    pub async fn read(&self, scope: &Scope) -> Result<TenantTx, DbError> {
        TenantTx::begin(self.app.here(), scope, false).await
    }

    /// Opens a transaction for one mutation inside the scope's tenant.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn begin(&self, scope: &Scope) -> Result<WriteTx, DbError> {
        WriteTx::begin(self.app.here(), scope).await
    }

    /// Opens a transaction in which an operator changes something inside one tenant.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`DbError::NotConfigured`] without the platform login.
    pub async fn begin_as_operator(&self, scope: &Scope) -> Result<WriteTx, DbError> {
        WriteTx::begin(self.platform_pool()?, scope).await
    }

    /// Opens a transaction for identity: look-ups before a tenant is known, and a person's own rows.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn person(&self, user: Option<UserId>, stats: &Arc<Stats>) -> Result<PersonTx, DbError> {
        PersonTx::begin(self.app.here(), user, stats).await
    }

    /// Opens a transaction for an operator across tenants.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`DbError::NotConfigured`] without the platform login.
    pub async fn platform(&self, request: RequestId, stats: &Arc<Stats>) -> Result<PlatformTx, DbError> {
        PlatformTx::begin(self.platform_pool()?, request, stats).await
    }

    /// Figures of the runtime connections, all shares together.
    pub fn status(&self) -> PoolStatus {
        self.app.all().map(ConnectionPool::status).fold(PoolStatus::default(), |sum, status| PoolStatus {
            max: sum.max + status.max_size,
            size: sum.size + status.size,
            idle: sum.idle + status.available,
            waiting: sum.waiting + status.waiting,
        })
    }

    /// Closes the pools; requests that still wait are refused.
    pub fn close(&self) {
        self.app.all().for_each(ConnectionPool::close);
        if let Some(platform) = &self.platform {
            platform.close();
        }
    }
}
