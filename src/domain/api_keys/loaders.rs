//! Batches of API keys.

use std::collections::HashMap;

use super::{store, types::ApiKey};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::reading::Batch,
    ids::ApiKeyId,
};

/// API keys by id.
pub struct ApiKeyById;

impl Batch for ApiKeyById {
    type Key = ApiKeyId;
    type Value = ApiKey;

    /// Two statements, whatever the number of keys: the keys and their scopes.
    async fn load(tx: &TenantTx, ctx: &RequestContext, ids: &[ApiKeyId]) -> Result<HashMap<ApiKeyId, ApiKey>, DbError> {
        let found = store::find_many(tx, ids).await?;
        Ok(found
            .into_iter()
            .filter(|key| ctx.can(Permission::ApiKeysRead, place(key)))
            .map(|key| (key.id, key))
            .collect())
    }
}

/// Where a right is needed to see or handle this key.
pub(super) fn place(key: &ApiKey) -> On {
    key.workspace.map_or(On::Tenant, On::Workspace)
}
