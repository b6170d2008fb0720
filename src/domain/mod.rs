//! The slices: one folder for each part of the domain, every one with the same shelf.
//!
//! `types` (no layer), `store` (all SQL), `service` (the use cases), `graphql` (objects, inputs, fields), `loaders`
//! (batches). Slices meet through each other's `service` and `loaders`, never through `store`. What every slice needs
//! stands here: [`mutation`] wraps every change, [`reading`] every read, [`error`] is what both return.
//!
//! Start reading at [`tasks`].

pub mod access;
pub mod api_keys;
pub mod audit;
pub mod error;
pub mod gql;
pub mod groups;
pub mod idempotency;
pub mod identity;
pub mod live;
pub mod members;
pub mod mutation;
pub mod nodes;
pub mod ownership;
pub mod platform;
pub mod projects;
pub mod rate_limit;
pub mod reading;
pub mod roles;
pub mod service_accounts;
pub mod tasks;
pub mod tenants;
pub mod text;
pub mod workspaces;

use crate::{
    cache::Hearing,
    clock::Clock,
    context::{MembershipCache, TenantCache},
    db::Db,
    graphql::cursor::CursorKey,
    ids::TenantId,
    limits::KeyRate,
};
pub use error::{Error, Problem};

/// What the use cases work with; wired once by `app`.
#[derive(Clone)]
pub struct Services {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// Memberships and rights.
    pub memberships: MembershipCache,
    /// Tenants by name.
    pub tenants: TenantCache,
    /// Up to when changes made elsewhere were heard of.
    pub hearing: Hearing,
    /// Seals and opens the cursors of pages.
    pub cursors: CursorKey,
    /// Where refusals are recorded after the answer.
    pub refusals: audit::RefusalQueue,
    /// The bucket that every principal has; a key's own is no larger.
    pub principal_rate: KeyRate,
    /// Passwords, tokens, sessions and the look-up of API keys.
    pub identity: identity::Identity,
    /// What subscribers wait for.
    pub live: live::Live,
}

impl Services {
    /// Forgets what this process and the cache behind it know of the tenant's rights and keys: they have changed.
    pub fn forget_rights(&self, tenant: TenantId) {
        self.memberships.forget(tenant);
        self.identity.api_keys().forget_tenant(tenant);
    }
}
