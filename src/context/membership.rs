//! What a principal is in a tenant: the member behind it, and the effective rights.

use std::{collections::HashSet, net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use super::{
    Principal, Tenant,
    principal::GrantHolder,
    store::{self, Holder},
};
use crate::{
    access::{EffectiveRights, PermissionSet},
    cache::{Cache, CacheKey, Hearing, Held, SharedCache},
    clock::Clock,
    db::{Db, DbError, Scope, TenantTx},
    ids::{ApiKeyId, MemberId, ServiceAccountId, TenantId, UserId, WorkspaceId},
    limits::KeyRate,
};

/// What a principal is in its tenant.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Membership {
    /// Who holds the grants: the member; for an API key its owner, a member or a service account.
    pub holder: GrantHolder,
    /// What may be done now. For an API key: the owner's rights cut to the key's scopes.
    pub rights: EffectiveRights,
    /// Where an API key may be used from; empty means anywhere.
    #[serde(with = "texts")]
    pub allowed_networks: Vec<ipnetwork::IpNetwork>,
    /// The first instant at which a grant or the key itself ends; the entry is stale from then on.
    pub valid_until: Option<DateTime<Utc>>,
    /// What an API key says about its own bucket.
    pub rate: Option<KeyRate>,
}

mod texts {
    //! Networks as they are written down.

    use ipnetwork::IpNetwork;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(networks: &[IpNetwork], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(networks.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNetwork>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        // An unreadable list must not become an empty one, which means anywhere.
        texts.iter().map(|text| text.parse().map_err(Error::custom)).collect()
    }
}

impl Membership {
    /// Whether a request from this address may use the credential.
    pub fn allows_address(&self, address: Option<IpAddr>) -> bool {
        self.allowed_networks.is_empty()
            || address.is_some_and(|address| self.allowed_networks.iter().any(|network| network.contains(address)))
    }
}

/// Who is looked up in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    User(UserId),
    Key(ApiKeyId),
}

impl Who {
    pub(super) fn of(principal: &Principal) -> Option<Self> {
        match principal {
            Principal::Person { user, .. } => Some(Self::User(*user)),
            Principal::ApiKey { key, .. } => Some(Self::Key(*key)),
            Principal::Anonymous | Principal::Operator { .. } => None,
        }
    }
}

/// Somebody in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place(TenantId, Who);

impl CacheKey for Place {
    fn tenant(&self) -> Option<TenantId> {
        Some(self.0)
    }

    fn text(&self) -> String {
        match self.1 {
            Who::User(user) => format!("{{{}}}:{user}", self.0),
            Who::Key(key) => format!("{{{}}}:{key}", self.0),
        }
    }
}

/// Memberships by tenant and principal.
///
/// An entry holds as long as the tenant's rights have the version at which it was read. A change of rights in this process
/// empties the tenant's part at once; other processes see it when they hear of it, at the latest when they ask for the
/// tenant again, whose state is believed for four seconds without hearing. Writes do not trust it: they ask again inside their own
/// transaction.
#[derive(Clone)]
pub struct MembershipCache {
    entries: Arc<Cache<Place, Membership>>,
    hearing: Hearing,
}

/// How long Redis keeps an entry. What is known to have changed unheard is avoided there for as long.
const IN_REDIS: Duration = Duration::from_secs(10 * 60);

impl MembershipCache {
    /// Keeps memberships, or nothing at all.
    pub fn new(is_on: bool, clock: Clock, shared: Option<&SharedCache>, hearing: &Hearing) -> Self {
        let in_redis = if is_on { IN_REDIS } else { Duration::ZERO };
        let entries = Arc::new(Cache::that_listens("rights", in_redis, clock, shared));
        Self { entries, hearing: hearing.clone() }
    }

    /// The principal's place in the tenant, which is the scope's; `None` if it has none. At most four SQL statements in one
    /// flight.
    ///
    /// # Errors
    /// [`DbError`] if the database cannot be asked.
    pub async fn find(
        &self,
        db: &Db,
        scope: &Scope,
        tenant: &Tenant,
        principal: &Principal,
        now: DateTime<Utc>,
    ) -> Result<Option<Arc<Membership>>, DbError> {
        let Some(who) = Who::of(principal) else { return Ok(None) };
        let version = self.hearing.rights_version(scope.tenant).max(tenant.rights_version);
        let is_good = |known: &Held<Membership>| {
            let known = &known.value;
            known.rights.version >= version && known.valid_until.is_none_or(|end| now < end)
        };
        let found = self.entries.find(Place(scope.tenant, who), is_good, async || {
            let tx = db.read(scope).await?;
            let found = load(&tx, principal, now).await?;
            tx.finish();
            Ok(found.map(|found| (scope.tenant, found)))
        });
        found.await
    }

    /// Forgets everybody, because notices of changes may have been missed.
    pub fn forget_all(&self) {
        self.entries.forget_all();
    }

    /// Forgets everybody in this tenant, because its rights have changed.
    pub fn forget(&self, tenant: TenantId) {
        self.entries.forget(tenant);
    }
}

/// Reads the principal's place in the transaction's tenant from the database.
///
/// # Errors
/// [`DbError`] if the database cannot be asked.
pub async fn load(tx: &TenantTx, principal: &Principal, now: DateTime<Utc>) -> Result<Option<Membership>, DbError> {
    match Who::of(principal) {
        None => Ok(None),
        Some(Who::User(user)) => of_user(tx, user, now).await,
        Some(Who::Key(key)) => of_key(tx, key, now).await,
    }
}

async fn of_user(tx: &TenantTx, user: UserId, now: DateTime<Utc>) -> Result<Option<Membership>, DbError> {
    let found = store::rights_of(tx, Holder::User(user), now).await?;
    Ok(found.map(|found| Membership {
        holder: found.principal,
        rights: found.rights,
        allowed_networks: Vec::new(),
        valid_until: found.ends_at,
        rate: None,
    }))
}

async fn of_key(tx: &TenantTx, key: ApiKeyId, now: DateTime<Utc>) -> Result<Option<Membership>, DbError> {
    // While the owner is suspended or disabled its keys rest.
    let found = standing_of_key(tx, key, now).await?.filter(|found| found.stopped.is_none());
    Ok(found.map(|found| found.membership))
}

/// Somebody whose place in the tenant is asked about, in whatever state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A member.
    Member(MemberId),
    /// A service account.
    ServiceAccount(ServiceAccountId),
    /// An API key.
    ApiKey(ApiKeyId),
}

/// Why somebody can do nothing at all, whatever roles are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stopped {
    /// The member is suspended, or the service account disabled; of a key, its owner is.
    Suspended,
    /// The key was revoked.
    KeyRevoked,
    /// The key has expired, or was replaced by another.
    KeyExpired,
}

/// What somebody would be in the tenant, and what keeps them from it.
#[derive(Debug)]
pub struct Standing {
    /// As [`load`] gives it to those who are kept by nothing.
    pub membership: Membership,
    /// Why it counts for nothing now.
    pub stopped: Option<Stopped>,
}

/// What somebody would be in the transaction's tenant: the same statements and the same resolution as for a request of
/// theirs. `None` for somebody who is not there.
///
/// # Errors
/// [`DbError`] if the database cannot be asked.
pub async fn standing(tx: &TenantTx, asked: Asked, now: DateTime<Utc>) -> Result<Option<Standing>, DbError> {
    let holder = match asked {
        Asked::Member(id) => Holder::Member(id),
        Asked::ServiceAccount(id) => Holder::ServiceAccount(id),
        Asked::ApiKey(id) => return standing_of_key(tx, id, now).await,
    };
    let Some(found) = store::rights_of(tx, holder, now).await? else { return Ok(None) };
    let stopped = (!found.is_active).then_some(Stopped::Suspended);
    let membership = Membership {
        holder: found.principal,
        rights: found.rights,
        allowed_networks: Vec::new(),
        valid_until: found.ends_at,
        rate: None,
    };
    Ok(Some(Standing { membership, stopped }))
}

async fn standing_of_key(tx: &TenantTx, key: ApiKeyId, now: DateTime<Utc>) -> Result<Option<Standing>, DbError> {
    let (key, scopes) = futures::try_join!(store::find_key(tx, key), store::key_scopes(tx, key))?;
    let Some(key) = key else { return Ok(None) };
    let Some(owner) = key.owner() else { return Ok(None) };
    let Some(owner) = store::rights_of(tx, owner, now).await? else { return Ok(None) };
    let stopped = match () {
        () if key.revoked_at.is_some() => Some(Stopped::KeyRevoked),
        () if !key.is_usable(now) => Some(Stopped::KeyExpired),
        () if !owner.is_active => Some(Stopped::Suspended),
        () => None,
    };
    let scopes: PermissionSet = scopes.into_iter().collect();
    let within: Option<HashSet<WorkspaceId>> = match key.workspace {
        Some(workspace) => Some(store::subtree(tx, workspace).await?),
        None => None,
    };
    let ends_at = [owner.ends_at, key.expires_at, key.overlap_until].into_iter().flatten().min();
    let rate = key.rate();
    let membership = Membership {
        holder: owner.principal,
        rights: owner.rights.restricted_to(scopes, within.as_ref()),
        allowed_networks: key.allowed_networks,
        valid_until: ends_at,
        rate,
    };
    Ok(Some(Standing { membership, stopped }))
}
