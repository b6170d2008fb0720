//! Who asks, in which tenant, with which rights: built once for each request and passed on.
//!
//! What must always hold: every source that names a tenant names the same one, and nothing overrides anything; a
//! person acts in a tenant only as its active member; rights come from the database, never from a token.
//! A [`RequestContext`] holds no loaders and no connection.
//!
//! Start reading at [`RequestContext`], then [`sources`] (which tenant) and [`membership`] (which rights).

pub mod membership;
pub mod principal;
pub mod sources;
mod store;
pub mod tenant;

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicBool},
};

use chrono::{DateTime, Utc};

pub(crate) use self::store::{KeyFound, access_version, find_key_by_hash, is_active, subtree};
pub use self::{
    membership::{Asked, Membership, MembershipCache, Standing, Stopped},
    principal::{GrantHolder, Principal},
    sources::{Source, SourceMismatch},
    tenant::{Tenant, TenantCache, TenantName, TenantStatus},
};
use crate::{
    access::{On, Permission, Reach},
    clock::Clock,
    db::{Scope, Stats},
    ids::{Id, RequestId},
};

/// Through which door a command came in; `source` of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The GraphQL API.
    Api,
    /// The command line of an operator.
    Cli,
}

impl Door {
    /// As stored in `audit_logs.source`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Cli => "cli",
        }
    }
}

/// What makes a repeated request the same request.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The value of the header `Idempotency-Key`.
    pub key: String,
    /// SHA-256 over document, operation name and variables.
    pub request_hash: [u8; 32],
    /// Set when the answer comes from the first request with this key.
    pub replayed: Arc<AtomicBool>,
}

/// Everything a use case may know about the request it serves.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Who asks.
    pub principal: Principal,
    /// In which tenant, if one was named.
    pub tenant: Option<Tenant>,
    /// What the principal is in that tenant.
    pub membership: Option<Arc<Membership>>,
    /// The time.
    pub clock: Clock,
    /// The request's id.
    pub request: RequestId,
    /// What the request costs the database.
    pub stats: Arc<Stats>,
    /// Where the request came from, as far as trusted proxies say.
    pub client_address: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The operation's name, for the audit log.
    pub operation_name: Option<String>,
    /// Set when the client wants the mutation to happen once.
    pub idempotency: Option<Idempotency>,
    /// Through which door the request came.
    pub door: Door,
}

/// The principal may not do this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this needs the permission {permission}")]
pub struct Denied {
    /// What is missing.
    pub permission: Permission,
}

/// The operation needs a tenant, and the request names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name the tenant: by host, by path /t/{{slug}}/graphql, by ?tenant=, by the header X-Tenant or by an API key")]
pub struct TenantRequired;

impl RequestContext {
    /// Now, by the request's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The tenant of the request.
    ///
    /// # Errors
    /// [`TenantRequired`] if the request names none, or the principal does not belong to it.
    pub fn tenant(&self) -> Result<&Tenant, TenantRequired> {
        match (&self.tenant, &self.principal) {
            (Some(tenant), Principal::Operator { .. }) => Ok(tenant),
            (Some(tenant), _) if self.membership.is_some() => Ok(tenant),
            _ => Err(TenantRequired),
        }
    }

    /// For whom transactions are opened.
    ///
    /// # Errors
    /// As [`tenant`](Self::tenant).
    pub fn scope(&self) -> Result<Scope, TenantRequired> {
        Ok(Scope {
            tenant: self.tenant()?.id,
            user: self.principal.user(),
            actor: self.actor().1,
            request: self.request,
            stats: Arc::clone(&self.stats),
        })
    }

    /// Whether the principal holds the permission there.
    pub fn can(&self, permission: Permission, on: On) -> bool {
        match &self.principal {
            Principal::Operator { .. } => true,
            _ => self.membership.as_ref().is_some_and(|membership| membership.rights.allows(permission, on)),
        }
    }

    /// The workspaces in which the principal holds the permission: what a list must be cut to.
    pub fn reach(&self, permission: Permission) -> Reach {
        match (&self.principal, &self.membership) {
            (Principal::Operator { .. }, _) => Reach::All,
            (_, Some(membership)) => membership.rights.workspaces_with(permission),
            (_, None) => Reach::None,
        }
    }

    /// Refuses unless the principal holds the permission there.
    ///
    /// # Errors
    /// [`Denied`] names the missing permission.
    pub fn require(&self, permission: Permission, on: On) -> Result<(), Denied> {
        if self.can(permission, on) { Ok(()) } else { Err(Denied { permission }) }
    }

    /// Kind and id of the one who acts, as stored in the audit log.
    pub fn actor(&self) -> (&'static str, Option<uuid::Uuid>) {
        match (&self.principal, &self.membership) {
            (Principal::Anonymous, _) => ("anonymous", None),
            (Principal::ApiKey { key, .. }, _) => ("api_key", Some(key.uuid())),
            (Principal::Operator { .. }, _) => ("operator", None),
            (Principal::Person { .. }, Some(membership)) => ("member", Some(membership.holder.uuid())),
            (Principal::Person { user, .. }, None) => ("user", Some(user.uuid())),
        }
    }
}
