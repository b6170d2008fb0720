//! Batches of service accounts.

use std::collections::HashMap;

use super::{store, types::ServiceAccount};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::reading::Batch,
    ids::ServiceAccountId,
};

/// Who looks after service accounts sees them, and who sees the tenant's API keys, which may be theirs.
pub(super) fn sees_accounts(ctx: &RequestContext) -> bool {
    ctx.can(Permission::ServiceAccountsWrite, On::Tenant) || ctx.can(Permission::ApiKeysRead, On::Tenant)
}

/// Service accounts by id.
pub struct ServiceAccountById;

impl Batch for ServiceAccountById {
    type Key = ServiceAccountId;
    type Value = ServiceAccount;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[ServiceAccountId],
    ) -> Result<HashMap<ServiceAccountId, ServiceAccount>, DbError> {
        if !sees_accounts(ctx) {
            return Ok(HashMap::new());
        }
        Ok(store::find_many(tx, keys).await?.into_iter().map(|account| (account.id, account)).collect())
    }
}
