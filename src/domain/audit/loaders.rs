//! Batches of the audit log.

use std::collections::HashMap;

use super::{store, types::AuditLog};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::reading::Batch,
    ids::AuditLogId,
};

/// Entries by id.
pub struct AuditLogById;

impl Batch for AuditLogById {
    type Key = AuditLogId;
    type Value = AuditLog;

    async fn load(
        tx: &TenantTx,
        ctx: &RequestContext,
        keys: &[AuditLogId],
    ) -> Result<HashMap<AuditLogId, AuditLog>, DbError> {
        let found = store::find_many(tx, keys).await?;
        let seen = found
            .into_iter()
            .filter(|entry| ctx.can(Permission::AuditLogsRead, entry.workspace_id.map_or(On::Tenant, On::Workspace)));
        Ok(seen.map(|entry| (entry.id, entry)).collect())
    }
}
