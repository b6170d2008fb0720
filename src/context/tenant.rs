//! The tenant of a request, found by one of its names.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use super::store;
use crate::{
    cache::{Cache, CacheKey, Hearing, SharedCache},
    clock::Clock,
    db::{Db, DbError, Stats},
    ids::TenantId,
    limits::PlanLimits,
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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its current slug; a request may have used an older one.
    #[serde(with = "shared_text")]
    pub slug: Arc<str>,
    /// Where it stands in its life.
    pub status: TenantStatus,
    /// What its plan says about limits.
    pub limits: PlanLimits,
    /// The version that its rights had when it was asked for: rights that were read at an earlier one count no more.
    pub rights_version: i64,
}

mod shared_text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Into::into)
    }
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

impl CacheKey for TenantName {
    fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Host(_) | Self::Slug(_) => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Host(host) => format!("host:{host}"),
            Self::Slug(slug) => format!("slug:{slug}"),
            Self::Id(id) => format!("id:{id}"),
        }
    }
}

/// Tenants by name, as long as this process hears of changes, else for a few seconds.
///
/// A suspension is seen by other processes when they hear of it, at the latest a few seconds after they last heard anything;
/// membership and rights are checked apart from this.
#[derive(Clone)]
pub struct TenantCache {
    entries: Arc<Cache<TenantName, Tenant>>,
    ttl: Duration,
    hearing: Hearing,
}

impl TenantCache {
    /// Believes what it knows for `ttl`, and longer as long as changes are heard of.
    pub fn new(ttl: Duration, clock: Clock, shared: Option<&SharedCache>, hearing: &Hearing) -> Self {
        let entries = Arc::new(Cache::that_listens("tenants", ttl, clock, shared));
        Self { entries, ttl, hearing: hearing.clone() }
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
        // Unknown names are not kept: they are free to choose, and a tenant may be created any moment.
        let found = self.entries.find(
            name.clone(),
            |held| match &name {
                // An old name ends by itself, without a notice, and may be somebody else's then.
                TenantName::Slug(slug) if **slug != *held.value.slug => held.asked.elapsed() < self.ttl,
                _ => held.is_present(self.ttl, &self.hearing),
            },
            async || {
                let tx = db.person(None, stats).await?;
                let found = store::find_tenant(&tx, &name, now).await?;
                tx.finish();
                Ok::<_, DbError>(found.map(|tenant| (tenant.id, tenant)))
            },
        );
        Ok(found.await?.map(|tenant| Tenant::clone(&tenant)))
    }

    /// Forgets every name of every tenant, because notices of changes may have been missed.
    pub fn forget_all(&self) {
        self.entries.forget_all();
    }

    /// Forgets every name of this tenant.
    pub async fn forget(&self, tenant: TenantId) {
        self.entries.forget(tenant);
    }
}
