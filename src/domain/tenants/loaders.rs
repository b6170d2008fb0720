//! Batches of the tenant: a transaction knows one, so every other id is absent.

use std::collections::HashMap;

use super::{
    store,
    types::{Settings, TenantWithPlan, Usage},
};
use crate::{
    access::{On, Permission},
    context::RequestContext,
    db::{DbError, TenantTx},
    domain::reading::Batch,
    ids::TenantId,
};

macro_rules! of_the_tenant {
    ($($(#[$doc:meta])* $name:ident: $value:ty, $permission:ident, $find:path;)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl Batch for $name {
            type Key = TenantId;
            type Value = $value;

            async fn load(
                tx: &TenantTx,
                ctx: &RequestContext,
                keys: &[TenantId],
            ) -> Result<HashMap<TenantId, $value>, DbError> {
                let own = tx.tenant();
                if !keys.contains(&own) || !ctx.can(Permission::$permission, On::Tenant) {
                    return Ok(HashMap::new());
                }
                Ok($find(tx).await?.map(|found| (own, found)).into_iter().collect())
            }
        }
    )*};
}

of_the_tenant! {
    /// The tenant by its id.
    TenantById: TenantWithPlan, TenantRead, store::find;
    /// Its settings.
    SettingsOfTenant: Settings, SettingsRead, store::settings;
    /// What it uses.
    UsageOfTenant: Usage, UsageRead, store::usage;
}
