//! The tenant of a request, found by one of its names.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use moka::future::Cache;

use super::store;
use crate::{
    db::{Db, DbError, Stats},
    ids::TenantId,
    text_enum,
};

text_enum! {
    /// Where a tenant stands in its life.
    pub enum TenantStatus {
        /// Being set up.
        Provisioning = "provisioning",
        /// In use.
        Active = "active",
        /// Closed by an operator; every request is refused.
        Suspended = "suspended",
        /// Reads work, mutations are refused.
        ReadOnly = "read_only",
        /// Deleted; waits for its data to be purged.
        Deleting = "deleting",
    }
}

/// The tenant of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its current slug; a request may have used an older one.
    pub slug: Arc<str>,
    /// Where it stands in its life.
    pub status: TenantStatus,
}

/// How a request names a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TenantName {
    /// A host name, lower case, without port.
    Host(String),
    /// A slug, current or released within the last 90 days.
    Slug(String),
    /// An id.
    Id(TenantId),
}

/// Tenants by name, for a few seconds.
///
/// A suspension is seen by other processes when the entry ends; membership and rights are checked apart from this.
#[derive(Clone)]
pub struct TenantCache(Cache<TenantName, Option<Tenant>>);

impl TenantCache {
    /// Keeps up to 100,000 names for `ttl`.
    pub fn new(ttl: Duration) -> Self {
        Self(Cache::builder().max_capacity(100_000).time_to_live(ttl).build())
    }

    /// The tenant with this name, if there is one. One SQL statement when the cache does not know.
    ///
    /// # Errors
    /// [`DbError`] if the database cannot be asked.
    pub async fn find(
        &self,
        db: &Db,
        name: TenantName,
        now: DateTime<Utc>,
        stats: &Arc<Stats>,
    ) -> Result<Option<Tenant>, DbError> {
        if let Some(known) = self.0.get(&name).await {
            metrics::counter!("tenantry_cache_total", "cache" => "tenants", "outcome" => "hit").increment(1);
            return Ok(known);
        }
        metrics::counter!("tenantry_cache_total", "cache" => "tenants", "outcome" => "miss").increment(1);
        let tx = db.person(None, stats).await?;
        let found = store::find_tenant(&tx, &name, now).await?;
        tx.finish();
        // Unknown names are not kept: they are free to choose, and a tenant may be created any moment.
        if found.is_some() {
            self.0.insert(name, found.clone()).await;
        }
        Ok(found)
    }

    /// Forgets every name of this tenant.
    pub async fn forget(&self, tenant: TenantId) {
        let names: Vec<_> = (self.0.iter())
            .filter(|(_, known)| known.as_ref().is_some_and(|known| known.id == tenant))
            .map(|(name, _)| name)
            .collect();
        for name in names {
            self.0.invalidate(&*name).await;
        }
    }
}
